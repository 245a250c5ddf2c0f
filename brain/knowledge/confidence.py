"""Confidence: how probable it is that the best passage answers, learned from public questions.

The fused score says which passage is best, never whether it is any good: it is relative to the
query. Whether the company has an answer at all shows in other things, see `Signals`.
`tests/bench/fit_confidence.py` fits their weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

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
    familiar: float
    """Cosine with the nearest of what customers ask companies, see `Topics`: small talk is far from all."""

    def told(self) -> str:
        """In a line, for an explanation."""
        return ", ".join(f"{name} {value:.2f}" for name, value in asdict(self).items())


def margin(cosines: Sequence[float]) -> float:
    """How far the first of some descending cosines stands above the mean of the farther ones."""
    if not cosines:
        return 0.0
    farther = cosines[FAR_ENOUGH:] or cosines[1:] or cosines
    return cosines[0] - math.fsum(farther) / len(farther)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What turns signals into a probability: fitted on public questions, or on a company's own."""

    weights: Mapping[str, float]
    """By name of the signal."""
    intercept: float
    """The logit without any signal."""
    related: float
    """Probability from which something of the question's kind is in the documents."""
    medium: float
    """Probability from which the best passage may be said to answer."""
    high: float
    """Probability from which it does so without reservation."""
    embedder: str = ""
    """Fingerprint of the embedder whose signals it was fitted on; empty for the one that is shipped."""
    questions: int = 0
    """Number of own questions it was fitted on."""
    created: str = ""
    """ISO date of the fit."""

    def probability(self, signals: Signals) -> float:
        """That the best passage answers."""
        values = asdict(signals).items()
        logit = self.intercept + sum(self.weights[name] * value for name, value in values)
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))

    def assess(self, signals: Signals) -> Confidence:
        """The calibrated probability that the best passage answers, and its level."""
        probability = self.probability(signals)
        level: Level = "low"
        if probability >= self.medium:
            level = "high" if probability >= self.high else "medium"
        return Confidence(level=level, probability=round(probability, 4))

    def is_related(self, confidence: Confidence) -> bool:
        """Whether something of the question's kind is in the documents, even if no passage answers it."""
        return confidence.probability >= self.related

    def write(self, path: Path) -> None:
        """Replace the file at `path`; whoever reads it sees the old fit or the new one."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)


def assess(signals: Signals) -> Confidence:
    """What the shipped fit says."""
    return shipped().assess(signals)


@cache
def shipped() -> Fit:
    """The fit on public questions."""
    return Fit(**json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")))


def read_fit(path: Path, embedder: str) -> Fit | None:
    """A company's own fit; None without one, or when it was made for another embedder or other signals."""
    try:
        fit = Fit(**json.loads(path.read_text(encoding="utf-8")))
        fits = fit.embedder == embedder and set(fit.weights) == set(shipped().weights)
        numbers = (*fit.weights.values(), fit.intercept, fit.related, fit.medium, fit.high)
        return fit if fits and all(math.isfinite(number) for number in numbers) else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None
