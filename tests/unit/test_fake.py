"""The channel of the tests themselves: its clock, its faults, its transcript."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adapters.base import Capabilities
from adapters.fake import FLOOD_SECONDS, Fake, Fault, VirtualClock
from bot.clock import SystemClock, sleep
from brain.errors import ChannelDown
from brain.messages import Action, Address, Attachment, Draft, Event, Message, Reply, Source

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HERE = Address(channel="fake", conversation="c1", user="u1")


def reply(number: int | str = 1, to: str = "m1", **changes: object) -> Reply:
    given = {"id": f"t{number}", "in_reply_to": to, "text": f"답 {number}", "kind": "answer"}
    return Reply(**{**given, **changes})  # type: ignore[arg-type]


class Desk:
    """Whoever is behind the channel: keeps events and answers messages."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.events: list[Event] = []
        self.task = asyncio.create_task(fake.run(self.accept))

    async def accept(self, event: Event) -> None:
        known = event.id in [each.id for each in self.events]
        self.events.append(event)
        if isinstance(event, Message) and not known:
            await self.fake.deliver(event.address, reply(event.id, event.id))

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


# The clock


async def test_time_passes_only_when_told() -> None:
    clock = VirtualClock(START)
    waiting = asyncio.create_task(sleep(clock, 10))
    await clock.settle()
    assert (clock.now(), clock.monotonic()) == (START, 0.0)
    await clock.advance(9.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert waiting.done()
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=10), 10.0)


async def test_each_goes_on_at_its_own_moment() -> None:
    clock = VirtualClock(START)
    woke: list[tuple[str, float]] = []

    async def nap(name: str, *naps: float) -> None:
        for seconds in naps:
            await sleep(clock, seconds)
            woke.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(nap(*each)) for each in (("a", 3, 3), ("b", 1, 4), ("c", 1, 0.5))]
    await clock.advance(60)
    assert woke == [("b", 1.0), ("c", 1.0), ("c", 1.5), ("a", 3.0), ("b", 5.0), ("a", 6.0)]
    await asyncio.gather(*tasks)
    assert clock.monotonic() == 60.0


async def test_an_event_ends_the_wait() -> None:
    clock = VirtualClock(START)
    event = asyncio.Event()
    waiting = asyncio.create_task(clock.wait(event, 10))
    await clock.advance(1)
    event.set()
    assert await waiting
    assert await clock.wait(event, 10)
    assert clock.monotonic() == 1.0
    await clock.advance(20)  # the timer that nobody waits for any more harms nothing


async def test_a_wait_that_runs_out_says_so() -> None:
    clock = VirtualClock(START)
    waiting = asyncio.create_task(clock.wait(asyncio.Event(), 1))
    await clock.advance(1)
    assert await waiting is False


async def test_a_wait_can_be_cancelled() -> None:
    clock = VirtualClock(START)
    waiting = asyncio.create_task(sleep(clock, 1))
    await clock.settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    await clock.advance(5)
    assert clock.monotonic() == 5.0


async def test_the_clock_is_never_set_back() -> None:
    clock = VirtualClock(START)
    await clock.set(START + timedelta(hours=3))
    await clock.set(START)
    assert clock.now() == START + timedelta(hours=3)


async def test_the_real_clock_keeps_the_same_promises() -> None:
    clock = SystemClock()
    event = asyncio.Event()
    assert await clock.wait(event, 0.001) is False
    asyncio.get_running_loop().call_soon(event.set)
    assert await clock.wait(event, 60)
    assert clock.now().tzinfo is not None


# The customer's side


async def test_say_gives_the_reply_to_just_that_message() -> None:
    fake = Fake()
    desk = Desk(fake)
    first, second = await asyncio.gather(
        fake.say("하나", event_id="m1"), fake.say("둘", event_id="m2", user="u2")
    )
    assert (first.in_reply_to, second.in_reply_to) == ("m1", "m2")
    assert [address.user for address, _ in fake.replies] == ["u1", "u2"]
    await desk.close()


async def test_a_message_can_be_delivered_repeatedly() -> None:
    fake = Fake()
    desk = Desk(fake)
    await fake.say("하나", event_id="m1", times=4)
    assert [event.id for event in desk.events] == ["m1"] * 4
    await desk.close()


