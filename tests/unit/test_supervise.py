"""A channel that is kept running, and is provably stopped when it should be."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from adapters.base import Accept, Capabilities
from bot import supervise
from bot.supervise import Supervisor
from brain.errors import ChannelDown, StoreError
from brain.messages import Address, Draft, Event, Message, Receipt, Reply

MESSAGE = Message(
    id="m",
    address=Address(channel="moody", conversation="c", user="u"),
    text="",
    sent_at=datetime(2026, 1, 5, tzinfo=UTC),
)
Life = Callable[["Moody", Accept], Awaitable[None]]


class Moody:
    """A channel with a script for each of its lives; the last one is for all that follow."""

    name = "moody"
    capabilities = Capabilities()

    def __init__(self, *lives: Life) -> None:
        self.lives = lives
        self.begun = self.alive = self.most_alive = 0
        self.heard: float | None = None
        self.accepts: list[Accept] = []
        self.obeys = asyncio.Event()

    async def run(self, accept: Accept) -> None:
        life = self.lives[min(self.begun, len(self.lives) - 1)]
        self.begun += 1
        self.alive += 1
        self.most_alive = max(self.alive, self.most_alive)
        self.accepts.append(accept)
        try:
            await life(self, accept)
        finally:
            self.alive -= 1

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        raise NotImplementedError

    async def show(self, address: Address, draft: Draft) -> None:
        raise NotImplementedError


async def healthy(moody: Moody, accept: Accept) -> None:
    await asyncio.Event().wait()


async def done(moody: Moody, accept: Accept) -> None:
    return


async def down(moody: Moody, accept: Accept) -> None:
    raise ChannelDown("the platform is away")


async def leaks(moody: Moody, accept: Accept) -> None:
    raise RuntimeError("https://api.example/bot12345:SECRET")


async def cancels_itself(moody: Moody, accept: Accept) -> None:
    raise asyncio.CancelledError


async def deaf(moody: Moody, accept: Accept) -> None:
    """It connects, and then nothing is heard any more."""
    moody.heard = time.monotonic()
    await asyncio.Event().wait()


async def lively(moody: Moody, accept: Accept) -> None:
    while True:
        moody.heard = time.monotonic()
        await asyncio.sleep(0.002)


async def stubborn(moody: Moody, accept: Accept) -> None:
    moody.heard = time.monotonic()
    while not moody.obeys.is_set():
        try:
            await moody.obeys.wait()
        except asyncio.CancelledError:
            continue


async def fails_when_stopped(moody: Moody, accept: Accept) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await leaks(moody, accept)


class House:
    """A supervisor whose times are short."""

    def __init__(self, *lives: Life, pause: float = 0.0, stalled: float = 0.03) -> None:
        self.moody = Moody(*lives)
        self.events: list[Event] = []
        self.supervisor = Supervisor(
            self.moody,
            self.accept,
            pause=pause,
            stalled=stalled,
            look_every=0.005,
            stops_within=0.02,
        )

    async def accept(self, event: Event) -> None:
        self.events.append(event)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.001)


@pytest.fixture
async def houses() -> AsyncIterator[list[House]]:
    """Whoever is in it is stopped at the end."""
    houses: list[House] = []
    yield houses
    for house in houses:
        house.moody.obeys.set()
        await house.supervisor.stop()
        assert house.moody.alive == 0


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between two lives, none of them slept."""
    asked: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds > 0.01:
            asked.append(seconds)
        await real(0 if seconds > 0.01 else seconds)

    monkeypatch.setattr(supervise.asyncio, "sleep", sleep)
    monkeypatch.setattr(supervise.random, "uniform", lambda low, high: high)
    return asked


async def test_a_channel_that_is_done_is_not_started_again() -> None:
    house = House(done)
    await house.supervisor.start()
    assert (house.supervisor.starts, house.supervisor.problem) == (1, "")


@pytest.mark.parametrize(
    ("life", "reason"),
    [
        (down, "the platform is away"),
        (leaks, "RuntimeError"),
        (cancels_itself, "cancelled by itself"),
    ],
)
async def test_a_channel_that_fails_is_started_again(
    houses: list[House], life: Life, reason: str
) -> None:
    house = House(life, life, healthy)
    houses.append(house)
    with capture_logs() as logs:
        house.supervisor.start()
        await house.until(lambda: house.moody.begun == 3)
    await house.until(lambda: house.supervisor.problem == "")
    failures = [line for line in logs if line["event"] == "channel_failed"]
    assert [(line["channel"], line["reason"]) for line in failures] == [("moody", reason)] * 2
    assert "SECRET" not in str(logs)
    assert house.supervisor.starts == 3


