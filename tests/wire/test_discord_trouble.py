"""Discord when it refuses, is slow, forgets or goes away, and what is logged then."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.discord import connection as connections
from adapters.discord.connection import Budget
from brain.errors import ChannelDown
from brain.messages import Address, Draft
from tests.wire.discord_channel import (
    IN_CHANNEL,
    IN_DM,
    POSTS,
    Line,
    opened,
    served,
    texts,
    until,
)
from tests.wire.discord_gateway import BOB, CHANNEL, TOKEN
from tests.wire.discord_server import DiscordServer, Fault


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with served() as running:
        yield running


@pytest.fixture
async def line(server: DiscordServer) -> AsyncIterator[Line]:
    async with opened(server) as running:
        yield running


# ---- when sending fails


@pytest.mark.parametrize("kind", ["403", "404"])
async def test_what_discord_refuses_is_refused(line: Line, kind: Any) -> None:
    line.server.faults.append(Fault(on=POSTS, kind=kind))
    receipt = await line.deliver()
    assert receipt.outcome == "refused"
    assert texts(line.server) == []


async def test_an_answer_arrives_even_where_the_question_may_not_be_read(line: Line) -> None:
    sent = await line.server.say("환불?", channel=CHANNEL, mention=True)
    line.server.faults.append(Fault(on=POSTS, kind="400"))
    receipt = await line.deliver(to=IN_CHANNEL, in_reply_to=sent["id"])
    assert receipt.outcome == "delivered"
    [shown] = line.server.shown(CHANNEL)
    assert "message_reference" not in shown


@pytest.mark.parametrize("kind", ["429", "429 global"])
async def test_a_wait_is_obeyed_and_order_kept(line: Line, kind: Any) -> None:
    line.server.faults.append(Fault(on=POSTS, kind=kind, seconds=0.5))
    began = time.monotonic()
    for number in range(3):
        assert (await line.deliver(number)).outcome == "delivered"
    assert texts(line.server) == ["답변 0", "답변 1", "답변 2"]
    posts = line.server.made(POSTS)
    assert [call.status for call in posts] == [429, 200, 200, 200]
    assert posts[1].at - began >= 0.5


async def test_what_arrived_without_an_answer_is_shown_once(line: Line) -> None:
    line.server.faults.append(Fault(on=POSTS, kind="done, then lost"))
    assert (await line.deliver()).outcome == "unknown"
    assert (await line.deliver()).outcome == "delivered"
    assert texts(line.server) == ["답변 1"]


async def test_what_did_not_arrive_is_sent_again(line: Line) -> None:
    look = Fault(on=r"GET .*/messages", kind="lost")
    line.server.faults += [Fault(on=POSTS, kind="lost"), look, look]  # aiohttp itself asks twice
    assert (await line.deliver()).outcome == "unknown"
    with pytest.raises(ChannelDown):  # nobody can say now whether it arrived
        await line.deliver()
    assert (await line.deliver()).outcome == "delivered"
    assert texts(line.server) == ["답변 1"]


async def test_an_outage_is_waited_for(line: Line) -> None:
    line.server.faults += [Fault(on=POSTS, kind="503"), Fault(on=r"GET .*/messages", kind="503")]
    assert (await line.deliver()).outcome == "unknown"
    with pytest.raises(ChannelDown):
        await line.deliver()
    assert (await line.deliver()).outcome == "delivered"


async def test_a_part_that_was_lost_is_the_only_one_sent_again(line: Line) -> None:
    text = "\n\n".join("가나다 " * 400 for _ in range(4))
    question = await line.asked()
    line.server.faults.append(Fault(on=r"none", kind="lost"))
    await line.channel.show(IN_DM, Draft(text="가나다"))
    await until(lambda: line.server.shown())
    line.server.faults[0] = Fault(on=POSTS, kind="done, then lost")
    assert (await line.deliver(text=text, in_reply_to=question.id)).outcome == "unknown"
    assert (await line.deliver(text=text, in_reply_to=question.id)).outcome == "delivered"
    shown = texts(line.server)
    assert len(shown) == 4
    assert "".join("".join(shown).split()) == "".join(text.split())


@pytest.mark.parametrize("drafted", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
async def test_killed_between_arrival_and_mark_shows_once(
    server: DiscordServer, drafted: bool, forgets: bool
) -> None:
    """A new process sends what it does not know to have arrived; Discord may know the nonce no more."""
    texts_wanted: list[str] = []
    for number in range(25):
        line = Line(server)
        await line.start()
        question = await line.asked(f"질문 {number}")
        if drafted:
            await line.channel.show(IN_DM, Draft(text="쓰는 중"))
            await until(lambda wanted=number: len(server.shown()) > wanted)
        await line.deliver(number, in_reply_to=question.id)
        await line.stop()
        if forgets:
            server.nonces.clear()
        line = Line(server)
        await line.start()
        assert (await line.deliver(number, in_reply_to=question.id)).outcome == "delivered"
        await line.stop()
        texts_wanted.append(f"답변 {number}")
    assert texts(server) == texts_wanted


async def test_killed_while_writing_leaves_no_stump(server: DiscordServer) -> None:
    line = Line(server)
    await line.start()
    question = await line.asked()
    await line.channel.show(IN_DM, Draft(text="쓰는 중"))
    await until(lambda: server.shown())
    await line.stop()
    again = Line(server)
    await again.start()
    await again.deliver(in_reply_to=question.id)
    await again.stop()
    assert texts(server) == ["답변 1"]


async def test_where_the_history_may_not_be_read_the_nonce_holds(server: DiscordServer) -> None:
    line = Line(server)
    await line.start()
    question = await line.asked()
    await line.deliver(in_reply_to=question.id)
    await line.stop()
    server.faults.append(Fault(on=r"GET .*/messages", kind="403"))
    again = Line(server)
    await again.start()
    assert (await again.deliver(in_reply_to=question.id)).outcome == "delivered"
    await again.stop()
    assert texts(server) == ["답변 1"]


async def test_nothing_is_sent_while_there_is_no_way(server: DiscordServer) -> None:
    line = Line(server)
    with pytest.raises(ChannelDown):
        await line.deliver()
    await line.start()
    await server.runner.cleanup()
    with pytest.raises(ChannelDown):
        await line.deliver()
    await line.stop()
    with pytest.raises(ChannelDown):
        await line.deliver()


async def test_what_was_not_kept_before_a_stop_is_handed_in_after_it(line: Line) -> None:
    line.failing = 1
    sent = await line.server.say("질문")
    await until(lambda: not line.failing)
    await line.stop()
    assert line.events == []
    await line.start()
    assert (await line.heard()).id == sent["id"]


# ---- the gateway


async def test_a_resume_replays_what_was_missed_with_the_same_ids(line: Line) -> None:
    server = line.server
    await line.asked("처음")
    server.cut()
    missed = [await server.say(f"놓친 말 {number}") for number in range(20)]
    await until(lambda: len(line.events) == 21)
    assert [event.id for event in line.events[1:]] == [message["id"] for message in missed]
    assert (len(server.identifies), len(server.resumes)) == (1, 1)
    # Discord may replay more than was missed: the ids stay the same, and the store knows them.
    [session] = server.sessions.values()
    assert session.pipe is not None
    replayed = [
        (at, each) for at, each in enumerate(session.sent, 1) if each[0] == "MESSAGE_CREATE"
    ]
    for at, (name, data) in replayed[-3:]:
        await session.pipe.send({"op": 0, "t": name, "s": at, "d": data})
    await until(lambda: len(line.events) == 24)
    assert [event.id for event in line.events[-3:]] == [message["id"] for message in missed[-3:]]


async def test_op_7_and_op_9_are_obeyed(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDENTIFY_SECONDS", 0.05)
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.01)
    server = line.server
    await server.send_all({"op": 7, "d": None})
    await until(lambda: len(server.resumes) == 1)
    await line.asked()
    await server.send_all({"op": 9, "d": True})
    await until(lambda: len(server.resumes) == 2)
    await line.asked()
    server.invalidate_next = 2
    server.sessions.clear()
    server.cut()
    await until(lambda: len(server.identifies) == 3)  # the first, one refused, one that held
    await until(lambda: server.sessions and line._inside())
    await line.asked()
    assert len(server.pipes) == 1


async def test_connections_that_do_not_last_are_not_begun_in_a_storm(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.1)
    server = line.server
    ended = time.monotonic() + 2
    while time.monotonic() < ended:
        server.cut()
        await asyncio.sleep(0.01)
    assert len(server.resumes) <= 8
    assert len(server.identifies) == 1


async def test_sessions_are_begun_within_a_budget(line: Line) -> None:
    budget = Budget(most=2, seconds_each=0.1)
    budget.take()
    budget.take()
    with pytest.raises(ChannelDown):
        budget.take()
    await asyncio.sleep(0.11)
    budget.take()
    await line.stop()
    line.server.session_starts = 0
    await line.start()
    with pytest.raises(ChannelDown, match="no more new sessions"):
        await line.running


async def test_signs_of_life(server: DiscordServer) -> None:
    server.heartbeat = 0.05
    line = Line(server)
    await line.start()
    first = line.channel.heard
    assert first is not None
    await until(lambda: (line.channel.heard or 0) > first + 0.1)
    server.acknowledges = False
    await asyncio.sleep(0.1)
    silent = line.channel.heard
    await asyncio.sleep(0.2)
    assert line.channel.heard == silent
    await line.stop()


async def test_a_hundred_restarts_leave_one_connection(server: DiscordServer) -> None:
    line = Line(server)
    slowest = 0.0
    for _ in range(100):
        await line.start()
        began = time.monotonic()
        await line.stop()
        slowest = max(slowest, time.monotonic() - began)
    await line.start()
    await line.asked()
    await line.deliver()
    assert texts(server) == ["답변 1"]
    await until(lambda: len(server.pipes) == 1 and len(server.sessions) == 1)
    assert server.connections <= 2  # the gateway's and the REST client's
    keeping_alive = [each for each in threading.enumerate() if "keep-alive" in each.name]
    assert len(keeping_alive) == 1
    assert slowest < 1
    await line.stop()
    await until(lambda: server.connections == 0)


async def test_it_stops_in_time_when_nobody_answers(line: Line) -> None:
    for pipe in line.server.pipes:  # a network that swallows everything
        pipe.transport.pause_reading()  # type: ignore[union-attr]
    began = time.monotonic()
    await line.stop()
    assert time.monotonic() - began < 1


async def test_a_gateway_that_is_not_there_is_tried_again_by_whoever_runs_the_channel(
    server: DiscordServer,
) -> None:
    line = Line(server, gateway="ws://127.0.0.1:9/")
    await line.start()
    with pytest.raises(ChannelDown):
        await line.running
    await until(lambda: server.connections == 0)


async def test_it_stops_asking_before_discord_shuts_it_out(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_REFUSALS", 3)
    await line.stop()
    await line.start()
    line.server.faults += [Fault(on=POSTS, kind="403") for _ in range(9)]
    for number in range(3):
        assert (await line.deliver(number)).outcome == "refused"
    with pytest.raises(ChannelDown):
        await line.deliver(3)
    assert len(line.server.made(POSTS)) == 3


# ---- what is logged


async def test_no_token_and_no_words_are_logged(
    server: DiscordServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="aiohttp.access")  # of the server, which is not ours
    line = Line(server)
    await line.start()
    server.faults += [
        Fault(on=r"PATCH /webhooks/.*", kind="429"),
        Fault(on=POSTS, kind="429"),
        Fault(on=POSTS, kind="503"),
        Fault(on=r".*/typing", kind="403"),
    ]
    token = await server.slash("help", {"text": "비밀스러운 말"})
    message = await line.heard()
    await line.deliver(in_reply_to=message.id, text="비밀스러운 답")
    await line.channel.show(IN_DM, Draft(text="비밀스러운 초안"))
    await line.channel.show(
        Address(channel="discord", conversation=CHANNEL, user=BOB), Draft(text="")
    )
    await line.deliver(2, text="비밀스러운 답")
    await line.asked("비밀스러운 질문")
    server.cut()
    await until(lambda: server.resumes)
    await line.stop()
    stranger = Line(server, token="wrong-secret")
    await stranger.start()
    await stranger.stop()
    for secret in (TOKEN, token, "interaction-token", "비밀스러운", "wrong-secret"):
        assert secret not in caplog.text
