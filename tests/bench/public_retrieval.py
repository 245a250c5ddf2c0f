"""How well the parts of retrieval and their fusion rank on three public Korean sets.

Run: python tests/bench/public_retrieval.py [--questions 300] [--kiwi] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import random
import re
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data" / "korean"

import numpy as np  # noqa: E402 - the thread count and the path must be set first

from brain.knowledge import topics  # noqa: E402 - as above
from brain.knowledge.chunk import Chunk  # noqa: E402 - as above
from brain.knowledge.embed import Matrix, Vector, open_embedder  # noqa: E402 - as above
from brain.knowledge.index import Rows  # noqa: E402 - as above
from brain.knowledge.lexical import Lexical  # noqa: E402 - as above
from brain.knowledge.retrieve import normalised, retrieve  # noqa: E402 - as above
from brain.knowledge.topics import Topics  # noqa: E402 - as above


@cache
def bank() -> Topics | None:
    """What customers ask, in vectors of the bundled model."""
    return topics.of(open_embedder("bundled", ollama_host="").fingerprint)


Case = tuple[list[tuple[str, str, list[str]]], list[tuple[str, str]]]
"""Document, heading and pieces of every chunk; questions with the document that answers."""


class Vectors:
    """Embeddings of the bundled model, kept in a folder between runs."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "vectors.npz" if folder else None
        self._known: dict[str, np.ndarray] = {}
        if self._file and self._file.exists():
            with np.load(self._file) as saved:
                self._known = dict(zip(saved["keys"].tolist(), saved["rows"], strict=True))

    def queries(self, texts: Sequence[str]) -> Matrix:
        """Vectors of questions."""
        return self._get("q", texts)

    def passages(self, texts: Sequence[str]) -> Matrix:
        """Vectors of document pieces."""
        return self._get("p", texts)

    def _get(self, kind: str, texts: Sequence[str]) -> Matrix:
        keys = [kind + hashlib.sha1(t.encode()).hexdigest() for t in texts]
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._known}
        embedder = open_embedder("bundled", ollama_host="")
        for done, (key, text) in enumerate(missing.items(), 1):
            self._known[key] = embedder.query(text) if kind == "q" else embedder.passages([text])[0]
            if done % 1000 == 0:
                print(f"  embedded {done}/{len(missing)}", file=sys.stderr, flush=True)
                self._save()
        if missing:
            self._save()
        return np.stack([self._known[k] for k in keys])

    def _save(self) -> None:
        if not self._file:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(self._file, keys=list(self._known), rows=np.stack(list(self._known.values())))


class Base(Rows):
    """A knowledge base in memory, searched as an index on disk is."""

    def __init__(
        self, made: Sequence[tuple[str, str, list[str]]], vectors: Vectors, *, kiwi: bool = False
    ) -> None:
        """`made`: document, heading and pieces of every chunk."""
        self.chunks = [
            Chunk(id=str(i), document=d, heading=h, text=" ".join(p), pieces=tuple(p), metadata={})
            for i, (d, h, p) in enumerate(made)
        ]
        self.lexical = Lexical.build([c.embedded for c in self.chunks], kiwi=kiwi)
        texts = [f"{c.heading}\n{p}" for c in self.chunks for p in c.pieces]
        super().__init__(self.chunks, vectors.passages(texts))


def pieces(text: str, size: int = 110) -> list[str]:
    """The text cut at sentence ends and packed into pieces of about `size` characters."""
    packed: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text.strip()):
        if packed and len(packed[-1]) + len(sentence) < size:
            packed[-1] += " " + sentence
        else:
            packed.append(sentence)
    return packed


def welfare() -> dict[str, list[tuple[str, str]]]:
    """Service name -> its questions and answers."""
    services: dict[str, list[tuple[str, str]]] = {}
    with data("welfare_qa/QA_total.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            services.setdefault(row["Documents"].strip(), []).append(
                (row["Question"].strip(), row["Answer"].strip())
            )
    return services


