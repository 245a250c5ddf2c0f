"""Reading `prompts/exceptions.yaml` strictly into the handlers of the exception matrix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from brain.errors import PromptError
from brain.facts import Facts, slots_of, suggest
from brain.messages import Choice, ReplyKind
from brain.strict import Document, Place, expression

HANDLERS = (
    *("critical_safety.self_harm", "critical_safety.threat"),
    *("critical_safety.other_persons_data", "critical_safety.leak"),
    *("sensitive_topic", "sensitive_topic.masked", "legal_disclaimer", "legal_disclaimer.medical"),
    *("system_error", "person_wanted", "policy_conflict", "time_sensitive"),
    *("repeated_failure", "sustained_anger", "out_of_scope", "out_of_scope.elsewhere"),
    *("insufficient_info", "ambiguous_request", "language_barrier", "technical_limitation"),
    *("technical_limitation.attachment", "invalid_input", "invalid_input.empty"),
    *("invalid_input.too_long", "quota_exceeded", "maintenance_mode", "maintenance_mode.timed"),
    *("partial_match", "out_of_scope+insufficient_info", "system_error+time_sensitive"),
)
"""Handlers that every set must have; a company may add variants: `legal_disclaimer.tax`."""
RECORDED = tuple(
    dict.fromkeys(
        name if name.startswith("critical_safety.") else name.partition(".")[0]
        for name in HANDLERS
        if "+" not in name
    )
)
"""The names that stand on a turn: variants are only wordings, except those of critical safety."""
SLOTS: Mapping[str, tuple[str, ...]] = {
    "invalid_input.too_long": ("limit",),
    "maintenance_mode.timed": ("period",),
    "partial_match": ("headings",),
}
"""Slots that the product fills in, beside `reach` and `offer` which every text may use."""

Texts = Mapping[str, str]
"""A text by language, the company's facts put in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One row of the matrix."""

    name: str
    """As in the file: `handler`, `handler.variant`, or `one+other` for two at once."""
    priority: int
    """0, critical safety, to 5; the lowest speaks."""
    follow_up: str
    """What is to be done afterwards."""
    texts: Texts
    """What it says, where it is the reply."""
    notes: Texts
    """What it says before an answer; empty: nothing."""
    answer_from: Literal["medium", "high"] | None
    """Lowest confidence from which the question is answered; None: never."""
    choices: Mapping[str, tuple[Choice, ...]]
    """What can be tapped, by language."""
    offers: bool
    """Whether it asks if a person is wanted."""
    kind: ReplyKind
    """Of the reply."""
    escalates: bool
    """Whether a person should take over."""
    alert: bool
    """Whether staff must be told at once."""
    logged: bool
    """Whether it is logged by itself, not only with its turn."""

    @property
    def recorded(self) -> str:
        """The name on the turn, one of `RECORDED`."""
        return self.name if self.priority == 0 else self.name.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The question whether a person is wanted."""

    question: Texts
    """By language."""
    choices: Mapping[str, tuple[Choice, ...]]
    """Yes and no, by language."""
    accepted: Sequence[re.Pattern[str]]
    """What says yes to it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Alternatives = Annotated[
    list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed), Field(min_length=1)
]


class _Texts(_Strict):
    ko: Alternatives
    en: Alternatives


class _Choice(_Strict):
    label: Annotated[str, Field(min_length=1, max_length=40)]
    text: Annotated[str, Field(min_length=1)]


class _Choices(_Strict):
    ko: list[_Choice]
    en: list[_Choice]


class _Handler(_Strict):
    priority: Annotated[int, Field(ge=0, le=5)]
    follow_up: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    text: _Texts | None = None
    note: _Texts | None = None
    answer_from: Literal["medium", "high"] | None = None
    choices: _Choices | None = None
    kind: Literal["exception", "handoff"] = "exception"
    escalates: bool = False
    alert: bool = False
    logged: Literal["always", "with_turn"] = "with_turn"


class _Reach(_Strict):
    open: _Texts
    closed: _Texts


