"""What goes over the wire of the HTTP channel: signatures, requests, answers, refusals."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, get_args

from adapters.base import clean, document
from adapters.http.callback import Callbacks
from brain.messages import Address, Attachment, AttachmentKind, Message, Reply

TIME_HEADER: Final = "X-Sangdam-Time"
SIGNATURE_HEADER: Final = "X-Sangdam-Signature"
WINDOW_SECONDS: Final = 300
"""How far the time of a request may be from ours."""
LONGEST_NAME, LONGEST_URL, MOST_ATTACHMENTS = 200, 2000, 10

_TIME: Final = re.compile(r"\d{1,12}", re.ASCII)
_SIGNATURE: Final = re.compile("[0-9a-fA-F]{64}")
_FIELDS: Final = frozenset({"id", "user", "conversation", "text", "attachments", "callback_url"})


class Refusal(Exception):
    """A request that cannot be answered; the caller is told the status, the code and the message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that was understood."""

    id: str
    """The caller's own id of it."""
    message: Message
    """What is asked, under an id that no other customer's requests have."""
    callback_url: str
    """Where the answer is posted; empty when the caller waits for it."""
    digest: bytes
    """Equal for equal questions."""


def signature(secret: str, moment: str, body: bytes) -> str:
    """Hex HMAC-SHA256 of `moment` (Unix seconds, in digits), a full stop and `body`."""
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()


def signed(secret: str, body: bytes) -> dict[str, str]:
    """The headers that sign `body` now."""
    moment = str(int(time.time()))
    return {TIME_HEADER: moment, SIGNATURE_HEADER: signature(secret, moment, body)}


def look_at_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """Time and signature of a request, not verified yet. Raises Refusal."""
    moment, given = headers.get(TIME_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    if not moment or not given:
        raise Refusal(401, "unsigned", f"send the headers {TIME_HEADER} and {SIGNATURE_HEADER}")
    if not _TIME.fullmatch(moment):
        raise Refusal(401, "bad_time", f"{TIME_HEADER} is the time in whole Unix seconds")
    if not _SIGNATURE.fullmatch(given):
        raise Refusal(401, "bad_signature", f"{SIGNATURE_HEADER} is a SHA-256 in 64 hex digits")
    return moment, given


def verify(secret: str, moment: str, given: str, body: bytes) -> None:
    """Raises Refusal unless `given` signs `body` at `moment`, and that is now."""
    if not hmac.compare_digest(signature(secret, moment, body), given.lower()):
        raise Refusal(
            401, "bad_signature", f'sign "{TIME_HEADER}.body" (HMAC-SHA256) with the shared secret'
        )
    if abs(time.time() - int(moment)) > WINDOW_SECONDS:
        raise Refusal(
            401, "stale", f"{TIME_HEADER} is more than {WINDOW_SECONDS} seconds from the time here"
        )


def understood(body: bytes, *, longest: int, callbacks: Callbacks) -> Question:
    """The question in `body`, of at most `longest` characters. Raises Refusal."""
    given = _parsed(body)
    for field in given.keys() - _FIELDS:
        raise _bad(f"unknown field {field[:40]!r}")
    client_id, user = _name(given, "id"), _name(given, "user")
    address = Address(channel="http", conversation=_name(given, "conversation"), user=user)
    text = given.get("text")
    if not isinstance(text, str):
        raise _bad("text is missing or no string")
    text = clean(text).strip()
    if len(text) > longest:
        raise Refusal(413, "too_long", f"text has {len(text)} characters; {longest} are allowed")
    attachments = _attachments(given.get("attachments"))
    if not text and not attachments:
        raise _bad("text is empty, and nothing is attached")
    message = Message(
        # Callers number their requests as they like, for each customer anew.
        id=prefix(user) + client_id,
        address=address,
        text=text,
        sent_at=datetime.now(UTC),
        attachments=attachments,
    )
    url = given.get("callback_url")
    if url is not None and (not isinstance(url, str) or not callbacks.may_call(url)):
        raise Refusal(
            400, "bad_callback", "callback_url is no https address of a host in callback_hosts"
        )
    digest = hashlib.sha256(repr((address, text, attachments)).encode()).digest()
    return Question(id=client_id, message=message, callback_url=url or "", digest=digest)


def prefix(user: str) -> str:
    """What the ids of a customer's events begin with."""
    return hashlib.sha256(user.encode()).hexdigest()[:16] + ":"


def answer(address: Address, reply: Reply) -> dict[str, Any]:
    """`reply` as the caller gets it; `id` is the reply's own, `in_reply_to` the request's."""
    return {
        **document(reply),
        "in_reply_to": reply.in_reply_to.removeprefix(prefix(address.user)),
        "notice": reply.notice,
        "attachments": [
            {"kind": each.kind, "name": each.name, "mime": each.mime, "url": each.url}
            for each in reply.attachments
        ],
    }


def encoded(document: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, with half surrogate pairs, which UTF-8 has not, replaced."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def _bad(message: str) -> Refusal:
    return Refusal(400, "bad_request", message)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("the body is no JSON in UTF-8") from None
    if not isinstance(given, dict):
        raise _bad("the body is no JSON object")
    return given


def _name(given: Mapping[str, Any], field: str, of: str = "") -> str:
    value = given.get(field)
    if not isinstance(value, str) or not value or len(value) > LONGEST_NAME:
        raise _bad(f"{field}{of} is a string of 1 to {LONGEST_NAME} characters")
    if not value.isprintable() or value != value.strip():
        raise _bad(f"{field}{of} has characters that cannot be printed, or spaces around it")
    return value


def _attachments(given: object) -> tuple[Attachment, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_ATTACHMENTS:
        raise _bad(f"attachments is a list of at most {MOST_ATTACHMENTS}")
    return tuple(_attachment(each) for each in given)


def _attachment(given: object) -> Attachment:
    if not isinstance(given, dict):
        raise _bad("an attachment is an object")
    for field in given.keys() - {"kind", "name", "mime", "size", "url"}:
        raise _bad(f"unknown field {field[:40]!r} in an attachment")
    kinds = get_args(AttachmentKind)
    kind: Any = given.get("kind")
    size, url = given.get("size"), given.get("url", "")
    if kind not in kinds:
        raise _bad(f"the kind of an attachment is one of {', '.join(kinds)}")
    if size is not None and (type(size) is not int or not 0 <= size < 2**53):
        raise _bad("the size of an attachment is a number of bytes")
    if not isinstance(url, str) or not re.fullmatch(r"(https://[\x21-\x7e]+)?", url, re.ASCII):
        raise _bad("the url of an attachment is an https address")
    if len(url) > LONGEST_URL:
        raise _bad(f"the url of an attachment has at most {LONGEST_URL} characters")
    of = " of an attachment"
    mime = _name(given, "mime", of) if "mime" in given else ""
    return Attachment(kind=kind, name=_name(given, "name", of), mime=mime, size=size, url=url)
