"""What one customer, and all together, may ask in a span of time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from limits import RateLimitItem, RateLimitItemPerDay, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from brain.messages import Address

Exceeded = Literal["customer_rate", "global_rate", "quota"]
"""Which limit was met."""

SWEEP_SECONDS = 60.0
"""How often counters that ran out are thrown away."""


class Limits:
    """Counts messages; the counters of past spans are forgotten."""

    def __init__(self, *, customer: str, everybody: str, quota: int, timezone: str) -> None:
        """`customer` and `everybody` as in `20/minute`, empty for none; `quota` a day, 0 for none.

        A day is one of the company's. Raises ValueError for a rate that cannot be read.
        """
        self._customer = parse(customer) if customer else None
        self._everybody = parse(everybody) if everybody else None
        self._quota = RateLimitItemPerDay(quota) if quota else None
        self._zone = ZoneInfo(timezone)
        self._limiter = FixedWindowRateLimiter(_Counters())

    async def exceeded(self, address: Address, messages: int, now: datetime) -> Exceeded | None:
        """Counts `messages` of a customer; the limit that they exceed, the widest one first."""
        day = now.astimezone(self._zone).date().isoformat()
        checks: tuple[tuple[Exceeded, RateLimitItem | None, tuple[str, ...]], ...] = (
            ("quota", self._quota, (address.person, day)),
            ("customer_rate", self._customer, (address.person,)),
            ("global_rate", self._everybody, ()),
        )
        limits = [(name, rate, keys) for name, rate, keys in checks if rate]
        for name, rate, keys in limits:
            if not await self._limiter.test(rate, *keys, cost=messages):
                return name  # what is refused is not counted anywhere
        for _, rate, keys in limits:
            await self._limiter.hit(rate, *keys, cost=messages)
        return None

    async def start(self, asked: Mapping[str, int], now: datetime) -> None:
        """Take over what each person (`channel:user`) asked today before this start."""
        if self._quota:
            day = now.astimezone(self._zone).date().isoformat()
            for person, messages in asked.items():
                await self._limiter.hit(self._quota, person, day, cost=messages)


class _Counters(Storage):
    """Counters in memory.

    The library's own looks through every counter at every message, which with a hundred thousand
    customers takes longer than answering.
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, tuple[int, float]] = {}
        self._swept = time.monotonic()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may be raised by it: nothing."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Adds to a counter that lives `expiry` seconds from its first count."""
        self._sweep()
        count, ends = self._living(key) or (0, time.time() + expiry)
        self._counts[key] = (count + amount, ends)
        return count + amount

    async def get(self, key: str) -> int:
        """The count."""
        return (self._living(key) or (0, 0.0))[0]

    async def get_expiry(self, key: str) -> float:
        """When the count ends, seconds since 1970."""
        return (self._living(key) or (0, time.time()))[1]

    async def check(self) -> bool:
        """Whether it works."""
        return True

    async def reset(self) -> int | None:
        """Forgets every count."""
        counters = len(self._counts)
        self._counts.clear()
        return counters

    async def clear(self, key: str) -> None:
        """Forgets one count."""
        self._counts.pop(key, None)

    def _living(self, key: str) -> tuple[int, float] | None:
        found = self._counts.get(key)
        return found if found and found[1] > time.time() else None

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            ended = time.time()
            self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > ended}
