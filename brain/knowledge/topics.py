"""What customers ask companies about, in their words and in those of documents: leans a question towards both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from brain.knowledge.embed import Matrix, Vector

LEAN: Final = 0.25
"""Length of what is added to the vector of a question, which is 1 long."""
SHARP: Final = 0.05
"""Difference in cosine by which a topic counts 1/e of another."""
NEAREST: Final = 8
"""Topics that count."""
STRANGE, FAMILIAR = 0.2, 0.35
"""Cosine of the nearest question below which it says nothing, and from which it counts in full."""
UNKNOWN: Final = 0.44
"""What `familiar` is on average: it stands for what nobody can say with another embedder."""


class Leaned(NamedTuple):
    """A question beside what customers ask."""

    vector: Vector
    """Its vector, normalised, leaning towards what it is about."""
    familiar: float
    """Cosine with the nearest of what customers ask: low for small talk and for commands to a phone."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Some 750 topics of Korean customer service, each in nine wordings of customers and three of documents.

    Who writes "까만 거 시켰는데 흰 게 왔어요" shares no word with "오배송 안내", and a small model puts
    them far apart; between two customers' wordings of one trouble it sees the likeness. So the
    question is compared with those, and takes on a little of their topics. Made by
    `tests/bench/fit_retrieval.py` from `tests/bench/topics.jsonl`; no company's documents or
    questions are among them.
    """

    said: Matrix
    """Vectors of customers' wordings."""
    topic: npt.NDArray[np.intp]
    """Whose they are: rows of `about`."""
    about: Matrix
    """Where a topic lies: between its wordings by customers and by documents."""

    def lean(self, vector: Vector) -> Leaned:
        """The question of this vector, leaned."""
        nearness = np.full(len(self.about), -1.0, dtype=np.float32)
        np.maximum.at(nearness, self.topic, self.said @ vector)
        nearest = np.argsort(-nearness)[:NEAREST]
        best = float(nearness[nearest[0]])
        share = np.exp((nearness[nearest] - best) / SHARP)
        counts = min(1.0, max(0.0, (best - STRANGE) / (FAMILIAR - STRANGE)))
        leaned = vector + LEAN * counts * (share / share.sum()) @ self.about[nearest]
        return Leaned((leaned / np.linalg.norm(leaned)).astype(np.float32), best)


@cache
def of(embedder: str) -> Topics | None:
    """Those of the package; None if the embedder of this fingerprint is not the one they are for."""
    with np.load(Path(__file__).with_name("topics.npz")) as stored:
        if str(stored["embedder"]) != embedder:
            return None
        return Topics(
            said=stored["said"].astype(np.float32) * stored["scale"],
            topic=stored["topic"].astype(np.intp),
            about=stored["about"].astype(np.float32) * stored["scale"],
        )
