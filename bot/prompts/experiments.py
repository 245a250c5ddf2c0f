"""Comparing prompt variants by what became of their conversations, without a verdict too early."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from bot.prompts.significance import rates_differ, times_differ
from bot.store.database import Database
from bot.store.outcomes import Outcome, outcomes
from brain.prompt.adjustments import Rate
from brain.prompt.variants import MINIMUM, Experiment

Measured = Literal["resolution", "feedback", "handoff", "response_time"]
Word = Literal["better", "worse", "same", "too_few"]
"""same: no difference that chance could not have made."""
MORE_IS_BETTER: tuple[Measured, ...] = ("resolution", "feedback")
"""Measures of which more is better; of the others less is."""
ALPHA = 0.05
"""Chance of a false alarm in a whole comparison; divided among its tests (Bonferroni)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One variant, or one prompt set."""

    name: str
    """Of the variant, or id of the set."""
    share: float | None
    """Share of the customers; None outside an experiment."""
    answers: int
    """Replies that answered."""
    response_ms: float | None
    """Their median time."""
    resolution: Rate
    """Conversations without repeat, dislike or person."""
    feedback: Rate
    """Rated replies that helped."""
    handoff: Rate
    """Conversations that needed a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One measure of one side against the first side."""

    name: str
    """Which side."""
    measure: Measured
    """What is compared."""
    n: int
    """Samples of the side that has fewer."""
    difference: float | None
    """This side less the first: of shares, or of median milliseconds."""
    p: float | None
    """Chance of such a difference between equals; None with too few samples."""
    word: Word
    """What it comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What can be said by now."""

    experiment: str
    """Its name; empty where sets that followed one another are compared."""
    minimum: int
    """Samples of each side before any verdict."""
    alpha: float
    """p below which a difference counts, with as many tests as there are."""
    sides: tuple[Side, ...]
    """The first is what the others are compared with."""
    verdicts: tuple[Verdict, ...]
    """Four for each other side."""

    @property
    def randomised(self) -> bool:
        """Whether chance chose the customers; else times and customers differ too."""
        return bool(self.experiment)


async def compare(
    database: Database, *, experiment: Experiment | None, sets: Sequence[str], now: datetime
) -> Comparison | None:
    """The variants of `experiment`, or without one the sets of these ids; None of fewer than two."""
    if experiment is not None:
        found = await outcomes(database, now=now, variant=f":{experiment.name}.")
        return in_experiment(experiment, found)
    if len(sets) < 2:
        return None
    return between_sets(sets, await outcomes(database, now=now))


def in_experiment(experiment: Experiment, found: Sequence[Outcome]) -> Comparison:
    """The experiment's variants over every prompt set that it ran in."""
    whole = sum(variant.weight for variant in experiment.variants)
    return _compare(
        {
            variant.name: [
                each
                for each in found
                if each.variant.partition(":")[2] == f"{experiment.name}.{variant.name}"
            ]
            for variant in experiment.variants
        },
        {variant.name: variant.weight / whole for variant in experiment.variants},
        experiment.name,
        experiment.minimum,
    )


def between_sets(names: Sequence[str], found: Sequence[Outcome]) -> Comparison:
    """Prompt sets by id, the first is the one that the others are compared with."""
    sides = {name: [e for e in found if e.variant.partition(":")[0] == name] for name in names}
    return _compare(sides, {}, "", MINIMUM)


def _compare(
    found: Mapping[str, Sequence[Outcome]],
    shares: Mapping[str, float],
    experiment: str,
    minimum: int,
) -> Comparison:
    sides = {name: _side(name, each, shares.get(name)) for name, each in found.items()}
    times = {name: [ms for one in each for ms in one.response_ms] for name, each in found.items()}
    first, *others = found
    alpha = ALPHA / max(1, len(get_args(Measured)) * len(others))
    verdicts: list[Verdict] = []
    for name in others:
        one, other = sides[name], sides[first]
        tests: Mapping[Measured, _Test] = {
            "resolution": _Test.of_rates(one.resolution, other.resolution),
            "feedback": _Test.of_rates(one.feedback, other.feedback),
            "handoff": _Test.of_rates(one.handoff, other.handoff),
            "response_time": _Test.of_times(times[name], times[first]),
        }
        verdicts += [test.verdict(name, measure, minimum, alpha) for measure, test in tests.items()]
    return Comparison(
        experiment=experiment,
        minimum=minimum,
        alpha=alpha,
        sides=tuple(sides.values()),
        verdicts=tuple(verdicts),
    )


def _side(name: str, found: Sequence[Outcome], share: float | None) -> Side:
    times = [ms for each in found for ms in each.response_ms]
    return Side(
        name=name,
        share=share,
        answers=sum(each.answers for each in found),
        response_ms=statistics.median(times) if times else None,
        resolution=Rate.total(each.resolved for each in found),
        feedback=Rate.total(each.liked for each in found),
        handoff=Rate.total(each.handed_over for each in found),
    )


@dataclass(frozen=True, slots=True)
class _Test:
    n: int
    difference: float
    p: float

    @classmethod
    def of_rates(cls, one: Rate, other: Rate) -> _Test:
        difference = (one.value or 0.0) - (other.value or 0.0)
        return cls(min(one.n, other.n), difference, rates_differ(one, other))

    @classmethod
    def of_times(cls, one: Sequence[float], other: Sequence[float]) -> _Test:
        n = min(len(one), len(other))
        difference = statistics.median(one) - statistics.median(other) if n else 0.0
        return cls(n, difference, times_differ(one, other))

    def verdict(self, name: str, measure: Measured, minimum: int, alpha: float) -> Verdict:
        """Silent about what a sample that is too small seems to show."""
        if self.n < minimum:
            return Verdict(
                name=name, measure=measure, n=self.n, difference=None, p=None, word="too_few"
            )
        word: Word = "same"
        if self.p < alpha and self.difference:
            gained = (self.difference > 0) == (measure in MORE_IS_BETTER)
            word = "better" if gained else "worse"
        return Verdict(
            name=name,
            measure=measure,
            n=self.n,
            difference=self.difference,
            p=self.p,
            word=word,
        )
