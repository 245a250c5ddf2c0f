"""What retrieval costs beside the embedder, and what it does to the event loop.

python tests/bench/search_latency.py [--chunks 10000] [--queries 300] [--rounds 10]

The passages are generated and their vectors random, so that indexing takes seconds; questions are
embedded for real. Each is embedded alone and searched for in turn, in the order that alternates.
Then 16 are asked at once while a task measures how late the loop wakes it, beside an idle loop.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - the path must be set first
from echo import Verdict  # noqa: E402 - as above
from reload import generate, sentence  # noqa: E402 - as above

from bot.store.store import Store  # noqa: E402 - as above
from brain.knowledge.embed import Matrix, Vector, open_embedder  # noqa: E402 - as above
from brain.knowledge.library import Library  # noqa: E402 - as above

TOGETHER = 16
"""Questions asked at once."""
TICK = 0.001
"""Seconds between two wakings of the task that measures the lag."""


class Embedder:
    """Questions by the bundled model, passages anywhere."""

    fingerprint = "random passages"

    def __init__(self) -> None:
        self._model = open_embedder("bundled", ollama_host="")
        self._chance = np.random.default_rng(1)
        self.dimension = self._model.dimension

    def query(self, text: str) -> Vector:
        """As the model gives it."""
        return self._model.query(text)

    def passages(self, texts: list[str]) -> Matrix:
        """Random unit vectors."""
        rows = self._chance.standard_normal((len(texts), self.dimension), dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


async def embedded(embedder: Embedder, text: str) -> float:
    """Milliseconds that the embedder takes, in a thread as the library calls it."""
    began = time.perf_counter()
    await asyncio.to_thread(embedder.query, text)
    return (time.perf_counter() - began) * 1000


async def searched(library: Library, text: str) -> float:
    """Milliseconds that a search takes."""
    began = time.perf_counter()
    await library.search(text)
    return (time.perf_counter() - began) * 1000


async def worst_lag(work: list) -> float:
    """The latest that the loop woke a sleeper, in milliseconds, while the work was under way."""
    worst = 0.0
    running = asyncio.gather(*work)
    while not running.done():
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        worst = max(worst, (time.perf_counter() - due) * 1000)
    await running
    return worst


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=10, help="times that 16 are asked at once")
    given = parser.parse_args()
    words = sorted({w for f in sorted((ROOT / "kb").rglob("*.md")) for w in f.read_text().split()})
    chance = random.Random(1)
    asked = [
        f"{' '.join(sentence(chance, words).split()[: chance.randint(2, 6)])} {at}"
        for at in range(given.queries + TOGETHER * given.rounds)
    ]
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        generate(base / "kb", given.chunks, set())
        (base / "data").mkdir()
        store = await Store.open(base / "data" / "sangdam.db")
        embedder = Embedder()
        library = Library(folder=base / "kb", data=base / "data", embedder=embedder, vectors=store)
        try:
            report = await library.reload()
            print(f"{report.chunks} passages indexed in {report.seconds:.0f} s")
            await asyncio.gather(*(searched(library, f"warm {at}") for at in range(20)))
            alone: list[float] = []
            whole: list[float] = []
            gc.collect()
            for at, text in enumerate(asked[: given.queries]):
                if at % 2:
                    alone.append(await embedded(embedder, text))
                whole.append(await searched(library, text))
                if not at % 2:
                    alone.append(await embedded(embedder, text))
            lags = []
            for start in range(given.queries, len(asked), TOGETHER):
                work = [searched(library, text) for text in asked[start : start + TOGETHER]]
                lags.append(await worst_lag(work))
            idle = [await worst_lag([asyncio.sleep(0.3)]) for _ in lags]
        finally:
            await library.close()
            await store.close()
    verdict = Verdict()
    for name, at, most in (("p50", 50, 1.6), ("p99", 99, 3.0)):
        ours, theirs = np.percentile(whole, at), np.percentile(alone, at)
        verdict.check(
            f"{name}: {ours:.1f} ms, the embedder alone {theirs:.1f} ms",
            f"{ours / theirs:.2f} x",
            f"<= {most} x",
            bool(ours <= most * theirs),
        )
    verdict.check(
        f"worst lag, {TOGETHER} at once (idle {max(idle):.1f} ms)",
        f"{max(lags):.1f} ms",
        "<= 20 ms",
        max(lags) <= 20,
    )
    print("worst lag of each round: " + ", ".join(f"{lag:.1f}" for lag in lags))
    return verdict.status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
