"""What other wordings of a doubtful question are worth, and how best to put together what they find.

Run: python tests/bench/wordings.py [--questions 200] [--cache FOLDER]

Other people's questions about the same thing stand for what a model would write: an upper bound.
paraKQC's questions asked of the welfare entries show what other wordings cost where nothing answers.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from public_retrieval import Base, Vectors, bank, para_kqc, pieces, welfare

from brain.knowledge.ranking import together
from brain.knowledge.retrieve import Found, normalised, retrieve

MORE = 3
"""Other wordings of each question."""
CANDIDATES = 20
"""Passages that each wording contributes."""
RANK = 60
"""The usual constant of reciprocal ranks."""
Questions = list[tuple[str, list[str]]]


def mean(founds: Sequence[Found]) -> list[str]:
    """As the product does."""
    return [passage.id for passage in together(founds[0], founds[1:]).passages]


def best_score(founds: Sequence[Found]) -> list[str]:
    """By the highest score that any wording gives."""
    scores: dict[str, float] = {}
    for found in founds:
        for passage in found.passages:
            scores[passage.id] = max(scores.get(passage.id, 0.0), passage.score)
    return sorted(scores, key=lambda name: -scores[name])


def reciprocal_ranks(founds: Sequence[Found]) -> list[str]:
    """By the sum of 1 / (60 + rank)."""
    scores: dict[str, float] = {}
    for found in founds:
        for rank, passage in enumerate(found.passages, 1):
            scores[passage.id] = scores.get(passage.id, 0.0) + 1 / (RANK + rank)
    return sorted(scores, key=lambda name: -scores[name])


FUSIONS: tuple[Callable[[Sequence[Found]], list[str]], ...] = (mean, best_score, reciprocal_ranks)


def searched(index: Base, wordings: Sequence[str], vectors: Vectors) -> list[Found]:
    """What every wording finds."""
    rows = vectors.queries([normalised(text) for text in wordings])
    return [
        retrieve(index, normalised(text), row, k=CANDIDATES, topics=bank())
        for text, row in zip(wordings, rows, strict=True)
    ]


def worth(name: str, index: Base, asked: Questions, vectors: Vectors) -> None:
    """Print how often the right document comes first for questions in doubt, by fusion and number."""
    found = [(answer, searched(index, wordings, vectors)) for answer, wordings in asked]
    doubted = [(answer, each) for answer, each in found if each[0].confidence.level != "high"]
    print(f"{name}: {len(doubted)} of {len(found)} questions below a high confidence")
    for fusion in FUSIONS:
        rates = []
        for more in range(MORE + 1):
            first = [fusion(each[: 1 + more])[0] for _, each in doubted]
            right = [index.chunks[int(chunk)].document for chunk in first]
            rates.append(sum(r == a for r, (a, _) in zip(right, doubted, strict=True)))
        print(f"  {fusion.__name__:17s}", " ".join(f"{n / len(doubted):.3f}" for n in rates))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200, help="questions a set")
    parser.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    arguments = parser.parse_args()
    vectors, rng = Vectors(arguments.cache), random.Random(5)
    groups, services = para_kqc(), welfare()
    kqc: Questions = [
        (str(at), rng.sample(groups[at][1:], 1 + MORE))
        for at in rng.sample(range(len(groups)), arguments.questions)
    ]
    many = [name for name, pairs in services.items() if len(pairs) > 1 + MORE]
    asked: Questions = [
        (name, [q for q, _ in rng.sample(services[name][1:], 1 + MORE)])
        for name in rng.choices(many, k=arguments.questions)
    ]
    sentences = [(str(at), "", [group[0]]) for at, group in enumerate(groups)]
    worth("paraKQC", Base(sentences, vectors), kqc, vectors)
    entries = [(name, "", pieces(" ".join(pairs[0]))) for name, pairs in services.items()]
    index = Base(entries, vectors)
    worth("Welfare", index, asked, vectors)
    for more in (0, MORE):
        foreign = (searched(index, wordings[: 1 + more], vectors) for _, wordings in kqc)
        levels = Counter(together(each[0], each[1:]).confidence.level for each in foreign)
        print(f"nothing answers, {more} other wordings: {dict(levels)}")


if __name__ == "__main__":
    main()
