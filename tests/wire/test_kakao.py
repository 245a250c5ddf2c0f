"""KakaoTalk over real sockets: the five seconds, the callback, what waits for the next call."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from adapters.kakao.calls import Budget
from adapters.kakao.channel import PATH, Kakao
from adapters.kakao.limits import length
from adapters.kakao.skill import Texts
from bot.channels.connect import ParkedReplies, configured
from bot.clock import SystemClock
from bot.commands import Commands
from bot.config import Config, packaged
from bot.files import Files
from bot.gateway import Gateway
from bot.store.store import Store
from brain.errors import StoreError
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Action, Address, Choice, Event, Message, Receipt, Reply, Source, Turn
from brain.prompt.prompts import Prompts
from tests.wire.kakao_server import Platform

TEXTS = Texts(
    waiting="잠시만요",
    holding="조금 더 걸려요",
    nothing="없어요",
    failed="실패했어요",
    thanks="감사합니다",
    view_answer="답변 보기",
    view_more="이어서 보기",
    helpful="도움이 됐어요",
    unhelpful="도움이 안 됐어요",
    operator="상담원 연결",
    operator_hint="누르세요",
    choices="고르세요",
    source="출처: {document} · {heading}",
    again="(다시)",
)
QUICK = Budget(load=0.5, inline=0.4, limit=5.0, late=1.0, callback=1.6, post=0.4)
HERE = Address(channel="kakao", conversation="u1", user="u1")


class Nothing:
    """A store without parked replies."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.failure: Exception | None = None

    async def waiting(self, address: Address) -> Sequence[Reply]:
        if self.failure:
            raise self.failure
        return []

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        self.arrived.append(reply_id)


