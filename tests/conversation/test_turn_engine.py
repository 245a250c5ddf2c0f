"""Turns from end to end: restarts, duplicates, bursts, interruptions, limits, one conversation word for word."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters.base import Capabilities
from adapters.fake import Fault
from bot.clock import sleep
from bot.delivery import PAUSES
from bot.gateway import MOST_ATTEMPTS
from brain.messages import Address, Message
from tests.conversation.conftest import Paced, Sangdam
from tests.wire.ollama_server import OllamaServer, Request, Script

SEOUL = ZoneInfo("Asia/Seoul")
MORNING = datetime(2026, 11, 24, 10, 0, tzinfo=SEOUL)
QUESTION = "배송비 얼마예요?"
COLLECTING = Capabilities(collects=True, limited=False)
LIMITED = Capabilities(collects=False, limited=True)
DOWN: list[Fault] = ["down"] * (len(PAUSES) + 1)
TRANSCRIPTS = Path(__file__).parents[1] / "golden" / "transcripts"


def dying(at: str) -> Callable[[str], None]:
    """A milestone at which the process stops; what it leaves on disk is what a kill leaves."""

    def milestone(name: str) -> None:
        if name == at:
            raise RuntimeError(f"killed once {at}")

    return milestone


async def talking(server: OllamaServer, requests: int = 1) -> Request:
    """The request of that number, once its first words are out."""
    async with asyncio.timeout(30):
        while len(server.chats) < requests or not server.chats[requests - 1].tokens:
            await asyncio.sleep(0.002)
    return server.chats[requests - 1]


async def replies_are(sangdam: Sangdam, state: str) -> None:
    """Until a reply in the outbox is in that state."""
    async with asyncio.timeout(30):
        while not await sangdam.app.store.undelivered(state):
            await asyncio.sleep(0.002)


def slow(reply: str = "고객님, 배송비는 2,500원입니다. " * 20) -> Script:
    return Script(reply=reply, delay=0.05)


# Restarts


@pytest.mark.parametrize("at", ["started", "answered"])
async def test_what_was_not_answered_is_answered_after_a_restart(run, at) -> None:
    async with run(milestone=dying(at)) as sangdam:
        await sangdam.hand_in(QUESTION)
        await sangdam.quiet()
        assert sangdam.shown == []
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        [(_, text)] = sangdam.shown
        assert "2,500원" in text
        assert sangdam.phrase("delivery.again") not in sangdam.shown[0][0]
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        assert sangdam.turns == sangdam.shown == []


async def test_what_was_kept_but_not_acknowledged_is_answered_once(run) -> None:
    """The platform delivers it again, while the new run finds it in the inbox."""
    async with run(milestone=dying("received")) as sangdam:
        with pytest.raises(RuntimeError):
            await sangdam.hand_in(QUESTION, event_id="e1")
    async with run(resume=True) as sangdam:
        await sangdam.hand_in(QUESTION, event_id="e1")
        await sangdam.quiet()
        assert len(sangdam.shown) == len(sangdam.turns) == 1


@pytest.mark.parametrize(("at", "visible"), [("committed", 0), ("sent", 1)])
async def test_what_may_have_arrived_comes_once_more_with_a_note(run, at, visible) -> None:
    async with run(milestone=dying(at)) as sangdam:
        await sangdam.hand_in(QUESTION)
        await sangdam.quiet()
        assert len(sangdam.shown) == visible
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        [(notice, text)] = sangdam.shown
        assert notice.startswith(sangdam.phrase("delivery.again"))
        assert "2,500원" in text
        assert sangdam.turns == []  # nothing is thought twice
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        assert sangdam.shown == []


async def test_what_arrived_is_not_sent_again(run) -> None:
    async with run(milestone=dying("settled")) as sangdam:
        await sangdam.hand_in(QUESTION)
        await sangdam.quiet()
        assert len(sangdam.shown) == 1
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        assert sangdam.shown == []


async def test_what_could_not_be_sent_goes_out_after_a_restart_without_a_note(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        sangdam.fake.faults.extend(DOWN)
        await sangdam.hand_in(QUESTION)
        await sangdam.quiet()
        assert sangdam.shown == []
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        [(notice, text)] = sangdam.shown
        assert sangdam.phrase("delivery.again") not in notice
        assert "2,500원" in text


async def test_what_was_sent_twice_is_given_up(run) -> None:
    clock = Paced(MORNING)
    async with run(clock=clock, turns={"drain": 0}) as sangdam:
        sangdam.fake.faults.extend(["lost", "flood"])
        await sangdam.hand_in(QUESTION)
        while not await sangdam.app.store.undelivered("again"):
            await clock.advance(1)
    async with run(resume=True) as sangdam:
        await sangdam.quiet()
        assert sangdam.shown == []
        assert len(await sangdam.app.store.undelivered("unknown")) == 1


async def test_what_comes_in_before_the_past_was_looked_at_is_answered_once(run) -> None:
    async with run() as sangdam:
        await sangdam.hand_in(QUESTION)
        await sangdam.app.gateway.resume()
        await sangdam.quiet()
        [turn] = sangdam.turns
        assert len(sangdam.shown) == len(turn.messages) == 1


async def test_what_is_being_sent_when_the_past_is_looked_at_is_not_sent_again(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        sangdam.fake.faults.append("flood")
        await sangdam.hand_in(QUESTION)
        await replies_are(sangdam, "sending")
        await sangdam.app.gateway.resume()
        await sangdam.quiet()
        assert len(sangdam.shown) == 1


async def test_what_was_said_in_pieces_before_a_restart_is_answered_in_order(run) -> None:
    async with run(capabilities=COLLECTING, turns={"drain": 0}) as sangdam:
        for text in ("안녕하세요", "물어볼 게 있는데요", QUESTION):
            message = sangdam.fake.message(text)
            await sangdam.app.store.receive(message, at=message.sent_at)
    async with run(capabilities=COLLECTING, resume=True) as sangdam:
        await sangdam.quiet()
        [turn] = sangdam.turns
        assert [message.text for message in turn.messages][-1] == QUESTION
        assert len(turn.messages) == 3


# What is too old


def left(number: int, text: str = QUESTION, *, hours: float, **changes: object) -> Message:
    address = Address(channel="fake", conversation="c9", user="u9")
    sent_at = MORNING - timedelta(hours=hours)
    message = Message(id=f"left{number}", address=address, text=text, sent_at=sent_at)
    return replace(message, **changes)


async def test_an_old_message_gets_an_apology_and_a_young_one_an_answer(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        for message in (left(1, hours=3), left(2, "/reset", hours=2), left(3, hours=0.5)):
            await sangdam.app.store.receive(message, at=message.sent_at)
        await sangdam.app.gateway.resume()
        await sangdam.quiet()
        answer, apology = sangdam.turns
        assert [message.id for message in answer.messages] == ["left3"]
        assert [message.id for message in apology.messages] == ["left1", "left2"]
        assert (apology.reply.kind, apology.failure) == ("exception", "Late")
        assert apology.reply.text == sangdam.phrase("delivery.late")
        assert await sangdam.app.store.unanswered() == []


async def test_what_was_not_meant_for_us_gets_no_apology(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        message = left(1, hours=3, addressed=False)
        await sangdam.app.store.receive(message, at=message.sent_at)
        await sangdam.app.gateway.resume()
        await sangdam.quiet()
        assert sangdam.shown == []
        assert await sangdam.app.store.unanswered() == []


async def test_a_message_that_stops_every_run_is_not_tried_for_ever(run) -> None:
    message = left(1, hours=0)
    for start in range(MOST_ATTEMPTS):
        async with run(clock=Paced(MORNING), milestone=dying("started")) as sangdam:
            if not start:
                await sangdam.app.store.receive(message, at=message.sent_at)
            await sangdam.app.gateway.resume()
            await sangdam.quiet()
            assert sangdam.turns == []
    async with run(clock=Paced(MORNING), milestone=dying("started"), resume=True) as sangdam:
        await sangdam.quiet()
        assert [turn.failure for turn in sangdam.turns] == ["Late"]


# Duplicates


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
async def test_however_often_it_comes_it_is_answered_once(run, times) -> None:
    async with run() as sangdam:
        await sangdam.fake.say(QUESTION, event_id="e1", times=times)
        await sangdam.quiet()
        assert len(sangdam.turns) == len(sangdam.shown) == 1
    for _ in range(2):
        async with run(resume=True) as sangdam:
            message = sangdam.fake.message(QUESTION, event_id="e1")
            await asyncio.gather(*(sangdam.fake.hand_in(message) for _ in range(times)))
            await sangdam.quiet()
            assert sangdam.turns == sangdam.shown == []


# Pieces and interruptions


async def test_a_burst_gets_one_reply(run) -> None:
    async with run(clock=Paced(MORNING), capabilities=COLLECTING) as sangdam:
        for text in ("안녕하세요", "물어볼 게 있는데요", QUESTION):
            await sangdam.hand_in(text)
            await sangdam.clock.advance(0.5)
        await sangdam.quiet()
        [turn] = sangdam.turns
        assert [message.text for message in turn.messages] == [
            "안녕하세요",
            "물어볼 게 있는데요",
            QUESTION,
        ]
        assert len(sangdam.shown) == 1
        assert "2,500원" in turn.reply.text


async def test_words_during_an_answer_are_answered_with_it(run) -> None:
    async with (
        OllamaServer(script=Script(reply="배송비와 제주 추가 요금입니다.")) as server,
        run(model={"host": server.host}) as sangdam,
    ):
        server.queue = [slow()]
        await sangdam.hand_in(QUESTION)
        first = await talking(server)
        await sangdam.hand_in("제주도예요")
        async with asyncio.timeout(30):
            await first.left.wait()  # the model is not kept busy with what nobody will read
        await sangdam.quiet()
        [turn] = sangdam.turns
        assert [message.text for message in turn.messages] == [QUESTION, "제주도예요"]
        assert "제주도예요" in server.chats[1].messages[-1]["content"]
        assert len(sangdam.shown) == 1
        assert turn.reply.text == "배송비와 제주 추가 요금입니다."
        session = await sangdam.app.store.session(turn.address)
        assert [each.turn for each in session.exchanges] == [turn.id]


async def test_an_interrupted_answer_does_not_take_the_models_only_place(run) -> None:
    model = {"parallel": 1, "queue": 0}
    async with (
        OllamaServer() as server,
        run(model={"host": server.host, **model}) as sangdam,
    ):
        server.queue = [slow(), slow()]
        await sangdam.hand_in(QUESTION)
        await talking(server)
        await sangdam.hand_in("제주도예요")
        await talking(server, 2)
        busy = await sangdam.say("환불은 언제 되나요?", user="u2")
        assert (busy.reply.kind, busy.failure) == ("busy", "Busy")
        await sangdam.hand_in("얼마나 걸려요?")
        await sangdam.quiet()
        [answer] = [turn for turn in sangdam.turns if turn.address.user == "u1"]
        assert (answer.reply.kind, len(answer.messages)) == ("answer", 3)


# Commands


async def test_help_bypasses_an_answer_and_reset_waits_for_it(run) -> None:
    async with (
        OllamaServer(script=Script(delay=0.02)) as server,
        run(model={"host": server.host}) as sangdam,
    ):
        question = await sangdam.hand_in(QUESTION)
        await talking(server)
        await sangdam.hand_in("/reset")
        await sangdam.hand_in("/help")
        await sangdam.quiet()
        assert [turn.messages[-1].text for turn in sangdam.turns] == ["/help", QUESTION, "/reset"]
        assert len(server.chats) == 1
        assert (await sangdam.app.store.session(question.address)).exchanges == ()


# Limits


async def test_a_customer_who_asks_too_much_is_slowed_down(run) -> None:
    limits = {"customer_rate": "2/minute"}
    async with run(capabilities=LIMITED, limits=limits) as sangdam:
        kinds = [(await sangdam.say(QUESTION)).reply.kind for _ in range(3)]
        other = await sangdam.say(QUESTION, user="u2")
        slowed = sangdam.turns[2]
    assert kinds == ["quoted", "quoted", "busy"]
    assert slowed.failure == "customer_rate"
    assert other.reply.kind == "quoted"


async def test_the_daily_quota_is_one_of_the_companys_days(run) -> None:
    evening = Paced(MORNING.replace(hour=23, minute=59))
    limits = {"customer_rate": "", "daily_quota": 1}
    async with run(clock=evening, capabilities=LIMITED, limits=limits) as sangdam:
        kinds = [(await sangdam.say(QUESTION)).reply.kind for _ in range(2)]
        await evening.advance(120)
        kinds.append((await sangdam.say(QUESTION)).reply.kind)
    assert kinds == ["quoted", "busy", "quoted"]


async def test_an_interrupted_message_counts_once(run) -> None:
    limits = {"customer_rate": "3/minute"}
    async with (
        OllamaServer() as server,
        run(model={"host": server.host}, capabilities=LIMITED, limits=limits) as sangdam,
    ):
        server.queue = [slow(), slow()]
        for number, text in enumerate((QUESTION, "제주도예요.")):
            await sangdam.hand_in(text)
            await talking(server, number + 1)
        await sangdam.hand_in("책 두 권이요.")
        await sangdam.quiet()
        [turn] = sangdam.turns
        assert (turn.reply.kind, len(turn.messages)) == ("answer", 3)


# A channel that is down


async def test_a_sweep_sends_what_waited_and_sends_it_once(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        sangdam.fake.faults.extend(DOWN)
        message = await sangdam.hand_in(QUESTION)
        await sangdam.quiet()
        assert sangdam.shown == []
        # The conversation is busy, for longer than the time between two sweeps.
        sangdam.app.gateway._turns.do(message.address, partial(sleep, sangdam.clock, 100))
        for _ in range(3):
            await sangdam.app.gateway.sweep()
        await sangdam.quiet()
        await sangdam.app.gateway.sweep()
        await sangdam.quiet()
        assert len(sangdam.shown) == 1
        assert sangdam.phrase("delivery.again") not in sangdam.shown[0][0]


async def test_a_sweep_sends_with_its_note_what_may_have_arrived_before(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        sangdam.fake.faults.extend(["ambiguous", *DOWN])
        await sangdam.hand_in(QUESTION)
        await sangdam.quiet()
        assert len(sangdam.shown) == 1
        for _ in range(3):
            await sangdam.app.gateway.sweep()
        await sangdam.quiet()
        notices = [notice for notice, _ in sangdam.shown]
        assert len(notices) == 2
        assert notices[1].startswith(sangdam.phrase("delivery.again"))


async def test_replies_of_one_conversation_keep_their_order_while_it_is_down(run) -> None:
    async with run(clock=Paced(MORNING)) as sangdam:
        sangdam.fake.faults.extend(["down", "down", "down"])
        first = await sangdam.hand_in(QUESTION)
        await replies_are(sangdam, "sending")
        second = await sangdam.hand_in("환불은 언제 되나요?")
        await sangdam.quiet()
        answered = [reply.in_reply_to for _, reply in sangdam.fake.replies]
        assert answered == [first.id, second.id]


# Word for word


async def test_a_conversation_reads_as_on_file(run) -> None:
    clock = Paced(MORNING)
    async with run(clock=clock, capabilities=COLLECTING) as sangdam:

        async def say(*texts: str, times: int = 1) -> None:
            for number, text in enumerate(texts):
                if number:
                    await clock.advance(0.5)
                message = sangdam.fake.message(text)
                await sangdam.fake.hand_in(message)
                for _ in range(times - 1):
                    await sangdam.app.gateway.accept(message)
            await sangdam.quiet()
            await clock.advance(30)

        await say("안녕하세요", "물어볼 게 있는데요", "배송비가 얼마인가요?")
        await say("선물 포장도 되나요?", times=3)
        await say("환불")
        await say("오늘 서울 날씨 어때요?")
        sangdam.fake.faults.extend(["down", "ambiguous"])
        await say("해운대점에 주차할 수 있나요?")
        await clock.set(MORNING.replace(hour=23, minute=30))
        await say("안녕하세요")
        await say("/초기화")
        await say("감사합니다")
        told = sangdam.fake.transcript()
    file = TRANSCRIPTS / "bookshop.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(told, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == told


async def test_an_event_whose_channel_stops_while_it_is_stored_is_still_answered(run) -> None:
    async with run() as sangdam:
        handing_in = asyncio.create_task(
            sangdam.app.gateway.accept(sangdam.fake.message("배송비 얼마예요?", event_id="e1"))
        )
        await asyncio.sleep(0)
        handing_in.cancel()
        while not sangdam.turns:
            await asyncio.sleep(0.01)
    assert sangdam.turns[0].messages[0].id == "e1"
