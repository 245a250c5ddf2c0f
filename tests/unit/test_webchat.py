"""The web channel over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer

from adapters import webchat
from adapters.webchat import SOCKET_PATH, TEXTS, WebChat
from brain.messages import Action, Address, Choice, Draft, Event, Message, Reply, Source

TOKEN = "A" * 22
OTHER = "B" * 22
VISITOR = hashlib.sha256(TOKEN.encode()).hexdigest()[:24]
HERE = Address(channel="web", conversation=VISITOR, user=VISITOR)
ANSWER = Reply(
    id="turn-1",
    in_reply_to="m1",
    text="**14일** 이내입니다.",
    kind="answer",
    sources=(Source(document="policies/refund.md", heading="환불 > 기간", score=0.9),),
    choices=(Choice(label="배송비", text="배송비는 얼마인가요?"),),
)


class Page:
    """A chat page's end of the socket."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **frame: object) -> None:
        await self.socket.send_json(frame)

    async def next(self, *kinds: str) -> dict[str, Any]:
        """The next frame; with kinds, the next of those."""
        while True:
            frame: dict[str, Any] = await self.socket.receive_json(timeout=5)
            if not kinds or frame["type"] in kinds:
                return frame


class House:
    """The adapter on a real server, with the gateway's side in the open."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.turns: dict[Address, list[tuple[str, Reply]]] = {}
        self.failure: Exception | None = None
        self.reading, self.may_read = asyncio.Event(), asyncio.Event()
        self.may_read.set()
        self.chat = WebChat(
            history=self.history,
            texts={name: name + " {longest}" for name in TEXTS},
            allowed_origins=["https://Shop.example/"],
        )
        application = web.Application()
        application.add_routes(self.chat.routes())
        self.client = TestClient(TestServer(application))
        self.running: asyncio.Task[None] | None = None

    async def history(self, address: Address) -> Sequence[tuple[str, Reply]]:
        self.reading.set()
        await self.may_read.wait()
        if self.failure is not None:
            raise self.failure
        return self.turns.get(address, [])

    async def accept(self, event: Event) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append(event)

    async def connect(self, origin: str | None = None, **headers: str) -> Page:
        own = str(self.client.make_url("/")).rstrip("/")
        return Page(
            await self.client.ws_connect(SOCKET_PATH, origin=origin or own, headers=headers)
        )

    async def enter(self, token: str | None = TOKEN) -> Page:
        page = await self.connect()
        await page.send(type="hello", session=token)
        await page.next("history")
        return page


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    house.running = asyncio.create_task(house.chat.run(house.accept))
    async with house.client:
        yield house
        house.running.cancel()
        await asyncio.gather(house.running, return_exceptions=True)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://chat.example", "chat.example", True),
        ("http://chat.example", "chat.example:80", True),
        ("https://chat.example:443", "Chat.example", True),
        ("https://chat.example:8443", "chat.example:8443", True),
        ("https://shop.example", "chat.example", True),
        ("http://shop.example", "chat.example", False),
        ("https://shop.example:8443", "chat.example", False),
        ("https://evil.example", "chat.example", False),
        ("https://chat.example.evil.example", "chat.example", False),
        ("https://evilchat.example", "chat.example", False),
        ("https://chat.example:8443", "chat.example", False),
        ("https://chat.example@evil.example", "chat.example", False),
        ("https://evil.example/chat.example", "chat.example", False),
        ("https://evil.example#chat.example", "chat.example", False),
        ("chat.example", "chat.example", False),
        ("file://chat.example", "chat.example", False),
        ("null", "chat.example", False),
        ("", "chat.example", False),
    ],
)
async def test_only_pages_of_known_sites_may_connect(
    house: House, origin: str, host: str, allowed: bool
) -> None:
    headers = {"Host": host, "Origin": origin}
    if allowed:
        await house.client.ws_connect(SOCKET_PATH, headers=headers)
        return
    with pytest.raises(WSServerHandshakeError, match="403"):
        await house.client.ws_connect(SOCKET_PATH, headers=headers)


async def test_a_connection_without_origin_is_refused(house: House) -> None:
    with pytest.raises(WSServerHandshakeError, match="403"):
        await house.client.ws_connect(SOCKET_PATH)


@pytest.mark.parametrize("token", [None, "", "short", TOKEN + "x", "../../etc/passwd......", 7, {}])
async def test_anything_but_a_token_gets_a_new_session(house: House, token: object) -> None:
    sessions = set()
    for _ in range(2):
        page = await house.connect()
        await page.send(type="hello", session=token)
        frame = await page.next()
        assert frame["type"] == "hello"
        sessions.add(frame["session"])
    assert len(sessions) == 2
    assert all(len(session) == 22 for session in sessions)


async def test_a_client_without_hello_gets_a_session(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaking = await house.connect()
    await speaking.send(type="message", id="m1", text="안녕하세요")
    assert [(await speaking.next())["type"] for _ in range(4)] == [
        "hello", "history", "ack", "typing",
    ]  # fmt: skip
    monkeypatch.setattr(webchat, "HELLO_SECONDS", 0.01)
    silent = await house.connect()
    assert (await silent.next())["type"] == "hello"


async def test_a_message_is_acknowledged_once_it_is_durable(house: House) -> None:
    page, second, stranger = await house.enter(), await house.enter(), await house.enter(OTHER)
    await page.send(type="message", id="m1", text="  환불은 며칠 안에 해야 하나요?\0 ")
    assert await page.next() == {"type": "ack", "id": "m1"}
    assert await page.next() == {"type": "typing"}
    [event] = house.events
    assert isinstance(event, Message)
    assert event.address == HERE
    assert event.text == "환불은 며칠 안에 해야 하나요?"
    assert TOKEN not in event.id
    said = await second.next()
    assert (said["type"], said["id"], said["text"]) == ("said", "m1", event.text)

    reply = Reply(id="turn-1", in_reply_to=event.id, text="14일입니다.", kind="answer")
    receipt = await house.chat.deliver(event.address, reply)
    assert receipt.outcome == "delivered"
    for tab in (page, second):
        assert (await tab.next("reply"))["in_reply_to"] == "m1"
    await stranger.send(type="message", id="m1", text="저도요")
    assert (await stranger.next())["type"] == "ack"
    assert len({known.id for known in house.events}) == 2


async def test_a_refused_event_is_not_acknowledged_and_can_be_sent_again(house: House) -> None:
    page = await house.enter()
    house.failure = OSError("disk full")
    await page.send(type="message", id="m1", text="안녕하세요")
    error = await page.next()
    assert (error["code"], error["id"]) == ("not_accepted", "m1")
    house.failure = None
    await page.send(type="message", id="m1", text="안녕하세요")
    assert await page.next() == {"type": "ack", "id": "m1"}


async def test_feedback_arrives_as_an_action(house: House) -> None:
    page = await house.enter()
    await page.send(type="action", id="a1", kind="feedback", value="up", about="turn-1")
    assert await page.next() == {"type": "ack", "id": "a1"}
    [event] = house.events
    assert isinstance(event, Action)
    assert (event.kind, event.value, event.about) == ("feedback", "up", "turn-1")


MESSAGE: dict[str, object] = {"type": "message", "id": "m1", "text": "안녕하세요"}
ACTION: dict[str, object] = {"type": "action", "id": "m1", "kind": "feedback", "value": "up"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", "bad_frame"),
        ("안녕하세요", "bad_frame"),
        ("[1, 2]", "bad_frame"),
        ("[" * 60_000, "bad_frame"),
        ("9" * 10_000, "bad_frame"),
        (b"\x00\x01", "bad_frame"),
        (json.dumps({"type": "unknown", "id": "m1"}), "bad_frame"),
        (json.dumps(MESSAGE | {"id": None}), "bad_frame"),
        (json.dumps(MESSAGE | {"id": "x" * 65}), "bad_frame"),
        (json.dumps(MESSAGE | {"text": " \n "}), "bad_frame"),
        (json.dumps(MESSAGE | {"text": ["안녕"]}), "bad_frame"),
        (json.dumps(ACTION | {"kind": "approve"}), "bad_frame"),
        (json.dumps(ACTION | {"kind": ["feedback"]}), "bad_frame"),
        (json.dumps(ACTION | {"about": 7}), "bad_frame"),
        (json.dumps(MESSAGE | {"text": "가" * 4001}), "too_long"),
        (json.dumps(MESSAGE | {"text": "가" * 100_000}), "too_long"),
        (json.dumps(MESSAGE | {"text": "가" * 100_000}, ensure_ascii=False), "too_long"),
    ],
)
async def test_bad_input_gets_one_error_and_the_conversation_goes_on(
    house: House, sent: str | bytes, code: str
) -> None:
    page = await house.enter()
    await (page.socket.send_str(sent) if isinstance(sent, str) else page.socket.send_bytes(sent))
    error = await page.next()
    assert (error["type"], error["code"]) == ("error", code)
    assert error["text"] == f"web.error_{code} 4,000"
    await page.send(**MESSAGE | {"text": "가" * 3999 + "\ud83d"})
    assert await page.next() == {"type": "ack", "id": "m1"}
    [event] = house.events
    assert isinstance(event, Message)
    assert event.text == "가" * 3999 + "?"


async def test_a_flood_is_slowed_down(house: House) -> None:
    page = await house.enter()
    for number in range(12):
        await page.send(type="message", id=f"m{number}", text="빨리요")
    frames = [await page.next("ack", "error") for _ in range(12)]
    # The hello counts too.
    assert [frame["id"] for frame in frames if frame["type"] == "ack"] == [
        f"m{n}" for n in range(9)
    ]
    assert {frame["code"] for frame in frames if frame["type"] == "error"} == {"slow_down"}
    assert frames[-1]["id"] == "m11"


async def test_without_a_page_a_reply_is_parked_and_shown_at_the_next_connect(
    house: House,
) -> None:
    receipt = await house.chat.deliver(HERE, ANSWER)
    assert receipt.outcome == "parked"
    house.turns[HERE] = [("환불 기간이요", ANSWER)]
    page = await house.connect()
    await page.send(type="hello", session=TOKEN)
    assert await page.next() == {"type": "hello", "session": TOKEN}
    history = await page.next()
    [item] = history["items"]
    assert item["text"] == "환불 기간이요"
    assert item["reply"] == {
        "type": "reply",
        "id": "turn-1",
        "in_reply_to": "m1",
        "text": "**14일** 이내입니다.",
        "kind": "answer",
        "sources": [{"document": "policies/refund.md", "heading": "환불 > 기간", "score": 0.9}],
        "choices": [{"label": "배송비", "text": "배송비는 얼마인가요?"}],
        "author": "",
    }


async def test_what_is_said_during_the_replay_comes_after_it(house: House) -> None:
    house.may_read.clear()
    page = await house.connect()
    await page.send(type="hello", session=TOKEN)
    await house.reading.wait()
    delivery = asyncio.create_task(house.chat.deliver(HERE, ANSWER))
    await asyncio.sleep(0)
    house.may_read.set()
    assert [(await page.next())["type"] for _ in range(3)] == ["hello", "history", "reply"]
    assert (await delivery).outcome == "delivered"


async def test_an_unreadable_history_does_not_stop_the_conversation(house: House) -> None:
    house.failure = OSError("locked")
    page = await house.connect()
    await page.send(type="hello", session=TOKEN)
    await page.next("hello")
    assert (await page.next())["code"] == "no_history"
    house.failure = None
    await page.send(**MESSAGE)
    assert (await page.next())["type"] == "ack"


async def test_of_many_drafts_the_latest_is_shown_and_none_after_the_reply(house: House) -> None:
    page = await house.enter()
    text = "가" * 400
    for end in range(1, len(text) + 1):
        await house.chat.show(HERE, Draft(text=text[:end]))
        await asyncio.sleep(0)
    first = await page.next()
    assert first["type"] == "draft"
    last = await page.next()
    assert last == {"type": "draft", "text": text}
    await house.chat.show(HERE, Draft(text="늦은 초안"))
    await house.chat.deliver(HERE, ANSWER)
    assert (await page.next())["type"] == "reply"
    await page.send(**MESSAGE)
    assert (await page.next())["type"] == "ack"


async def test_a_tab_that_does_not_read_is_cut_off_and_holds_up_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webchat, "SEND_SECONDS", 1.0)
    stuck, reading = await house.enter(), await house.enter()
    transport = stuck.socket.get_extra_info("transport") or stuck.socket._writer.transport
    transport.pause_reading()
    huge = Reply(id="big", in_reply_to="m1", text="가" * 1_000_000, kind="answer")
    frames = asyncio.create_task(_read_replies(reading, 6))
    for _ in range(6):
        assert (await house.chat.deliver(HERE, huge)).outcome == "delivered"
    assert await frames == ["big"] * 6
    transport.resume_reading()
    while (await stuck.socket.receive(timeout=5)).type is WSMsgType.TEXT:
        pass
    assert stuck.socket.closed


async def _read_replies(page: Page, count: int) -> list[str]:
    return [(await page.next("reply"))["id"] for _ in range(count)]


async def test_sessions_are_forgotten_when_the_last_tab_is_gone(house: House) -> None:
    pages = [await house.enter() for _ in range(2)] + [await house.enter(OTHER)]
    assert house.chat.open_sessions == 2
    await pages[0].send(type="hello", session=OTHER)
    await pages[0].next("history")
    assert house.chat.open_sessions == 2
    for page in pages:
        await page.socket.close()
    async with asyncio.timeout(5):
        while house.chat.open_sessions:
            await asyncio.sleep(0.01)
    assert (await house.chat.deliver(HERE, ANSWER)).outcome == "parked"


async def test_a_session_has_so_many_tabs_and_no_more(house: House) -> None:
    pages = [await house.enter() for _ in range(webchat.TABS_PER_SESSION)]
    late = await house.connect()
    await late.send(type="hello", session=TOKEN)
    assert (await late.next())["code"] == "too_many"
    assert (await late.socket.receive(timeout=5)).type is WSMsgType.CLOSE
    assert (await house.chat.deliver(HERE, ANSWER)).outcome == "delivered"
    assert (await pages[0].next())["type"] == "reply"


async def test_stopping_sends_the_pages_away_and_lets_none_in(house: House) -> None:
    page = await house.enter()
    assert house.running is not None
    house.running.cancel()
    closing = await page.socket.receive(timeout=5)
    assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1001)
    await asyncio.gather(house.running, return_exceptions=True)
    with pytest.raises(WSServerHandshakeError, match="503"):
        await house.connect()
