"""The durable path in one process: inbox, turn, outbox, receipt, with a brain that only echoes.

Sustained messages a second, and at half of that load the gateway's own time for a message, beside a
bare asyncio floor (queue, coroutine, list). Candidates alternate in rounds; medians are printed.

python tests/bench/durable_path.py [--messages 20000] [--rounds 5] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import statistics
import sys
import tempfile
import time
from pathlib import Path

from echo import EchoBrain, Verdict, Wire, idle, log_to, message, percentile, prompts, running

from bot.gateway import Gateway
from brain.messages import Address, Reply

CONVERSATIONS, EACH = 2_000, 8
"""Conversations at a time, and messages in one until another takes its place."""
AT_ONCE = 256
RATE, P99_MS = 1_500, 25.0
"""The targets."""


class Traffic:
    """Messages on their way through a gateway."""

    def __init__(self) -> None:
        self.handed_in: dict[str, float] = {}
        self.took: list[float] = []
        self.done: dict[str, asyncio.Event] = {}
        self.adapter = Wire(self._seen)
        self._number = 0

    def _seen(self, address: Address, reply: Reply) -> None:
        now = time.perf_counter()
        for number in reply.text.split():
            self.took.append(now - self.handed_in.pop(number))
            if waiting := self.done.pop(number, None):
                waiting.set()

    async def one(self, gateway: Gateway, *, wait: bool) -> None:
        """A message; `wait` for its reply."""
        self._number += 1
        conversation = self._number % CONVERSATIONS
        conversation += self._number // (CONVERSATIONS * EACH) * CONVERSATIONS
        made = message(self._number, conversation)
        self.handed_in[made.id] = time.perf_counter()
        if not wait:
            await gateway.accept(made)
            return
        self.done[made.id] = over = asyncio.Event()
        await gateway.accept(made)
        await over.wait()

    async def sustained(self, gateway: Gateway, count: int) -> float:
        """Messages a second with `AT_ONCE` under way, up to the last receipt."""
        left = iter(range(count))

        async def worker() -> None:
            for _ in left:
                await self.one(gateway, wait=True)

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        await idle(gateway)
        return count / (time.perf_counter() - began)

    async def paced(self, gateway: Gateway, rate: float, count: int) -> list[float]:
        """Seconds from handing in to the reply, at `rate` messages a second."""
        self.took = []
        tasks = set()
        began = time.perf_counter()
        for number in range(count):
            ahead = began + number / rate - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            task = asyncio.create_task(self.one(gateway, wait=False))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        await idle(gateway)
        return self.took


async def floor(count: int) -> float:
    """Messages a second from a queue through a coroutine into a list."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    shown: list[int] = []

    async def answer(number: int) -> None:
        shown.append(number)

    async def worker() -> None:
        while True:
            await answer(await queue.get())
            queue.task_done()

    worked = asyncio.create_task(worker())
    began = time.perf_counter()
    for number in range(count):
        await queue.put(number)
    await queue.join()
    rate = count / (time.perf_counter() - began)
    worked.cancel()
    return rate


async def main(messages: int, rounds: int, folder: Path) -> int:
    path = Traffic()
    rates, floors, costs, p50s, p99s = [], [], [], [], []
    async with running(folder / "durable.db", EchoBrain(prompts()), path.adapter) as gateway:
        await path.sustained(gateway, messages // 10)
        print(
            f"{'round':5} {'floor /s':>10} {'durable /s':>10} {'half /s':>8} {'p50 ms':>7} {'p99 ms':>7}"
        )
        for at in range(rounds):
            floors.append(await floor(messages))
            worked = time.process_time()
            rates.append(await path.sustained(gateway, messages))
            costs.append((time.process_time() - worked) / messages * 1000)
            half = RATE / 2
            took = await path.paced(gateway, half, messages // 2)
            p50s.append(percentile(took, 0.5) * 1000)
            p99s.append(percentile(took, 0.99) * 1000)
            print(
                f"{at + 1:5} {floors[-1]:10.0f} {rates[-1]:10.0f} {costs[-1]:7.3f} {half:8.0f}"
                f" {p50s[-1]:7.2f} {p99s[-1]:7.2f}"
            )
    verdict = Verdict()
    rate, p99 = statistics.median(rates), statistics.median(p99s)
    print(
        f"floor: {statistics.median(floors):.0f} /s, {statistics.median(floors) / rate:.0f} times"
    )
    verdict.check("sustained messages/s", f"{rate:.0f}", f">= {RATE}", rate >= RATE)
    verdict.check("p99 of own time at half load, ms", f"{p99:.1f}", f"< {P99_MS:.0f}", p99 < P99_MS)
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--profile", type=Path, help="write a cProfile of the loop's thread here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log_to(Path(folder, "log"))
        run = main(int(arguments.messages * arguments.scale), arguments.rounds, Path(folder))
        if arguments.profile:
            profile = cProfile.Profile()
            status = profile.runcall(asyncio.run, run)
            profile.dump_stats(arguments.profile)
        else:
            status = asyncio.run(run)
    sys.exit(status)
