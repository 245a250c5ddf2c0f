"""A running Telegram channel with the gateway's side in the open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from adapters.presentation import Labels
from adapters.telegram.channel import Telegram
from brain.messages import Address, Draft, Event, Receipt, Reply
from tests.wire.telegram_server import TOKEN, TelegramServer

LABELS = Labels(source="출처: {document} · {heading}", choices="고르실 수 있습니다")
CUSTOMER = Address(channel="telegram", conversation="111", user="111")
GROUP = Address(channel="telegram", conversation="-100500", user="111")
SECRET = "a-secret_0123456789"


class Post:
    """A running channel and what it handed in."""

    def __init__(self, server: TelegramServer, **options: Any) -> None:
        given = {"token": TOKEN, "base_url": server.host, "labels": lambda: LABELS}
        self.server = server
        self.channel = Telegram(**{**given, "timeout": 2.0, "poll": 2.0, **options})
        self.events: list[Event] = []
        self.failures: list[Exception] = []
        """What the next hand-ins meet."""
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.channel.run(self.accept))

    async def accept(self, event: Event) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.events.append(event)

    async def stop(self) -> None:
        if self.running:
            self.running.cancel()
            await asyncio.wait({self.running})

    async def heard(self, number: int = 1) -> list[Any]:
        await until(lambda: len(self.events) >= number)
        return self.events

    async def deliver(
        self, text: str = "네, 고객님.", to: Address = CUSTOMER, **more: Any
    ) -> Receipt:
        return await self.channel.deliver(to, reply(text, **more))

    async def draw(self, *texts: str, to: Address = CUSTOMER) -> None:
        for text in texts:
            await self.channel.show(to, Draft(text=text))

    def texts(self, chat: int = 111) -> list[str]:
        return [each.text for each in self.server.shown[chat]]


def reply(text: str = "네, 고객님.", **more: Any) -> Reply:
    return Reply(**{"id": "t1", "in_reply_to": "m1", "text": text, "kind": "command", **more})


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(server: TelegramServer, **options: Any) -> AsyncIterator[Post]:
    post = Post(server, **options)
    post.start()
    await until(lambda: server.polls or server.webhook)
    try:
        yield post
    finally:
        await post.stop()
