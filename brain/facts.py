"""The company's facts: name, hours, contacts, policies and whatever else `company.yaml` says."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from string import Formatter
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

    def fill(self, text: str, slots: Collection[str] = ()) -> str | None:
        """`text` with every `{company.path}` put in, ready for `str.format_map` with its slots.

        None if a fact is absent that `{company.path?}` asks for, or any when no facts are known;
        then only `{company.name}` has a value, a neutral one.
        Raises ValueError for an unknown fact, an unknown slot or a stray brace.
        """
        filled = ""
        for words, field in fields(text):
            filled += _escaped(words)
            if not field:
                continue
            if not field.startswith("company."):
                filled += self._slot(field, slots)
                continue
            value = self._fact(field)
            if value is None:
                return None
            filled += _escaped(value)
        return filled

    def _slot(self, field: str, slots: Collection[str]) -> str:
        if field in slots:
            return f"{{{field}}}"
        valid = [*slots, *(f"company.{path}" for path in self.paths())]
        raise ValueError(f"unknown slot {field!r}; {suggest(field, valid)}")

    def _fact(self, field: str) -> str | None:
        path = field.removeprefix("company.").removesuffix("?")
        optional = field.endswith("?")
        if optional and not self.known:
            return None
        value = self.text(path)
        if value is None and self.known and not optional:
            near = suggest(path, self.paths())
            raise ValueError(
                f"unknown fact {path!r}; {near} Write {{{field}?}} if it may be absent"
            )
        return value

    def lines(self, without: Collection[str] = ()) -> list[str]:
        """`path: value` for every fact not in `without`, those that the product uses first.

        `without` holds fields as texts write them: `company.policies.return_days?`.
        """
        worded = {field.removeprefix("company.").removesuffix("?") for field in without}
        found = [(path, value) for path, value in _walk(self._values, "") if path not in worded]
        found.sort(key=lambda fact: fact[0].split(".")[0] not in SECTIONS)
        return [f"{path}: {shown(value)}" for path, value in found] if self.known else []

    def digest(self) -> str:
        """Changes when a fact changes."""
        text = json.dumps(self._values, ensure_ascii=False, sort_keys=True, default=str)
        return sha256(text.encode()).hexdigest()


def fields(text: str) -> Iterator[tuple[str, str]]:
    """Pieces of `text`: words and the `{field}` behind them, empty at the end.

    Raises ValueError for a stray brace, an empty field or one with a format.
    """
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as stray:
        raise ValueError(f"{str(stray).lower()}; write {{{{ and }}}} for braces") from None
    for words, field, spec, conversion in pieces:
        if field == "" or spec or conversion:
            raise ValueError("write a name and nothing else in braces, {{ and }} for braces")
        yield words, field or ""


def slots_of(text: str) -> list[str]:
    """Names of the fields of `text`, in order. Raises ValueError as `fields` does."""
    return [field for _, field in fields(text) if field]


def suggest(name: str, valid: Sequence[str]) -> str:
    """What to write instead of an unknown `name`."""
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(valid) or 'none'}"


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


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _walk(values: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value