class House:
    """The adapter on a real server, with the gateway's side in the open."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.receipts: list[Receipt] = []
        self.failure: Exception | None = None
        self.delay = 0.0
        self.answer_after: float | None = 0.0
        """Seconds in which a message is answered by an echo; None for never."""
        self.parked = Nothing()
        self.numbers = itertools.count(1)
        self.tasks: set[asyncio.Task[Any]] = set()

    async def accept(self, event: Event) -> None:
        await asyncio.sleep(self.delay)
        if self.failure:
            raise self.failure
        self.events.append(event)
        if isinstance(event, Message) and self.answer_after is not None:
            task = asyncio.create_task(self._echo(event, self.answer_after))
            self.tasks.add(task)

    async def _echo(self, message: Message, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.deliver(f"답: {message.text}", about=message.id, address=message.address)

    async def deliver(
        self, text: str, *, about: str = "", address: Address = HERE, **changes: Any
    ) -> Receipt:
        given = {"id": f"t{next(self.numbers)}", "in_reply_to": about, "kind": "command"}
        reply = Reply(**{**given, "text": text, **changes})
        receipt = await self.kakao.deliver(address, reply)
        self.receipts.append(receipt)
        return receipt

    @property
    def outcomes(self) -> list[str]:
        return [receipt.outcome for receipt in self.receipts]


@asynccontextmanager
async def serving(kakao: Kakao, accept: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.add_routes(kakao.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running = asyncio.create_task(kakao.run(accept))
    await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    finally:
        running.cancel()
        await asyncio.wait({running})
        await runner.cleanup()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    async with Platform("") as phone:
        house.phone = phone  # type: ignore[attr-defined]
        house.kakao = Kakao(  # type: ignore[attr-defined]
            secret="s3cret",
            texts=TEXTS,
            parked=house.parked,
            bot_ids=["bot1"],
            callback_hosts=[phone.host],
            budget=QUICK,
        )
        async with serving(house.kakao, house.accept) as url:  # type: ignore[attr-defined]
            phone.url = url
            yield house
        for task in (*house.tasks, *house.kakao._tasks):  # type: ignore[attr-defined]
            task.cancel()
        await asyncio.gather(*house.tasks, return_exceptions=True)
    assert not phone.wrong


async def settled(house: Any, receipts: int) -> None:
    async with asyncio.timeout(10):
        while len(house.receipts) < receipts:
            await asyncio.sleep(0.01)


async def test_an_answer_in_time_goes_straight_back(house: Any) -> None:
    answer = await house.phone.say("배송비 얼마예요?", callback=True)
    assert answer.texts == ["답: 배송비 얼마예요?"]
    assert answer.seconds < 0.4
    await settled(house, 1)
    assert house.outcomes == ["delivered"]
    [event] = house.events
    assert event.address == HERE
    assert event.locale == "ko"
    assert not any(token.posts for token in house.phone.tokens.values())


async def test_a_late_answer_comes_by_the_callback_once(house: Any) -> None:
    house.answer_after = 0.6
    answer = await house.phone.say("느린 질문", callback=True)
    assert answer.promised
    assert answer.body["data"]["text"] == TEXTS.waiting
    assert 0.35 < answer.seconds < 0.6
    await settled(house, 1)
    assert house.outcomes == ["delivered"]
    assert house.phone.screens["u1"] == ["답: 느린 질문"]
    [token] = house.phone.tokens.values()
    assert len(token.posts) == 1


async def test_an_answer_later_than_the_callback_waits_for_the_next_call(house: Any) -> None:
    house.answer_after = 1.3
    assert (await house.phone.say("아주 느린 질문", callback=True)).promised
    await settled(house, 1)
    assert house.outcomes == ["parked"]
    [token] = house.phone.tokens.values()
    assert len(token.posts) == 1
    assert token.posts[0] < QUICK.callback
    assert house.phone.screens["u1"] == [TEXTS.holding]
    answer = await house.phone.press("u1", TEXTS.view_answer)
    assert answer.texts == ["답: 아주 느린 질문"]
    assert answer.seconds < 0.3
    assert house.parked.arrived == ["t1"]
    assert len(house.events) == 1


async def test_without_a_callback_the_next_words_bring_both_answers(house: Any) -> None:
    house.answer_after = 0.7
    answer = await house.phone.say("첫째")
    assert answer.texts == [TEXTS.holding]
    assert [each["label"] for each in answer.quick] == [TEXTS.view_answer]
    await settled(house, 1)
    house.answer_after = 0.05
    answer = await house.phone.say("둘째", callback=True)
    assert answer.texts == ["답: 첫째", "답: 둘째"]
    assert not answer.quick
    await settled(house, 2)
    assert house.outcomes == ["parked", "delivered"]
    assert house.parked.arrived == ["t1"]


async def test_what_is_ready_is_not_kept_back_by_what_is_not(house: Any) -> None:
    await house.deliver("첫째 답")
    house.answer_after = 0.7
    answer = await house.phone.say("둘째", callback=True)
    assert answer.texts == ["첫째 답", TEXTS.holding]
    await asyncio.sleep(0.1)
    answer = await house.phone.press("u1", TEXTS.view_answer)
    assert answer.texts == ["답: 둘째"]


async def test_asking_for_an_answer_that_is_not_ready(house: Any) -> None:
    house.answer_after = 3.0
    await house.phone.say("질문")
    answer = await house.phone.press("u1", TEXTS.view_answer)
    assert answer.texts == [TEXTS.holding]
    assert (await house.phone.press("u1", TEXTS.view_answer, callback=True)).promised
    answer = await house.phone.say(TEXTS.view_answer, user="u2")
    assert answer.texts == [TEXTS.nothing]
    assert len(house.events) == 1


async def test_a_callback_also_brings_what_is_asked_for(house: Any) -> None:
    house.answer_after = 1.0
    await house.phone.say("질문")
    assert (await house.phone.press("u1", TEXTS.view_answer, callback=True)).promised
    await settled(house, 1)
    assert house.outcomes == ["delivered"]
    assert house.phone.screens["u1"][-1] == "답: 질문"


@pytest.mark.parametrize(
    ("fault", "again"),
    [("error", False), ("html", True), ("broken", True), ("silent", True), ("seen", True)],
)
async def test_a_callback_is_judged_by_what_it_answers(house: Any, fault: Any, again: bool) -> None:
    house.phone.faults += [fault, fault]
    house.answer_after = 0.5
    assert (await house.phone.say("질문", callback=True)).promised
    await settled(house, 1)
    assert house.outcomes == ["parked"]
    [token] = house.phone.tokens.values()
    assert len(token.posts) == 1
    texts = [TEXTS.again, "답: 질문"] if again else ["답: 질문"]
    assert (await house.phone.say(TEXTS.view_answer)).texts == texts


async def test_a_callback_server_that_is_gone(house: Any) -> None:
    house.answer_after = 0.5
    gone = f"http://127.0.0.1:9/v1/callback/{1}"
    house.kakao._hosts = ("127.0.0.1:9",)
    await house.phone.say("질문", userRequest={"callbackUrl": gone, **asked("질문")})
    await settled(house, 1)
    assert house.outcomes == ["parked"]


def asked(text: str, user: str = "u1") -> dict[str, Any]:
    return {"utterance": text, "user": {"id": user}}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:11434/api/tags", "https://bot-api.kakao.com@127.0.0.1/", "x" * 3000]
)
async def test_a_callback_to_anywhere_else_is_never_made(house: Any, url: str) -> None:
    house.answer_after = None
    answer = await house.phone.say("질문", userRequest={"callbackUrl": url, **asked("질문")})
    assert answer.texts == [TEXTS.holding]


async def test_the_same_call_again_is_one_message_and_gets_the_same_answer(house: Any) -> None:
    house.answer_after = 0.1
    twice = [house.phone.say("질문", request_id="chp-0001") for _ in range(2)]
    answers = [*await asyncio.gather(*twice), await house.phone.say("질문", request_id="chp-0001")]
    assert [answer.texts for answer in answers] == [["답: 질문"]] * 3
    assert len(house.events) == 1
    other = await house.phone.say("질문", request_id="chp-0001", user="u2")
    assert other.texts == ["답: 질문"]
    assert len(house.events) == 2


async def test_a_repeated_call_promises_no_second_callback(house: Any) -> None:
    house.answer_after = 0.6
    twice = [house.phone.say("질문", request_id="chp-0001", callback=True) for _ in range(2)]
    answers = await asyncio.gather(*twice)
    assert sorted(answer.promised for answer in answers) == [False, True]
    await settled(house, 1)
    assert sum(len(token.posts) for token in house.phone.tokens.values()) <= 1


async def test_who_may_call(house: Any) -> None:
    for headers in (
        {},
        {"X-Sangdam-Secret": ""},
        {"X-Sangdam-Secret": "s3cre"},
        {"X-Sangdam-Secret": "비밀"},
    ):
        assert (await house.phone.say("질문", headers=headers)).status == 401
    assert (await house.phone.say("질문", bot={"id": "other"})).status == 403
    assert (await house.phone.say("질문", bot={"id": "bot1"})).status == 200
    assert len(house.events) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"a":' * 20000,
        b'{"x": ' + b"9" * 10_000 + b"}",
        b"x" * 70_000,
        b'{"userRequest": {"utterance": 5, "user": {"id": "u1"}}}',
        b'{"userRequest": {"utterance": "x", "user": {"id": ""}}}',
        b'{"userRequest": [], "bot": 5, "action": "x"}',
    ],
)
async def test_a_body_that_is_no_call_is_answered(house: Any, body: bytes) -> None:
    answer = await house.phone.say("", body=body)
    assert answer.status == 200
    assert answer.texts == [TEXTS.failed]
    assert house.events == []


async def test_odd_types_in_a_call_do_not_matter(house: Any) -> None:
    odd = {"params": [1], "callbackUrl": 5, "lang": {}, "chat": [], **asked("질문 \ud83d \0")}
    answer = await house.phone.say("", userRequest=odd, action={"params": "x", "clientExtra": [1]})
    assert answer.texts == ["답: 질문 ?"]


@pytest.mark.parametrize("failure", [StoreError("full"), RuntimeError("bug"), OSError("gone")])
async def test_a_call_that_cannot_be_kept_says_so_and_may_come_again(
    house: Any, failure: Exception
) -> None:
    house.failure = failure
    answer = await house.phone.say("질문", request_id="chp-0001")
    assert answer.texts == [TEXTS.failed]
    house.parked.failure = house.failure
    house.failure = None
    answer = await house.phone.say("질문", request_id="chp-0001")
    assert answer.texts == ["답: 질문"]


async def test_a_store_that_hangs(house: Any) -> None:
    house.delay = 0.6
    answer = await house.phone.say("질문")
    assert answer.texts == [TEXTS.holding]
    assert answer.seconds < 0.6
    await settled(house, 1)
    assert (await house.phone.say(TEXTS.view_answer)).texts == ["답: 질문"]
    house.failure = StoreError("full")
    assert (await house.phone.say("또")).texts == [TEXTS.holding]
    await asyncio.sleep(0.3)
    assert (await house.phone.say(TEXTS.view_answer)).texts == [TEXTS.failed]


async def test_a_channel_that_does_not_run_says_so() -> None:
    async with Platform("") as phone:
        kakao = Kakao(secret="s3cret", texts=TEXTS, parked=Nothing(), budget=QUICK)
        async with serving(kakao, None) as url:
            phone.url = url
            kakao._accept = None
            assert (await phone.say("질문")).texts == [TEXTS.failed]
    assert not phone.wrong


async def test_no_secret_lets_nobody_in() -> None:
    async with Platform("", secret="") as phone:
        kakao = Kakao(secret="", texts=TEXTS, parked=Nothing(), budget=QUICK)
        async with serving(kakao, None) as url:
            phone.url = url
            assert (await phone.say("질문")).status == 401


async def test_the_earlier_call_of_a_burst_hears_that_the_later_one_is_answered(house: Any) -> None:
    house.answer_after = None
    for callback in (False, True):
        calls = []
        for text in ("하나", "둘"):
            calls.append(asyncio.create_task(house.phone.say(text, callback=callback)))
            before = len(house.events)
            while len(house.events) == before:
                await asyncio.sleep(0.005)
        first, second = (event.id for event in house.events[-2:])
        joined, both = await asyncio.gather(
            house.deliver("함께 답할게요", about=first, kind="silent"),
            house.deliver("둘 다의 답", about=second),
        )
        assert (joined.outcome, both.outcome) == ("delivered", "delivered")
        answers = await asyncio.gather(*calls)
        assert [answer.texts for answer in answers] == [["함께 답할게요"], ["둘 다의 답"]]
    late = await house.deliver("함께 답할게요", about=first, kind="silent")
    assert late.outcome == "refused"
    assert (await house.phone.say(TEXTS.view_answer)).texts == [TEXTS.nothing]


async def test_a_vote(house: Any) -> None:
    sources = (Source(document="a/b.md", heading="가 > 나", score=0.5),)
    await house.deliver("답", kind="answer", id="turn-1", sources=sources)
    answer = await house.phone.say(TEXTS.view_answer)
    assert answer.texts == ["답\n\n출처: a/b.md · 가 > 나"]
    await house.deliver("그새 온 답")
    answer = await house.phone.press("u1", TEXTS.unhelpful)
    assert answer.texts == ["그새 온 답", TEXTS.thanks]
    [vote] = house.events
    assert isinstance(vote, Action)
    assert (vote.kind, vote.value, vote.about) == ("feedback", "down", "turn-1")


async def test_a_choice_comes_back_as_its_text(house: Any) -> None:
    choices = (Choice(label="배송비", text="배송비는 얼마인가요?"),)
    await house.deliver("고르세요", choices=choices)
    answer = await house.phone.say(TEXTS.view_answer)
    [button] = answer.body["template"]["outputs"][0]["textCard"]["buttons"]
    await house.phone.say(button["messageText"])
    assert house.events[-1].text == "배송비는 얼마인가요?"


LONG = "\n\n".join(
    f"{number}번째 문단입니다. "
    + "환불은 영업일 기준으로 처리해 드립니다. 🙏👨‍👩‍👧 " * 6
    + f"\n```python\nprint({number})\n```"
    for number in range(60)
)


def letters(text: str) -> str:
    return re.sub(r"[\s`]+|python", "", text)


async def test_a_very_long_answer_arrives_complete_and_in_order(house: Any) -> None:
    assert len(LONG) > 12_000
    house.answer_after = None
    waiting = asyncio.create_task(house.phone.say("긴 답 주세요"))
    while not house.events:
        await asyncio.sleep(0.005)
    receipt = await house.deliver(LONG, about=house.events[0].id, kind="answer")
    assert receipt.outcome == "parked"
    assert len((await waiting).texts) == 3
    presses = 0
    while house.phone.can_press("u1", TEXTS.view_more):
        await house.phone.press("u1", TEXTS.view_more)
        presses += 1
    assert 3 <= presses <= 8
    assert letters("".join(house.phone.screens["u1"])) == letters(LONG)
    assert [each["label"] for each in house.phone.quick["u1"]] == [
        "도움이 됐어요",
        "도움이 안 됐어요",
    ]
    assert house.parked.arrived == ["t1"]


async def test_a_customer_who_hung_up_gets_the_answer_with_the_next_call(house: Any) -> None:
    house.answer_after = 0.3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await house.phone.say("질문")
    await settled(house, 1)
    assert house.outcomes == ["parked"]
    assert (await house.phone.say(TEXTS.view_answer)).texts == ["답: 질문"]


async def test_stopping_does_not_break_a_promise(house: Any) -> None:
    house.answer_after = 0.6
    assert (await house.phone.say("질문", callback=True)).promised
    for task in house.kakao._tasks:
        task.cancel()  # as the loop does at the end of the process
    await asyncio.gather(*house.kakao._tasks, return_exceptions=True)
    assert house.phone.screens["u1"] == [TEXTS.holding]


async def test_a_group_has_buttons_instead_of_quick_replies(house: Any) -> None:
    group = {"chat": {"id": "g" * 20, "type": "botGroupKey"}, **asked("@우리 CS봇 배송비?")}
    answer = await house.phone.say("", userRequest=group)
    assert answer.texts == ["답: 배송비?"]
    [event] = house.events
    assert event.address == Address(channel="kakao", conversation="g" * 20, user="u1")
    house.answer_after = None
    answer = await house.phone.say("", userRequest=group)
    assert "quickReplies" not in answer.body["template"]
    [output] = answer.body["template"]["outputs"]
    assert output["textCard"]["buttons"][0]["label"] == TEXTS.view_answer


# ---- with the real gateway and store


class SlowBrain:
    """Echoes, after a while."""

    def __init__(self, seconds: float) -> None:
        self.prompts = Prompts.load(packaged("prompts"), Facts.load(None))
        self.seconds = seconds

    async def answer(
        self, messages: Sequence[Message], session: Session, **_: Any
    ) -> tuple[Turn, Session]:
        await asyncio.sleep(self.seconds)
        text = "답: " + " / ".join(message.text for message in messages)
        name = f"turn-{messages[-1].id}"
        reply = Reply(id=name, in_reply_to=messages[-1].id, text=text, kind="answer")
        turn = Turn(
            id=name,
            address=messages[-1].address,
            messages=tuple(messages),
            reply=reply,
            started_at=datetime.now(UTC),
        )
        return turn, session


@asynccontextmanager
async def living(path: Path, phone: Platform, seconds: float) -> AsyncIterator[Store]:
    """One life of a Sangdam whose brain takes `seconds`."""
    store = await Store.open(path)
    brain: Any = SlowBrain(seconds)
    around: Any = SimpleNamespace(prompts=brain.prompts)
    reload: Any = None
    adapters: dict[str, Any] = {}
    clock = SystemClock()
    gateway = Gateway(
        store=store,
        brain=brain,
        commands=Commands(brain=around, store=store, reload=reload, admins=(), language="ko"),
        adapters=adapters,
        clock=clock,
    )
    kakao = adapters["kakao"] = Kakao(
        secret="s3cret",
        texts=TEXTS,
        parked=ParkedReplies(store, clock),
        callback_hosts=[phone.host],
        budget=QUICK,
    )
    async with serving(kakao, gateway.accept) as url:
        phone.url = url
        await gateway.resume()
        yield store
    await gateway.drain(5)
    await store.close()


async def test_a_parked_answer_survives_a_restart(tmp_path: Path) -> None:
    async with Platform("") as phone:
        async with living(tmp_path / "s.db", phone, 0.6):
            assert (await phone.say("첫째 질문입니다.")).texts == [TEXTS.holding]
            await asyncio.sleep(0.5)
        async with living(tmp_path / "s.db", phone, 0.0) as store:
            [left] = await store.undelivered("parked")
            assert left.address == HERE
            answer = await phone.say("둘째 질문입니다.")
            assert answer.texts == ["답: 첫째 질문입니다.", "답: 둘째 질문입니다."]
            async with asyncio.timeout(5):
                while await store.undelivered("parked"):
                    await asyncio.sleep(0.01)
        async with living(tmp_path / "s.db", phone, 0.0):
            assert (await phone.say("셋째 질문입니다.")).texts == ["답: 셋째 질문입니다."]
    assert not phone.wrong


async def test_a_question_left_unanswered_by_a_stop_is_answered_with_the_next_call(
    tmp_path: Path,
) -> None:
    async with Platform("") as phone:
        async with living(tmp_path / "s.db", phone, 30.0) as store:
            assert (await phone.say("첫째 질문입니다.")).texts == [TEXTS.holding]
            await store.close()  # as if the process were killed
        async with living(tmp_path / "s.db", phone, 0.05):
            await asyncio.sleep(0.2)
            assert (await phone.press("u1", TEXTS.view_answer)).texts == ["답: 첫째 질문입니다."]
    assert not phone.wrong


async def test_a_burst_is_answered_in_the_last_call(tmp_path: Path) -> None:
    async with Platform("") as phone, living(tmp_path / "s.db", phone, 0.2):
        first = asyncio.create_task(phone.say("노트북을 샀는데요."))
        await asyncio.sleep(0.1)
        second = await phone.say("화면이 안 켜져요.")
        assert (await first).texts == [SlowBrain(0).prompts.phrase("delivery.joined")]
        assert second.texts == ["답: 노트북을 샀는데요. / 화면이 안 켜져요."]
    assert not phone.wrong


async def test_a_server_that_stops_lets_go_of_its_calls() -> None:
    async with Platform("") as phone:
        house = House()
        house.answer_after = None
        kakao = Kakao(secret="s3cret", texts=TEXTS, parked=Nothing())
        async with serving(kakao, house.accept) as url:
            phone.url = url
            call = asyncio.create_task(phone.say("질문"))
            while not house.events:
                await asyncio.sleep(0.005)
        late = Reply(id="t1", in_reply_to=house.events[0].id, text="답", kind="answer")
        async with asyncio.timeout(1):
            assert (await kakao.deliver(HERE, late)).outcome == "parked"
        assert (await call).status != 200


def test_the_configuration_opens_the_channel_with_words_that_fit() -> None:
    config = Config.model_validate({"channels": {"kakao": {"secret": "s3cret"}}})
    for language in ("ko", "en"):
        given = config.model_copy(update={"language": language})
        files = Files(config.data / "files")
        app: Any = SimpleNamespace(config=given, brain=SlowBrain(0), store=None, files=files)
        [kakao] = configured(app)
        assert isinstance(kakao, Kakao)
        words = kakao._texts
        for label in (words.view_answer, words.view_more, words.helpful, words.unhelpful):
            assert length(label) <= 14
        assert length(words.operator) <= 14
    assert configured(cast("Any", SimpleNamespace(config=Config()))) == []
