"""The mood of a message, read off the question vector that retrieval computes anyway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from brain.messages import Emotion, EmotionLabel

Vector = npt.NDArray[np.float32]

NEUTRAL: Final = Emotion(
    label="neutral",
    intensity=0.0,
    probabilities={"angry": 0.0, "anxious": 0.0, "sad": 0.0, "satisfied": 0.0, "neutral": 1.0},
)
"""What is assumed where there is nothing to read."""
NEGATIVE: Final = ("angry", "anxious", "sad")
"""Labels of a customer who is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmotionHead:
    """Multinomial logistic regression on a question vector: microseconds, a few kB.

    One reading is a hint, not a verdict (see `tests/bench/train_emotion.py` for how good it is):
    act on the probabilities over several messages.
    """

    labels: tuple[EmotionLabel, ...]
    """Order of the rows of `weights`."""
    weights: npt.NDArray[np.float32]
    """One row for each label, one column for each dimension."""
    bias: npt.NDArray[np.float32]
    """One for each label."""
    embedder: str
    """Start of the fingerprint of the embedder it was trained on; other vectors mean nothing to it."""

    @classmethod
    def bundled(cls) -> EmotionHead:
        """The head trained for the bundled embedder."""
        with np.load(Path(__file__).with_name("emotion.npz")) as stored:
            about = json.loads(str(stored["about"]))
            return cls(
                labels=tuple(about["labels"]),
                weights=stored["weights"].astype(np.float32),
                bias=stored["bias"].astype(np.float32),
                embedder=about["embedder"],
            )

    def read(self, vector: Vector) -> Emotion:
        """The mood behind a question vector.

        The intensity grows from 0 at chance to 1 at certainty; it is 0 for neutral.
        """
        chances = self.probabilities(vector[np.newaxis])[0]
        best = int(chances.argmax())
        label = self.labels[best]
        chance = 1 / len(self.labels)
        return Emotion(
            label=label,
            intensity=0.0 if label == "neutral" else float((chances[best] - chance) / (1 - chance)),
            probabilities=dict(zip(self.labels, chances.tolist(), strict=True)),
        )

    def probabilities(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """One row of probabilities, in the order of `labels`, for each row of `vectors`."""
        scores = (vectors @ self.weights.T + self.bias).astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return cast("npt.NDArray[np.float64]", powers / powers.sum(axis=1, keepdims=True))


def evaluate(readings: Sequence[Emotion], labels: Sequence[str]) -> dict[str, Any]:
    """How good readings are: n, accuracy, macro_f1, auroc of negative and angry, per_label."""
    said = np.array([reading.label for reading in readings])
    meant = np.array(labels)
    per_label = {label: _scores(said == label, meant == label) for label in sorted(set(labels))}
    negative = [sum(reading.probabilities[name] for name in NEGATIVE) for reading in readings]
    angry = [reading.probabilities["angry"] for reading in readings]
    return {
        "n": len(labels),
        "accuracy": float((said == meant).mean()),
        "macro_f1": float(np.mean([scores["f1"] for scores in per_label.values()])),
        "auroc": {
            "negative": _auroc(np.array(negative), np.isin(meant, NEGATIVE)),
            "angry": _auroc(np.array(angry), meant == "angry"),
        },
        "per_label": per_label,
    }


def _scores(said: npt.NDArray[np.bool_], meant: npt.NDArray[np.bool_]) -> dict[str, float]:
    right = int((said & meant).sum())
    precision = right / max(1, int(said.sum()))
    recall = right / max(1, int(meant.sum()))
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "n": int(meant.sum())}


def _auroc(scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float | None:
    """Chance that a positive outranks a negative, ties half; None if either is missing."""
    above, below = scores[positive], scores[~positive]
    if not above.size or not below.size:
        return None
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, side="left")
    ties = np.searchsorted(ordered, above, side="right") - wins
    return float((wins + ties / 2).sum() / (above.size * below.size))
