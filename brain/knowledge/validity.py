"""Which passages hold on a day: documents may say from when and until when they do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from brain.knowledge.chunk import Chunk
from brain.knowledge.front_matter import VALID, day

Mask: TypeAlias = npt.NDArray[np.bool_]
"""For every chunk, whether it may be found."""


class Validity:
    """The days on which each of some chunks holds; most hold always."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._size = len(chunks)
        self._days = [
            (at, day(chunk.metadata.get(VALID[0])), day(chunk.metadata.get(VALID[1])))
            for at, chunk in enumerate(chunks)
            if not chunk.metadata.keys().isdisjoint(VALID)
        ]

    def on(self, today: date) -> Mask | None:
        """The chunks that hold on that day; None where all do."""
        out = [
            at
            for at, first, last in self._days
            if (first is not None and today < first) or (last is not None and today > last)
        ]
        if not out:
            return None
        holds = np.ones(self._size, dtype=bool)
        holds[out] = False
        return holds
