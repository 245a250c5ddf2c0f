"""Order within conversations, side by side across them, and one turn for each event.

Conversations of fifty messages with random model delays: no reply may overtake another of its
conversation, no two turns of one may run at a time, and all together may take hardly longer than the
slowest conversation alone. Then events that come several times, at once and after restarts. Then what
a channel that collects pieces adds to a message that needs none.

python tests/bench/order.py [--conversations 200] [--messages 50] [--slowest 1.2] [--scale 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from echo import EchoBrain, Verdict, Wire, idle, log_to, message, prompts, running, seeded

from bot.turns import DEFAULT_PATIENCE, Patience
from brain.messages import Address, Reply

WALL, ADDED_MS = 1.15, 5.0
"""The targets."""
PROBES = 300


class Transcript:
    """Ids as they were answered, by conversation."""

    def __init__(self) -> None:
        self.answered: dict[str, list[int]] = {}
        self.turns = 0

    def seen(self, address: Address, reply: Reply) -> None:
        """Keep the ids of a reply."""
        self.turns += 1
        numbers = self.answered.setdefault(address.conversation, [])
        numbers.extend(int(number.split("-")[1]) for number in reply.text.split())

    def inversions(self) -> int:
        """Ids answered after a later one of their conversation."""
        return sum(
            one > other for numbers in self.answered.values() for one, other in pairwise(numbers)
        )

    def count(self) -> Counter[tuple[str, int]]:
        """How often each id was answered."""
        return Counter((each, n) for each, numbers in self.answered.items() for n in numbers)


async def ordered(
    folder: Path, conversations: int, each: int, slowest: float, verdict: Verdict
) -> None:
    """Everything comes at once; each message has a turn of its own."""
    delay = seeded(7, slowest / 6, slowest)
    transcript = Transcript()
    brain = EchoBrain(prompts(), delay=delay)
    sums = [
        sum(delay(f"{conversation}-{number}") for number in range(each))
        for conversation in range(conversations)
    ]
    patience = Patience(policy="queue")
    async with running(
        folder / "order.db", brain, Wire(transcript.seen), patience=patience
    ) as gateway:
        began = time.perf_counter()
        for number in range(each):
            for conversation in range(conversations):
                await gateway.accept(message(f"{conversation}-{number}", conversation))
        await idle(gateway)
        wall = time.perf_counter() - began
    total = conversations * each
    answered = transcript.count()
    print(
        f"queue: {total} messages in {wall:.1f} s, {total / wall:.0f} /s; "
        f"slowest conversation alone {max(sums):.1f} s, all one after another {sum(sums):.0f} s"
    )
    verdict.check("inversions", str(transcript.inversions()), "0", not transcript.inversions())
    verdict.check("turns interleaved", str(brain.interleaved), "0", not brain.interleaved)
    once = sum(count == 1 for count in answered.values())
    verdict.check("messages answered once", str(once), f"{total}", once == total)
    ratio = wall / max(sums)
    verdict.check("wall / slowest conversation", f"{ratio:.3f}", f"<= {WALL}", ratio <= WALL)


async def interrupted(
    folder: Path, conversations: int, each: int, slowest: float, verdict: Verdict
) -> None:
    """Customers go on while they are being answered; the usual policy joins what they say."""
    transcript = Transcript()
    brain = EchoBrain(prompts(), delay=seeded(8, 0.0, slowest))
    chance = random.Random(8)
    async with running(folder / "interrupt.db", brain, Wire(transcript.seen)) as gateway:

        async def customer(conversation: int) -> None:
            for number in range(each):
                await gateway.accept(message(f"{conversation}-{number}", conversation))
                await asyncio.sleep(chance.uniform(0.0, slowest))

        await asyncio.gather(*map(customer, range(conversations)))
        await idle(gateway)
    answered = transcript.count()
    total = conversations * each
    print(f"interrupt: {total} messages in {transcript.turns} turns")
    verdict.check("inversions", str(transcript.inversions()), "0", not transcript.inversions())
    verdict.check("turns interleaved", str(brain.interleaved), "0", not brain.interleaved)
    once = sum(count == 1 for count in answered.values())
    verdict.check("messages answered once", str(once), f"{total}", once == total)


async def repeated(folder: Path, conversations: int, each: int, verdict: Verdict) -> None:
    """Each event one to five times, at once, in three lives of the gateway."""
    transcript = Transcript()
    chance = random.Random(9)
    events = [message(f"{c}-{n}", c) for n in range(each) for c in range(conversations)]
    deliveries = 0
    patience = Patience(policy="queue")
    for life in range(3):
        brain = EchoBrain(prompts(), delay=seeded(9, 0.0, 0.02))
        adapter = Wire(transcript.seen)
        async with running(folder / "repeat.db", brain, adapter, patience=patience) as gateway:
            # Every life sees all earlier events again, and some that are new.
            known = events[: len(events) * (life + 1) // 3]
            for at in range(0, len(known), 50):
                batch = [each for each in known[at : at + 50] for _ in range(chance.randint(1, 5))]
                deliveries += len(batch)
                await asyncio.gather(*map(gateway.accept, batch))
            if life == 2:
                await idle(gateway)
    answered = transcript.count()
    print(f"repeated: {len(events)} events delivered {deliveries} times in three lives")
    once = sum(count == 1 for count in answered.values())
    verdict.check("events with one turn", str(once), f"{len(events)}", once == len(events))


async def collecting(folder: Path, verdict: Verdict) -> None:
    """A finished message on a channel that collects pieces, beside one that does not."""
    took: dict[bool, list[float]] = {True: [], False: []}
    shown: asyncio.Queue[float] = asyncio.Queue()
    adapter = Wire(lambda address, reply: shown.put_nowait(time.perf_counter()), collects=True)
    channels = {True: adapter, False: Wire(adapter.seen)}
    async with running(
        folder / "collect.db", EchoBrain(prompts()), adapter, patience=DEFAULT_PATIENCE
    ) as gateway:
        for number in range(2 * PROBES):
            collects = number % 2 == 0
            adapter.capabilities = channels[collects].capabilities
            began = time.perf_counter()
            await gateway.accept(message(f"0-{number}", f"collect{number}"))
            took[collects].append(await shown.get() - began)
            await idle(gateway)
    with_, without = (statistics.median(took[collects]) * 1000 for collects in (True, False))
    print(f"collecting: median {with_:.2f} ms, without {without:.2f} ms, {PROBES} messages each")
    added = max(0.0, with_ - without)
    verdict.check(
        "added to a finished message, ms", f"{added:.2f}", f"< {ADDED_MS:.0f}", added < ADDED_MS
    )


async def main(conversations: int, each: int, slowest: float, scale: float, folder: Path) -> int:
    conversations = max(2, int(conversations * scale))
    verdict = Verdict()
    await ordered(folder, conversations, each, slowest, verdict)
    await interrupted(folder, conversations, each, slowest / 6, verdict)
    await repeated(folder, conversations, each // 5, verdict)
    await collecting(folder, verdict)
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--slowest", type=float, default=1.2, help="seconds of a model's answer")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log_to(Path(folder, "log"))
        run = main(given.conversations, given.messages, given.slowest, given.scale, Path(folder))
        status = asyncio.run(run)
    sys.exit(status)
