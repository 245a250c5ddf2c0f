"""What a reload costs, what readers notice of it, and what is left when it is killed.

python tests/bench/reload.py [--chunks 10000] [--reloads 100] [--kills 200] [--only cost|readers|kills]

cost     full index of generated documents with the bundled embedder, then a reload with 1 % changed
         (at most 4 % of the time) and a rollback (at most 2 s). 10,000 chunks take some 30 minutes
readers  reloads under 20 queries a second: none empty, none of two editions, none failed
kills    kill -9 of a reloading process at a random moment: the version before it answers
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from echo import Verdict  # noqa: E402 - the path must be set first

from bot.store.store import Store  # noqa: E402 - as above
from brain.knowledge.embed import open_embedder  # noqa: E402 - as above
from brain.knowledge.library import Library  # noqa: E402 - as above

ENTRIES = 50
"""Of a generated document."""
DOCUMENTS = 12
"""Whose editions readers are asked about."""
QUERIES = 20
"""A second."""
SLOWEST = 2.0
"""Seconds after which a reload is killed at the latest."""


@asynccontextmanager
async def library(base: Path):
    """The library over `base/kb`, vectors in a real store."""
    store = await Store.open(base / "data" / "sangdam.db")
    opened = Library(
        folder=base / "kb",
        data=base / "data",
        embedder=open_embedder("bundled", ollama_host=""),
        vectors=store,
    )
    try:
        yield opened
    finally:
        await opened.close()
        await store.close()


# ---- cost


def sentence(chance: random.Random, words: list[str]) -> str:
    """Some ten words of real documents in no order."""
    return " ".join(chance.choice(words) for _ in range(10)) + "."


def generate(folder: Path, chunks: int, changed: set[int]) -> None:
    """FAQ files of `chunks` entries; those that are `changed` answer something else."""
    words = sorted(
        {
            word
            for file in sorted((ROOT / "kb").rglob("*.md"))
            for word in file.read_text(encoding="utf-8").split()
            if word.isalpha() and len(word) > 1
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, chunks, ENTRIES):
        lines = ["faq:"]
        for at in range(start, min(chunks, start + ENTRIES)):
            chance = random.Random(at)
            question = sentence(chance, words)[:40]
            if at in changed:
                chance = random.Random(-at - 1)
            lines += [f"  - question: {question} {at}", f"    answer: {sentence(chance, words)}"]
        (folder / f"{start:06d}.yaml").write_text("\n".join(lines), encoding="utf-8")


async def cost(base: Path, chunks: int, verdict: Verdict) -> None:
    """Full index, 1 % changed, nothing changed, rollback."""
    generate(base / "kb", chunks, set())
    async with library(base) as opened:
        began = time.monotonic()
        report = await opened.reload()
        full = time.monotonic() - began
        print(f"full index: {report.chunks} chunks, {full:.1f} s")
        generate(base / "kb", chunks, set(range(0, chunks, 100)))
        began = time.monotonic()
        report = await opened.reload()
        part = time.monotonic() - began
        print(f"1 % changed: {len(report.changed)} documents, {part:.1f} s")
        began = time.monotonic()
        await opened.reload()
        print(f"nothing changed: {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        await opened.rollback()
        back = time.monotonic() - began
    share = part / full
    verdict.check("reload of 1 %", f"{share:.1%} of the full index", "<= 4 %", share <= 0.04)
    verdict.check("rollback", f"{back:.2f} s", "<= 2 s", back <= 2)


# ---- readers and kills


def edition(folder: Path, number: int) -> None:
    """Documents that say in their metadata which edition they are: nothing has to be embedded anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(DOCUMENTS):
        text = f"---\nedition: 제{number}판\n---\n# 안내 {at}\n\n{at}번 매장의 배송과 환불 안내입니다.\n"
        (folder / f"{at}.md").write_text(text, encoding="utf-8")


def outcome(found) -> str:
    """fine, empty or mixed."""
    editions = {passage.metadata["edition"] for passage in found.passages}
    return "empty" if not editions else "mixed" if len(editions) > 1 else "fine"


async def readers(base: Path, reloads: int, verdict: Verdict) -> None:
    """Queries at a steady rate while versions come and go."""
    counts = Counter[str]()
    edition(base / "kb", 0)
    async with library(base) as opened, library(base) as other:
        await opened.reload()
        vector = await opened.embed("배송 안내")
        asking: set[asyncio.Task[None]] = set()

        async def ask(reader: Library) -> None:
            try:
                found = await reader.search("배송 안내", vector=vector, k=DOCUMENTS)
                counts[outcome(found)] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                counts[f"failed {type(error).__name__}"] += 1

        async def steadily() -> None:
            while True:
                for reader in (opened, other):
                    task = asyncio.create_task(ask(reader))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                await asyncio.sleep(2 / QUERIES)

        asker = asyncio.create_task(steadily())
        for number in range(1, reloads + 1):
            edition(base / "kb", number)
            await opened.reload()
        asker.cancel()
        await asyncio.gather(*asking)
    bad = {kind: count for kind, count in counts.items() if kind != "fine"}
    answered = f"{counts['fine']} fine, {bad or 'none otherwise'}"
    verdict.check(f"queries during {reloads} reloads", answered, "all fine", not bad)


async def reload_forever(base: Path) -> None:
    """What is killed."""
    async with library(base) as opened:
        await opened.open()
        print("ready", flush=True)
        while True:
            await opened.reload(force=True)


async def kills(base: Path, number: int, verdict: Verdict) -> None:
    """A reader that stays and one that starts anew after every kill."""
    chance = random.Random(1)
    counts = Counter[str]()
    edition(base / "kb", 0)
    async with library(base) as stays:
        await stays.reload()
        vector = await stays.embed("배송 안내")
        for _ in range(number):
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, __file__, "--reload-forever", str(base)),
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            assert child.stdout
            await child.stdout.readline()
            await asyncio.sleep(chance.uniform(0, SLOWEST))
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
            async with library(base) as starts:
                for reader in (stays, starts):
                    found = await reader.search("배송 안내", vector=vector, k=DOCUMENTS)
                    counts[outcome(found)] += 1
                counts["damaged"] += bool(starts.damage)
        counts["reloads fail"] += not (await stays.reload(force=True)).version
    bad = {kind: count for kind, count in counts.items() if kind != "fine" and count}
    answered = f"{counts['fine']} answers, {bad or 'none otherwise'}"
    verdict.check(f"{number} kills", answered, "the version before answers", not bad)


async def main(arguments: argparse.Namespace) -> int:
    verdict = Verdict()
    parts = {
        "cost": lambda base: cost(base, arguments.chunks, verdict),
        "readers": lambda base: readers(base, arguments.reloads, verdict),
        "kills": lambda base: kills(base, arguments.kills, verdict),
    }
    for name, part in parts.items():
        if arguments.only in ("", name):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "data").mkdir()
                await part(Path(folder))
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", choices=("cost", "readers", "kills"), default="")
    parser.add_argument("--reload-forever", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reload_forever:
        asyncio.run(reload_forever(given.reload_forever))
    sys.exit(asyncio.run(main(given)))
