"""One turn at a time within a conversation, conversations side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.turns import Turns
from brain.messages import Address, Message


def message(conversation: str, number: int) -> Message:
    address = Address(channel="fake", conversation=conversation, user="u")
    return Message(
        id=f"{conversation}-{number}", address=address, text="", sent_at=datetime.now(UTC)
    )


async def test_order_within_and_parallel_across_conversations() -> None:
    running: dict[str, int] = {}
    most = 0
    done: dict[str, list[str]] = {"a": [], "b": [], "c": []}

    async def run(messages: Sequence[Message]) -> None:
        nonlocal most
        conversation = messages[0].address.conversation
        running[conversation] = running.get(conversation, 0) + 1
        assert running[conversation] == 1
        most = max(most, sum(running.values()))
        await asyncio.sleep(0.001)
        running[conversation] -= 1
        done[conversation].append(messages[0].id)

    turns = Turns(run)
    for number in range(10):
        for conversation in done:
            turns.put(message(conversation, number))
    await turns.drain(5)
    assert done == {c: [f"{c}-{n}" for n in range(10)] for c in done}
    assert most == 3
    assert turns._waiting == {}
    assert turns._tasks == set()


async def test_drain_gives_up_after_its_time() -> None:
    async def run(messages: Sequence[Message]) -> None:
        await asyncio.sleep(60)

    turns = Turns(run)
    turns.put(message("a", 1))
    await turns.drain(0.01)
    assert turns._waiting == {}
