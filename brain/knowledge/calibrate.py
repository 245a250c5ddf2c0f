"""Fits the confidence to a company's own questions, starting from the fit that is shipped.

Every question is put to the whole knowledge, and once more to the knowledge without the document that
answers it: that is how a near question looks to which there is no answer. What else nobody answers can
be added. The shipped weights stand for some observations of their own, so that a few dozen questions
move them a little and a few hundred a lot.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from brain.errors import KnowledgeError
from brain.knowledge.chunk import Chunk
from brain.knowledge.confidence import Fit, Signals, shipped
from brain.knowledge.embed import Matrix
from brain.knowledge.index import Rows
from brain.knowledge.lexical import Lexical
from brain.knowledge.library import Library
from brain.knowledge.questions import Question
from brain.knowledge.retrieve import Found

MINIMUM = 30
"""Questions with a source that a fit needs."""
FOLDS = 5
"""Parts of the documents that are taken out in turn, and of the questions that are kept from a fit."""
PRIOR = {"answerable": 0.7, "near": 0.15, "far": 0.15}
"""How often each kind is taken to be asked: probabilities are calibrated to this mixture."""
SHIPPED_COUNTS = 10.0
"""Observations that the shipped weights stand for."""
LOST = 0.05
"""Share of answered questions that may fall to the level low."""
LOWEST, HIGHEST = 0.15, 0.6
"""Bounds of the level medium, as a few questions say little about the rarest."""
FAR = 0.9
"""Share of far questions that must not count as related."""
MANY_FAR = 20
"""Far questions from which on that share is known well enough."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fit and how far it can be trusted, measured on questions that were kept from it."""

    fit: Fit
    """What to judge by from now on."""
    questions: int
    """Questions with a source."""
    answered: int
    """Those whose best passage answers."""
    error: float
    """Mean difference of stated and true probability (ECE)."""
    error_shipped: float
    """The same of the shipped fit."""
    declined: Mapping[str, float]
    """Share of each kind (answered, near, far) that falls to the level low."""
    declined_shipped: Mapping[str, float]
    """The same of the shipped fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    kind: str
    group: int
    signals: Signals
    answered: bool


async def calibrate(library: Library, questions: Sequence[Question]) -> Calibration:
    """The fit for these questions on the knowledge as it is now.

    Raises `KnowledgeError` for too few of them or a source that is not in the index.
    """
    held = [question for question in questions if question.sources]
    if len(held) < MINIMUM:
        raise KnowledgeError(
            f"{len(held)} questions with a `source` are too few to fit the confidence; "
            f"write at least {MINIMUM}, better 200"
        )
    rows = await _observe(library, held, [each for each in questions if not each.sources])
    left_out = np.zeros(len(rows))
    for fold in range(FOLDS):
        test = [at for at, row in enumerate(rows) if row.group == fold]
        fitted = _fitted([row for row in rows if row.group != fold])
        left_out[test] = [_probability(fitted, rows[at].signals) for at in test]
    fit = _with_levels(_fitted(rows), rows, left_out, library.status().embedder, len(held))
    before = np.array([shipped().probability(row.signals) for row in rows])
    return Calibration(
        fit=fit,
        questions=len(held),
        answered=sum(row.answered for row in rows if row.kind == "answerable"),
        error=_error(rows, left_out),
        error_shipped=_error(rows, before),
        declined=_declined(rows, left_out, fit.medium),
        declined_shipped=_declined(rows, before, shipped().medium),
    )


# ---- what is seen


class _Part(Rows):
    """The knowledge without some documents, searchable as an index is."""

    def __init__(self, chunks: Sequence[Chunk], vectors: Matrix, without: set[str]) -> None:
        kept = [chunk.document not in without for chunk in chunks]
        pieces = np.repeat(kept, [len(chunk.pieces) for chunk in chunks])
        self.chunks = [chunk for chunk, keep in zip(chunks, kept, strict=True) if keep]
        self.lexical = Lexical.build([chunk.embedded for chunk in self.chunks])
        super().__init__(self.chunks, vectors[pieces])


async def _observe(
    library: Library, held: Sequence[Question], foreign: Sequence[Question]
) -> list[_Row]:
    chunks, vectors = await library.passages()
    documents = sorted({chunk.document for chunk in chunks})
    unknown = sorted({source for each in held for source in each.sources} - set(documents))
    if unknown:
        raise KnowledgeError(
            f"no document {unknown[0]!r} in the index; reload, or correct `source`"
        )
    fold = {document: at % FOLDS for at, document in enumerate(documents)}
    parts = [
        await asyncio.to_thread(
            _Part, chunks, vectors, {document for document in documents if fold[document] == at}
        )
        for at in range(FOLDS)
    ]
    rows: list[_Row] = []
    for question in held:
        group = fold[question.sources[0]]
        vector = await library.embed(question.text)
        found = await library.search(question.text, vector=vector)
        _add(rows, "answerable", group, found, question)
        # Without `must` nothing tells whether another document answers as well.
        if question.must and parts[group].chunks:
            found = await library.search_in(parts[group], question.text, vector=vector)
            _add(rows, "near", group, found, question)
    for at, question in enumerate(foreign):
        _add(rows, question.kind, at % FOLDS, await library.search(question.text), question)
    return rows


def _add(rows: list[_Row], kind: str, group: int, found: Found, question: Question) -> None:
    if found.signals:
        # Any document that says what must be said answers, when its own is taken out.
        answered = question.rank(found.passages[:1], anywhere=kind == "near") == 1
        rows.append(_Row(kind=kind, group=group, signals=found.signals, answered=answered))


# ---- what is made of it


def _values(rows: Sequence[_Row]) -> Numbers:
    names = list(shipped().weights)
    return np.array([[*(getattr(row.signals, name) for name in names), 1.0] for row in rows])


def _weights(rows: Sequence[_Row]) -> Numbers:
    """Each kind counts as often as it is taken to be asked; all together as often as there are rows."""
    counts = Counter(row.kind for row in rows)
    weights = np.array([PRIOR[row.kind] / counts[row.kind] for row in rows])
    scaled: Numbers = weights * len(rows) / weights.sum()
    return scaled


def _fitted(rows: Sequence[_Row]) -> Numbers:
    """Weights in the order of the shipped ones, the intercept last: logistic regression drawn to these."""
    values, weights = _values(rows), _weights(rows)
    answered = np.array([row.answered for row in rows], dtype=float)
    start = np.array([*shipped().weights.values(), shipped().intercept])
    # What moves the logit by one standard deviation of a signal weighs alike for every signal.
    spread = np.append(values[:, :-1].std(axis=0), 1.0) + 1e-6
    pull = SHIPPED_COUNTS * np.diag(spread**2) / 4

    def loss(theta: Numbers) -> float:
        logits = values @ theta
        missed = np.logaddexp(0, logits) - answered * logits
        return float(weights @ missed + (theta - start) @ pull @ (theta - start) / 2)

    theta = start
    for _ in range(100):
        chances = _logistic(values @ theta)
        slope = values.T @ (weights * (chances - answered)) + pull @ (theta - start)
        curve = (values * (weights * chances * (1 - chances))[:, None]).T @ values + pull
        step = np.linalg.solve(curve, slope)
        # Far from the end a whole step of Newton's may lead uphill.
        while loss(theta - step) > loss(theta) and np.abs(step).max() > 1e-9:
            step = step / 2
        theta = theta - step
        if np.abs(step).max() < 1e-7:
            break
    return theta


def _with_levels(
    theta: Numbers, rows: Sequence[_Row], left_out: Numbers, embedder: str, questions: int
) -> Fit:
    answered = left_out[[row.kind == "answerable" and row.answered for row in rows]]
    far = left_out[[row.kind == "far" for row in rows]]
    medium = float(np.clip(np.quantile(answered, LOST), LOWEST, HIGHEST)) if len(answered) else 0.0
    medium = medium or shipped().medium
    related = float(np.quantile(far, FAR)) if len(far) >= MANY_FAR else shipped().related
    names = list(shipped().weights)
    return Fit(
        weights={name: round(float(theta[at]), 3) for at, name in enumerate(names)},
        intercept=round(float(theta[-1]), 3),
        related=round(min(related, medium), 3),
        medium=round(medium, 3),
        high=shipped().high,
        embedder=embedder,
        questions=questions,
        created=date.today().isoformat(),  # noqa: DTZ011 - a day, for people to read
    )


def _probability(theta: Numbers, signals: Signals) -> float:
    values = [*(getattr(signals, name) for name in shipped().weights), 1.0]
    return float(_logistic(np.dot(theta, values)))


def _logistic(logits: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))


def _error(rows: Sequence[_Row], stated: Numbers) -> float:
    """Mean difference of stated and true probability over ten bins."""
    truth = np.array([row.answered for row in rows], dtype=float)
    weights = _weights(rows)
    bins = np.minimum((stated * 10).astype(int), 9)
    off = [abs(float((weights * (truth - stated))[bins == at].sum())) for at in range(10)]
    return round(sum(off) / float(weights.sum()), 4)


def _declined(rows: Sequence[_Row], stated: Numbers, medium: float) -> dict[str, float]:
    kinds = {
        "answered": [row.kind == "answerable" and row.answered for row in rows],
        "near": [row.kind == "near" and not row.answered for row in rows],
        "far": [row.kind == "far" for row in rows],
    }
    return {
        kind: round(float((stated[which] < medium).mean()), 4)
        for kind, which in kinds.items()
        if any(which)
    }
