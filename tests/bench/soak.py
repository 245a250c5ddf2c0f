"""A million messages from a hundred thousand users, the model taking no time: memory, speed, own work.

Every user speaks once before anybody speaks again. Memory is taken at every twentieth of that, and its
slope is that of a straight line through all that came after the first tenth of the messages.

python tests/bench/soak.py [--messages 1000000] [--users 100000] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from echo import EchoBrain, Verdict, Wire, idle, log_to, message, percentile, prompts, rss, running

from bot.gateway import Gateway
from brain.messages import Address, Reply

AT_ONCE = 32
SLOPE_MB, P99_MS = 5.0, 100.0
"""The targets; what one message takes is measured with `AT_ONCE` of them under way."""


class Watched:
    """When each message was handed in, and how long its reply took; the last hundred thousand."""

    def __init__(self) -> None:
        self.handed_in: dict[str, tuple[float, asyncio.Event]] = {}
        self.took: list[float] = []

    def seen(self, address: Address, reply: Reply) -> None:
        """A reply is visible."""
        now = time.perf_counter()
        for number in reply.text.split():
            began, over = self.handed_in.pop(number)
            self.took.append(now - began)
            over.set()

    async def one(self, gateway: Gateway, number: int, user: int) -> None:
        """A message and its reply."""
        over = asyncio.Event()
        self.handed_in[str(number)] = (time.perf_counter(), over)
        await gateway.accept(message(number, user))
        await over.wait()


async def main(messages: int, users: int, folder: Path) -> int:
    watched = Watched()
    every = max(1, users // 20)
    points: list[tuple[float, float]] = []
    path = folder / "soak.db"
    async with running(path, EchoBrain(prompts()), Wire(watched.seen)) as gateway:
        began = lap = time.perf_counter()
        p99s: list[float] = []
        rates: list[float] = []
        for first in range(0, messages, every):
            numbers = iter(range(first, min(first + every, messages)))

            async def worker(numbers=numbers) -> None:
                for number in numbers:
                    await watched.one(gateway, number, number % users)

            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
            await idle(gateway)
            now = time.perf_counter()
            rates.append(every / (now - lap))
            p99s.append(percentile(watched.took, 0.99) * 1000)
            watched.took.clear()
            lap = now
            points.append(((first + every) / users, rss()))
            if len(points) % 20 == 0:
                print(
                    f"{first + every:9} messages  {rss():7.1f} MB  {statistics.mean(rates[-20:]):6.0f} /s"
                    f"  p99 {statistics.median(p99s[-20:]):6.1f} ms  {path.stat().st_size / 1e6:6.0f} MB on disk",
                    flush=True,
                )
        took = time.perf_counter() - began
    warm = [point for point in points if point[0] * users >= messages / 10]
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope * 100_000 / users
    p99 = statistics.median(p99s)
    print(
        f"{messages} messages from {users} users in {took:.0f} s; "
        f"memory {warm[0][1]:.1f} MB when warm, {warm[-1][1]:.1f} MB in the end, {max(p[1] for p in points):.1f} MB at most"
    )
    verdict = Verdict()
    verdict.check(
        "MB for 100,000 users more", f"{slope:.2f}", f"< {SLOPE_MB:.0f}", slope < SLOPE_MB
    )
    print(f"{'messages/s':44} {messages / took:16.0f}")
    verdict.check(
        f"p99 of own work, {AT_ONCE} at once, ms", f"{p99:.1f}", f"< {P99_MS:.0f}", p99 < P99_MS
    )
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--scale", type=float, default=1.0, help="of messages and users")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log_to(Path(folder, "log"))
        messages, users = int(given.messages * given.scale), int(given.users * given.scale)
        status = asyncio.run(main(messages, users, Path(folder)))
    sys.exit(status)
