"""A running Discord channel with the gateway's side in the open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from adapters.discord import TEXTS, Discord, SlashCommand
from brain.errors import ChannelDown, ConfigError, StoreError
from brain.messages import Address, Event, Receipt, Reply
from tests.wire.discord_gateway import ALICE, CHANNEL, DM, GUILD, TOKEN
from tests.wire.discord_server import DiscordServer

IN_DM = Address(channel="discord", conversation=DM, user=ALICE)
IN_CHANNEL = Address(channel="discord", conversation=CHANNEL, user=ALICE)
POSTS = r"POST /channels/\d+/messages"
EDITS = r"PATCH /channels/\d+/messages/\d+"
COMMANDS = (
    SlashCommand(name="help", korean_name="도움말", description="Lists", korean_description="목록"),
    SlashCommand(
        name="search",
        korean_name="검색",
        description="Searches",
        korean_description="찾습니다",
        admin=True,
        argument=("Words", "찾을 말"),
    ),
)


class Line:
    """The channel, running, with the gateway's side in the open."""

    def __init__(self, server: DiscordServer, **options: Any) -> None:
        self.server = server
        given = {
            "token": TOKEN,
            "texts": {name: name for name in TEXTS},
            "api_base": server.api_base,
            "commands": COMMANDS,
        }
        self.channel = Discord(**{**given, **options})
        self.events: list[Event] = []
        self.failing = 0

    async def accept(self, event: Event) -> None:
        if self.failing:
            self.failing -= 1
            raise StoreError("the disk is full")
        self.events.append(event)

    async def start(self) -> None:
        self.running = asyncio.create_task(self.channel.run(self.accept))
        await until(lambda: self.running.done() or self._inside())

    def _inside(self) -> bool:
        connection = self.channel._connection
        return connection is not None and connection.get_guild(int(GUILD)) is not None

    async def stop(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError, ChannelDown, ConfigError):
            await self.running

    async def heard(self, count: int = 1) -> Any:
        await until(lambda: len(self.events) >= count)
        await asyncio.sleep(0.02)
        assert len(self.events) == count
        return self.events[-1]

    async def deliver(self, number: object = 1, to: Address = IN_DM, **changes: Any) -> Receipt:
        return await self.channel.deliver(to, reply(number, **changes))

    async def asked(self, text: str = "배송비 얼마예요?") -> Any:
        """A question in private, handed in."""
        await self.server.say(text)
        return await self.heard(len(self.events) + 1)


def reply(number: object = 1, **changes: Any) -> Reply:
    given = {"id": f"t{number}", "in_reply_to": "m1", "text": f"답변 {number}", "kind": "answer"}
    return Reply(**{**given, **changes})


async def until(holds: Any) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


def texts(server: DiscordServer, channel: str = DM) -> list[str]:
    return [message["content"] for message in server.shown(channel)]


@asynccontextmanager
async def served() -> AsyncIterator[DiscordServer]:
    """A server that has seen, at its end, no send that may ping or come twice."""
    async with DiscordServer() as running:
        yield running
    sends = [
        call for call in running.calls
        if isinstance(call.body, dict) and "content" in call.body
    ]  # fmt: skip
    for call in sends:  # whatever a test did
        assert call.body["allowed_mentions"] == {"parse": [], "replied_user": False}
        assert (
            call.what.startswith(("PATCH", "POST /webhooks")) or call.body["enforce_nonce"] is True
        )


@asynccontextmanager
async def opened(server: DiscordServer) -> AsyncIterator[Line]:
    """The channel, running."""
    line = Line(server)
    await line.start()
    yield line
    await line.stop()
