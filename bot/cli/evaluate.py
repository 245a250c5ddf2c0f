"""Measuring retrieval and the emotion detector on files of known answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brain.errors import ConfigError
from brain.followup import Before
from brain.knowledge.questions import Question
from brain.messages import Emotion
from brain.second_look import SecondLook

DEEP = 10
"""Ranks looked at for the mean reciprocal rank."""


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


async def evaluate_retrieval(look: SecondLook, path: Path) -> dict[str, Any]:
    """Recall and mean reciprocal rank over rows `{q, source, must[]}`.

    A hit is a passage of `source` (one path, or several that are equally right) that holds every
    `must` string after NFC and folding of white space. A question with a `history` of turns
    `{user, assistant}` is looked up as one that may lean on them.
    """
    ranks: list[int] = []
    misses: list[dict[str, Any]] = []
    for row in read_rows(path, {"q": str, "source": (str, list), "must": list}):
        sources = [row["source"]] if isinstance(row["source"], str) else row["source"]
        asked = Question(text=row["q"], sources=tuple(sources), must=tuple(row["must"]))
        found = await look.search(row["q"], leans_on=_leans_on(path, row), k=DEEP)
        rank = asked.rank(found.passages)
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


def _leans_on(path: Path, row: Mapping[str, Any]) -> Before | None:
    said = row.get("history", [])
    try:
        return Before(asked=said[-1]["user"], answered=said[-1]["assistant"]) if said else None
    except (KeyError, TypeError, IndexError):
        raise ConfigError(
            f"{path}: {row['q']!r} needs a history of turns {{user, assistant}}"
        ) from None


def evaluate_emotion(path: Path) -> dict[str, Any]:
    """Accuracy, macro-F1, AUROC of negative and of angry over rows `{text, label}`."""
    from brain.emotion import EmotionHead, evaluate
    from brain.knowledge.embed import open_embedder

    embedder = open_embedder("bundled", ollama_host="")
    head = EmotionHead.bundled()
    readings: list[Emotion] = []
    labels: list[str] = []
    for row in read_rows(path, {"text": str, "label": str}):
        if row["label"] not in head.labels:
            raise ConfigError(
                f"{path}: unknown label {row['label']!r}; valid are {', '.join(head.labels)}"
            )
        readings.append(head.read(embedder.query(row["text"])))
        labels.append(row["label"])
    if not labels:
        raise ConfigError(f"{path}: no utterances")
    return evaluate(readings, labels)
