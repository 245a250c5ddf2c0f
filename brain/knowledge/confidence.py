"""Confidence: how probable it is that the best passage answers, learned from public questions.

The fused score says which passage is best, never whether it is any good: it is relative to the
query. Whether the company has an answer at all shows in three other things, see `Signals`.
`tests/bench/fit_confidence.py` fits their weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from brain.messages import Confidence, Level

FAR_ENOUGH = 10
"""The first candidates may all answer; from this rank on they show how near unrelated text lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the confidence is computed from."""

    cosine: float
    """The highest cosine: whether anything of this kind is in the documents."""
    margin: float
    """The highest cosine above the mean of the farther candidates: whether one thing stands out.
    Some questions are near to everything, short and vague ones above all."""
    coverage: float
    """Share of the question's letter pairs, weighted by rarity, that the best passage holds: a product
    that is not sold looks like those that are, but its name is missing."""


def margin(cosines: Sequence[float]) -> float:
    """How far the first of some descending cosines stands above the mean of the farther ones."""
    if not cosines:
        return 0.0
    farther = cosines[FAR_ENOUGH:] or cosines[1:] or cosines
    return cosines[0] - math.fsum(farther) / len(farther)


def assess(signals: Signals) -> Confidence:
    """The calibrated probability that the best passage answers, and its level."""
    fitted = _fitted()
    weights: Mapping[str, float] = fitted["weights"]
    logit = fitted["intercept"] + sum(weights[n] * v for n, v in asdict(signals).items())
    probability = 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
    level: Level = "low"
    if probability >= fitted["medium"]:
        level = "high" if probability >= fitted["high"] else "medium"
    return Confidence(level=level, probability=round(probability, 4))


def is_related(confidence: Confidence) -> bool:
    """Whether something of the question's kind is in the documents, even if no passage answers it."""
    return confidence.probability >= float(_fitted()["related"])


@cache
def _fitted() -> dict[str, Any]:
    path = Path(__file__).with_suffix(".json")
    fitted: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return fitted
