"""Comparisons: the tests are those of the textbooks, and nothing is claimed from small samples."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bot.prompts.experiments import between_sets, in_experiment
from bot.prompts.report import comparison_document, comparison_lines
from bot.prompts.significance import interval, rates_differ, times_differ
from bot.store.outcomes import Outcome
from brain.prompt.adjustments import Rate
from brain.prompt.variants import Experiment, Variant


def side(variant: str, n: int, share: float, **changes: Any) -> Outcome:
    rate = Rate(hits=round(n * share), n=n)
    return Outcome(
        **{
            "variant": variant,
            "answers": n,
            "response_ms": [100.0 + number % 50 for number in range(n)],
            **dict.fromkeys(("liked", "right", "resolved", "completed", "satisfied"), rate),
            "handed_over": Rate(hits=n - rate.hits, n=n),
            **changes,
        }
    )


def experiment(minimum: int) -> Experiment:
    return Experiment(
        name="tone",
        minimum=minimum,
        variants=tuple(
            Variant(name=name, weight=weight, overlay="", persona="")
            for name, weight in (("control", 1), ("warm", 3))
        ),
    )


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_small_counts_are_tested_as_fisher_does(n: int, m: int, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    expected = stats.fisher_exact([[a, n - a], [b, m - b]])[1]
    pooled = (a + b) / (n + m)
    if pooled in (0, 1) or min(n, m) * min(pooled, 1 - pooled) < 5:
        assert rates_differ(Rate(hits=a, n=n), Rate(hits=b, n=m)) == pytest.approx(
            expected, abs=1e-6
        )


def test_large_counts_are_tested_by_the_two_proportion_z() -> None:
    found = rates_differ(Rate(hits=820, n=1000), Rate(hits=780, n=1000))
    assert found == pytest.approx(0.0253, abs=1e-4)
    assert rates_differ(Rate(hits=820, n=1000), Rate(hits=1640, n=2000)) == 1
    assert rates_differ(Rate(hits=0, n=0), Rate(hits=5, n=9)) == 1


@pytest.mark.parametrize("shift", [0, 3, 10])
def test_times_are_tested_as_mann_and_whitney_do(shift: int) -> None:
    chance = random.Random(shift)
    one = [round(chance.lognormvariate(5, 1)) for _ in range(300)]
    other = [round(chance.lognormvariate(5, 1)) + shift for _ in range(200)]
    expected = stats.mannwhitneyu(one, other, method="asymptotic").pvalue
    assert times_differ(one, other) == pytest.approx(expected, abs=1e-9)
    assert times_differ([5.0] * 9, [5.0] * 9) == 1
    assert times_differ([], [5.0]) == 1


def test_a_share_has_wilsons_interval() -> None:
    expected = stats.binomtest(80, 100).proportion_ci(method="wilson")
    assert interval(Rate(hits=80, n=100)) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert interval(Rate(hits=0, n=0)) == (0, 1)


def test_nothing_is_claimed_below_the_minimum() -> None:
    found = [side("a:tone.control", 999, 0.2), side("a:tone.warm", 2000, 0.9)]
    comparison = in_experiment(experiment(1000), found)
    assert {verdict.word for verdict in comparison.verdicts} == {"too_few"}
    assert {verdict.p for verdict in comparison.verdicts} == {None}
    assert "too few samples for a verdict (999 of 1000)" in "\n".join(comparison_lines(comparison))


def test_a_clear_difference_is_said_and_chance_is_not() -> None:
    slow = [150.0 + number % 50 for number in range(1000)]
    found = [
        side("a:tone.control", 1000, 0.7),
        side("a:tone.warm", 1000, 0.8, response_ms=slow, liked=Rate(hits=705, n=1000)),
        side("a", 5000, 0.1),
        side("a:other.warm", 5000, 0.1),
    ]
    comparison = in_experiment(experiment(1000), found)
    assert {verdict.measure: verdict.word for verdict in comparison.verdicts} == {
        "resolution": "better",
        "feedback": "same",
        "handoff": "better",
        "response_time": "worse",
    }
    assert comparison.alpha == 0.05 / 4
    assert [one.share for one in comparison.sides] == [0.25, 0.75]
    document = comparison_document(comparison)
    assert document["randomised"]
    assert document["variants"][1]["resolution"]["n"] == 1000
    assert document["verdicts"][3]["difference"] == 50


def test_an_experiment_goes_on_while_the_set_around_it_is_edited() -> None:
    found = [side(f"{name}:tone.{arm}", 10, 0.5) for name in "ab" for arm in ("control", "warm")]
    comparison = in_experiment(experiment(1000), found)
    assert [one.resolution.n for one in comparison.sides] == [20, 20]


def test_sets_without_an_experiment_are_no_random_comparison() -> None:
    comparison = between_sets(["old", "new"], [side("new:x.y", 50, 0.9), side("old", 40, 0.5)])
    assert not comparison.randomised
    assert [(one.name, one.answers) for one in comparison.sides] == [("old", 40), ("new", 50)]
    assert comparison.minimum == 1000
    assert "other customers" in comparison_lines(comparison)[0]
