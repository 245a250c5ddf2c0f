"""The HTTP channel: signed requests, answered in the open request or by a signed callback."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from adapters.base import Accept, Capabilities
from adapters.http import openapi
from adapters.http.callback import Callbacks
from adapters.http.parked import Parked, Past
from adapters.http.wire import (
    Question,
    Refusal,
    answer,
    encoded,
    look_at_headers,
    signed,
    understood,
    verify,
)
from brain.messages import Address, Draft, Receipt, Reply

PATH: Final = "/channels/http"
OPENAPI_PATH: Final = "/openapi.json"
ANSWER_SECONDS = 55.0
"""How long a request waits for its answer; proxies commonly give up after 60."""
BODY_SECONDS = 10.0
CALLBACK_SECONDS = 900.0
"""How long after its request an answer is posted; later it waits for the next request."""
MOST_OPEN = 1000
"""Requests that may wait at a time."""
KEPT_QUESTIONS = 1000

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Asked:
    """A question and what became of it."""

    question: Question
    entered: asyncio.Future[Refusal | None] | None = None
    """Done once the gateway has it; then why it has not, if so."""
    waiting: set[asyncio.Transport] = field(default_factory=set)
    """Connections of the requests that wait for the answer."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the answer is there."""
    answer: dict[str, Any] | None = None
    along: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Earlier answers that went with this one, by id: a repeated request gets them again."""
    since: float = field(default_factory=time.monotonic)
    """When it was asked, `time.monotonic()`."""

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody is there to get the answer."""
        return any(not transport.is_closing() for transport in self.waiting)

    def owes_callback(self) -> bool:
        """Whether an answer is still to be posted."""
        young = time.monotonic() - self.since < CALLBACK_SECONDS
        return bool(self.question.callback_url) and young


