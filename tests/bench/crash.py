"""kill -9 at every milestone of a message and at random moments, under load.

The platform (this process) delivers again what was not acknowledged and records every visible reply.
Nothing acknowledged may be lost, nothing shown twice without the note that says so.

python tests/bench/crash.py [--messages 2000] [--kills 200] [--scale 1.0] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from echo import Verdict
from lives import MILESTONES, Life, Platform

RANDOM = 3
"""Kills at a random moment for every round of kills at each milestone."""
CONVERSATIONS = 40


async def main(messages: int, kills: int, seed: int, folder: Path) -> int:
    chance = random.Random(seed)
    platform = Platform(folder)
    ways = [*MILESTONES, *["random"] * RANDOM]
    died = Counter[str]()
    began = time.monotonic()
    for at in range(kills):
        way = ways[at % len(ways)]
        died[
            await one_life(platform, way, (messages - len(platform.sent)) // (kills - at), chance)
        ] += 1
        if (at + 1) % 50 == 0:
            print(
                f"{at + 1} kills, {len(platform.sent)} messages, {time.monotonic() - began:.0f} s"
            )
    await platform.start(Life())
    while len(platform.sent) < messages:
        await platform.say(chance.randrange(CONVERSATIONS))
    await platform.settled()
    platform.kill()
    await platform.death(10)

    account = platform.account()
    print("kills: " + ", ".join(f"{way} {count}" for way, count in died.items()))
    account.print()
    verdict = Verdict()
    verdict.check("acknowledged messages lost", str(len(account.lost)), "0", not account.lost)
    verdict.check(
        "messages not in exactly one final state",
        str(len(account.unsettled)),
        "0",
        not account.unsettled,
    )
    verdict.check(
        "messages answered twice without a note",
        str(len(account.doubled)),
        "0",
        not account.doubled,
    )
    verdict.check(
        "labelled re-sends", str(account.labelled), f"<= {kills} kills", account.labelled <= kills
    )
    return verdict.status


async def one_life(platform: Platform, way: str, new: int, chance: random.Random) -> str:
    """One process under load until it is killed; how."""
    deadly = way if way in MILESTONES else ""
    await platform.start(Life(die_at=deadly, die_after=chance.randint(1, max(1, 2 * new))))
    moment = time.monotonic() + chance.uniform(0.0, 0.8)
    for _ in range(new):
        await platform.say(chance.randrange(CONVERSATIONS))
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        if not deadly and time.monotonic() > moment:
            break
    if deadly and await platform.death(0.8) is not None:
        return way
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    platform.kill()
    await platform.death(10)
    return "random" if not deadly else f"random instead of {way}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        status = asyncio.run(
            main(
                int(arguments.messages * arguments.scale),
                int(arguments.kills * arguments.scale),
                arguments.seed,
                Path(folder),
            )
        )
    sys.exit(status)
