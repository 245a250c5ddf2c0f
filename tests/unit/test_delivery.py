"""What becomes of a reply on its way, with a real store and a channel that fails as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import fake
from adapters.base import Adapter, Capabilities
from adapters.fake import FLOOD_SECONDS, Fake, Fault, VirtualClock
from bot.delivery import PAUSES, Delivery
from bot.store import tables
from bot.store.store import Store
from brain.memory import Session
from brain.messages import Address, Message, Receipt, Reply, Turn

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HERE = Address(channel="fake", conversation="c", user="u")
NOTE = "(다시 보내 드립니다.)"
REPLY = Reply(id="t1", in_reply_to="m1", text="2,500원입니다.", kind="answer")
DOWN: list[Fault] = ["down"] * (len(PAUSES) + 1)


class Post:
    """A delivery, its store and its channel."""

    def __init__(self, store: Store, clock: VirtualClock, *, idempotent: bool = False) -> None:
        self.store = store
        self.clock = clock
        self.fake = Fake(clock=clock, capabilities=Capabilities(idempotent=idempotent))
        self.adapters: dict[str, Adapter] = {"fake": self.fake}
        self.delivery = Delivery(
            store=store, adapters=self.adapters, clock=clock, label=lambda: NOTE
        )
        self.milestones: list[str] = []

    async def commit(self, reply: Reply = REPLY) -> None:
        message = Message(id=reply.in_reply_to, address=HERE, text="얼마예요?", sent_at=START)
        turn = Turn(id=reply.id, address=HERE, messages=(message,), reply=reply, started_at=START)
        await self.store.commit(turn, Session(address=HERE).after(turn))

    async def send(self, *faults: Fault, reply: Reply = REPLY) -> Receipt:
        self.fake.faults.extend(faults)
        return await through(
            self.clock, self.delivery.send(HERE, reply, milestone=self.milestones.append)
        )

    async def send_again(self, *faults: Fault, reply: Reply = REPLY) -> Receipt:
        self.fake.faults.extend(faults)
        return await through(self.clock, self.delivery.send_again(HERE, reply))

    async def row(self) -> tuple[str, int]:
        """State of the reply in the outbox, and how often something was noted of it."""
        query = sa.select(tables.outbox.c.state, tables.outbox.c.attempts)
        found = await self.store.database.read(lambda db: db.execute(query).one())
        return found[0], found[1]

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(reply.notice, reply.text) for _, reply in self.fake.replies]


async def through(clock: VirtualClock, work: Coroutine[Any, Any, Receipt]) -> Receipt:
    """What it gives, time passing while it waits."""
    task = asyncio.create_task(work)
    while not task.done():
        await clock.advance(4)
    return await task


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "a.db")
    yield opened
    await opened.close()


@pytest.fixture
async def post(store: Store) -> Post:
    post = Post(store, VirtualClock(START))
    await post.commit()
    return post


async def test_a_reply_that_arrives_is_delivered(post: Post) -> None:
    assert await post.row() == ("sending", 0)
    assert (await post.send()).outcome == "delivered"
    assert post.shown == [("", REPLY.text)]
    assert await post.row() == ("delivered", 1)
    assert post.milestones == ["sent"]
    assert post.delivery.under_way == set()


@pytest.mark.parametrize("fault", ["refused", "parked"])
async def test_what_the_channel_says_is_kept(post: Post, fault: Fault) -> None:
    assert (await post.send(fault)).outcome == fault
    assert post.shown == []
    assert await post.row() == (fault, 1)


async def test_a_channel_that_is_down_is_tried_again(post: Post) -> None:
    assert (await post.send("down", "down", "down")).outcome == "delivered"
    assert post.shown == [("", REPLY.text)]
    assert post.clock.monotonic() >= sum(PAUSES[:3])
    assert await post.row() == ("delivered", 1)


async def test_a_channel_that_stays_down_leaves_it_pending(post: Post) -> None:
    assert (await post.send(*DOWN)).outcome == "pending"
    assert post.clock.monotonic() >= sum(PAUSES)
    assert await post.row() == ("pending", 1)
    assert (await post.send()).outcome == "delivered"
    assert post.shown == [("", REPLY.text)]  # certainly the first time, so nothing is said


async def test_without_its_channel_it_is_pending(post: Post) -> None:
    post.adapters.clear()
    assert (await post.send()).outcome == "pending"
    assert await post.row() == ("pending", 1)


async def test_a_flooded_platform_is_waited_for(post: Post) -> None:
    assert (await post.send("flood")).outcome == "delivered"
    assert post.clock.monotonic() >= FLOOD_SECONDS
    assert post.shown == [("", REPLY.text)]


@pytest.mark.parametrize("fault", ["lost", "bug"])
async def test_what_may_have_arrived_is_sent_again_with_a_note(post: Post, fault: Fault) -> None:
    assert (await post.send(fault)).outcome == "delivered"
    assert post.shown == [(NOTE, REPLY.text)]
    assert await post.row() == ("delivered", 2)


async def test_what_did_arrive_comes_again_with_a_note(post: Post) -> None:
    assert (await post.send("ambiguous")).outcome == "delivered"
    assert post.shown == [("", REPLY.text), (NOTE, REPLY.text)]


async def test_the_note_comes_before_what_else_must_be_said(store: Store) -> None:
    post = Post(store, VirtualClock(START))
    reply = Reply(id="t1", in_reply_to="m1", text="네.", kind="answer", notice="AI가 답합니다.")
    await post.commit(reply)
    await post.send("ambiguous", reply=reply)
    assert post.shown == [("AI가 답합니다.", "네."), (f"{NOTE}\nAI가 답합니다.", "네.")]


@pytest.mark.parametrize("fault", ["ambiguous", "lost", "bug"])
async def test_it_is_sent_twice_and_never_more(post: Post, fault: Fault) -> None:
    assert (await post.send(fault, fault)).outcome == "unknown"
    assert len(post.shown) == (2 if fault == "ambiguous" else 0)
    assert await post.row() == ("unknown", 2)


async def test_a_channel_that_shows_it_once_needs_no_note(store: Store) -> None:
    post = Post(store, VirtualClock(START), idempotent=True)
    await post.commit()
    assert (await post.send("ambiguous")).outcome == "delivered"
    assert post.shown == [("", REPLY.text)]


async def test_a_second_sending_that_is_put_off_stays_a_second_one(post: Post) -> None:
    assert (await post.send("ambiguous", *DOWN)).outcome == "pending"
    assert await post.row() == ("again", 1)
    assert post.delivery.put_off == {"t1"}
    assert (await post.send_again()).outcome == "delivered"
    assert post.shown == [("", REPLY.text), (NOTE, REPLY.text)]
    assert (await post.row())[0] == "delivered"
    assert post.delivery.put_off == set()


async def test_a_restart_between_the_two_knows_that_it_was_the_second(post: Post) -> None:
    """The process dies while the second sending is under way."""
    post.fake.faults.extend(["lost", "flood"])
    task = asyncio.create_task(post.delivery.send(HERE, REPLY))
    while (await post.row())[0] != "again":
        await post.clock.advance(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert post.delivery.under_way == set()
    [left] = await post.store.undelivered("pending", "sending", "again")
    assert (left.address, left.reply, left.state) == (HERE, REPLY, "again")
    await post.delivery.give_up(left.address, left.reply)
    assert (await post.row())[0] == "unknown"
    assert post.shown == []


async def test_a_restart_during_the_first_leaves_it_as_being_sent(post: Post) -> None:
    post.fake.faults.append("flood")
    task = asyncio.create_task(post.delivery.send(HERE, REPLY))
    await post.clock.settle()
    assert post.delivery.under_way == {"t1"}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await post.row() == ("sending", 0)
    assert post.delivery.under_way == set()


# Whatever the platform does


class Outbox:
    """The part of a store that a delivery needs, without a disk."""

    def __init__(self) -> None:
        self.states = ["sending"]

    async def receipt(self, reply_id: str, receipt: Receipt, *, at: datetime) -> None:
        self.states.append(receipt.outcome)

    async def sending_again(self, reply_id: str, *, at: datetime) -> None:
        self.states.append("again")


FAULTS = st.sampled_from(["down", "flood", "ambiguous", "lost", "refused", "parked", "bug"])


@settings(max_examples=100, deadline=None)
@given(faults=st.lists(FAULTS | st.just("down"), max_size=16), idempotent=st.booleans())
async def test_a_reply_is_never_shown_twice_unsaid(faults: list[Fault], idempotent: bool) -> None:
    clock = VirtualClock(START)
    outbox = Outbox()
    post = Post(cast(Store, outbox), clock, idempotent=idempotent)
    post.fake.faults.extend(faults)
    patched, fake.SETTLE_SECONDS = fake.SETTLE_SECONDS, 0
    try:
        await post.send()
        for _ in range(len(faults)):  # the sweeps that follow
            if outbox.states[-1] == "pending":
                await post.send()
            elif "t1" in post.delivery.put_off:
                await post.send_again()
    finally:
        fake.SETTLE_SECONDS = patched
    notices = [notice for notice, _ in post.shown]
    assert notices in ([], [""], [NOTE], ["", NOTE])
    if idempotent:
        assert notices in ([], [""])
    if "again" in outbox.states:
        assert "pending" not in outbox.states[outbox.states.index("again") :]
    assert outbox.states.count("again") <= 1 + len(faults) // len(DOWN)
    assert outbox.states[-1] in ("delivered", "refused", "parked", "unknown")
    assert post.delivery.under_way == post.delivery.put_off == set()
