"""What every channel promises, tried on each; a new one needs a harness and a line in `HARNESSES`."""

from __future__ import annotations

import asyncio
import io
import queue
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from typing import Any, get_args

import pytest
from aiohttp import ClientConnectionError, ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from adapters.base import Adapter, Capabilities
from adapters.console import OPERATOR, Console
from adapters.discord import TEXTS as DISCORD_TEXTS
from adapters.discord import Discord
from adapters.fake import Fake
from adapters.http.channel import PATH as HTTP_PATH
from adapters.http.channel import Http
from adapters.http.wire import encoded, signed
from adapters.kakao.channel import PATH as KAKAO_PATH
from adapters.kakao.channel import Kakao
from adapters.kakao.skill import Texts
from adapters.presentation import Labels
from adapters.telegram.channel import Telegram
from adapters.webchat import SOCKET_PATH, TEXTS, WebChat
from brain.messages import (
    Address,
    Choice,
    Draft,
    Event,
    Message,
    Receipt,
    Reply,
    ReplyKind,
    Source,
)
from tests.contract import guide
from tests.wire.discord_gateway import ALICE, DM
from tests.wire.discord_gateway import TOKEN as DISCORD_TOKEN
from tests.wire.discord_server import DiscordServer
from tests.wire.line_server import SECRET, USER, LineServer
from tests.wire.line_server import TOKEN as LINE_TOKEN
from tests.wire.telegram_server import TOKEN, TelegramServer

STOPS_WITHIN = 1.0
"""Seconds in which a channel ends when it is cancelled."""
FINAL = ("delivered", "refused", "unknown", "parked")
"""What a channel may say of a reply; `pending` is the gateway's word."""


