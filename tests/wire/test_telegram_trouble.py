"""Telegram in a bad time: nothing is lost, doubled or out of order, and one poller is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.telegram import channel as telegram
from bot.supervise import Supervisor
from brain.errors import StoreError
from brain.messages import Event, Message
from tests.wire.telegram_channel import Post, until
from tests.wire.telegram_server import Fault, TelegramServer

FAULTS: tuple[Fault, ...] = ("flood", "conflict", "dropped", "lost", "error")


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        yield running


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    real = asyncio.sleep

    async def short(seconds: float, result: Any = None) -> Any:
        return await real(min(seconds, 0.01), result)

    monkeypatch.setattr(asyncio, "sleep", short)
    monkeypatch.setattr(telegram, "STORE_PAUSES", (0.01,))


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("seed", range(2))
async def test_a_bad_day(server: TelegramServer, seed: int) -> None:
    dice = random.Random(seed)
    kept: dict[str, str] = {}
    handed_in = 0
    post = Post(server)

    async def accept(event: Event) -> None:
        nonlocal handed_in
        assert isinstance(event, Message)
        handed_in += 1
        if dice.random() < 0.1:
            raise StoreError("disk full")
        kept.setdefault(event.id, event.text)
        if dice.random() < 0.1:
            raise StoreError("and then it crashed")

    supervisor = Supervisor(post.channel, accept, pause=0.001)
    supervisor.start()
    said = []
    for number in range(100):
        if dice.random() < 0.1:
            server.update(message={"message_id": 1, "from": "poison"})
        said.append(f"질문 {number}")
        server.say(said[-1])
        if dice.random() < 0.3:
            server.script("getUpdates", dice.choice(FAULTS))
        if dice.random() < 0.1:
            server.script("getMe", dice.choice(FAULTS))
        await asyncio.sleep(dice.random() * 0.01)
    await until(lambda: not server.waiting)
    await supervisor.stop()
    assert list(kept.values()) == said
    assert handed_in > len(said)
    assert supervisor.starts > 3


async def test_after_many_restarts_there_is_one_poller(server: TelegramServer) -> None:
    post = Post(server)
    for number in range(30):
        polls = len(server.polls)
        post.start()
        await until(lambda polls=polls: len(server.polls) > polls)  # type: ignore[misc]
        last = server.say(f"질문 {number}")
        await until(lambda last=last: any(each.id.startswith(f"{last}.") for each in post.events))  # type: ignore[misc]
        if number < 29:
            await post.stop()
    await asyncio.sleep(0.05)
    assert server.polling == 1
    # What was not confirmed before the stop came again, and is recognised by its id.
    heard = {each.id: each.text for each in post.events if isinstance(each, Message)}
    assert list(heard.values()) == [f"질문 {number}" for number in range(30)]
    await post.stop()
    await until(lambda: server.polling == 0)
