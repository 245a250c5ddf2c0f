"""KakaoTalk: the skill webhook 2.0, answered in time whatever the model takes or whatever breaks."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import uuid4

from aiohttp import ClientError, web

from adapters.base import Accept, Capabilities, Parked
from adapters.files import Files, Keep, forget, over_http
from adapters.kakao.call import Call, in_group, read
from adapters.kakao.calls import Ask, Budget, Conversation, Response
from adapters.kakao.hosts import Fate, keeps_photos, may_call_back, post
from adapters.kakao.limits import TEXT, problems
from adapters.kakao.skill import (
    Body,
    Shown,
    Texts,
    encoded,
    response,
    show,
    simple_text,
    use_callback,
    view_button,
)
from brain.messages import Address, Attachment, Draft, Event, Receipt, Reply

PATH: Final = "/channels/kakao"
SECRET_HEADER: Final = "X-Sangdam-Secret"  # noqa: S105 its name
BODY_BYTES: Final = 64 * 1024
MOST_CONVERSATIONS: Final = 10_000
"""Conversations in memory; the others' replies wait in the store."""
LONG: Final = 2000
"""Characters of a reply that is not made ready on the spot."""
MOST_ANSWERED: Final = 500
"""Calls whose answer is kept, should they come again."""

_log = logging.getLogger(__name__)


