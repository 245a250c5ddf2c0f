"""Records of the vocabulary as JSON text and back, exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import cache, partial
from operator import attrgetter
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic_core import to_json

R = TypeVar("R")


def dump(value: object) -> str:
    """JSON text of a record, or of plain data. A date within free-form metadata becomes ISO text."""
    try:
        # In half the time of the standard library: a turn and its session are written every time.
        return to_json(value, inf_nan_mode="constants").decode()
    except ValueError:
        # Half of a surrogate pair, or a mapping of another kind.
        return _ASCII.encode(value)


def load(kind: type[R], text: str) -> R:
    """The record of this type that `dump` wrote; a field added since then has its default."""
    hashable: Any = kind  # mypy holds a class for unhashable
    read: Callable[[Any], R] = _reader(hashable)
    return read(json.loads(text))


def _plain(value: object) -> object:
    """What json asks for when it meets something that is not JSON."""
    kind: Any = type(value)  # mypy holds a class for unhashable
    if fields_of := _fields(kind):
        names, read = fields_of
        return dict(zip(names, read(value), strict=True))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be stored")


@cache
def _fields(kind: type) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]]] | None:
    """The names of a dataclass's fields and what reads them all; None for another type."""
    if not is_dataclass(kind):
        return None
    names = tuple(field.name for field in fields(kind))
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda value: tuple(getattr(value, name) for name in names)


_ASCII = json.JSONEncoder(default=_plain, separators=(",", ":"))


@cache
def _readers(kind: type) -> dict[str, Callable[[Any], Any]]:
    """For every field of a dataclass, what turns its JSON into its value."""
    hints = get_type_hints(kind)
    return {field.name: _reader(hints[field.name]) for field in fields(kind)}


def _record(kind: Any, value: Mapping[str, Any]) -> Any:
    known = _readers(kind).items()
    return kind(**{name: read(value[name]) for name, read in known if name in value})


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What turns JSON into a value of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return partial(_record, kind)
    if kind is datetime:
        return datetime.fromisoformat
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value: tuple(item(each) for each in value)
    if origin in (Union, UnionType):  # in the vocabulary always "or None"
        some = _reader(arguments[0])
        return lambda value: None if value is None else some(value)
    return lambda value: value
