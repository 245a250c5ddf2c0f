"""The HTTP channel over real connections, with the gateway's side in the open."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from adapters.http import channel as http
from adapters.http import parked as http_parked
from adapters.http.callback import Callbacks
from adapters.http.channel import OPENAPI_PATH, PATH, Http
from adapters.http.wire import prefix, signature
from brain.errors import ChannelDown, ConfigError
from brain.messages import (
    Address,
    Attachment,
    Choice,
    Draft,
    Event,
    Message,
    Receipt,
    Reply,
    Source,
)

SECRET = "열쇠-key"
KIM = Address(channel="http", conversation="c1", user="kim")
QUESTION = {"id": "q1", "user": "kim", "conversation": "c1", "text": "배송비 얼마예요?"}


def headers(body: bytes, *, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    moment = str(int(time.time() - age))
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    return {"X-Sangdam-Time": moment, "X-Sangdam-Signature": mac.hexdigest()}


def reply_to(event: Event, text: str = "3,000원입니다.", **changes: Any) -> Reply:
    given = {"id": f"t-{event.id}", "in_reply_to": event.id, "text": text, "kind": "answer"}
    return Reply(**{**given, **changes})


@dataclass
class Answered:
    """A response that was read."""

    status: int
    body: dict[str, Any]


class Past:
    """The store's side."""

    def __init__(self) -> None:
        self.answers: dict[str, Reply | None] = {}
        self.parked: list[Reply] = []
        self.arrived: list[str] = []
        self.fails = False

    async def answered(self, event_id: str) -> tuple[bool, Reply | None]:
        self._fail()
        return event_id in self.answers, self.answers.get(event_id)

    async def waiting(self, address: Address) -> Sequence[Reply]:
        self._fail()
        return self.parked if address == KIM else []

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        self._fail()
        assert receipt.outcome == "delivered"
        self.arrived.append(reply_id)

    def _fail(self) -> None:
        if self.fails:
            raise OSError("배송비")


class House:
    """The adapter on a real server; `answers` replies at once, otherwise the test does."""

    def __init__(self, **settings: Any) -> None:
        self.events: list[Event] = []
        self.past = Past()
        self.failure: Exception | None = None
        self.answers = True
        self.receipts: list[Receipt] = []
        given = {"secret": SECRET, "past": self.past, "deadline": 5.0}
        self.channel = Http(**{**given, **settings})
        application = web.Application()
        application.add_routes(self.channel.routes())
        self.client = TestClient(TestServer(application))
        self.running: asyncio.Task[None] | None = None

    async def accept(self, event: Event) -> None:
        if self.failure is not None:
            raise self.failure
        if any(event.id == known.id for known in self.events):
            return
        self.events.append(event)
        if self.answers:
            self.receipts.append(await self.channel.deliver(event.address, reply_to(event)))

    async def open(self) -> House:
        self.running = asyncio.create_task(self.channel.run(self.accept))
        await self.client.start_server()
        return self

    async def close(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait({self.running})
        await self.client.close()

    async def post(self, body: bytes, given: dict[str, str] | None = None) -> Answered:
        signed = headers(body) if given is None else given
        async with self.client.post(PATH, data=body, headers=signed) as response:
            return await read(response)

    async def ask(self, **changes: Any) -> Answered:
        return await self.post(json.dumps({**QUESTION, **changes}).encode())

    async def asking(self, **changes: Any) -> asyncio.Task[Answered]:
        """A request that is under way, its event handed in."""
        known = len(self.events)
        task = asyncio.create_task(self.ask(**changes))
        await until(lambda: len(self.events) > known or task.done())
        return task


async def read(response: ClientResponse) -> Answered:
    assert response.content_type == "application/json"
    return Answered(response.status, await response.json())


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.002)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = await House().open()
    yield opened
    await opened.close()


