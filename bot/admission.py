"""How many answers are generated at a time, and who is next: the model's server protects itself from nothing."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

from brain.errors import Busy
from brain.messages import Address

T = TypeVar("T")
REMEMBERED = 10_000
"""Places kept for conversations that were interrupted and are expected back."""


class Admission:
    """First come, first served; as a conversation has one turn at a time, that is fair between them."""

    def __init__(self, *, parallel: int, queue: int) -> None:
        """`parallel` answers at a time, and at most `queue` waiting for their turn."""
        self._free = self._parallel = parallel
        self._queue = queue
        self._numbers = count()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._places: dict[Address, int] = {}
        self._idle = asyncio.Event()
        self._one = asyncio.Lock()
        self._spare: asyncio.Future[Any] | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(not place.done() for _, place in self._waiting)

    @asynccontextmanager
    async def slot(self, address: Address) -> AsyncIterator[None]:
        """Holds the model for one answer. Raises Busy when too many wait already.

        Who is interrupted, because the customer added something, keeps the place.
        """
        number = self._places.pop(address, None)
        if number is None:
            if not self._free and self.waiting >= self._queue:
                raise Busy(self.waiting)
            number = next(self._numbers)
        try:
            await self._enter(number)
            try:
                yield
            finally:
                self._pass_on()
        except asyncio.CancelledError:
            self._places[address] = number
            if len(self._places) > REMEMBERED:
                del self._places[next(iter(self._places))]
            raise

    async def spare(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` gives, done alone while no customer needs the model; None if one came meanwhile."""
        async with self._one:
            while self._free < self._parallel:
                await self._idle.wait()
            task = self._spare = asyncio.ensure_future(work())
            try:
                await asyncio.wait({task})
            finally:
                self._spare = None
                if task.cancel():
                    await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    async def _enter(self, number: int) -> None:
        if self._spare is not None:
            self._spare.cancel()
        if self._free:
            self._free -= 1
            self._idle.clear()
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (number, place)
        heapq.heappush(self._waiting, entry)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._pass_on()
            elif entry in self._waiting:
                # The same number may wait again, and two of one cannot be ordered.
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            _, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
        if self._free == self._parallel:
            self._idle.set()
