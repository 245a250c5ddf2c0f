"""Rules by which measured values switch parts of the prompt on and off."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain.errors import PromptError
from brain.strict import Document

ADJUSTMENTS = "adjustments.yaml"
"""The file in a prompt folder that holds the rules."""

Measure = Literal["accuracy", "satisfaction", "completion"]
"""accuracy: rated answers that were right; satisfaction: rated conversations without a dislike;
completion: conversations that ended without a person and without a repeated question."""
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many of how many."""

    hits: int
    """Those that had it."""
    n: int
    """Those that were looked at."""

    @classmethod
    def total(cls, rates: Iterable[Rate]) -> Rate:
        """All of them together."""
        counted = list(rates)
        return cls(hits=sum(rate.hits for rate in counted), n=sum(rate.n for rate in counted))

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None of none."""
        return self.hits / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One rule; modules and examples with its name are used while it is on."""

    name: str
    """As in the file."""
    measure: Measure
    """What it goes by."""
    below: float
    """Switched on below this share."""
    until: float
    """Switched off from this share on."""

    def wanted(self, measured: Rate, minimum: int, on: bool) -> bool:
        """Whether it is to be on; nothing changes with fewer than `minimum` samples."""
        value = measured.value
        if value is None or measured.n < minimum:
            return on
        return value < self.until if on else value < self.below


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustments:
    """Every rule of a prompt set."""

    window_days: int = 14
    """How far back it is measured, but never from before the rule's last switch."""
    minimum: int = 100
    """Samples below which nothing is switched."""
    rules: tuple[Adjustment, ...] = ()
    """In the order of the file."""

    @classmethod
    def load(cls, folder: Path) -> Adjustments:
        """The rules of the prompt set in `folder`; none without the file. Raises PromptError."""
        path = folder / ADJUSTMENTS
        if not path.is_file():
            return cls()
        document = Document(path, error=PromptError)
        file = document.parse(_File)
        document.check_distinct(("rules",), [rule.name for rule in file.rules])
        return cls(
            window_days=file.window_days,
            minimum=file.minimum,
            rules=tuple(
                Adjustment(name=rule.name, measure=rule.measure, below=rule.below, until=rule.until)
                for rule in file.rules
            ),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rules."""
        return tuple(rule.name for rule in self.rules)

    def check_used(self, folder: Path, used: Collection[str]) -> None:
        """Raises PromptError for a rule that switches nothing; `used` are names that parts have."""
        for at, rule in enumerate(self.rules):
            if rule.name not in used:
                document = Document(folder / ADJUSTMENTS, error=PromptError)
                raise document.fault(
                    ("rules", at),
                    f"{rule.name!r} switches nothing: no module or example has "
                    f"`adjustment: {rule.name}`",
                )


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rule(_Strict):
    name: Id
    measure: Measure
    below: Share
    until: Share

    @model_validator(mode="after")
    def _apart(self) -> _Rule:
        if self.until <= self.below:
            raise ValueError("'until' must be higher than 'below', else it flutters")
        return self


class _File(_Strict):
    window_days: int = Field(14, ge=1, le=365)
    minimum: int = Field(100, ge=1)
    rules: list[_Rule] = []
