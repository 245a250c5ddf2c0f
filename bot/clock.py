"""Time as the gateway waits by it, so that tests can let hours pass in an instant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> datetime:
        """Aware time; may jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait until `event` is set, at most `seconds`; whether it is."""
        ...


class SystemClock:
    """The machine's own time."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` may pretend another date; waiting is real."""
        self.now = now
        self.monotonic = time.monotonic

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True


async def sleep(clock: Clock, seconds: float) -> None:
    """Let `seconds` pass by that clock."""
    await clock.wait(asyncio.Event(), seconds)