class _Offer(_Strict):
    question: _Texts
    choices: _Choices
    accepted: list[Annotated[str, AfterValidator(expression)]]


class _File(_Strict):
    reach: _Reach
    offer: _Offer
    handlers: dict[str, _Handler]


def read(path: Path, facts: Facts) -> tuple[dict[str, Handler], Mapping[bool, Texts], Offer]:
    """The handlers, how to reach a person when open (True) and closed, and the offer of one.

    Raises PromptError with file, line and what to write.
    """
    document = Document(path, error=PromptError)
    file = document.parse(_File)
    filler = _Filler(document, facts)
    for name in HANDLERS:
        if name not in file.handlers:
            near = suggest(name, list(file.handlers))
            raise document.fault(("handlers",), f"the handler {name!r} is missing; {near}")
    handlers = {}
    for name, row in file.handlers.items():
        place: Place = ("handlers", name)
        base = name.partition(".")[0]
        if name not in HANDLERS and ("." not in name or base not in _BASES):
            near = suggest(name, HANDLERS)
            raise document.fault(place, f"unknown handler {name!r}; {near}")
        if (row.priority == 0) != (base == "critical_safety"):
            raise document.fault(
                (*place, "priority"), "0 is for critical_safety, 1 to 5 for the others"
            )
        worded = row if row.text else file.handlers.get(base, row)
        if worded.text is None:
            raise document.fault(place, f"the key 'handlers.{name}.text' is missing")
        texts = filler.fill(("handlers", name if row.text else base, "text"), worded.text, name)
        notes = filler.fill((*place, "note"), row.note, name) if row.note else {}
        handlers[name] = Handler(
            name=name,
            priority=row.priority,
            follow_up=row.follow_up,
            texts=texts,
            notes=notes,
            answer_from=row.answer_from,
            choices=_choices(worded.choices),
            offers=any("{offer}" in text for text in (*texts.values(), *notes.values())),
            kind=row.kind,
            escalates=row.escalates,
            alert=row.alert,
            logged=row.logged == "always",
        )
    reach = {
        True: filler.fill(("reach", "open"), file.reach.open),
        False: filler.fill(("reach", "closed"), file.reach.closed),
    }
    offer = Offer(
        question=filler.fill(("offer", "question"), file.offer.question),
        choices=_choices(file.offer.choices),
        accepted=[re.compile(pattern) for pattern in file.offer.accepted],
    )
    return handlers, reach, offer


_BASES = frozenset(name.partition(".")[0] for name in HANDLERS if "+" not in name)


class _Filler:
    """Puts facts into texts and checks their slots."""

    def __init__(self, document: Document, facts: Facts) -> None:
        self._document = document
        self._facts = facts

    def fill(self, place: Place, written: _Texts, handler: str = "") -> Texts:
        """Of each language the first alternative whose facts are known; all are checked."""
        slots = ("reach", "offer", *SLOTS.get(handler, ())) if handler else ()
        return {
            language: self._first((*place, language), texts, slots)
            for language, texts in (("ko", written.ko), ("en", written.en))
        }

    def _first(self, place: Place, texts: Sequence[str], slots: Sequence[str]) -> str:
        usable = []
        for at, text in enumerate(texts):
            here = (*place, at)
            try:
                filled = self._facts.fill(text.rstrip("\n"), slots)
                missing = [slot for slot in slots[2:] if slot not in dict.fromkeys(slots_of(text))]
            except ValueError as wrong:
                raise self._document.fault(here, str(wrong)) from None
            if missing and place[-2] == "text":
                raise self._document.fault(here, f"the text must use the slot {missing[0]!r}")
            if filled is not None:
                usable.append(filled)
        if not usable:
            what = "add an alternative that needs no absent company fact"
            raise self._document.fault((*place, len(texts) - 1), what)
        return usable[0]


def _choices(written: _Choices | None) -> dict[str, tuple[Choice, ...]]:
    if written is None:
        return {}
    return {
        language: tuple(Choice(label=each.label, text=each.text) for each in each_language)
        for language, each_language in (("ko", written.ko), ("en", written.en))
    }
