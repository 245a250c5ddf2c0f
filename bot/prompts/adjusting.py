"""Switching adjustments of the prompt by what was measured, in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bot.store.database import Database
from bot.store.outcomes import Outcome, outcomes
from bot.store.prompt_history import Entry, PromptHistory
from brain.prompt.adjustments import Adjustment, Adjustments, Measure, Rate

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a rule stands."""

    rule: Adjustment
    """Which."""
    on: bool
    """Whether it is on."""
    since: datetime | None
    """When it was last switched; None: never."""
    measured: Rate
    """Since then, and within the window."""
    minimum: int
    """Samples that a switch needs."""


class Adjuster:
    """Measures what the rules go by and writes every switch into the log."""

    def __init__(
        self, *, database: Database, history: PromptHistory, now: Callable[[], datetime]
    ) -> None:
        """`now` is the application's clock."""
        self._database = database
        self._history = history
        self._now = now

    async def standings(self, adjustments: Adjustments) -> list[Standing]:
        """Every rule with what was measured for it."""
        latest = {entry.what: entry for entry in await self._history.entries() if not entry.is_set}
        found = []
        now = self._now()
        window = now - timedelta(days=adjustments.window_days)
        ended: dict[datetime, list[Outcome]] = {}
        for rule in adjustments.rules:
            switched = latest.get(rule.name)
            since = max(window, switched.at) if switched else window
            if since not in ended:
                ended[since] = await outcomes(self._database, now=now, since=since, timed=False)
            found.append(
                Standing(
                    rule=rule,
                    on=switched is not None and switched.kind == "on",
                    since=switched.at if switched else None,
                    measured=_total(ended[since], rule.measure),
                    minimum=adjustments.minimum,
                )
            )
        return found

    async def adjust(self, adjustments: Adjustments) -> list[Entry]:
        """Switch what the measured values ask for; the lines that were written about it."""
        written = []
        for standing in await self.standings(adjustments):
            rule, measured = standing.rule, standing.measured
            if rule.wanted(measured, standing.minimum, standing.on) == standing.on:
                continue
            border = f">= {rule.until}" if standing.on else f"< {rule.below}"
            entry = Entry(
                kind="off" if standing.on else "on",
                at=self._now(),
                what=rule.name,
                note=f"{rule.measure} {measured.value:.3f} {border}, n {measured.n}",
            )
            await self._history.add(entry)
            log.info("prompt_adjusted", adjustment=rule.name, kind=entry.kind, why=entry.note)
            written.append(entry)
        return written


def _total(found: Sequence[Outcome], measure: Measure) -> Rate:
    """The measure over every variant: all customers get the same adjustments."""
    return Rate.total(_rate(each, measure) for each in found)


def _rate(outcome: Outcome, measure: Measure) -> Rate:
    match measure:
        case "accuracy":
            return outcome.right
        case "satisfaction":
            return outcome.satisfied
        case "completion":
            return outcome.completed
