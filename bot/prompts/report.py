"""Prompt versions, comparisons and adjustments as documents and as lines for a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bot.prompts.adjusting import Standing
from bot.prompts.experiments import Comparison
from bot.prompts.significance import interval
from bot.store.prompt_history import Entry
from brain.prompt.adjustments import Rate


def entry_document(entry: Entry) -> dict[str, Any]:
    """A line of the log."""
    return {**asdict(entry), "at": entry.at.isoformat(timespec="seconds")}


def standing_document(standing: Standing) -> dict[str, Any]:
    """A rule, whether it is on, and what was measured."""
    return {
        **asdict(standing.rule),
        "on": standing.on,
        "since": standing.since.isoformat(timespec="seconds") if standing.since else None,
        "value": standing.measured.value,
        "n": standing.measured.n,
        "minimum": standing.minimum,
    }


def standing_line(standing: Standing) -> str:
    """The same for a person."""
    rule, measured = standing.rule, standing.measured
    return (
        f"adjustment {rule.name}: {'on' if standing.on else 'off'}; {rule.measure} "
        f"{share(measured)}, on below {rule.below:.0%}, off from {rule.until:.0%}"
        + (", too few samples to switch" if measured.n < standing.minimum else "")
    )


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Every side with its samples and intervals, and every verdict."""
    return {
        "experiment": comparison.experiment or None,
        "randomised": comparison.randomised,
        "minimum": comparison.minimum,
        "alpha": comparison.alpha,
        "variants": [
            {
                "name": side.name,
                "share": side.share,
                "answers": side.answers,
                "response_ms": side.response_ms,
                **{
                    name: _rate_document(getattr(side, name))
                    for name in ("resolution", "feedback", "handoff")
                },
            }
            for side in comparison.sides
        ],
        "verdicts": [asdict(verdict) for verdict in comparison.verdicts],
    }


def comparison_lines(comparison: Comparison) -> list[str]:
    """The same for a person."""
    lines = [
        f"experiment {comparison.experiment}"
        if comparison.randomised
        else "sets that followed one another: other days, other customers, no experiment"
    ]
    for side in comparison.sides:
        median = "-" if side.response_ms is None else f"{side.response_ms:.0f} ms"
        lines.append(
            f"{side.name}: {side.answers} answers, median {median}; resolved "
            f"{share(side.resolution)}, helpful {share(side.feedback)}, to a person "
            f"{share(side.handoff)}"
        )
    for verdict in comparison.verdicts:
        if verdict.word == "too_few":
            said = f"too few samples for a verdict ({verdict.n} of {comparison.minimum})"
        else:
            word = "no difference to be claimed" if verdict.word == "same" else verdict.word
            said = f"{word}, difference {verdict.difference:+.3f}, p {verdict.p:.4f}, n {verdict.n}"
        lines.append(f"{verdict.name} {verdict.measure}: {said}")
    return lines


def share(rate: Rate) -> str:
    """A share with the interval that it may lie in, and its sample."""
    if rate.value is None:
        return "- (n 0)"
    low, high = interval(rate)
    return f"{rate.value:.1%} ({low:.1%} to {high:.1%}, n {rate.n})"


def _rate_document(rate: Rate) -> dict[str, Any]:
    return {"hits": rate.hits, "n": rate.n, "rate": rate.value, "interval": list(interval(rate))}