def korquad() -> dict[str, list[tuple[str, list[str]]]]:
    """Article title -> its paragraphs, each with its questions."""
    content = json.loads(data("korquad/KorQuAD_v1.0_dev.json").read_text(encoding="utf-8"))
    return {
        article["title"]: [
            (p["context"], [qa["question"] for qa in p["qas"]]) for p in article["paragraphs"]
        ]
        for article in content["data"]
    }


def para_kqc() -> list[list[str]]:
    """Groups of ten paraphrases."""
    lines = data("paraKQC/paraKQC_v1.txt").read_text(encoding="utf-8").splitlines()
    sentences = [line.split("\t")[2].strip() for line in lines if line.count("\t") >= 2]
    return [sentences[i : i + 10] for i in range(0, len(sentences), 10)]


def data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        sys.exit(f"public data not found: {path} (see tests/bench in the README)")
    return path


def cases(size: int, rng: random.Random) -> dict[str, Case]:
    """The three sets, each with `size` questions."""
    services = welfare()
    made = [(name, "", pieces(" ".join(pairs[0]))) for name, pairs in services.items()]
    asked = [(q, name) for name, pairs in services.items() for q, _ in pairs[1:]]
    groups = para_kqc()
    sentences = [(str(i), "", [group[0]]) for i, group in enumerate(groups)]
    reworded = [(q, str(i)) for i, group in enumerate(groups) for q in group[1:]]
    articles = [(t, i, *p) for t, ps in korquad().items() for i, p in enumerate(ps) if p[1]]
    articles = rng.sample(articles, min(size, len(articles)))
    return {
        "Welfare": (made, rng.sample(asked, size)),
        "paraKQC": (sentences, rng.sample(reworded, size)),
        "KorQuAD": (
            [(f"{title}/{i}", "", pieces(text)) for title, i, text, _ in articles],
            [(rng.choice(questions), f"{title}/{i}") for title, i, _, questions in articles],
        ),
    }


def ranks(index: Base, question: str, vector: Vector) -> dict[str, list[int]]:
    """The chunks as every part and the fusion order them."""
    text = normalised(question)
    dense = list(dict.fromkeys(chunk for chunk, _, _ in index.nearest(vector, 50)))
    lexical = {
        name: [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > 0]
        for name, scores in index.lexical.scores(text).items()
    }
    found = retrieve(index, text, vector, k=10, topics=bank()).passages
    return {"cosine": dense} | lexical | {"fused": [int(p.id) for p in found]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=300, help="questions a set")
    parser.add_argument("--kiwi", action="store_true", help="with morphemes")
    parser.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    arguments = parser.parse_args()
    vectors = Vectors(arguments.cache)
    for name, (made, asked) in cases(arguments.questions, random.Random(20)).items():
        index = Base(made, vectors, kiwi=arguments.kiwi)
        found = vectors.queries([normalised(question) for question, _ in asked])
        places: dict[str, list[float]] = {}
        began = time.perf_counter()
        for (question, answer), vector in zip(asked, found, strict=True):
            for part, chunks in ranks(index, question, vector).items():
                documents = [index.chunks[c].document for c in chunks[:10]]
                place = documents.index(answer) + 1 if answer in documents else math.inf
                places.setdefault(part, []).append(place)
        spent = (time.perf_counter() - began) / len(asked) * 1000
        print(
            f"{name}: {len(made)} chunks, {len(asked)} questions, {spent:.1f} ms beside embedding"
        )
        for part, values in places.items():
            recall = [np.mean([place <= k for place in values]) for k in (1, 3, 5)]
            shown = " ".join(f"{value:.3f}" for value in recall)
            print(f"  {part:9s} R@1/3/5 {shown}  MRR@10 {np.mean([1 / p for p in values]):.3f}")


if __name__ == "__main__":
    main()
