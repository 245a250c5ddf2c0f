"""Confidence: what the fitted model makes of signals."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.knowledge import confidence
from brain.knowledge.confidence import Signals, assess, margin

FITTED = json.loads(Path(confidence.__file__).with_suffix(".json").read_text(encoding="utf-8"))
NAMES = [field.name for field in fields(Signals)]
SIGNALS = st.builds(
    Signals,
    cosine=st.floats(-1, 1),
    margin=st.floats(0, 1),
    coverage=st.floats(0, 1),
)


def test_weights_are_fitted_for_every_signal() -> None:
    assert sorted(FITTED["weights"]) == sorted(NAMES)
    assert 0 < FITTED["medium"] < FITTED["high"] < 1


@given(SIGNALS)
def test_a_probability_and_the_level_it_stands_for(signals: Signals) -> None:
    found = assess(signals)
    assert 0 <= found.probability <= 1
    expected = "low" if found.probability < FITTED["medium"] else "medium"
    if found.probability > FITTED["high"]:
        expected = "high"
    # The probability is rounded, so at a border either level is right.
    border = min(abs(found.probability - FITTED[name]) for name in ("medium", "high"))
    assert found.level == expected or border < 1e-4


@pytest.mark.parametrize("name", NAMES)
@given(signals=SIGNALS, more=st.floats(0, 0.5))
def test_more_of_a_signal_never_makes_an_answer_less_probable(
    name: str, signals: Signals, more: float
) -> None:
    raised = replace(signals, **{name: getattr(signals, name) + more})
    assert assess(raised).probability >= assess(signals).probability


@pytest.mark.parametrize(
    ("signals", "level"),
    [
        (Signals(cosine=0.60, margin=0.40, coverage=0.95, familiar=0.7), "high"),
        (Signals(cosine=0.20, margin=0.05, coverage=0.05, familiar=0.1), "low"),
        (Signals(cosine=0.0, margin=0.0, coverage=0.0, familiar=0.0), "low"),
    ],
)
def test_clear_cases(signals: Signals, level: str) -> None:
    assert assess(signals).level == level


@pytest.mark.parametrize(
    ("cosines", "expected"),
    [
        ([], 0.0),
        ([0.9], 0.0),
        ([0.9, 0.8, 0.7], 0.15),
        ([0.9] * 10 + [0.8, 0.7], 0.15),
    ],
)
def test_margin_is_over_the_farther_candidates(cosines: list[float], expected: float) -> None:
    assert margin(cosines) == pytest.approx(expected)
