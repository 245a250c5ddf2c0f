"""What a message may be about where no pattern shows: read off the question vector."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from brain.emotion import Vector

SURE = 0.5
"""Probability from which a hunch counts."""
DANGER = 0.6
"""The same where it stops the conversation: nobody is to be suspected lightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunches:
    """A logistic regression for each exception, for the bundled embedder: microseconds, a few kB."""

    names: tuple[str, ...]
    """Handlers of the exception matrix, in the order of the rows of `weights`."""
    weights: npt.NDArray[np.float32]
    """One row for each name, one column for each dimension."""
    bias: npt.NDArray[np.float32]
    """One for each name."""

    @classmethod
    def bundled(cls) -> Hunches:
        """Those trained by `tests/bench/train_exceptions.py`."""
        with np.load(Path(__file__).with_name("hunch.npz")) as stored:
            return cls(
                names=tuple(json.loads(str(stored["names"]))),
                weights=stored["weights"].astype(np.float32),
                bias=stored["bias"].astype(np.float32),
            )

    def read(self, vector: Vector) -> str:
        """The likeliest exception of a message; empty if none is likely enough."""
        scores = self.weights @ vector + self.bias
        best = int(scores.argmax())
        name = self.names[best]
        enough = DANGER if name.startswith("critical_safety.") else SURE
        return name if scores[best] >= np.log(enough / (1 - enough)) else ""
