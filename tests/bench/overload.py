"""Far more than the model can answer: who waits how long, for an answer or to hear that it is busy.

A thousand customers send 500 messages a second for a minute to a model that answers 20. Whoever would
wait longer than the queue allows hears so at once. Afterwards everything must be as before.

python tests/bench/overload.py [--rate 500] [--seconds 60] [--users 1000] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from itertools import count as count_up
from pathlib import Path

from echo import EchoBrain, Verdict, Wire, idle, log_to, message, percentile, prompts, rss, running

from bot.admission import Admission
from bot.gateway import Gateway
from brain.messages import Address, Reply, Turn

PARALLEL, ANSWER = 4, 0.2
"""The model's slots, and seconds of one answer: 20 a second."""
QUEUE = 30
"""Waiting places: with the slots 1.7 seconds' worth, and up to three restarts for what is added."""
WORD, GROWN_MB, RECOVERS = 3.0, 150.0, 30.0
"""The targets: seconds to the first word, MB, seconds."""
PROBES = 10


class Crowd:
    """Who said what when, and when they heard something."""

    def __init__(self) -> None:
        self.said: dict[str, float] = {}
        """Messages without an answer yet."""
        self.waited: list[float] = []
        self.kinds: dict[str, int] = {}
        self.probes: dict[str, str] = {}
        """Kinds of the replies to messages that test how it goes."""
        self._turns: dict[str, list[str]] = {}

    def seen(self, address: Address, reply: Reply) -> None:
        """A reply is visible: the words it answers have been heard."""
        now = time.perf_counter()
        self.kinds[reply.kind] = self.kinds.get(reply.kind, 0) + 1
        for number in self._turns.pop(reply.id):
            self.waited.append(now - self.said.pop(number))
            if number in self.probes:
                self.probes[number] = reply.kind

    def answers(self, turn: Turn) -> None:
        """Remember what a turn that is about to be shown answers."""
        self._turns[turn.reply.id] = [each.id for each in turn.messages]


class Noted(EchoBrain):
    """An echo that tells the crowd which words a reply answers."""

    crowd: Crowd

    async def answer(self, *args, **options):  # the same as the echo's
        """See `EchoBrain.answer`."""
        turn, session = await super().answer(*args, **options)
        self.crowd.answers(turn)
        return turn, session


async def one(gateway: Gateway, crowd: Crowd, number: str, user: int | str) -> None:
    crowd.said[number] = time.perf_counter()
    await gateway.accept(message(number, user))


async def probe(gateway: Gateway, crowd: Crowd, name: str) -> float:
    """Seconds that somebody new waits for an answer; infinite if it is a busy notice."""
    crowd.probes[name] = ""
    began = time.perf_counter()
    await one(gateway, crowd, name, name)
    while name in crowd.said:
        await asyncio.sleep(0.001)
    return time.perf_counter() - began if crowd.probes[name] == "answer" else math.inf


async def load(gateway: Gateway, crowd: Crowd, rate: float, count: int, users: int) -> float:
    """`count` messages at `rate` a second; the most memory meanwhile."""
    chance = random.Random(3)
    tasks: set[asyncio.Task[None]] = set()
    most = rss()
    began = time.perf_counter()
    for number in range(count):
        ahead = began + number / rate - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        task = asyncio.create_task(one(gateway, crowd, str(number), chance.randrange(users)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if number % 500 == 0:
            most = max(most, rss())
    await asyncio.gather(*tasks)
    return max(most, rss())


async def main(rate: float, seconds: float, users: int, folder: Path) -> int:
    crowd = Crowd()
    brain = Noted(
        prompts(),
        delay=lambda number: ANSWER,
        admission=Admission(parallel=PARALLEL, queue=QUEUE),
    )
    brain.crowd = crowd
    count = int(rate * seconds)
    path = folder / "overload.db"
    async with running(path, brain, Wire(crowd.seen)) as gateway:
        before = [await probe(gateway, crowd, f"before{at}") for at in range(PROBES)]
        crowd.waited.clear()
        crowd.kinds.clear()
        began, at_first = time.perf_counter(), rss()
        most = await load(gateway, crowd, rate, count, users)
        took = time.perf_counter() - began
        over = time.perf_counter()
        normal = 2 * statistics.median(before)
        in_a_row = 0
        for at in count_up():
            waited = await probe(gateway, crowd, f"after{at}")
            await asyncio.sleep(0.05)
            in_a_row = in_a_row + 1 if waited <= normal else 0
            if in_a_row == 3 or time.perf_counter() - over > 2 * RECOVERS:
                break
        recovered = time.perf_counter() - over
        await idle(gateway)
        grown = max(most, rss()) - at_first
        unanswered = len(crowd.said)
    with sqlite3.connect(path) as db:
        stored = db.execute("SELECT count(*) FROM inbox WHERE event_id GLOB '[0-9]*'").fetchone()[0]
    p50, p99, worst = (percentile(crowd.waited, share) for share in (0.5, 0.99, 1.0))
    print(f"{count} messages from {users} users in {took:.1f} s, {count / took:.0f} /s")
    print(f"replies {crowd.kinds}; {len(crowd.waited)} messages heard something")
    print(f"first word: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, most {worst:.2f} s")
    verdict = Verdict()
    verdict.check("messages stored", str(stored), f"{count}", stored == count)
    verdict.check("messages that heard nothing", str(unanswered), "0", not unanswered)
    verdict.check("longest wait for a word, s", f"{worst:.2f}", f"<= {WORD}", worst <= WORD)
    verdict.check("memory grown, MB", f"{grown:.0f}", f"< {GROWN_MB:.0f}", grown < GROWN_MB)
    verdict.check("normal again, s", f"{recovered:.1f}", f"< {RECOVERS}", recovered < RECOVERS)
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--scale", type=float, default=1.0, help="of the seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log_to(Path(folder, "log"))
        run = main(given.rate, given.seconds * given.scale, given.users, Path(folder))
        status = asyncio.run(run)
    sys.exit(status)
