"""Whether a question that is asked again in other words is recognised, and no other one for it.

    python -m tests.bench.repeats [--data ../shared/data/korean] [--blocks 100]

Pairs: paraphrases of paraKQC against questions of the neighbouring groups, which are about the same;
paraphrases of `repeats.jsonl` (no words in common, hard) against other questions of its topic; and
questions of four companies that the same document answers otherwise. By words alone is said beside it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from brain.knowledge.embed import BundledEmbedder, Vector
from brain.knowledge.retrieve import normalised
from brain.memory import Exchange, Session
from brain.messages import Address
from brain.situation import Asked

HERE = Path(__file__).parent
TAKEN = (0, 3, 7)
"""Which of the ten wordings of a group."""
Pairs = list[tuple[str, str]]


def main() -> None:
    """Print recall and false alarms of each set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data/korean"))
    parser.add_argument("--blocks", type=int, default=100)
    arguments = parser.parse_args()
    vectors = _Vectors()
    for name, same, other in (
        ("paraKQC", *_parakqc(arguments.data / "paraKQC/paraKQC_v1.txt", arguments.blocks)),
        ("repeats.jsonl", *_grouped(_topics(HERE / "repeats.jsonl"))),
        ("four companies", [], _companies()),
    ):
        for how, known in (("meaning", True), ("words", False)):
            hits, alarms = (
                sum(_again(vectors, pair, known) for pair in pairs) for pairs in (same, other)
            )
            print(
                f"{name:15} {how:8} found {hits}/{len(same)}, false {alarms}/{len(other)}",
                f"recall {hits / len(same):.3f}" if same else "",
                f"false {alarms / len(other):.4f}",
            )


class _Vectors:
    def __init__(self) -> None:
        self._embedder = BundledEmbedder()
        self._known: dict[str, Vector] = {}

    def __call__(self, text: str) -> Vector:
        if text not in self._known:
            self._known[text] = self._embedder.query(normalised(text))
        return self._known[text]


def _again(vectors: _Vectors, pair: tuple[str, str], known: bool) -> int:
    asked, empty = Asked(), Session(address=Address(channel="b", conversation="b", user="b"))
    first, second = pair
    if known:
        asked.again(first, vectors(first), empty)
    said = Exchange(turn="0", at=datetime.now(UTC), customer=first, assistant="", kind="answer")
    session = Session(address=empty.address, exchanges=(said,))
    nothing = np.zeros(1, dtype=np.float32)
    return asked.again(second, vectors(second) if known else nothing, session)


def _grouped(topics: Sequence[Sequence[Sequence[str]]]) -> tuple[Pairs, Pairs]:
    """Pairs within a group, and pairs of two groups of one topic."""
    same = [p for topic in topics for group in topic for p in itertools.combinations(group, 2)]
    other = [
        pair
        for topic in topics
        for one, two in itertools.combinations(topic, 2)
        for pair in itertools.product(one, two)
    ]
    return same, other


def _parakqc(path: Path, blocks: int) -> tuple[Pairs, Pairs]:
    """Every second block of five groups, which stand beside each other because they are alike."""
    rows = [line.split("\t")[2] for line in path.read_text(encoding="utf-8").splitlines() if line]
    groups = [[rows[at + n] for n in TAKEN] for at in range(0, len(rows), 10)]
    return _grouped([groups[at : at + 5] for at in range(0, 10 * blocks, 10)])


def _topics(path: Path) -> list[list[list[str]]]:
    topics: dict[str, list[list[str]]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        topics[row["topic"]].append(row["same"])
    return list(topics.values())


def _companies() -> Pairs:
    files = [HERE / "techmarket_questions.jsonl", *HERE.glob("companies/*/questions.jsonl")]
    asked = defaultdict(list)
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            asked[str(file), str(row["source"])].append(row)
    return [
        (one["q"], two["q"])
        for rows in asked.values()
        for one, two in itertools.combinations(rows, 2)
        if one["must"] != two["must"]
    ]


if __name__ == "__main__":
    main()
