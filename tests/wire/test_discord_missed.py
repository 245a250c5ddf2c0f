"""Discord: what was said while nobody listened is handed in when somebody does again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from adapters.discord import missed
from brain.messages import Message
from tests.wire.discord_channel import Line, served, until
from tests.wire.discord_gateway import ALICE, BOB, CHANNEL, DM
from tests.wire.discord_server import DiscordServer, Fault


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with served() as running:
        yield running


def said(line: Line) -> list[str]:
    return [each.text for each in line.events if isinstance(each, Message)]


async def missed_some(line: Line) -> None:
    """Private questions and one in a channel, with nobody there."""
    await line.asked("첫 질문")
    await line.server.say("첫 공개 질문", channel=CHANNEL, author=BOB, mention=True)
    await line.heard(2)
    await line.stop()
    for number in range(3):
        await line.server.say(f"놓친 질문 {number}")
    await line.server.say("우리끼리 하는 말", channel=CHANNEL, author=BOB)
    await line.server.say("놓친 공개 질문", channel=CHANNEL, author=BOB, mention=True)


MISSED = ["놓친 공개 질문", "놓친 질문 0", "놓친 질문 1", "놓친 질문 2"]


async def test_what_was_said_between_two_runs_is_heard_in_order_and_before_what_is_new(
    server: DiscordServer,
) -> None:
    line = Line(server)
    await line.start()
    await missed_some(line)
    await line.start()
    await server.say("새 질문")
    await line.heard(7)
    heard = said(line)[2:]
    assert sorted(heard[:-1]) == MISSED
    assert [each for each in heard if each.startswith("놓친 질문")] == MISSED[1:]
    assert heard[-1] == "새 질문"
    assert {each.address.conversation for each in line.events} == {DM, CHANNEL}
    assert len({each.id for each in line.events}) == 7
    await line.stop()


async def test_a_new_process_asks_from_where_the_store_left_off(server: DiscordServer) -> None:
    first = Line(server)
    await first.start()
    await missed_some(first)
    places = {int(each.address.conversation): int(each.id) for each in first.events}

    async def known() -> Mapping[int, int]:
        return places

    second = Line(server, known=known)
    await second.start()
    await second.heard(4)
    assert sorted(said(second)) == MISSED
    await second.stop()


async def test_a_place_that_is_closed_to_us_hides_no_other(server: DiscordServer) -> None:
    line = Line(server)
    await line.start()
    await missed_some(line)
    server.faults.append(Fault(on=rf"GET /channels/{CHANNEL}/messages", kind="403"))
    await line.start()
    await line.heard(5)
    assert said(line)[2:] == MISSED[1:]
    await line.stop()


async def test_it_is_bounded(server: DiscordServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "MESSAGES", 2)
    line = Line(server)
    await line.start()
    await missed_some(line)
    await line.start()
    await line.heard(5)
    assert "놓친 질문 2" not in said(line)
    await line.stop()


async def test_a_resumed_session_asks_nothing(server: DiscordServer) -> None:
    line = Line(server)
    await line.start()
    await line.asked()
    server.cut()
    await line.asked("이어진 질문")
    assert server.made(r"GET /channels/\d+/messages") == []
    assert [each.address.user for each in line.events] == [ALICE, ALICE]
    await line.stop()


async def test_what_cannot_be_read_now_is_read_later(
    server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed, "PAUSES", (0.1, 0.1))
    line = Line(server)
    await line.start()
    await missed_some(line)
    down = Fault(on=rf"GET /channels/{DM}/messages", kind="lost")
    server.faults += [down] * 4  # each asked twice by the client library
    await line.start()
    await until(lambda: "놓친 공개 질문" in said(line))
    await server.say("새 질문")
    await until(lambda: len(line.events) >= 7)
    assert set(said(line)[2:]) == {*MISSED, "새 질문"}
    await line.stop()