async def test_what_is_said_before_the_channel_opens_waits_for_it() -> None:
    fake = Fake()
    picture = Attachment(kind="image", name="a.png")
    saying = asyncio.create_task(fake.say("", locale="en", attachments=(picture,)))
    await asyncio.sleep(0)
    desk = Desk(fake)
    await saying
    [message] = desk.events
    assert isinstance(message, Message)
    assert (message.locale, message.attachments) == ("en", (picture,))
    assert message.address == HERE
    await desk.close()


async def test_it_opens_again_after_it_was_closed() -> None:
    fake = Fake()
    await Desk(fake).close()
    saying = asyncio.create_task(fake.say("하나"))
    await asyncio.sleep(0)
    desk = Desk(fake)
    assert (await saying).text
    await desk.close()


async def test_a_vote_names_the_turn_and_its_conversation() -> None:
    fake = Fake()
    desk = Desk(fake)
    answer = await fake.say("하나", conversation="room")
    await fake.vote(answer, "up", user="u2")
    action = desk.events[-1]
    assert isinstance(action, Action)
    assert (action.kind, action.value, action.about) == ("feedback", "up", answer.id)
    assert action.address == Address(channel="fake", conversation="room", user="u2")
    await desk.close()


# The gateway's side


@pytest.mark.parametrize(
    ("fault", "outcome", "visible"),
    [
        (None, "delivered", True),
        ("ambiguous", "unknown", True),
        ("lost", "unknown", False),
        ("refused", "refused", False),
        ("parked", "parked", False),
    ],
)
async def test_each_fault_is_what_it_says(fault: Fault | None, outcome: str, visible: bool) -> None:
    fake = Fake()
    if fault:
        fake.faults.append(fault)
    assert (await fake.deliver(HERE, reply())).outcome == outcome
    assert fake.replies == ([(HERE, reply())] if visible else [])
    assert (await fake.deliver(HERE, reply(2))).outcome == "delivered"


async def test_faults_that_are_raised() -> None:
    fake = Fake()
    fake.faults.extend(["down", "bug"])
    with pytest.raises(ChannelDown):
        await fake.deliver(HERE, reply())
    with pytest.raises(RuntimeError):
        await fake.deliver(HERE, reply())
    assert fake.replies == []


async def test_a_flood_passes_by_the_virtual_clock() -> None:
    clock = VirtualClock(START)
    fake = Fake(clock=clock)
    fake.faults.append("flood")
    sending = asyncio.create_task(fake.deliver(HERE, reply()))
    await clock.advance(FLOOD_SECONDS - 1)
    assert fake.replies == []
    await clock.advance(1)
    assert (await sending).outcome == "delivered"


@pytest.mark.parametrize(("idempotent", "visible"), [(False, 2), (True, 1)])
async def test_a_reply_comes_twice_unless_it_says_that_it_does_not(
    idempotent: bool, visible: int
) -> None:
    fake = Fake(capabilities=Capabilities(idempotent=idempotent))
    for _ in range(2):
        assert (await fake.deliver(HERE, reply())).outcome == "delivered"
    assert len(fake.replies) == visible


async def test_drafts_are_kept() -> None:
    fake = Fake()
    await fake.show(HERE, Draft(text="네"))
    assert fake.drafts == [(HERE, Draft(text="네"))]


async def test_the_transcript_is_text_that_people_read() -> None:
    clock = VirtualClock(START)
    fake = Fake(clock=clock)
    asking = asyncio.create_task(fake.say("배송비 얼마예요?", event_id="m1"))
    task = asyncio.create_task(fake.run(lambda event: asyncio.sleep(0)))
    await clock.advance(2)
    source = Source(document="delivery.md", heading="배송비", score=1.0)
    await fake.deliver(
        HERE,
        reply(
            to="m1",
            text="2,500원입니다.\n제주는 3,000원입니다.",
            notice="AI가 답합니다.",
            sources=(source,),
        ),
    )
    await asking
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert fake.transcript() == (
        "[09:00:00] u1: 배송비 얼마예요?\n"
        "[09:00:02] 상담 (answer): AI가 답합니다.\n"
        "           2,500원입니다.\n"
        "           제주는 3,000원입니다.\n"
        "           ↳ delivery.md\n"
    )