class Http:
    """The HTTP channel; `adapters/openapi.py` describes what callers see.

    The id of a request is its idempotency key: the same one again waits for the same answer, or gets
    it again. Answers that found nobody waiting are handed out with the next request of their
    conversation. Both outlast a restart, for the store keeps them; a callback does not, and its
    answer is handed out like one that found nobody waiting.
    """

    name = "http"
    heard = None

    def __init__(
        self,
        *,
        secret: str,
        past: Past,
        callback_hosts: Sequence[str] = (),
        longest: int = 4000,
        deadline: float = ANSWER_SECONDS,
    ) -> None:
        """`secret` keys the signatures, ours on callbacks too; `callback_hosts` as in `Callbacks`;
        `longest` in characters of one message; `deadline` in seconds. Raises ConfigError."""
        self.capabilities = Capabilities(
            choices=True, markup=True, idempotent=True, attachments=True, deadline=deadline
        )
        self._secret = secret
        self._past = past
        self._longest = longest
        self._deadline = deadline
        self._callbacks = Callbacks(callback_hosts, headers=lambda body: signed(secret, body))
        # An escaped character outside the basic plane takes twelve; the rest is for attachments.
        self._longest_body = longest * 12 + 64 * 1024
        self._accept: Accept | None = None
        self._open = 0
        self._asked: dict[str, _Asked] = {}
        self._parked = Parked(past)

    def routes(self) -> list[web.RouteDef]:
        """What the server has to serve for this channel."""
        return [web.post(PATH, self._post), web.get(OPENAPI_PATH, self._describe)]

    async def run(self, accept: Accept) -> None:
        """Take requests until cancelled; those that wait may still be answered afterwards."""
        self._accept = accept
        try:
            await asyncio.Event().wait()
        finally:
            self._accept = None

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Nothing: a request has one answer."""

    # ---- answers

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Answer the request it belongs to, or post it; where neither is possible it is parked."""
        if self._parked.is_handed_out(reply.id):
            return Receipt(outcome="delivered", native_ids=(reply.id,))
        asked = self._asked.get(reply.in_reply_to)
        if asked is None or asked.question.message.address != address:
            return self._park(address, reply, "no request is open for it")
        if asked.answer is not None and asked.answer["id"] != reply.id:
            return self._park(address, reply, "its request has its answer already")
        asked.answer = answer(address, reply)
        asked.done.set()
        if asked.is_waited_for:
            self._parked.hand_out(reply.id)
            return Receipt(outcome="delivered", native_ids=(reply.id,))
        if asked.question.callback_url:
            return await self._call_back(asked, address, reply)
        return self._park(address, reply, "nobody waits for it any more")

    async def _call_back(self, asked: _Asked, address: Address, reply: Reply) -> Receipt:
        if not asked.owes_callback():
            return self._park(address, reply, "its callback could not be reached")
        body = encoded(answer(address, reply))
        receipt = await self._callbacks.post(asked.question.callback_url, body)
        if receipt.outcome == "parked":
            return self._park(address, reply, receipt.reason)
        if receipt.outcome == "delivered":
            self._parked.hand_out(reply.id)
        return receipt

    def _park(self, address: Address, reply: Reply, reason: str) -> Receipt:
        if reply.kind == "silent":  # it only tells an open request that nothing comes
            return Receipt(outcome="refused", reason=reason)
        self._parked.put(address, reply)
        return Receipt(outcome="parked", reason=reason)

    # ---- requests

    async def _describe(self, request: web.Request) -> web.Response:
        return _json(200, openapi.document(longest=self._longest, deadline=self._deadline))

    async def _post(self, request: web.Request) -> web.Response:
        try:
            moment, given = look_at_headers(request.headers)
            if self._accept is None:
                raise _later("stopped", "the channel is not running; send it again")
            body = await self._body(request)
            verify(self._secret, moment, given, body)
            question = understood(body, longest=self._longest, callbacks=self._callbacks)
            if self._open >= MOST_OPEN:
                raise _later("busy", "too many requests wait for an answer; send it again")
            self._open += 1
            try:
                return await self._answered(request, question)
            finally:
                self._open -= 1
        except Refusal as refusal:
            return _json(refusal.status, {"error": refusal.code, "message": refusal.message})

    async def _body(self, request: web.Request) -> bytes:
        """At most as much as a good request can have; a stranger must not fill the memory."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while piece := await request.content.readany():
                    body += piece
                    if len(body) > self._longest_body:
                        raise Refusal(
                            413, "too_large", f"the body has more than {self._longest_body} bytes"
                        )
        except TimeoutError:
            raise Refusal(408, "too_slow", "the body did not arrive in time") from None
        return bytes(body)

    async def _answered(self, request: web.Request, question: Question) -> web.Response:
        asked, transport = self._take_down(question), request.transport
        if transport is None:
            raise ConnectionResetError("the caller has gone")
        asked.waiting.add(transport)
        try:
            if asked.entered is None:
                asked.entered = asyncio.ensure_future(self._enter(asked))
            refusal = await asyncio.shield(asked.entered)
            if refusal is not None:
                raise refusal
            if not question.callback_url:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._deadline):
                        await asked.done.wait()
        finally:
            asked.waiting.discard(transport)
        # Asked last, for the answer may have come in the moment the time was over.
        if asked.answer is None:
            status = "accepted" if question.callback_url else "pending"
            return await self._respond(request, 202, asked, {"status": status})
        return await self._respond(request, 200, asked, asked.answer)

    def _take_down(self, question: Question) -> _Asked:
        """The record of `question`, a new one the first time. Raises Refusal."""
        key = question.message.id
        if (asked := self._asked.get(key)) is not None:
            if asked.question.digest != question.digest:
                raise Refusal(409, "id_reused", "this id was used for another question")
            return asked
        if len(self._asked) >= KEPT_QUESTIONS:
            self._forget_one()
        asked = self._asked[key] = _Asked(question)
        return asked

    def _forget_one(self) -> None:
        for key, asked in self._asked.items():
            owed = asked.answer is None and asked.owes_callback()
            if not asked.waiting and not owed:
                del self._asked[key]
                return
        raise _later("busy", "too many requests wait for an answer; send it again")

    async def _enter(self, asked: _Asked) -> Refusal | None:
        """Find the answer of an earlier time, or hand the question to the gateway."""
        message = asked.question.message
        refusal = None
        try:
            answered, reply = await self._past.answered(message.id)
            if reply is not None:
                asked.answer = answer(message.address, reply)
                asked.done.set()
            elif answered:
                refusal = Refusal(409, "answered", "it was answered, and the answer is not kept")
            elif self._accept is None:
                refusal = _later("stopped", "the channel is not running; send it again")
            else:
                await self._accept(message)
        except Exception as error:  # noqa: BLE001 whatever it was, the caller must know
            # Its text may quote the message.
            _log.error("a request was not accepted: %s", type(error).__name__)
            refusal = _later("not_accepted", "it could not be kept; send it again")
        if refusal is not None:
            self._asked.pop(message.id, None)
        return refusal

    async def _respond(
        self, request: web.Request, status: int, asked: _Asked, document: Mapping[str, Any]
    ) -> web.Response:
        """With the answers that waited for the conversation to go on."""
        address = asked.question.message.address
        taken = await self._parked.take(address)
        own = document.get("id", "")
        if own:
            self._parked.hand_out(own)
        asked.along |= {key: answer(address, reply) for key, reply in taken.items() if key != own}
        head = {"in_reply_to": asked.question.id}
        response = _json(status, {**head, **document, "parked": list(asked.along.values())})
        if await _is_written(response, request):
            await self._parked.arrived(taken)
        else:
            self._parked.put_back(address, taken)
        return response


async def _is_written(response: web.Response, request: web.Request) -> bool:
    """Write `response` now, to know whether it could be."""
    if request.transport is None or request.transport.is_closing():
        return False
    try:
        await response.prepare(request)
        await response.write_eof()
    except OSError:
        return False
    return True


def _later(code: str, message: str) -> Refusal:
    return Refusal(503, code, message)


def _json(status: int, document: Mapping[str, Any]) -> web.Response:
    headers = {"Retry-After": "5"} if status == 503 else None
    return web.Response(
        status=status,
        body=encoded(document),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )
