"""What one customer, and all together, may ask in a span of time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot import limits
from bot.limits import Limits
from brain.messages import Address

SEOUL = ZoneInfo("Asia/Seoul")
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=SEOUL)
ANNA = Address(channel="web", conversation="c1", user="anna")
BORA = Address(channel="web", conversation="c2", user="bora")


class Hours:
    """The machine's time, which stands still."""

    def __init__(self) -> None:
        self.passed = 0.0

    def time(self) -> float:
        return 1_800_000_000.0 + self.passed

    def monotonic(self) -> float:
        return self.passed


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(time, "time", hours.time)
    monkeypatch.setattr(limits, "time", hours)
    return hours


def made(
    customer: str = "", everybody: str = "", quota: int = 0, timezone: str = "Asia/Seoul"
) -> Limits:
    return Limits(customer=customer, everybody=everybody, quota=quota, timezone=timezone)


async def ask(
    limit: Limits, *addresses: Address, messages: int = 1, now: datetime = NOON
) -> list[str | None]:
    return [await limit.exceeded(address, messages, now) for address in addresses]


async def test_without_limits_everything_is_allowed(hours: Hours) -> None:
    assert await ask(made(), *[ANNA] * 500) == [None] * 500


async def test_one_customer_may_ask_so_often(hours: Hours) -> None:
    limit = made(customer="2/minute")
    assert await ask(limit, ANNA, ANNA, ANNA) == [None, None, "customer_rate"]
    assert await ask(limit, BORA) == [None]
    elsewhere = Address(channel="web", conversation="another tab", user="anna")
    assert await ask(limit, elsewhere) == ["customer_rate"]
    namesake = Address(channel="telegram", conversation="c1", user="anna")
    assert await ask(limit, namesake) == [None]
    hours.passed += 61
    assert await ask(limit, ANNA) == [None]


async def test_a_burst_counts_each_message(hours: Hours) -> None:
    limit = made(customer="5/minute")
    assert await ask(limit, ANNA, messages=3) == [None]
    assert await ask(limit, ANNA, messages=3) == ["customer_rate"]


async def test_all_together_may_ask_so_often(hours: Hours) -> None:
    limit = made(everybody="3/10seconds")
    assert await ask(limit, ANNA, BORA, ANNA, BORA) == [None, None, None, "global_rate"]
    hours.passed += 11
    assert await ask(limit, BORA) == [None]


async def test_the_widest_limit_is_named_first(hours: Hours) -> None:
    limit = made(customer="1/minute", everybody="1/minute", quota=1)
    assert await ask(limit, ANNA, ANNA) == [None, "quota"]
    assert await ask(made(customer="1/minute", everybody="1/minute"), ANNA, ANNA) == [
        None,
        "customer_rate",
    ]


@pytest.mark.parametrize(
    ("timezone", "last", "first"),
    [
        # Midnight in Seoul is three in the afternoon in Greenwich.
        ("Asia/Seoul", "2026-01-05T14:59:59", "2026-01-05T15:00:00"),
        ("UTC", "2026-01-05T23:59:59", "2026-01-06T00:00:00"),
        # A day of 23 hours.
        ("Europe/Berlin", "2026-03-29T21:59:59", "2026-03-29T22:00:00"),
    ],
)
async def test_the_day_is_the_companys(hours: Hours, timezone: str, last: str, first: str) -> None:
    limit = made(quota=2, timezone=timezone)
    tonight, tomorrow = (datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (last, first))
    morning = tonight - timedelta(hours=10)
    assert await ask(limit, ANNA, ANNA, now=morning) == [None, None]
    assert await ask(limit, ANNA, now=tonight) == ["quota"]
    assert await ask(limit, BORA, now=tonight) == [None]
    assert await ask(limit, ANNA, ANNA, ANNA, now=tomorrow) == [None, None, "quota"]


async def test_the_quota_goes_on_where_an_earlier_run_left_it(hours: Hours) -> None:
    limit = made(quota=3)
    await limit.start({"web:anna": 2, "web:bora": 7}, NOON)
    assert await ask(limit, ANNA, ANNA, BORA) == [None, "quota", "quota"]
    assert await ask(limit, BORA, now=NOON + timedelta(days=1)) == [None]
    await made().start({"web:anna": 2}, NOON)


async def test_counters_that_ran_out_are_thrown_away(hours: Hours) -> None:
    limit = made(customer="5/second")
    counts = limit._limiter.storage._counts
    for number in range(1000):
        customer = Address(channel="web", conversation="c", user=str(number))
        await limit.exceeded(customer, 1, NOON)
    assert len(counts) == 1000
    hours.passed += limits.SWEEP_SECONDS
    await ask(limit, ANNA)
    assert len(limit._limiter.storage._counts) == 1


async def test_the_counters_do_what_the_library_expects(hours: Hours) -> None:
    counters = limits._Counters()
    assert await counters.check()
    assert await counters.get("a") == 0
    assert await counters.incr("a", 10) == 1
    assert await counters.incr("a", 10, amount=4) == 5
    assert await counters.get("a") == 5
    assert await counters.get_expiry("a") == hours.time() + 10
    hours.passed += 10
    assert await counters.get("a") == 0
    assert await counters.incr("a", 10) == 1
    await counters.clear("a")
    assert await counters.get("a") == 0
    await counters.incr("b", 10)
    assert await counters.reset() == 1
    assert issubclass(counters.base_exceptions, Exception)


@pytest.mark.parametrize("rate", ["many", "20/fortnight"])
def test_a_rate_that_cannot_be_read_is_an_error(rate: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        made(customer=rate)
