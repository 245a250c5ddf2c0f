"""What customers ask companies about, in their words and in those of documents: leans a question towards both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from brain.knowledge.embed import Matrix, Vector

LEAN: Final = 0.25
"""Length of what is added to the vector of a question, which is 1 long."""
SHARP: Final = 0.05
"""Difference in cosine by which a topic counts 1/e of another."""
USUAL: Final = 0.5
"""Share of what all customers' questions have in common that is taken out of one: passages that are
near to every question would come first too often."""
NEAREST: Final = 8
"""Topics that count."""
STRANGE, FAMILIAR = 0.2, 0.35
"""Cosine of the nearest question below which it says nothing, and from which it counts in full."""
AT_ONCE: Final = 1024
"""Pieces compared with all topics at a time."""
TELLING: Final = 0.2
"""Share of the lean from which a topic is named."""
UNKNOWN: Final = 0.55
"""What `familiar` is on average: it stands for what nobody can say with another embedder."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """What the pieces of an index are about: of each its likeliest topics, and how much of each."""

    first: npt.NDArray[np.intp]
    """Row of the first piece of every passage."""
    topic: npt.NDArray[np.int16]
    """Rows of `Topics.about`."""
    share: npt.NDArray[np.float32]
    """Of length 1 in every row."""


@dataclass(frozen=True, slots=True)
class Leaned:
    """A question beside what customers ask."""

    vector: Vector
    """Its vector, normalised, leaning towards what it is about."""
    familiar: float = UNKNOWN
    """Cosine with the nearest of what customers ask: low for small talk and for commands to a phone."""
    towards: tuple[str, ...] = ()
    """Names of the topics that it leans to most."""
    shares: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """How much it is about every topic; in all 1, or less for what is hardly a customer's question."""

    def agreement(
        self, subjects: Subjects, chunks: Sequence[int], pieces: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """How much pieces of these passages are about the same, 0 to 1."""
        rows = subjects.first[np.asarray(chunks, dtype=np.intp)] + np.asarray(pieces, dtype=np.intp)
        both = self.shares[subjects.topic[rows]] * subjects.share[rows]
        return np.asarray(both.sum(axis=1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of Korean customer service in many trades, each in wordings of customers and of documents.

    Who writes "까만 거 시켰는데 흰 게 왔어요" shares no word with "오배송 안내", and a small model puts
    them far apart; between two customers' wordings of one trouble it sees the likeness. So the
    question is compared with those, takes on a little of their topics, and comes nearer to passages
    about the same ones. Made by
    `tests/bench/fit_retrieval.py` from `tests/bench/topics.jsonl`; no company's documents or
    questions are among them.
    """

    said: Matrix
    """Vectors of customers' wordings."""
    topic: npt.NDArray[np.intp]
    """Whose they are: rows of `about`."""
    about: Matrix
    """Where a topic lies: between its wordings by customers and by documents."""
    names: Sequence[str]
    """What a topic is called."""
    usual: Vector
    """The mean of `said`."""

    def lean(self, vector: Vector) -> Leaned:
        """The question of this vector, leaned, and less of what questions have in common."""
        nearness = np.full(len(self.about), -1.0, dtype=np.float32)
        np.maximum.at(nearness, self.topic, self.said @ vector)
        best = float(nearness.max())
        nearest, share = _likeliest(nearness)
        share /= share.sum()
        counts = min(1.0, max(0.0, (best - STRANGE) / (FAMILIAR - STRANGE)))
        leaned = vector + LEAN * counts * share @ self.about[nearest] - USUAL * self.usual
        leaned /= np.linalg.norm(leaned)
        telling = nearest[share >= TELLING] if counts else nearest[:0]
        shares = np.zeros(len(self.about), dtype=np.float32)
        shares[nearest] = counts * share
        named = tuple(self.names[at] for at in telling)
        return Leaned(leaned.astype(np.float32), best, named, shares)

    def subjects(self, pieces: Matrix, counts: Sequence[int]) -> Subjects:
        """What pieces of these vectors are about; `counts` says how many each passage has."""
        found = [
            _likeliest(pieces[start : start + AT_ONCE] @ self.about.T)
            for start in range(0, len(pieces), AT_ONCE)
        ]
        topic = np.concatenate([nearest for nearest, _ in found]).astype(np.int16)
        share = np.concatenate([shares for _, shares in found])
        share /= np.linalg.norm(share, axis=1, keepdims=True)
        first = np.cumsum([0, *counts], dtype=np.intp)[:-1]
        return Subjects(first, topic, share)


def _likeliest(nearness: Matrix) -> tuple[npt.NDArray[np.intp], Matrix]:
    """The nearest topics of every row, best first, and how much each counts beside the first's 1."""
    few = min(NEAREST, nearness.shape[-1])
    some = np.argpartition(-nearness, few - 1, axis=-1)[..., :few]
    near = np.take_along_axis(nearness, some, axis=-1)
    order = np.argsort(-near, axis=-1)
    near = np.take_along_axis(near, order, axis=-1)
    return np.take_along_axis(some, order, axis=-1), np.exp((near - near[..., :1]) / SHARP)


@cache
def of(embedder: str) -> Topics | None:
    """Those of the package; None if the embedder of this fingerprint is not the one they are for."""
    with np.load(Path(__file__).with_name("topics.npz")) as stored:
        if str(stored["embedder"]) != embedder:
            return None
        said = stored["said"].astype(np.float32) * stored["scale"]
        return Topics(
            said=said,
            topic=stored["topic"].astype(np.intp),
            about=stored["about"].astype(np.float32) * stored["scale"],
            names=stored["names"].tolist(),
            usual=said.mean(axis=0),
        )
