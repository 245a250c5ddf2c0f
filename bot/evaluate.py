"""Measuring retrieval and the emotion detector on files of known answers."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brain.errors import ConfigError
from brain.knowledge.library import Library
from brain.messages import Passage

DEEP = 10
"""Ranks looked at for the mean reciprocal rank."""
NEGATIVE = ("angry", "anxious", "sad")


def read_rows(
    path: Path, required: Mapping[str, type | tuple[type, ...]]
) -> Iterator[dict[str, Any]]:
    """The JSON lines of `path`. Raises ConfigError naming file and line for anything else."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path}: {wrong}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as wrong:
            raise ConfigError(f"{path}:{number}: not JSON ({wrong})") from None
        for key, kind in required.items():
            if not isinstance(row, dict) or not isinstance(row.get(key), kind):
                raise ConfigError(
                    f"{path}:{number}: needs {key!r}, as in {{{', '.join(required)}}}"
                )
        yield row


async def evaluate_retrieval(library: Library, path: Path) -> dict[str, Any]:
    """Recall and mean reciprocal rank over rows `{q, source, must[]}`.

    A hit is a passage of `source` (one path, or several that are equally right) that holds every
    `must` string after NFC and folding of white space.
    """
    ranks: list[int] = []
    misses: list[dict[str, Any]] = []
    for row in read_rows(path, {"q": str, "source": (str, list), "must": list}):
        sources = [row["source"]] if isinstance(row["source"], str) else row["source"]
        found = await library.search(row["q"], k=DEEP)
        rank = _rank(found.passages, sources, row["must"])
        ranks.append(rank)
        if rank > 3 or rank == 0:
            got = found.passages[0] if found.passages else None
            misses.append(
                {
                    "q": row["q"],
                    "source": row["source"],
                    "rank": rank,
                    "got": f"{got.document} · {got.heading}" if got else None,
                }
            )
    if not ranks:
        raise ConfigError(f"{path}: no questions")
    result: dict[str, Any] = {"n": len(ranks)}
    for depth in (1, 3, 5):
        result[f"recall@{depth}"] = sum(0 < rank <= depth for rank in ranks) / len(ranks)
    result["mrr"] = sum(1 / rank for rank in ranks if rank) / len(ranks)
    result["misses"] = misses
    return result


def _rank(passages: Sequence[Passage], sources: Sequence[str], must: Sequence[str]) -> int:
    """Rank of the first hit, from 1; 0 when there is none."""
    wanted = [_fold(string) for string in must]
    for at, passage in enumerate(passages, 1):
        text = _fold(f"{passage.heading} {passage.text}")
        if passage.document in sources and all(string in text for string in wanted):
            return at
    return 0


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def evaluate_emotion(path: Path) -> dict[str, Any]:
    """Accuracy, macro-F1, AUROC of negative and of angry over rows `{text, label}`."""
    from brain.emotion import LABELS, EmotionHead
    from brain.knowledge.embed import open_embedder

    embedder = open_embedder("bundled", ollama_host="")
    head = EmotionHead.bundled()
    truth: list[str] = []
    guesses: list[str] = []
    rows: list[Mapping[str, float]] = []
    for row in read_rows(path, {"text": str, "label": str}):
        if row["label"] not in LABELS:
            raise ConfigError(
                f"{path}: unknown label {row['label']!r}; valid are {', '.join(LABELS)}"
            )
        read = head.read(embedder.query(row["text"]))
        truth.append(row["label"])
        guesses.append(read.label)
        rows.append(read.probabilities)
    if not truth:
        raise ConfigError(f"{path}: no utterances")
    scores = {label: _scores(label, truth, guesses) for label in LABELS}
    negative = [sum(row[label] for label in NEGATIVE) for row in rows]
    return {
        "n": len(truth),
        "accuracy": sum(a == b for a, b in zip(truth, guesses, strict=True)) / len(truth),
        "macro_f1": sum(each["f1"] for each in scores.values()) / len(scores),
        "auroc": {
            "negative": _auroc([label in NEGATIVE for label in truth], negative),
            "angry": _auroc([label == "angry" for label in truth], [row["angry"] for row in rows]),
        },
        "per_label": scores,
    }


def _scores(label: str, truth: Sequence[str], guesses: Sequence[str]) -> dict[str, float]:
    pairs = list(zip(truth, guesses, strict=True))
    hits = sum(a == b == label for a, b in pairs)
    precision = hits / max(1, sum(guess == label for guess in guesses))
    recall = hits / max(1, sum(each == label for each in truth))
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _auroc(positive: Sequence[bool], scores: Sequence[float]) -> float | None:
    """Probability that a positive outranks a negative (Mann-Whitney); None with only one class."""
    yes = np.array([s for s, p in zip(scores, positive, strict=True) if p])
    no = np.array([s for s, p in zip(scores, positive, strict=True) if not p])
    if not len(yes) or not len(no):
        return None
    above = (yes[:, None] > no[None, :]).mean() + 0.5 * (yes[:, None] == no[None, :]).mean()
    return float(above)