class Receiver:
    """A caller's server that takes callbacks."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.hold: asyncio.Event | None = None
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.take)
        self.server = TestServer(application)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        if self.hold is not None:
            await self.hold.wait()
        location = {"Location": "/elsewhere"} if self.status == 302 else None
        return web.Response(status=self.status, headers=location)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/answers?from=sangdam"

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taking = Receiver()
    await taking.server.start_server()
    yield taking
    await taking.server.close()


@pytest.fixture
async def calling(receiver: Receiver) -> AsyncIterator[House]:
    opened = await House(callback_hosts=[receiver.host]).open()
    opened.answers = False
    yield opened
    await opened.close()


# ---- inline


async def test_an_answer_comes_in_the_open_request(house: House) -> None:
    house.answers = False
    asking = await house.asking()
    [event] = house.events
    assert isinstance(event, Message)
    assert (event.address, event.text) == (KIM, "배송비 얼마예요?")
    assert event.sent_at.tzinfo is not None
    full = reply_to(
        event,
        sources=(Source(document="a/b.md", heading="가 > 나", score=0.5),),
        choices=(Choice(label="환불", text="환불되나요?"),),
        notice="AI가 답합니다.",
        author="김상담",
        attachments=(Attachment(kind="image", name="a.png", url="https://a.example/a.png"),),
    )
    receipt = await house.channel.deliver(KIM, full)
    assert receipt == Receipt(outcome="delivered", native_ids=(full.id,))
    assert await asking == Answered(
        200,
        {
            "id": full.id,
            "in_reply_to": "q1",
            "text": "3,000원입니다.",
            "kind": "answer",
            "sources": [{"document": "a/b.md", "heading": "가 > 나", "score": 0.5}],
            "choices": [{"label": "환불", "text": "환불되나요?"}],
            "notice": "AI가 답합니다.",
            "author": "김상담",
            "attachments": [
                {"kind": "image", "name": "a.png", "mime": "", "url": "https://a.example/a.png"}
            ],
            "parked": [],
        },
    )


async def test_what_was_said_and_attached_arrives(house: House) -> None:
    attached = {"kind": "image", "name": "사진.jpg", "mime": "image/jpeg", "size": 12}
    await house.ask(
        text=" \ud83d 깨졌\0어요 ",
        attachments=[attached | {"url": "https://a.example/x.jpg"}, {"kind": "file", "name": "b"}],
    )
    [event] = house.events
    assert isinstance(event, Message)
    assert event.text == "? 깨졌어요"
    assert event.attachments == (
        Attachment(
            kind="image",
            name="사진.jpg",
            mime="image/jpeg",
            size=12,
            url="https://a.example/x.jpg",
        ),
        Attachment(kind="file", name="b"),
    )


async def test_a_long_answer_arrives_whole(house: House) -> None:
    house.answers = False
    text = ("가나다라 🙏👨‍👩‍👧 `x`\n```py\nprint()\n```\n" * 400)[:11_999] + "\ud83d"
    asking = await house.asking()
    await house.channel.deliver(KIM, reply_to(house.events[0], text))
    assert (await asking).body["text"] == text[:-1] + "?"


async def test_each_request_gets_its_own_answer(house: House) -> None:
    house.answers = False
    tasks = [await house.asking(id=f"q{number}") for number in range(20)]
    for event in reversed(house.events):
        await house.channel.deliver(KIM, reply_to(event, f"답 {event.id[-3:]}"))
    for number, task in enumerate(tasks):
        answered = await task
        assert answered.body["in_reply_to"] == f"q{number}"
        assert answered.body["text"].endswith(f"q{number}")
        assert answered.body["parked"] == []


async def test_customers_do_not_share_ids_nor_answers(house: House) -> None:
    house.answers = False
    kims = await house.asking()
    lees = await house.asking(user="lee")
    first, second = house.events
    assert first.id != second.id
    await house.channel.deliver(second.address, reply_to(second, "이님께"))
    await house.channel.deliver(second.address, reply_to(first, "엉뚱한 곳"))
    await house.channel.deliver(first.address, reply_to(first, "김님께"))
    assert (await kims).body["text"] == "김님께"
    assert (await lees).body["text"] == "이님께"


async def test_drafts_are_nobodys_business(house: House) -> None:
    await house.channel.show(KIM, Draft(text="배송비는"))


# ---- signatures


async def refused(house: House, given: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    body = body or json.dumps(QUESTION).encode()
    answered = await house.post(body, given)
    assert set(answered.body) == {"error", "message"}
    assert answered.body["message"]
    assert house.events == []
    return answered.status, answered.body["error"]


async def test_only_what_is_signed_with_the_secret_is_heard(house: House) -> None:
    body = json.dumps(QUESTION).encode()
    good = headers(body)
    assert await refused(house, {}) == (401, "unsigned")
    for missing in good:
        rest = {name: value for name, value in good.items() if name != missing}
        assert await refused(house, rest) == (401, "unsigned")
    wrong = (401, "bad_signature")
    assert await refused(house, headers(body, secret="another")) == wrong
    assert await refused(house, headers(body + b" ")) == wrong
    assert await refused(house, good | {"X-Sangdam-Signature": "0" * 64}) == wrong
    assert await refused(house, good | {"X-Sangdam-Signature": "열쇠"}) == wrong
    assert await refused(house, good | {"X-Sangdam-Time": str(int(time.time()) + 9)}) == wrong
    for moment in ("now", "-1", "1e9", "１２", "9" * 13):
        assert await refused(house, good | {"X-Sangdam-Time": moment}) == (401, "bad_time")
    assert await refused(house, headers(body, age=310)) == (401, "stale")
    assert await refused(house, headers(body, age=-310)) == (401, "stale")
    upper = good | {"X-Sangdam-Signature": good["X-Sangdam-Signature"].upper()}
    assert (await house.post(body, upper)).status == 200


@pytest.mark.parametrize("age", [290, -290])
async def test_clocks_may_differ_a_little(house: House, age: float) -> None:
    body = json.dumps(QUESTION).encode()
    assert (await house.post(body, headers(body, age=age))).status == 200


async def test_a_replayed_request_asks_nothing_new(house: House) -> None:
    body = json.dumps(QUESTION).encode()
    signed = headers(body)
    first = await house.post(body, signed)
    assert await house.post(body, signed) == first
    assert len(house.events) == 1


def test_the_signature_is_the_documented_one() -> None:
    assert signature("key", "1700000000", b'{"a":1}') == (
        hmac.new(b"key", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    )


# ---- idempotency


async def test_a_repeated_request_waits_for_the_same_answer(house: House) -> None:
    house.answers = False
    first = await house.asking()
    second = asyncio.create_task(house.ask())
    [asked] = house.channel._asked.values()
    await until(lambda: len(asked.waiting) == 2)
    assert len(house.events) == 1
    await house.channel.deliver(KIM, reply_to(house.events[0]))
    assert await first == await second == await house.ask()
    assert len(house.events) == 1


async def test_an_id_belongs_to_one_question(house: House) -> None:
    await house.ask()
    answered = await house.ask(text="다른 질문")
    assert (answered.status, answered.body["error"]) == (409, "id_reused")
    assert len(house.events) == 1


def earlier(text: str, request: str) -> Reply:
    return Reply(id=f"old-{request}", in_reply_to=prefix("kim") + request, text=text, kind="answer")


async def test_after_a_restart_the_answer_is_still_known(house: House) -> None:
    house.past.answers[prefix("kim") + "q1"] = earlier("지난 답변", "q1")
    house.past.parked = [earlier("지난 답변", "q1")]
    answered = await house.ask()
    assert (answered.status, answered.body["text"]) == (200, "지난 답변")
    assert answered.body["parked"] == []
    assert house.past.arrived == ["old-q1"]
    assert house.events == []
    assert (await house.ask(id="q2")).body["parked"] == []


async def test_after_a_restart_late_answers_are_handed_out_once(house: House) -> None:
    house.past.parked = [earlier("하나", "q7"), earlier("둘", "q8")]
    house.answers = False
    first = await house.asking()
    await house.channel.deliver(KIM, earlier("둘", "q8"))
    await house.channel.deliver(KIM, earlier("셋", "q9"))
    await house.channel.deliver(KIM, reply_to(house.events[0]))
    answered = await first
    parked = [(each["in_reply_to"], each["text"]) for each in answered.body["parked"]]
    assert parked == [("q7", "하나"), ("q8", "둘"), ("q9", "셋")]
    assert house.past.arrived == ["old-q7", "old-q8", "old-q9"]
    house.answers = True
    assert (await house.ask(id="q2")).body["parked"] == []


async def test_an_answer_that_is_not_kept_is_said_to_be_so(house: House) -> None:
    house.past.answers[prefix("kim") + "q1"] = None
    answered = await house.ask()
    assert (answered.status, answered.body["error"]) == (409, "answered")
    assert house.events == []


async def test_what_is_remembered_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "KEPT_QUESTIONS", 2)
    for number in range(1, 6):
        assert (await house.ask(id=f"q{number}")).status == 200
    assert len(house.channel._asked) == 2


async def test_a_failed_request_may_be_sent_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for failure, fails in ((OSError("배송비 얼마예요?"), False), (None, True)):
        house.failure, house.past.fails = failure, fails
        answered = await house.ask()
        assert (answered.status, answered.body["error"]) == (503, "not_accepted")
    assert "배송비" not in caplog.text
    house.past.fails, house.answers = False, False
    asking = await house.asking()
    house.past.fails = True  # what waits cannot be read: the answer comes all the same
    await house.channel.deliver(KIM, reply_to(house.events[0]))
    assert (await asking).status == 200
    assert "배송비" not in caplog.text


# ---- late answers


async def test_a_late_answer_goes_with_the_next_request() -> None:
    house = await House(deadline=0.05).open()
    house.answers = False
    late = await house.ask()
    assert (late.status, late.body) == (
        202,
        {"in_reply_to": "q1", "status": "pending", "parked": []},
    )
    receipt = await house.channel.deliver(KIM, reply_to(house.events[0], "늦은 답변"))
    assert receipt.outcome == "parked"
    assert (await house.ask(conversation="c2", id="q2")).body["parked"] == []
    house.answers = True
    next_one = await house.ask(id="q3", text="그리고요?")
    assert next_one.status == 200
    [parked] = next_one.body["parked"]
    assert (parked["in_reply_to"], parked["text"]) == ("q1", "늦은 답변")
    assert await house.ask(id="q3", text="그리고요?") == next_one  # in case it was lost
    assert (await house.ask(id="q4")).body["parked"] == []
    await house.close()


async def test_a_late_answer_is_also_there_for_the_same_request() -> None:
    house = await House(deadline=0.05).open()
    house.answers = False
    assert (await house.ask()).status == 202
    assert (await house.ask()).status == 202
    await house.channel.deliver(KIM, reply_to(house.events[0], "늦은 답변"))
    answered = await house.ask()
    assert (answered.status, answered.body["text"]) == (200, "늦은 답변")
    assert answered.body["parked"] == []
    assert (await house.ask(id="q2")).body["parked"] == []
    await house.close()


async def test_words_nobody_asked_for_wait_for_the_next_request(house: House) -> None:
    apology = Reply(id="t9", in_reply_to="long ago", text="늦어서 죄송합니다.", kind="exception")
    for _ in range(2):
        assert (await house.channel.deliver(KIM, apology)).outcome == "parked"
    assert [each["id"] for each in (await house.ask()).body["parked"]] == ["t9"]
    assert (await house.channel.deliver(KIM, apology)).outcome == "delivered"
    assert (await house.ask(id="q2")).body["parked"] == []


async def test_a_caller_who_has_gone_finds_the_answer_later(house: House) -> None:
    house.answers = False
    asking = await house.asking()
    asking.cancel()
    [asked] = house.channel._asked.values()
    await until(lambda: not asked.is_waited_for)
    receipt = await house.channel.deliver(KIM, reply_to(house.events[0]))
    assert receipt.outcome == "parked"
    assert (await house.ask()).body["text"] == "3,000원입니다."


async def test_what_a_lost_connection_carried_is_handed_out_again() -> None:
    house = await House(deadline=0.2).open()
    house.answers = False
    await house.channel.deliver(KIM, earlier("늦은 답변", "q0"))
    asking = await house.asking()
    [asked] = house.channel._asked.values()
    asking.cancel()
    await until(lambda: not asked.waiting)  # the time is over
    await asyncio.sleep(0.05)
    assert house.past.arrived == []
    house.answers = True
    assert [each["text"] for each in (await house.ask(id="q2")).body["parked"]] == ["늦은 답변"]
    assert house.past.arrived == ["old-q0"]
    await house.close()


async def test_what_is_kept_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parked, "REPLIES", 3)
    monkeypatch.setattr(http_parked, "CONVERSATIONS", 2)
    for where in ("c0", "c1", "c2"):
        for number in range(5):
            reply = Reply(id=f"{where}-{number}", in_reply_to="x", text="", kind="answer")
            await house.channel.deliver(replace(KIM, conversation=where), reply)
    assert (await house.ask(conversation="c0")).body["parked"] == []
    kept = (await house.ask(id="q2", conversation="c2")).body["parked"]
    assert [each["id"] for each in kept] == ["c2-2", "c2-3", "c2-4"]


# ---- callbacks


async def test_a_callback_is_posted_and_signed(calling: House, receiver: Receiver) -> None:
    accepted = await calling.ask(callback_url=receiver.url)
    assert accepted == Answered(202, {"in_reply_to": "q1", "status": "accepted", "parked": []})
    assert await calling.ask(callback_url=receiver.url) == accepted
    reply = reply_to(calling.events[0])
    assert (await calling.channel.deliver(KIM, reply)).outcome == "delivered"
    assert (await calling.channel.deliver(KIM, reply)).outcome == "delivered"
    [(given, body)] = receiver.got
    mac = hmac.new(SECRET.encode(), given["X-Sangdam-Time"].encode() + b"." + body, hashlib.sha256)
    assert given["X-Sangdam-Signature"] == mac.hexdigest()
    assert abs(int(given["X-Sangdam-Time"]) - time.time()) < 10
    [answer] = receiver.answers
    assert (answer["in_reply_to"], answer["text"]) == ("q1", "3,000원입니다.")
    again = await calling.ask(callback_url=receiver.url)
    assert (again.status, again.body["id"], again.body["parked"]) == (200, reply.id, [])


async def test_a_receiver_that_is_down_is_tried_again(calling: House, receiver: Receiver) -> None:
    await calling.ask(callback_url=receiver.url)
    reply = reply_to(calling.events[0])
    for status in (503, 429):
        receiver.status = status
        with pytest.raises(ChannelDown):
            await calling.channel.deliver(KIM, reply)
    receiver.status = 500
    assert (await calling.channel.deliver(KIM, reply)).outcome == "unknown"
    receiver.status = 204
    assert (await calling.channel.deliver(KIM, reply)).outcome == "delivered"
    assert {answer["id"] for answer in receiver.answers} == {reply.id}


async def test_nothing_listens_there(
    calling: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = receiver.url
    await receiver.server.close()
    await calling.ask(callback_url=url)
    reply = reply_to(calling.events[0])
    with pytest.raises(ChannelDown):
        await calling.channel.deliver(KIM, reply)
    monkeypatch.setattr(http, "CALLBACK_SECONDS", 0.0)
    assert (await calling.channel.deliver(KIM, reply)).outcome == "parked"
    assert (await calling.ask(callback_url=url)).body["text"] == "3,000원입니다."


@pytest.mark.parametrize("status", [302, 404, 410])
async def test_what_a_receiver_refuses_waits_for_the_next_request(
    calling: House, receiver: Receiver, status: int
) -> None:
    await calling.ask(callback_url=receiver.url)
    receiver.status = status
    receipt = await calling.channel.deliver(KIM, reply_to(calling.events[0]))
    assert (receipt.outcome, str(status) in receipt.reason) == ("parked", True)
    assert len(receiver.got) == 1  # no redirect was followed
    [parked] = (await calling.ask(id="q2", callback_url=receiver.url)).body["parked"]
    assert parked["in_reply_to"] == "q1"


async def test_a_receiver_that_does_not_answer_may_have_it(
    calling: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.http.callback.TOTAL_SECONDS", 0.2)
    receiver.hold = asyncio.Event()
    await calling.ask(callback_url=receiver.url)
    receipt = await calling.channel.deliver(KIM, reply_to(calling.events[0]))
    receiver.hold.set()
    assert receipt.outcome == "unknown"
    assert len(receiver.got) == 1


def callbacks(*hosts: str) -> Callbacks:
    return Callbacks(hosts, headers=lambda body: {})


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://shop.example/a?b=c", True),
        ("HTTPS://SHOP.example:443", True),
        ("https://shop.example:8443/a", False),
        ("https://api.example:8443/a", True),
        ("https://api.example/a", False),
        ("http://shop.example/a", False),
        ("http://127.0.0.1:9000/a", True),
        ("http://127.0.0.1:9001/a", False),
        ("http://[::1]:9000/a", True),
        ("http://localhost:9000/a", False),
        ("https://evil.example/shop.example", False),
        ("https://shop.example.evil.example/", False),
        ("https://shop.example@evil.example/", False),
        ("https://evil.example#@shop.example/", False),
        ("https://shop.example\\@evil.example/", False),
        ("https://shop.example/a b", False),
        ("https://shop.example/a\n", False),
        ("https://shop.example/" + "a" * 2000, False),
        ("https://샵.example/", False),
        ("//shop.example/", False),
        ("ftp://shop.example/", False),
        ("", False),
    ],
)
def test_hosts_that_may_be_called(url: str, allowed: bool) -> None:
    hosts = ("shop.example", "api.example:8443", "127.0.0.1:9000", "[::1]:9000")
    assert callbacks(*hosts).may_call(url) is allowed


@pytest.mark.parametrize("entry", ["", "https://shop.example", "*", "a.example/x", "사이트"])
def test_a_host_that_is_none_is_a_mistake_in_the_configuration(entry: str) -> None:
    with pytest.raises(ConfigError, match="callback_hosts"):
        callbacks("shop.example", entry)


# ---- what is not understood


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 1},
        {"id": "x" * 201},
        {"id": "a\nb"},
        {"user": None},
        {"user": " kim"},
        {"conversation": "\ud83d"},
        {"text": None},
        {"text": " \0 "},
        {"attachments": {}},
        {"attachments": [{}]},
        {"attachments": ["a"]},
        {"attachments": [{"kind": "film", "name": "a"}]},
        {"attachments": [{"kind": "file"}]},
        {"attachments": [{"kind": "file", "name": "a", "path": "/etc"}]},
        {"attachments": [{"kind": "file", "name": "a", "size": -1}]},
        {"attachments": [{"kind": "file", "name": "a", "size": True}]},
        {"attachments": [{"kind": "file", "name": "a", "url": "http://a.example/"}]},
        {"attachments": [{"kind": "file", "name": "a", "url": "https://a" + "a" * 2000}]},
        {"attachments": [{"kind": "file", "name": "a"}] * 11},
        {"texts": "x"},
    ],
)
async def test_a_bad_request_is_told_why(house: House, change: dict[str, Any]) -> None:
    answered = await house.ask(**change)
    assert (answered.status, answered.body["error"]) == (400, "bad_request")
    field = next(iter(change)).removesuffix("s")
    assert field.rstrip("s") in answered.body["message"]
    assert house.events == []


@pytest.mark.parametrize("url", ["", "http://127.0.0.1/", "https://a.example/", 7, ["x"]])
async def test_a_bad_callback_is_told(house: House, url: Any) -> None:
    answered = await house.ask(callback_url=url)
    assert (answered.status, answered.body["error"]) == (400, "bad_callback")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 10_000, b'"x"'])
async def test_what_is_no_object_is_told(house: House, body: bytes) -> None:
    answered = await house.post(body)
    assert (answered.status, answered.body["error"]) == (400, "bad_request")


async def test_sizes_are_limited(house: House) -> None:
    assert (await house.ask(text="🙏" * 4000)).status == 200
    answered = await house.ask(id="q2", text="가" * 4001)
    assert (answered.status, answered.body["error"]) == (413, "too_long")
    answered = await house.post(b" " * 200_000)
    assert (answered.status, answered.body["error"]) == (413, "too_large")


async def test_a_body_that_trickles_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)
        yield b"}"

    async with house.client.post(PATH, data=trickle(), headers=headers(b"{}")) as response:
        answered = await read(response)
    assert (answered.status, answered.body["error"]) == (408, "too_slow")


async def test_too_many_at_a_time_are_put_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_OPEN", 1)
    house.answers = False
    first = await house.asking()
    answered = await house.ask(id="q2")
    assert (answered.status, answered.body["error"]) == (503, "busy")
    await house.channel.deliver(KIM, reply_to(house.events[0]))
    assert (await first).status == 200


async def test_a_channel_that_does_not_run_says_so(house: House) -> None:
    assert house.running is not None
    house.answers = False
    open_one = await house.asking()
    house.running.cancel()
    await asyncio.wait({house.running})
    body = json.dumps({**QUESTION, "id": "q2"}).encode()
    async with house.client.post(PATH, data=body, headers=headers(body)) as response:
        assert response.headers["Retry-After"] == "5"
        answered = await read(response)
    assert (answered.status, answered.body["error"]) == (503, "stopped")
    await house.channel.deliver(KIM, reply_to(house.events[0]))
    assert (await open_one).status == 200


async def test_no_words_of_a_customer_are_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await house.ask(text="제 번호는 010-1234-5678입니다")
    await house.ask(text=7)
    await house.post(b'{"text": "010-1234-5678"')
    assert "1234" not in caplog.text


# ---- the description


async def test_the_description_fits_what_is_answered(house: House) -> None:
    async with house.client.get(OPENAPI_PATH) as response:
        described = (await read(response)).body
    assert described["openapi"].startswith("3.1")
    operation = described["paths"][PATH]["post"]
    assert set(operation["responses"]) == {"200", "202", "400", "401", "408", "409", "413", "503"}
    schemas = described["components"]["schemas"]
    answered = (await house.ask()).body
    assert set(answered) == set(schemas["Answered"]["properties"])
    assert set(answered) == set(schemas["Answered"]["required"])
    assert set(QUESTION) == set(schemas["Question"]["required"])
    assert schemas["Question"]["properties"]["text"]["maxLength"] == 4000
    names = json.dumps(described)
    for name in schemas:
        assert f'"#/components/schemas/{name}"' in names or name == "Question"
