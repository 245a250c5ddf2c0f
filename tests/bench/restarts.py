"""SIGTERM while a hundred answers are under way, then restart after restart under load.

The process must be gone within twenty seconds, whether the answers are done by then or not, and lose
nothing: what it did not finish, the next one does.

python tests/bench/restarts.py [--restarts 50] [--turns 100] [--scale 1.0] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from pathlib import Path

from echo import Verdict
from lives import Account, Life, Platform

EXIT = 20.0
"""The target, in seconds."""


async def in_flight(name: str, life: Life, turns: int, folder: Path, verdict: Verdict) -> None:
    """SIGTERM with `turns` answers under way; the next life finishes the rest."""
    platform = Platform(folder / name)
    platform.folder.mkdir()
    await platform.start(life)
    for conversation in range(turns):
        await platform.say(conversation)
    while len(platform.acknowledged) < turns:
        await asyncio.sleep(0.01)
    before = len(platform.shown)
    platform.kill(signal.SIGTERM)
    took = await platform.death(60)
    finished = len(platform.shown) - before
    await platform.start(Life())
    await platform.settled()
    platform.kill(signal.SIGTERM)
    await platform.death(60)
    account = platform.account()
    print(
        f"SIGTERM, answers take {life.least:.0f}-{life.most:.0f} s: {turns - before} under way, "
        f"{finished} finished before the exit, the rest after the next start"
    )
    within = took is not None and took < EXIT
    verdict.check("exit, s", "never" if took is None else f"{took:.1f}", f"< {EXIT:.0f}", within)
    _nothing_amiss(account, verdict)
    print(f"{'labelled re-sends':44} {account.labelled:16}")


async def under_load(restarts: int, folder: Path, seed: int, verdict: Verdict) -> None:
    """Restart after restart while customers go on."""
    chance = random.Random(seed)
    platform = Platform(folder / "load")
    platform.folder.mkdir()
    slowest = 0.0
    for _ in range(restarts):
        await platform.start(Life(drain=1.0))
        speaking = asyncio.create_task(_customers(platform, chance))
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        platform.kill(signal.SIGTERM)
        took = await platform.death(60)
        slowest = max(slowest, float("inf") if took is None else took)
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
    await platform.start(Life())
    await platform.settled()
    platform.kill(signal.SIGTERM)
    await platform.death(60)
    account = platform.account()
    print(f"{restarts} restarts under load, the slowest exit {slowest:.2f} s")
    account.print()
    verdict.check("slowest exit, s", f"{slowest:.2f}", f"< {EXIT:.0f}", slowest < EXIT)
    _nothing_amiss(account, verdict)
    labelled = account.labelled
    verdict.check("labelled re-sends", str(labelled), f"<= {restarts}", labelled <= restarts)


async def _customers(platform: Platform, chance: random.Random) -> None:
    while True:
        await platform.say(chance.randrange(200))
        await asyncio.sleep(chance.uniform(0.0, 0.02))


def _nothing_amiss(account: Account, verdict: Verdict) -> None:
    verdict.check("acknowledged messages lost", str(len(account.lost)), "0", not account.lost)
    verdict.check(
        "not in exactly one final state", str(len(account.unsettled)), "0", not account.unsettled
    )
    verdict.check(
        "answered twice without a note", str(len(account.doubled)), "0", not account.doubled
    )
    verdict.check("answered, but never seen", str(len(account.unseen)), "0", not account.unseen)


async def main(restarts: int, turns: int, seed: int, folder: Path) -> int:
    verdict = Verdict()
    await in_flight("short", Life(least=2.0, most=4.0), turns, folder, verdict)
    await in_flight("long", Life(least=60.0, most=60.0), turns, folder, verdict)
    await under_load(restarts, folder, seed, verdict)
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--scale", type=float, default=1.0, help="of the restarts")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        restarts = max(1, int(given.restarts * given.scale))
        status = asyncio.run(main(restarts, given.turns, given.seed, Path(folder)))
    sys.exit(status)
