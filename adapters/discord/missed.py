"""What was said on Discord while nobody listened: looked up at each new session, place by place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import discord
from discord.utils import time_snowflake

from brain.errors import SangdamError

Known = Callable[[], Awaitable[Mapping[int, int]]]
"""Asks for the places of earlier runs: the last event of each, by its id."""

Take = Callable[[discord.Message], Awaitable[None]]

PLACES: Final = 50
"""Places that are looked at, the latest first."""
MESSAGES: Final = 100
"""Of each place, the oldest first."""
OLDEST: Final = timedelta(hours=24)
"""What is older is not answered any more."""
SECONDS = 20.0
"""For all of it; what comes meanwhile waits, for it is newer."""
PAUSES: Final = (5.0, 30.0, 120.0)
"""Seconds before what could not be read is asked for again; then what comes waits no more."""

_log = logging.getLogger(__name__)


async def nowhere() -> Mapping[int, int]:
    """No place of earlier runs."""
    return {}


class Missed:
    """Remembers how far each place was read, and reads on from there."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._last: dict[int, int] = {}
        self._unread: dict[int, int] = {}
        self._begun = False
        self._found: set[int] = set()
        self._catching_up: asyncio.Task[None] | None = None
        self._reading_on = asyncio.Event()
        self._reading_on.set()

    def saw(self, place: int, event: int, *, ours: bool) -> None:
        """An event of a place was handed in; only where some are for us is it worth looking again."""
        if ours or place in self._last:
            self._last[place] = max(event, self._last.get(place, 0))

    def begin(self) -> None:
        """A session has begun: what comes has to wait until `ready` has found what was missed."""
        self._reading_on.clear()
        self._found.clear()
        # What comes from now on moves `_last`, past what may have been missed.
        self._unread = {**self._last, **self._unread}
        self._begun = True

    async def ready(self, client: discord.Client, take: Take) -> None:
        """The session's places are known: what was missed in them is given to `take`."""
        await self.stop()
        self.begin()
        self._catching_up = asyncio.create_task(self._catch_up(client, take))

    async def stop(self) -> None:
        """Look no further for now."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait({self._catching_up})

    async def _catch_up(self, client: discord.Client, take: Take) -> None:
        for pause in (*PAUSES, None):
            try:
                async with asyncio.timeout(SECONDS), aclosing(self._look(client)) as said:
                    async for message in said:
                        await take(message)
            except TimeoutError:
                _log.warning("not all that was missed could be read in time")
            finally:
                self._reading_on.set()
            if pause is None or not (self._begun or self._unread):
                return
            await asyncio.sleep(pause)

    async def over(self, message: int) -> bool:
        """Returns once it is the turn of what comes now; whether `message` is among what was missed."""
        try:
            async with asyncio.timeout(2 * SECONDS):
                await self._reading_on.wait()
        except TimeoutError:
            self._reading_on.set()
        return message in self._found

    async def _look(self, client: discord.Client) -> AsyncGenerator[discord.Message, None]:
        """What came in the known places since, oldest first in each."""
        if self._begun:
            await self._find_places(client)
        oldest = time_snowflake(datetime.now(UTC) - OLDEST)
        unread = self._unread
        for place in sorted(unread, key=lambda each: unread[each], reverse=True)[:PLACES]:
            try:
                async for message in self._since(client, place, max(unread[place], oldest)):
                    self._found.add(message.id)
                    yield message
                    unread[place] = message.id
            except (discord.NotFound, discord.Forbidden, discord.InvalidData):
                unread.pop(place)  # gone, or closed to us by now
            except (discord.DiscordException, aiohttp.ClientError, OSError, SangdamError) as failed:
                _log.info("what was missed in a place is not known yet: %s", type(failed).__name__)
            else:
                unread.pop(place)
        for place in sorted(unread, key=lambda each: unread[each], reverse=True)[PLACES:]:
            unread.pop(place)

    async def _find_places(self, client: discord.Client) -> None:
        """Add those of earlier runs, and those in which threads began."""
        try:
            for place, event in (await self._known()).items():
                if place not in self._last:
                    self._unread.setdefault(place, event)
        except SangdamError as failed:
            _log.warning("the places of earlier runs are not known: %s", type(failed).__name__)
            return
        self._begun = False
        for place in list(self._unread):
            channel = client.get_channel(place)
            if isinstance(channel, discord.Thread):  # numbered as the message that it began with
                parent = channel.parent_id
                self._unread[parent] = max(place, self._unread.get(parent, 0))

    @staticmethod
    async def _since(
        client: discord.Client, place: int, event: int
    ) -> AsyncGenerator[discord.Message, None]:
        channel = client.get_channel(place) or await client.fetch_channel(place)
        if isinstance(channel, discord.abc.Messageable):
            after = discord.Object(event)
            async for message in channel.history(limit=MESSAGES, after=after, oldest_first=True):
                yield message
