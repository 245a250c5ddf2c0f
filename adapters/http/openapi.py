"""The OpenAPI description of the HTTP channel."""

from __future__ import annotations

from typing import Any, get_args

from brain.messages import AttachmentKind, ReplyKind

_ERRORS = {
    "400": "Not understood: bad_request, bad_callback.",
    "401": "Not signed, or not rightly: unsigned, bad_time, bad_signature, stale.",
    "408": "The body did not arrive in time: too_slow.",
    "409": "The id was used for another question (id_reused), or its answer is not kept (answered).",
    "413": "More than is allowed: too_large, too_long.",
    "503": "Not now; send the same request again after `Retry-After` seconds: stopped, busy, not_accepted.",
}


def document(*, longest: int, deadline: float) -> dict[str, Any]:
    """The description; `longest` in characters of one message, `deadline` in seconds of one request."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sangdam",
            "version": "1",
            "description": "Ask the customer-support gateway and get its answers.",
        },
        "paths": {"/channels/http": {"post": _operation(deadline)}},
        "components": {
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Sangdam-Signature",
                    "description": (
                        "Hex HMAC-SHA256, keyed with the shared secret, of the value of "
                        "X-Sangdam-Time, a full stop, and the bytes of the body."
                    ),
                }
            },
            "schemas": _schemas(longest),
        },
    }


def _operation(deadline: float) -> dict[str, Any]:
    return {
        "summary": "Ask a question for a customer",
        "description": (
            f"Waits up to {deadline:g} seconds for the answer. Send the same `id` again to wait on or "
            "to get the same answer again; a request that failed or was cut off is safe to repeat."
        ),
        "operationId": "ask",
        "security": [{"signature": []}],
        "parameters": [
            {
                "name": "X-Sangdam-Time",
                "in": "header",
                "required": True,
                "description": "Unix time in seconds, at most 300 from the server's.",
                "schema": {"type": "string", "pattern": "^[0-9]{1,12}$"},
            }
        ],
        "requestBody": {"required": True, "content": _json("Question")},
        "responses": {
            "200": {"description": "The answer.", "content": _json("Answered")},
            "202": {
                "description": (
                    "Kept. `accepted`: the answer will be posted to `callback_url`. `pending`: it is "
                    "not ready; repeat the request, or find the answer in `parked` of the "
                    "conversation's next one."
                ),
                "content": _json("Accepted"),
            },
            **{
                status: {"description": words, "content": _json("Error")}
                for status, words in _ERRORS.items()
            },
        },
        "callbacks": {
            "answer": {
                "{$request.body#/callback_url}": {
                    "post": {
                        "description": (
                            "The answer, signed as requests are. It may come more than once, always "
                            "with the same `id`. 2xx: taken. 429 or 503: it is posted again. Any "
                            "other 3xx or 4xx: it is put into `parked` instead."
                        ),
                        "requestBody": {"required": True, "content": _json("Answer")},
                        "responses": {"200": {"description": "Taken."}},
                    }
                }
            }
        },
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(schema)}}


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(required: list[str], properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, **more}


def _text(description: str = "", **more: Any) -> dict[str, Any]:
    described = {"description": description} if description else {}
    return {"type": "string", **described, **more}


def _schemas(longest: int) -> dict[str, Any]:
    name: dict[str, Any] = {"minLength": 1, "maxLength": 200}
    parked = {
        "type": "array",
        "items": _ref("Answer"),
        "description": "Answers of this conversation that found nobody waiting, oldest first.",
    }
    asked = _text("The `id` of the request; of a later one that was answered together with it.")
    answer = {
        "id": _text("The answer's own id: show an answer with a known id once."),
        "in_reply_to": asked,
        "text": _text("Markdown: paragraphs, bold, italic, code, lists, quotations, links."),
        "kind": _text("How it came about.", enum=list(get_args(ReplyKind))),
        "sources": _list({"document": _text(), "heading": _text(), "score": {"type": "number"}}),
        "choices": _list({"label": _text("On the button."), "text": _text("What it sends.")}),
        "notice": _text("To be shown before the text, if not empty."),
        "author": _text("Name of the person who wrote it; empty for the AI."),
        "attachments": _list({key: _text() for key in ("kind", "name", "mime", "url")}),
    }
    return {
        "Question": _object(
            ["id", "user", "conversation", "text"],
            {
                "id": _text("Yours; unique for the user. The idempotency key.", **name),
                "user": _text("Your id of the customer, never changing.", **name),
                "conversation": _text("Your id of the conversation.", **name),
                "text": _text("The customer's words.", maxLength=longest),
                "attachments": {"type": "array", "maxItems": 10, "items": _ref("Attachment")},
                "callback_url": _text("https, on a host that the operator allows.", format="uri"),
            },
            additionalProperties=False,
        ),
        "Attachment": _object(
            ["kind", "name"],
            {
                "kind": _text(enum=list(get_args(AttachmentKind))),
                "name": _text(**name),
                "mime": _text(maxLength=200),
                "size": {"type": "integer", "minimum": 0, "description": "Bytes."},
                "url": _text("https.", maxLength=2000),
            },
            additionalProperties=False,
        ),
        "Answer": _object(list(answer), answer),
        "Answered": _object([*answer, "parked"], {**answer, "parked": parked}),
        "Accepted": _object(
            ["in_reply_to", "status", "parked"],
            {
                "in_reply_to": asked,
                "status": _text(enum=["accepted", "pending"]),
                "parked": parked,
            },
        ),
        "Error": _object(["error", "message"], {"error": _text(), "message": _text()}),
    }


def _list(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _object(list(properties), properties)}
