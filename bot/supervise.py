"""Keeps a channel running: starts it again with growing pauses, notices when it fell silent, stops it for certain."""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from adapters.base import Accept, Adapter
from brain.errors import SangdamError, StoreError
from brain.messages import Event

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a failed channel is started again; doubled at each failure, each time half to all of it."""
STEADY = 60.0
"""Seconds after which a running channel counts as well again."""
STALLED = 90.0
"""Seconds without a sign of life from its platform after which a channel is started again."""
LOOK_EVERY = 5.0
"""Seconds between two looks for signs of life."""
STOPS_WITHIN = 10.0
"""Seconds in which a channel has to stop."""


class Supervisor:
    """One channel, running or provably not."""

    def __init__(
        self,
        adapter: Adapter,
        accept: Accept,
        *,
        pause: float = FIRST_PAUSE,
        stalled: float = STALLED,
        look_every: float = LOOK_EVERY,
        stops_within: float = STOPS_WITHIN,
    ) -> None:
        self._adapter = adapter
        self._accept = accept
        self._first_pause = pause
        self._stalled = stalled
        self._look_every = look_every
        self._stops_within = stops_within
        self._task: asyncio.Task[None] | None = None
        self.problem = ""
        """What is wrong with it, empty while it runs."""
        self.starts = 0
        """How often it was started."""

    @property
    def name(self) -> str:
        """The channel's."""
        return self._adapter.name

    def start(self) -> asyncio.Task[None]:
        """Run the channel until it ends by itself or `stop` is called."""
        self._task = asyncio.create_task(self._supervise(), name=self.name)
        return self._task

    async def stop(self) -> None:
        """Stop it. What a channel that does not obey may still hand in is refused."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _supervise(self) -> None:
        pause = self._first_pause
        while True:
            began = time.monotonic()
            self.starts += 1
            self.problem = await self._run_once()
            if not self.problem:
                return
            if time.monotonic() - began > STEADY:
                pause = self._first_pause
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            log.error(
                "channel_failed", channel=self.name, reason=self.problem, again_in=round(wait, 1)
            )
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_once(self) -> str:
        """One life of the channel; why it ended, empty when it was done."""
        door = _Door(self._accept)
        began = time.monotonic()
        running = asyncio.create_task(self._adapter.run(door.accept), name=f"{self.name}.run")
        try:
            while not (await asyncio.wait({running}, timeout=self._look_every))[0]:
                self.problem = ""
                heard = self._adapter.heard
                # What the life before heard last says nothing about this one.
                if heard is not None and time.monotonic() - max(heard, began) > self._stalled:
                    door.close()
                    while not await self._ended(running):  # never two lives at a time
                        pass
                    return f"silent for {self._stalled:.0f} s"
            if running.cancelled():
                return "cancelled by itself"
            failure = running.exception()
            return "" if failure is None else _reason(failure)
        finally:
            door.close()
            await self._ended(running)

    async def _ended(self, running: asyncio.Task[None]) -> bool:
        """Cancel it; whether it obeyed."""
        running.cancel()
        await asyncio.wait({running}, timeout=self._stops_within)
        if not running.done():
            log.error("channel_does_not_stop", channel=self.name)
        elif not running.cancelled():
            running.exception()  # looked at, lest asyncio prints it: it may quote a token
        return running.done()


def _reason(failure: BaseException) -> str:
    """Our own words only: a client library's may quote a token."""
    return str(failure) if isinstance(failure, SangdamError) else type(failure).__name__


class _Door:
    """Where one life of a channel hands in its events; shut when that life is over."""

    def __init__(self, accept: Accept) -> None:
        self._accept: Accept | None = accept

    async def accept(self, event: Event) -> None:
        if self._accept is None:
            raise StoreError("the channel was stopped")
        await self._accept(event)

    def close(self) -> None:
        self._accept = None