async def test_pauses_double_up_to_a_minute(sleeps: list[float]) -> None:
    house = House(*[down] * 9, done, pause=1.0)
    await house.supervisor.start()
    assert sleeps == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_pauses_are_short_again_after_a_steady_life(
    sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    async def steady(moody: Moody, accept: Accept) -> None:
        nonlocal now
        now += supervise.STEADY + 1
        raise ChannelDown("after a good while")

    monkeypatch.setattr(supervise.time, "monotonic", lambda: now)
    house = House(down, down, down, steady, down, done, pause=1.0)
    await house.supervisor.start()
    assert sleeps == [1, 2, 4, 1, 2]


async def test_a_silent_channel_is_started_again(houses: list[House]) -> None:
    house = House(deaf, lively)
    houses.append(house)
    with capture_logs() as logs:
        house.supervisor.start()
        await house.until(lambda: house.moody.begun == 2)
    assert house.moody.most_alive == 1
    assert "silent" in next(line["reason"] for line in logs if line["event"] == "channel_failed")


async def test_the_silence_of_the_life_before_is_not_held_against_the_next(
    houses: list[House],
) -> None:
    connected = asyncio.Event()

    async def slow_to_connect(moody: Moody, accept: Accept) -> None:
        await asyncio.sleep(0.02)  # several looks, less than a silence
        connected.set()
        await lively(moody, accept)

    house = House(slow_to_connect, stalled=1000.0)
    house.moody.heard = time.monotonic() - 5000
    houses.append(house)
    house.supervisor.start()
    await house.until(connected.is_set)
    assert house.supervisor.starts == 1


async def test_silence_means_nothing_where_a_channel_says_so(houses: list[House]) -> None:
    house = House(healthy, stalled=0.0)
    houses.append(house)
    house.supervisor.start()
    await asyncio.sleep(0.05)
    assert house.supervisor.starts == 1


async def test_there_are_never_two_lives_at_once(houses: list[House]) -> None:
    house = House(stubborn, healthy)
    houses.append(house)
    with capture_logs() as logs:
        house.supervisor.start()
        stuck = {"event": "channel_does_not_stop", "channel": "moody", "log_level": "error"}
        await house.until(lambda: logs.count(stuck) >= 2)
        assert (house.moody.begun, house.moody.alive) == (1, 1)
        house.moody.obeys.set()
        await house.until(lambda: house.moody.begun == 2)
    assert house.moody.most_alive == 1


async def test_events_of_a_living_channel_get_in(houses: list[House]) -> None:
    house = House(healthy)
    houses.append(house)
    house.supervisor.start()
    await house.until(lambda: bool(house.moody.accepts))
    await house.moody.accepts[0](MESSAGE)
    assert house.events == [MESSAGE]


async def test_events_of_a_life_that_is_over_are_refused(houses: list[House]) -> None:
    house = House(down, healthy)
    houses.append(house)
    house.supervisor.start()
    await house.until(lambda: len(house.moody.accepts) == 2)
    with pytest.raises(StoreError, match="stopped"):
        await house.moody.accepts[0](MESSAGE)
    await house.moody.accepts[1](MESSAGE)
    assert house.events == [MESSAGE]


async def test_events_of_a_channel_that_does_not_stop_are_refused(houses: list[House]) -> None:
    house = House(stubborn)
    houses.append(house)
    house.supervisor.start()
    await house.until(lambda: bool(house.moody.accepts))
    await house.supervisor.stop()
    assert house.moody.alive == 1
    with pytest.raises(StoreError, match="stopped"):
        await house.moody.accepts[0](MESSAGE)
    assert house.events == []
    house.moody.obeys.set()
    await house.until(lambda: house.moody.alive == 0)


async def test_stopping_stops_it() -> None:
    house = House(healthy)
    await house.supervisor.stop()  # nothing runs yet
    house.supervisor.start()
    await house.until(lambda: house.moody.alive == 1)
    await house.supervisor.stop()
    assert house.moody.alive == 0
    await house.supervisor.stop()
    assert house.supervisor.starts == 1


async def test_what_a_stopped_channel_says_is_not_printed() -> None:
    """asyncio would print an exception that nobody looked at, and it may quote a token."""
    printed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: printed.append(context))

    async def lives_and_stops() -> None:
        house = House(fails_when_stopped)
        house.supervisor.start()
        await house.until(lambda: house.moody.alive == 1)
        await house.supervisor.stop()

    await lives_and_stops()
    for _ in range(10):  # until the loop lets go of its timers, and so of the channel's task
        await asyncio.sleep(0.01)
        gc.collect()
    assert printed == []
