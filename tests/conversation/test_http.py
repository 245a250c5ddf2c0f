"""The whole path of a signed request and back, restarts included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.http.channel import PATH, Http
from adapters.http.wire import encoded, signed
from bot.channels.connect import configured
from brain.messages import Address, Receipt, Reply
from tests.conversation.conftest import Run, Sangdam

SECRET = "secret"


class Caller:
    """A company's own application."""

    def __init__(self, sangdam: Sangdam, channel: Http, client: TestClient[Any, Any]) -> None:
        self.sangdam = sangdam
        self.channel = channel
        self._client = client

    async def ask(self, number: str, text: str, **more: Any) -> dict[str, Any]:
        where = {"user": "kim", "conversation": "c1"}
        body = encoded({"id": number, "text": text, **where, **more})
        async with self._client.post(PATH, data=body, headers=signed(SECRET, body)) as response:
            return {"code": response.status, **await response.json()}


@asynccontextmanager
async def calling(run: Run, **more: Any) -> AsyncIterator[Caller]:
    async with run(channels={"http": {"secret": SECRET, **more}}, resume=True) as sangdam:
        [channel] = configured(sangdam.app)
        assert isinstance(channel, Http)
        sangdam.app.connect(channel)
        application = web.Application()
        application.add_routes(channel.routes())
        async with TestClient(TestServer(application)) as client:
            yield Caller(sangdam, channel, client)


async def test_a_repeated_request_has_its_answer_after_a_restart(run: Run) -> None:
    async with calling(run) as caller:
        first = await caller.ask("q1", "배송비 얼마예요?")
        joined, last = await asyncio.gather(
            caller.ask("q2", "환불"), caller.ask("q3", "언제 되나요?")
        )
        command = await caller.ask("q4", "/help")
    assert "2,500원" in first["text"]
    assert (first["kind"], first["sources"][0]["document"]) == ("quoted", "delivery.md")
    assert (joined["code"], joined["kind"]) == (200, "silent")
    assert "2영업일" in last["text"]
    assert command["kind"] == "command"
    async with calling(run) as caller:
        assert await caller.ask("q1", "배송비 얼마예요?") == first
        assert await caller.ask("q2", "환불") == last  # both were answered at once
        assert await caller.ask("q4", "/help") == command


async def test_a_parked_answer_is_handed_out_after_a_restart_and_once(run: Run) -> None:
    address = Address(channel="http", conversation="c1", user="kim")
    async with calling(run) as caller:
        await caller.ask("q1", "배송비 얼마예요?")
        await caller.sangdam.quiet()
        [turn] = caller.sangdam.turns
        store, now = caller.sangdam.app.store, caller.sangdam.clock.now()
        session = await store.session(address)
        left = Reply(id="t-late", in_reply_to="q0", text="늦은 답변", kind="answer")
        await store.commit(replace(turn, id=left.id, reply=left, messages=()), session)
        await store.receipt(left.id, Receipt(outcome="parked"), at=now)
    async with calling(run) as caller:
        parked = (await caller.ask("q5", "반품은 며칠 안에 해야 하나요?"))["parked"]
        assert [(each["id"], each["text"]) for each in parked] == [("t-late", "늦은 답변")]
    async with calling(run) as caller:
        assert (await caller.ask("q6", "배송비 얼마예요?"))["parked"] == []


async def test_a_callback_comes_from_the_whole_path(run: Run) -> None:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await got.put(await request.json())
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/answers", take)])
    async with TestServer(application) as receiver:
        url = str(receiver.make_url("/answers"))
        async with calling(run, callback_hosts=[f"127.0.0.1:{receiver.port}"]) as caller:
            accepted = await caller.ask("q1", "배송비 얼마예요?", callback_url=url)
            if accepted["code"] == 202:
                accepted = await asyncio.wait_for(got.get(), 20)
    assert "2,500원" in accepted["text"]
