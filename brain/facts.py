"""The company's facts: name, hours, contacts, policies and whatever else `company.yaml` says."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from brain.errors import ConfigError
from brain.strict import Document

SECTIONS = ("name", "hours", "contacts", "policies")
"""What the product itself uses; every other section is the company's own."""
NEUTRAL_NAME = "저희 회사"
"""What a company without facts is called in rules."""


class _Company(BaseModel):
    """The sections whose shape is known; the others are free."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)
    hours: dict[str, Any] = {}
    contacts: dict[str, Any] = {}
    policies: dict[str, Any] = {}


class Facts:
    """Values by dotted path: `policies.return_days`. Without a file only a neutral name is known."""

    def __init__(self, values: Mapping[str, Any], *, known: bool = True) -> None:
        self._values = values
        self.known = known
        """Whether the company said anything about itself."""

    @classmethod
    def load(cls, path: Path | None) -> Facts:
        """The facts in the YAML file `path`; None: none. Raises ConfigError with file and line."""
        if path is None:
            return cls({"name": NEUTRAL_NAME}, known=False)
        document = Document(path, error=ConfigError)
        document.parse(_Company)
        for section in document.value:
            near = difflib.get_close_matches(section, SECTIONS, n=1, cutoff=0.8)
            if near and section not in SECTIONS:
                raise document.fault(
                    (section,), f"unknown section {section!r}; did you mean {near[0]!r}?"
                )
        return cls(document.value)

    @property
    def name(self) -> str:
        """The company's name, a neutral one without facts."""
        return str(self._values["name"])

    @property
    def hours(self) -> Mapping[str, Any]:
        """The section `hours` as written: opening hours and the company's own days off."""
        hours: Mapping[str, Any] = self._values.get("hours") or {}
        return hours

    def paths(self) -> list[str]:
        """Every dotted path that leads to a value."""
        return [path for path, _ in _walk(self._values, "")]

    def text(self, path: str) -> str | None:
        """The value at a dotted path as it is written in a sentence; None if there is none."""
        value: Any = self._values
        for key in path.split("."):
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        if value is None or isinstance(value, Mapping):
            return None
        return shown(value)

    def lines(self, sections: tuple[str, ...] = ()) -> list[str]:
        """`path: value` for every fact, or for those of `sections`."""
        return [
            f"{path}: {shown(value)}"
            for path, value in _walk(self._values, "")
            if self.known and (not sections or path.split(".")[0] in sections)
        ]

    def digest(self) -> str:
        """Changes when a fact changes."""
        text = json.dumps(self._values, ensure_ascii=False, sort_keys=True, default=str)
        return sha256(text.encode()).hexdigest()


def shown(value: object) -> str:
    """A value as it is written in a sentence: 30000 as `30,000`, a list with commas."""
    if isinstance(value, bool):
        return "O" if value else "X"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    return str(value)


def _walk(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value
