"""What a message may be about whatever its words are: read off its vector and its letters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from brain.emotion import Vector
from brain.exceptions.detect import folded

UNLIKELY = 0.05
"""Probability below which a pattern that is to be weighed counts as a coincidence."""
SURE = 0.4
"""Probability from which a hunch counts."""
DANGER = 0.6
"""The same where it stops the conversation: nobody is to be suspected lightly."""
BESIDES = 0.5
"""The same where a pattern, what was said before or what the documents say accounts for the message."""
FOREIGN = 0.7
"""The same for what is not our field: it would deny what the documents merely lack."""
BEYOND = 0.8
"""Probability from which what speaks against it, in the words or in the documents, does not count."""

COLUMNS = 4096
"""Into how many the letters are hashed."""
LONGEST = 200
"""Characters of a message that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunches:
    """A logistic regression for each exception over the bundled embedder's vector and the letters."""

    names: tuple[str, ...]
    """Handlers of the exception matrix, in the order of the columns of the weights."""
    meaning: npt.NDArray[np.float32]
    """One row for each dimension of the vector, one column for each name."""
    letters: npt.NDArray[np.float32]
    """One row for each of `COLUMNS`, one column for each name."""
    bias: npt.NDArray[np.float32]
    """One for each name."""

    @classmethod
    def bundled(cls) -> Hunches:
        """Those trained by `tests/bench/train_exceptions.py`."""
        with np.load(Path(__file__).with_name("hunch.npz")) as stored:
            return cls(
                names=tuple(json.loads(str(stored["names"]))),
                meaning=stored["meaning"].astype(np.float32),
                letters=stored["letters"].astype(np.float32) * stored["scale"],
                bias=stored["bias"].astype(np.float32),
            )

    def read(self, text: str, vector: Vector) -> Mapping[str, float]:
        """How probable each exception is for a message, by the bundled embedder's `vector` of it."""
        at = columns(text)
        scores = vector @ self.meaning + self.letters[at].sum(axis=0) / len(at) ** 0.5 + self.bias
        return dict(zip(self.names, (1 / (1 + np.exp(-scores))).tolist(), strict=True))

    def joins(self, name: str, chance: float, *, accounted: bool) -> bool:
        """Whether `name` counts at that `chance`; `accounted`: the message means something already."""
        if name == "out_of_scope":
            return chance >= FOREIGN and not accounted
        if name.startswith("critical_safety."):
            return chance >= DANGER
        return chance >= (BESIDES if accounted else SURE)


def columns(text: str) -> list[int]:
    """Where the groups of one to three letters of `text` fall; spaces count, at both ends too."""
    said = f" {folded(text)[:LONGEST]} "
    groups = {said[at : at + n] for n in (1, 2, 3) for at in range(len(said) - n + 1)}
    return sorted({crc32(group.encode(errors="replace")) % COLUMNS for group in groups})