class Kakao:
    """The KakaoTalk channel.

    A call is answered with the reply if it is there in time; else with the promise to post it to the
    call's callback, which is done once; else with a quick reply that asks for it. A reply that no
    open call takes is parked: the customer's next call of any kind shows it.
    """

    name = "kakao"
    capabilities = Capabilities(longest_text=TEXT, choices=True, deadline=5.0, collects=False)
    heard = None

    def __init__(
        self,
        *,
        secret: str,
        texts: Texts,
        parked: Parked,
        bot_ids: Sequence[str] = (),
        callback_hosts: Sequence[str] = ("bot-api.kakao.com",),
        keep: Keep = forget,
        budget: Budget | None = None,
    ) -> None:
        """`secret` is what the skill's header `X-Sangdam-Secret` must hold.

        `bot_ids` are the bots that may call, any if there are none. Of this machine's own servers
        `callback_hosts` may name one with its port (`127.0.0.1:8081`), which is reached by http and
        may keep photos too. `keep` keeps those.
        """
        self._secret = secret.encode()
        self._texts = texts
        self._parked = parked
        self._bots = frozenset(bot.rstrip("!") for bot in bot_ids)
        self._hosts = tuple(callback_hosts)
        self._budget = budget or Budget()
        self._files = Files(keep, self._photo, seconds=self._budget.photos)
        self._accept: Accept | None = None
        self._conversations: dict[Address, Conversation] = {}
        self._answered: dict[str, asyncio.Future[Body]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sorry = response([simple_text(texts.failed)], [], group=False)

    def routes(self) -> list[web.RouteDef]:
        """What the server has to serve for this channel."""
        return [web.post(PATH, self._receive)]

    async def run(self, accept: Accept) -> None:
        """Take calls until cancelled. Callbacks that were promised are still made."""
        self._accept = accept
        try:
            await asyncio.Event().wait()
        finally:
            self._accept = None

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Give the reply to the call that waits for it; parked if there is none or it failed."""
        shown = await self._shown(address, reply)
        return await self._conversation(address).put(reply, shown)

    async def show(self, address: Address, draft: Draft | None) -> None:
        """KakaoTalk shows no drafts."""

    # ---- a call

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not self._secret or not hmac.compare_digest(given, self._secret):
            raise web.HTTPUnauthorized(text="The secret header is missing or wrong.\n")
        try:
            call = await self._read(request, began)
            if call is None:
                return _json(self._sorry)
            if self._bots and call.bot not in self._bots:
                _log.warning("a skill call of bot %r was refused", call.bot)
                raise web.HTTPForbidden(text="This bot may not call.\n")
            return await self._answer(request, call, began)
        except web.HTTPException:
            raise
        except Exception:  # noqa: BLE001 a customer is never left without a word
            _log.exception("a skill call was not answered")
            return _json(self._sorry)

    async def _read(self, request: web.Request, began: float) -> Call | None:
        """The call; None if there is no reading it, or not in time."""
        try:
            async with asyncio.timeout_at(began + self._budget.inline):
                body = await _body(request)
            request_id = request.headers.get("X-Request-Id", "")
            return read(body, request_id=request_id, seconds=time.time(), hosts=self._hosts)
        except (ValueError, TimeoutError, ClientError, OSError) as unreadable:
            # What it says may quote the body.
            _log.warning("a skill call could not be read: %s", type(unreadable).__name__)
            return None

    async def _answer(self, request: web.Request, call: Call, began: float) -> web.StreamResponse:
        known = self._answered.get(call.id)
        if known is not None:
            return await self._repeat(call, known, began)
        answer = asyncio.get_running_loop().create_future()
        self._answered[call.id] = answer
        while len(self._answered) > MOST_ANSWERED:
            del self._answered[next(iter(self._answered))]
        try:
            return await self._answer_new(request, call, began, answer)
        finally:
            if not answer.done():
                answer.set_result(self._sorry)

    async def _repeat(
        self, call: Call, known: asyncio.Future[Body], began: float
    ) -> web.StreamResponse:
        """A call that came before gets the same answer. Its callback is the first one's or none."""
        try:
            async with asyncio.timeout_at(began + self._budget.inline):
                body = await asyncio.shield(known)
        except TimeoutError:
            body = {}
        if not body or "useCallback" in body:
            texts = self._texts
            quick = [view_button(texts.view_answer)]
            body = response([simple_text(texts.holding)], quick, group=call.group)
        return _json(body)

    async def _answer_new(
        self, request: web.Request, call: Call, began: float, answer: asyncio.Future[Body]
    ) -> web.StreamResponse:
        where = self._conversation(call.address)
        await self._load(where)
        ask = self._open(call, where)
        try:
            return await self._answer_ask(request, call, began, answer, where, ask)
        finally:
            if where.asks.get(ask.id) is ask and not ask.promised:
                # The server stops, or a bug: what comes for this call must not wait for it.
                await self._settle(where, where.close(ask), "not", call)

    async def _answer_ask(
        self,
        request: web.Request,
        call: Call,
        began: float,
        answer: asyncio.Future[Body],
        where: Conversation,
        ask: Ask,
    ) -> web.StreamResponse:
        fate: Fate = "unknown"
        try:
            async with asyncio.timeout_at(began + self._budget.inline):
                await ask.ready.wait()
        except TimeoutError:
            if not where.waiting and may_call_back(call.callback, self._hosts):
                promise = use_callback(self._texts.waiting)
                answer.set_result(promise)
                prepared, fate = await self._write(request, promise, began)
                if fate != "not":
                    ask.promised = True
                    self._begin(self._call_back(where, ask, call, began))
                return prepared
        sent = self._checked(call, where.close(ask))
        if ask.failed:  # should it come again, it is worth another try
            self._answered.pop(call.id, None)
        answer.set_result(sent.body)
        try:
            prepared, fate = await self._write(request, sent.body, began)
        finally:
            await self._settle(where, sent, fate, call)
        return prepared

    def _open(self, call: Call, where: Conversation) -> Ask:
        """Begin with what the call wants."""
        texts = self._texts
        if call.vote:
            ask = Ask(id=call.id, kind="vote")
        elif call.asks_for_answers(texts.view_answer, texts.view_more):
            ask = Ask(id=call.id, kind="view")
        else:
            ask = Ask(id=call.id, kind="message")
        where.open(ask)
        if ask.kind != "view":
            self._begin(self._hand_in(where, ask, call.event(datetime.now(UTC))))
        return ask

    async def _hand_in(self, where: Conversation, ask: Ask, event: Event) -> None:
        try:
            if self._accept is None:
                raise ConnectionError("the channel is stopping")
            await self._accept(await self._files.kept(event))
        except Exception as error:  # noqa: BLE001 whatever it was, the customer must know
            # Its text may quote the message.
            _log.error("event %s was not accepted: %s", event.id, type(error).__name__)
            where.refused(ask)
            if ask.id not in where.asks:  # too late for its call, so the next one says it
                text = self._texts.failed
                sorry = Reply(id=uuid4().hex, in_reply_to=ask.id, text=text, kind="exception")
                where.put(sorry, Shown(bubbles=(simple_text(text),)))
        else:
            if ask.kind == "vote":
                ask.ready.set()

    async def _photo(self, attachment: Attachment) -> AsyncIterator[bytes]:
        if keeps_photos(
            attachment.url, self._hosts
        ):  # it was when the call was read; never trust twice
            async for piece in over_http(attachment.url):
                yield piece

    # ---- answers

    async def _write(
        self, request: web.Request, body: Body, began: float
    ) -> tuple[web.StreamResponse, Fate]:
        """Answer the request here and now, to know whether that went well."""
        prepared = _json(body)
        if request.transport is None or request.transport.is_closing():
            return prepared, "not"
        try:
            await prepared.prepare(request)
            await prepared.write_eof()
        except (OSError, RuntimeError):
            return prepared, "not"  # a response that ends early is none
        late = asyncio.get_running_loop().time() - began >= self._budget.limit
        return prepared, "unknown" if late else "delivered"

    async def _call_back(self, where: Conversation, ask: Ask, call: Call, began: float) -> None:
        """Wait for the answer and post it, or that it takes longer; once in any case."""
        stopped = False
        try:
            async with asyncio.timeout_at(began + self._budget.late):
                await ask.ready.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:  # the process ends: the next call gets the answer
            stopped = True
        sent = self._checked(call, where.close(ask))
        left = began + self._budget.callback - asyncio.get_running_loop().time()
        seconds = min(self._budget.post, left)
        fate: Fate = "unknown"
        try:
            fate = await post(call.callback, encoded(sent.body), seconds=seconds)
        finally:
            await self._settle(where, sent, fate, call)
        if stopped:
            raise asyncio.CancelledError

    async def _settle(self, where: Conversation, sent: Response, fate: Fate, call: Call) -> None:
        if fate != "delivered":
            _log.warning("what skill call %s was answered with: %s", call.id, fate)
        arrived = where.settle(sent, fate, call.id)
        for reply_id, receipt in arrived.items():
            await self._arrived(reply_id, receipt)

    async def _arrived(self, reply_id: str, receipt: Receipt) -> None:
        try:
            await self._parked.delivered(reply_id, receipt)
        except Exception as error:  # noqa: BLE001 it has arrived; at worst it does so again after a restart
            _log.error("parked reply %s arrived, not noted: %s", reply_id, type(error).__name__)

    def _checked(self, call: Call, sent: Response) -> Response:
        """What may be sent: never what KakaoTalk would refuse."""
        wrong = problems(sent.body, group=call.group)
        if not wrong:
            return sent
        _log.error("skill call %s would have got: %s", call.id, "; ".join(wrong))
        return Response(body=self._sorry, portions=sent.portions, fit=False)

    # ---- what is kept

    def _conversation(self, address: Address) -> Conversation:
        """Its conversation, now the last to be forgotten."""
        where = self._conversations.pop(address, None)
        if where is None:
            where = Conversation(address, self._texts, time.monotonic)
        self._conversations[address] = where
        if len(self._conversations) > MOST_CONVERSATIONS:
            oldest = next(iter(self._conversations))
            if not self._conversations[oldest].asks:
                del self._conversations[oldest]
        return where

    async def _load(self, where: Conversation) -> None:
        """What waits from an earlier run, if that can be had soon."""
        if where.loaded:
            return
        where.loaded = True
        try:
            async with asyncio.timeout(self._budget.load):
                replies = await self._parked.waiting(where.address)
                where.load([(each, await self._shown(where.address, each)) for each in replies])
        except Exception as error:  # noqa: BLE001 the call goes on without, the next one asks again
            _log.error("parked replies could not be read: %s", type(error).__name__)
            where.loaded = False

    async def _shown(self, address: Address, reply: Reply) -> Shown:
        """Its bubbles. Long words take a moment to be cut, in which other calls must go on."""
        work = partial(show, reply, self._texts, group=in_group(address))
        return await asyncio.to_thread(work) if len(reply.text) > LONG else work()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _body(request: web.Request) -> bytes:
    """The body. Raises ValueError when it is too long: it is not read to its end."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES:
            raise ValueError("too long")
    return bytes(body)


def _json(body: Body) -> web.Response:
    return web.Response(body=encoded(body), content_type="application/json", charset="utf-8")
