"""What a prompt part may depend on: `when`, names of the situation and what they must be."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from brain.errors import PromptError
from brain.exceptions.matrix_file import RECORDED
from brain.facts import suggest
from brain.messages import CustomerKind, Daypart, EmotionLabel, Level, Situation
from brain.strict import Document, Place

INTENTS = (
    "order",
    "exchange_refund",
    "product",
    "technical",
    "complaint",
    "account",
    "greeting",
    "other",
)
"""Values of `Situation.intent`."""
SITUATION: Mapping[str, tuple[str, ...]] = {
    "emotion": get_args(EmotionLabel),
    "intensity": (),
    "daypart": get_args(Daypart),
    "open": (),
    "intent": INTENTS,
    "customer": get_args(CustomerKind),
    "language": (),
    "repeats": (),
    "confidence": get_args(Level),
    "exception": RECORDED,
}
"""Names that `when` may match on, with their values where these are words."""

LASTING = frozenset({"daypart", "open", "customer", "language"})
"""Those that are the same, as a rule, in the next message of a conversation."""

_READ: Mapping[str, Callable[[str], object]] = {
    "intensity": float,
    "repeats": int,
    "open": lambda value: value == "true",
}
_COMPARISON = re.compile(r"(>=|<=|!=|==|>|<)\s*(\S+)")
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One line of a `when`: a name of the situation and what it must be."""

    name: str
    """Attribute of `Situation`."""
    test: Callable[[object], bool]
    """Whether a value fulfils it."""


def holds(when: Sequence[Condition], situation: Situation) -> bool:
    """Whether every condition is fulfilled."""
    return all(condition.test(getattr(situation, condition.name)) for condition in when)


def situation_of(text: str) -> dict[str, Any]:
    """The names and values of `emotion=angry,repeats=2`. Raises PromptError for unknown ones."""
    given: dict[str, Any] = {}
    for pair in filter(None, text.replace(" ", "").split(",")):
        name, sign, value = pair.partition("=")
        if not sign or name not in SITUATION:
            raise PromptError(f"{pair!r}: write name=value; {suggest(name, list(SITUATION))}")
        words = SITUATION[name] or (("true", "false") if name == "open" else ())
        if words and value not in words:
            raise PromptError(f"{name!r} has no value {value!r}; {suggest(value, words)}")
        try:
            given[name] = _READ.get(name, str)(value)
        except ValueError:
            raise PromptError(f"{name!r} is a number, not {value!r}") from None
    return given


def conditions(document: Document, place: Place, when: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of a `when`. Raises PromptError for an unknown name or value."""
    found = []
    for name, wanted in when.items():
        here = (*place, name)
        if name not in SITUATION:
            raise document.fault(here, f"unknown name {name!r}; {suggest(name, list(SITUATION))}")
        compared = _COMPARISON.fullmatch(wanted) if isinstance(wanted, str) else None
        if compared:
            sign, written = compared.groups()
            value = _value(document, here, name, written)
            if sign not in ("==", "!=") and not isinstance(value, float):
                raise document.fault(here, f"{name!r} has no order; write values, not {sign!r}")
            found.append(Condition(name=name, test=_test(_COMPARE[sign], value)))
            continue
        written_values = wanted if isinstance(wanted, list) else [wanted]
        values = tuple(_value(document, here, name, one) for one in written_values)
        found.append(Condition(name=name, test=_member(values)))
    return tuple(found)


def _test(compare: Callable[[Any, Any], bool], value: object) -> Callable[[object], bool]:
    return lambda actual: compare(actual, value)


def _member(values: tuple[object, ...]) -> Callable[[object], bool]:
    return lambda actual: actual in values


def _value(document: Document, place: Place, name: str, written: Any) -> object:
    """What `written` means for the situation's `name`."""
    if name in ("intensity", "repeats"):
        try:
            return float(written)
        except (TypeError, ValueError):
            raise document.fault(place, f"{name!r} is a number, not {written!r}") from None
    if name == "open":
        if not isinstance(written, bool):
            raise document.fault(place, f"'open' is true or false, not {written!r}")
        return written
    if name == "language":
        if not isinstance(written, str) or not re.fullmatch("[a-z]{2}", written):
            raise document.fault(place, f"'language' is two letters such as ko, not {written!r}")
        return written
    if written not in SITUATION[name]:
        hint = suggest(str(written), SITUATION[name])
        raise document.fault(place, f"{name!r} has no value {written!r}; {hint}")
    return written
