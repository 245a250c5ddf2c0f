"""How well the parts of retrieval and their fusion rank on three public Korean sets.

Run: python tests/bench/public_retrieval.py [--questions 300] [--kiwi] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data" / "korean"

import numpy as np  # noqa: E402 - the thread count and the path must be set first

from brain.knowledge.embed import Matrix, open_embedder  # noqa: E402 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A set of documents and questions that each have one right document."""

    name: str
    documents: list[list[str]]
    """Every document as its sentence-packed pieces."""
    questions: list[tuple[str, int]]
    """The question and the index of the document that answers it."""


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


def pieces(text: str, size: int = 220) -> list[str]:
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