class Harness(ABC):
    """One channel with the gateway's side in the open and a customer at the other end."""

    def __init__(self) -> None:
        self.adapter: Adapter = self.make()
        self.events: list[Event] = []
        self.running: asyncio.Task[None] | None = None

    @abstractmethod
    def make(self) -> Adapter:
        """The channel, not running yet."""

    @property
    def at_once(self) -> Sequence[str]:
        """What becomes of a reply now; where only requests are answered it may wait for the next one."""
        waits = self.adapter.capabilities.deadline is not None
        return ("delivered", "parked") if waits else ("delivered",)

    async def open(self) -> None:
        """Run it and bring a customer in."""
        self.running = asyncio.create_task(self.adapter.run(self.accept))
        await asyncio.sleep(0)

    async def accept(self, event: Event) -> None:
        self.events.append(event)

    @property
    @abstractmethod
    def customer(self) -> Address:
        """The customer's address."""

    @abstractmethod
    async def says(self, text: str) -> None:
        """The customer sends something, or tries to."""

    @abstractmethod
    async def shown(self, replies: int) -> list[str]:
        """The texts of the replies that the customer sees, once there are so many."""

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.stop()

    async def stop(self) -> None:
        """Cancel `run` and wait for its end."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait({self.running})

    async def heard(self, events: int = 1) -> list[Event]:
        """What was handed in, once there is so much."""
        await until(lambda: len(self.events) >= events)
        return self.events


async def until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


class FakeHarness(Harness):
    """The channel of the tests."""

    customer = Address(channel="fake", conversation="c1", user="u1")

    def make(self) -> Fake:
        self.fake = Fake()
        return self.fake

    async def says(self, text: str) -> None:
        message = self.fake.message(text)
        handing_in = asyncio.create_task(self.fake.hand_in(message))
        await asyncio.wait({handing_in}, timeout=0.05)
        handing_in.cancel()

    async def shown(self, replies: int) -> list[str]:
        await until(lambda: len(self.fake.replies) >= replies)
        return [reply.text for _, reply in self.fake.replies]


class IdempotentFakeHarness(FakeHarness):
    """The same, showing each reply once."""

    def make(self) -> Fake:
        self.fake = Fake(capabilities=Capabilities(idempotent=True))
        return self.fake


class ConsoleHarness(Harness):
    """The terminal."""

    customer = OPERATOR

    def make(self) -> Console:
        self.keys: queue.Queue[str | None] = queue.Queue()
        self.screen = io.StringIO()
        return Console(read=self._read, out=self.screen)

    def _read(self, prompt: str) -> str:
        line = self.keys.get()
        if line is None:
            raise EOFError
        return line

    async def says(self, text: str) -> None:
        self.keys.put(text)

    async def shown(self, replies: int) -> list[str]:
        await until(lambda: self.screen.getvalue().count("\n\n") >= replies)
        shown = self.screen.getvalue().split("\n\n")[:-1]
        return [each.split("\n  ↳")[0] for each in shown]

    async def close(self) -> None:
        await super().close()
        for _ in range(3):  # whoever still reads in a thread ends
            self.keys.put(None)


class WebChatHarness(Harness):
    """A page on a real socket, which as ours does shows a reply with a known id in its old place."""

    def make(self) -> WebChat:
        self.address: Address | None = None
        self.sent = 0
        return WebChat(history=self._history, texts={name: name for name in TEXTS})

    @staticmethod
    async def _history(address: Address) -> Sequence[tuple[str, Reply]]:
        return []

    async def open(self) -> None:
        await super().open()
        application = web.Application()
        assert isinstance(self.adapter, WebChat)
        application.add_routes(self.adapter.routes())
        self.client = TestClient(TestServer(application))
        await self.client.start_server()
        origin = str(self.client.make_url("/")).rstrip("/")
        self.page: ClientWebSocketResponse = await self.client.ws_connect(
            SOCKET_PATH, origin=origin
        )
        await self.page.send_json({"type": "hello", "session": None})
        self.replies: dict[str, str] = {}
        self.greeted = asyncio.Event()
        self.reading = asyncio.create_task(self._read())
        async with asyncio.timeout(20):
            await self.greeted.wait()
        [session] = self.adapter._sessions.values()
        self.address = session.address

    async def _read(self) -> None:
        while (frame := await self.page.receive()).type is WSMsgType.TEXT:
            said = frame.json()
            if said["type"] == "history":
                self.greeted.set()
            elif said["type"] == "reply":
                self.replies[said["id"]] = said["text"]

    @property
    def customer(self) -> Address:
        assert self.address is not None
        return self.address

    async def says(self, text: str) -> None:
        self.sent += 1
        try:
            await self.page.send_json({"type": "message", "id": f"m{self.sent}", "text": text})
        except ClientConnectionError:  # the page was told to go
            return

    async def shown(self, replies: int) -> list[str]:
        await until(lambda: len(self.replies) >= replies)
        return list(self.replies.values())

    async def close(self) -> None:
        await super().close()
        await self.page.close()
        self.reading.cancel()
        await asyncio.wait({self.reading})
        await self.client.close()


class NoPast:
    """A store that knows nothing."""

    async def answered(self, event_id: str) -> tuple[bool, Reply | None]:
        return False, None

    async def waiting(self, address: Address) -> Sequence[Reply]:
        return ()

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        return None


class HttpHarness(Harness):
    """A caller that shows what comes with its requests, an answer with a known id once."""

    customer = Address(channel="http", conversation="c1", user="u1")
    POLL = "(what else is there?)"

    def make(self) -> Http:
        self.http = Http(secret="secret", past=NoPast())
        return self.http

    async def open(self) -> None:
        await super().open()
        application = web.Application()
        application.add_routes(self.http.routes())
        self.client = TestClient(TestServer(application))
        await self.client.start_server()
        self.replies: dict[str, str] = {}
        self.asked: list[asyncio.Task[None]] = []

    async def accept(self, event: Event) -> None:
        if isinstance(event, Message) and event.text == self.POLL:
            done = Reply(id=event.id, in_reply_to=event.id, text="", kind="silent")
            await self.http.deliver(event.address, done)
        else:
            await super().accept(event)

    async def says(self, text: str) -> None:
        self.asked.append(asyncio.create_task(self._ask(text)))

    async def _ask(self, text: str) -> None:
        where = {"user": self.customer.user, "conversation": self.customer.conversation}
        body = encoded({"id": f"q{len(self.asked)}", "text": text, **where})
        async with self.client.post(HTTP_PATH, data=body, headers=signed("secret", body)) as given:
            said = await given.json()
        for each in (*said.get("parked", ()), said):
            if each.get("kind", "silent") != "silent":
                self.replies[each["id"]] = each["text"]

    async def shown(self, replies: int) -> list[str]:
        await self.says(self.POLL)
        await self.asked[-1]
        await until(lambda: len(self.replies) >= replies)
        return list(self.replies.values())

    async def close(self) -> None:
        await super().close()
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)
        await self.client.close()


class TelegramHarness(Harness):
    """A private chat on a Bot API on loopback."""

    customer = Address(channel="telegram", conversation="111", user="111")

    def make(self) -> Telegram:
        self.server = TelegramServer()
        self.server.takes_drafts = True
        labels = Labels(source="출처: {document} · {heading}", choices="")
        return Telegram(token=TOKEN, base_url=self.server.host, labels=lambda: labels)

    async def open(self) -> None:
        await self.server.__aenter__()
        await super().open()
        await until(lambda: self.server.polls)

    async def says(self, text: str) -> None:
        self.server.say(text)

    async def shown(self, replies: int) -> list[str]:
        await until(lambda: len(self.server.shown[111]) >= replies)
        return [message.text for message in self.server.shown[111]]

    async def close(self) -> None:
        await super().close()
        await self.server.__aexit__()


class DiscordHarness(Harness):
    """Direct messages with a gateway and a REST server on loopback."""

    customer = Address(channel="discord", conversation=DM, user=ALICE)

    def make(self) -> Discord:
        self.server = DiscordServer()
        return Discord(token=DISCORD_TOKEN, texts={name: name for name in DISCORD_TEXTS})

    async def open(self) -> None:
        await self.server.__aenter__()
        assert isinstance(self.adapter, Discord)
        self.adapter._api_base = self.server.api_base  # known only now
        await super().open()
        await until(lambda: self.server.sessions)

    async def says(self, text: str) -> None:
        await self.server.say(text)

    async def shown(self, replies: int) -> list[str]:
        await until(lambda: len(self.server.shown()) >= replies)
        return [message["content"] for message in self.server.shown()]

    async def close(self) -> None:
        await super().close()
        await self.server.__aexit__()


class KakaoHarness(Harness):
    """A phone that asks for what is ready."""

    customer = Address(channel="kakao", conversation="u1", user="u1")

    def make(self) -> Kakao:
        texts = Texts(**{field.name: field.name for field in fields(Texts)})
        self.kakao = Kakao(secret="secret", texts=texts, parked=self)
        return self.kakao

    async def waiting(self, address: Address) -> Sequence[Reply]:
        """No reply of an earlier run."""
        return []

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        """Nothing is kept."""

    async def open(self) -> None:
        await super().open()
        application = web.Application()
        application.add_routes(self.kakao.routes())
        self.client = TestClient(TestServer(application))
        await self.client.start_server()
        self.texts: list[str] = []
        self.asked: list[asyncio.Task[None]] = []

    async def says(self, text: str) -> None:
        self.asked.append(asyncio.create_task(self._ask(text)))

    async def _ask(self, text: str) -> None:
        call = {"userRequest": {"user": {"id": self.customer.user}, "utterance": text}}
        headers = {"X-Sangdam-Secret": "secret", "X-Request-Id": f"request-{len(self.asked)}"}
        async with self.client.post(KAKAO_PATH, json=call, headers=headers) as given:
            body = await given.json()
        for output in body["template"]["outputs"]:
            self.texts.append(output["simpleText"]["text"])

    async def shown(self, replies: int) -> list[str]:
        await asyncio.gather(*self.asked)
        while len(self.texts) < replies:
            await self.says("view_answer")
            await self.asked[-1]
        return self.texts

    async def close(self) -> None:
        await super().close()
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)
        await self.client.close()


class GuideHarness(Harness):
    """The channel that `.github/ADDING_A_CHANNEL.md` makes, with its platform on loopback."""

    customer = Address(channel="line", conversation=USER, user=USER)

    def make(self) -> Any:
        self.server = LineServer()
        labels = Labels(source="출처: {document} · {heading}", choices="")
        return guide.line().Line(
            secret=SECRET, token=LINE_TOKEN, labels=lambda: labels, api_base="http://127.0.0.1:9"
        )

    async def open(self) -> None:
        await self.server.__aenter__()
        adapter: Any = self.adapter
        adapter._base = f"{self.server.api_base}/v2/bot/message/"  # known only now
        await super().open()
        application = web.Application()
        application.add_routes(adapter.routes())
        self.house = TestServer(application)
        await self.house.start_server()
        self.server.webhook = str(self.house.make_url("/channels/line"))

    async def says(self, text: str) -> None:
        await self.server.say(text)

    async def shown(self, replies: int) -> list[str]:
        await until(lambda: len(self.server.shown[USER]) >= replies)
        return self.server.shown[USER]

    async def close(self) -> None:
        await super().close()
        await self.house.close()
        await self.server.__aexit__()


HARNESSES: dict[str, type[Harness]] = {
    "fake": FakeHarness,
    "fake, idempotent": IdempotentFakeHarness,
    "console": ConsoleHarness,
    "web": WebChatHarness,
    "telegram": TelegramHarness,
    "discord": DiscordHarness,
    "http": HttpHarness,
    "kakao": KakaoHarness,
    "line, from the guide": GuideHarness,
}


@pytest.fixture(params=HARNESSES.values(), ids=HARNESSES.keys())
async def channel(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    harness: Harness = request.param()
    await harness.open()
    yield harness
    await harness.close()


def reply(number: int = 1, **changes: Any) -> Reply:
    given = {"id": f"t{number}", "in_reply_to": "m1", "text": f"답변 {number}", "kind": "answer"}
    return Reply(**{**given, **changes})


async def test_it_says_who_it_is_and_what_it_can(channel: Harness) -> None:
    adapter = channel.adapter
    assert isinstance(adapter.name, str)
    assert adapter.name
    assert isinstance(adapter.capabilities, Capabilities)
    assert adapter.heard is None or isinstance(adapter.heard, float)
    assert channel.customer.channel == adapter.name


async def test_a_message_is_handed_in_once_with_its_address(channel: Harness) -> None:
    await channel.says("배송비 얼마예요?")
    await channel.heard()
    await asyncio.sleep(0.05)
    [event] = channel.events
    assert isinstance(event, Message)
    assert event.text == "배송비 얼마예요?"
    assert event.address == channel.customer
    assert event.id
    assert event.sent_at.tzinfo is not None


async def test_messages_have_ids_of_their_own_and_keep_their_order(channel: Harness) -> None:
    for number in range(3):
        await channel.says(f"질문 {number}")
        await channel.heard(number + 1)
        last = channel.events[-1]
        await channel.adapter.deliver(channel.customer, reply(number, in_reply_to=last.id))
    assert len({event.id for event in channel.events}) == 3
    texts = [event.text for event in channel.events if isinstance(event, Message)]
    assert texts == ["질문 0", "질문 1", "질문 2"]


async def test_a_reply_is_shown_as_it_is(channel: Harness) -> None:
    receipt = await channel.adapter.deliver(channel.customer, reply())
    assert isinstance(receipt, Receipt)
    assert receipt.outcome in channel.at_once
    assert await channel.shown(1) == ["답변 1"]


@pytest.mark.parametrize("kind", get_args(ReplyKind))
async def test_every_kind_of_reply_gets_a_receipt(channel: Harness, kind: ReplyKind) -> None:
    full = reply(
        kind=kind,
        sources=(Source(document="a/b.md", heading="가 > 나", score=0.5),),
        choices=(Choice(label="배송비", text="배송비는 얼마인가요?"),),
        author="김상담",
        notice="AI가 답합니다.",
    )
    assert (await channel.adapter.deliver(channel.customer, full)).outcome in FINAL


@pytest.mark.parametrize(
    "text", ["", "가" * 5000, "**굵게** <b>&amp;</b> 🙏 \ud83d", "줄\n바꿈\n\n셋"]
)
async def test_odd_words_get_a_receipt_too(channel: Harness, text: str) -> None:
    if channel.adapter.name == "console" and "\ud83d" in text:
        text = text.replace("\ud83d", "")  # a terminal cannot be asked for what is no character
    assert (await channel.adapter.deliver(channel.customer, reply(text=text))).outcome in FINAL
    assert (await channel.adapter.deliver(channel.customer, reply(2))).outcome in FINAL


async def test_a_customer_who_is_not_there_gets_a_receipt(channel: Harness) -> None:
    nobody = Address(channel=channel.adapter.name, conversation="nobody", user="nobody")
    assert (await channel.adapter.deliver(nobody, reply())).outcome in FINAL


async def test_a_reply_nobody_asked_for_is_shown(channel: Harness) -> None:
    """An apology after a restart, or a reply that waited for the channel."""
    outcome = (
        await channel.adapter.deliver(channel.customer, reply(in_reply_to="long ago"))
    ).outcome
    assert outcome in channel.at_once
    assert await channel.shown(1) == ["답변 1"]


async def test_showing_a_draft_never_fails(channel: Harness) -> None:
    nobody = Address(channel=channel.adapter.name, conversation="nobody", user="nobody")
    for text in ("", "답", "답변", "", "다른 말", "답변 1"):
        await channel.adapter.show(channel.customer, Draft(text=text))
        await channel.adapter.show(nobody, Draft(text=""))
    await channel.stop()
    await channel.adapter.show(channel.customer, Draft(text=""))


async def test_a_draft_does_not_stand_in_the_replys_way(channel: Harness) -> None:
    for text in ("", "답", "답변 1"):
        await channel.adapter.show(channel.customer, Draft(text=text))
    await channel.adapter.deliver(channel.customer, reply())
    assert await channel.shown(1) == ["답변 1"]


async def test_of_a_reply_that_never_comes_nothing_is_left(channel: Harness) -> None:
    for text in ("", "답", "답변 1"):
        await channel.adapter.show(channel.customer, Draft(text=text))
    await asyncio.sleep(0.1)  # long enough to be seen
    for _ in range(2):
        await channel.adapter.show(channel.customer, None)
    assert await channel.shown(0) == []
    await channel.adapter.deliver(channel.customer, reply())
    [shown] = await channel.shown(1)
    # What a terminal has written stays.
    assert shown.removeprefix("답변 1\n" if channel.adapter.name == "console" else "") == "답변 1"


async def test_what_is_sent_again_is_shown_once_where_it_is_so_declared(channel: Harness) -> None:
    for number in (1, 1, 2, 1):
        await channel.adapter.deliver(channel.customer, reply(number))
    once = ["답변 1", "답변 2"]
    repeated = ["답변 1", "답변 1", "답변 2", "답변 1"]
    wanted = once if channel.adapter.capabilities.idempotent else repeated
    assert await channel.shown(len(wanted)) == wanted


async def test_a_hundred_replies_arrive_in_order(channel: Harness) -> None:
    for number in range(100):
        await channel.adapter.deliver(channel.customer, reply(number))
    assert await channel.shown(100) == [f"답변 {number}" for number in range(100)]


async def test_it_stops_when_told_and_takes_nothing_more(channel: Harness) -> None:
    assert channel.running is not None
    channel.running.cancel()
    await asyncio.wait({channel.running}, timeout=STOPS_WITHIN)
    assert channel.running.done()
    await channel.says("아직 있나요?")
    await asyncio.sleep(0.05)
    assert channel.events == []
