"""Reading YAML strictly: every mistake is one line that names file, line and what to write instead."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from brain.errors import SangdamError

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
"""Keys and list positions that lead to a value."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of the YAML library's two, the one in C where it is there: ten times as fast."""
DEEPEST = 30
"""Levels of nesting beyond which a document is refused."""


def expression(pattern: str) -> str:
    """`pattern` as it is. Raises ValueError when it is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


class Document:
    """A YAML document as plain values, with the line on which each of them stands."""

    def __init__(self, path: Path, *, error: type[SangdamError]) -> None:
        """Read `path`; raises `error` for what cannot be read, repeats a key or uses aliases."""
        self.path = path
        self._error = error
        self._lines: dict[Place, int] = {}
        self.value: Any = self._read()

    def _read(self) -> Any:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise self._error(f"{self.path}: no such file") from None
        except UnicodeDecodeError as broken:
            raise self._error(
                f"{self.path}: not UTF-8 text ({broken.reason}); save it as UTF-8"
            ) from None
        except OSError as broken:
            raise self._error(f"{self.path}: {broken.strerror or broken}") from None
        try:
            self._check(yaml.parse(text, Loader=LOADER))
            root = yaml.compose(text, Loader=LOADER)
        except yaml.YAMLError as broken:
            mark = getattr(broken, "problem_mark", None)
            where = f":{mark.line + 1}" if mark else ""
            what = getattr(broken, "problem", None) or "not readable as YAML"
            raise self._error(f"{self.path}{where}: {what}") from None
        return None if root is None else self._plain(root, ())

    def _check(self, events: Iterable[yaml.Event]) -> None:
        """Refuses anchors, aliases and what is nested so deeply that composing it would recurse."""
        depth = 0
        for event in events:
            line = event.start_mark.line + 1 if event.start_mark else 1
            if getattr(event, "anchor", None):
                raise self._error(f"{self.path}:{line}: YAML anchors and aliases are not allowed")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST + 1:
                raise self._error(f"{self.path}:{line}: nested deeper than {DEEPEST} levels")

    def _plain(self, node: Node, place: Place) -> Any:
        self._lines[place] = node.start_mark.line + 1
        if len(place) > DEEPEST:
            raise self.fault(place, f"nested deeper than {DEEPEST} levels")
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self._plain(item, (*place, at)) for at, item in enumerate(node.value)]
        try:
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise self.fault(place, f"cannot read {node.value!r}") from None

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise self.fault(place, "keys must be plain words")
            name = str(key.value)
            if name in found:
                self._lines[(*place, name)] = key.start_mark.line + 1
                raise self.fault((*place, name), f"the key {name!r} stands twice")
            found[name] = self._plain(value, (*place, name))
            self._lines[(*place, name)] = key.start_mark.line + 1
        return found

    def line(self, place: Place) -> int:
        """The line of `place`, or of the nearest enclosing value."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)

    def fault(self, place: Place, what: str) -> SangdamError:
        """The error to raise for a mistake at `place`."""
        return self._error(f"{self.path}:{self.line(place)}: {what}")

    def check_distinct(self, place: Place, names: Sequence[str], what: str = "name") -> None:
        """Raises for a name that stands twice in the list at `place`; `what` the names are called."""
        for at, name in enumerate(names):
            if name in names[:at]:
                raise self.fault((*place, at), f"the {what} {name!r} stands twice")

    def map_strings(self, change: Callable[[str], str]) -> None:
        """Replace every string value; a `LookupError` from `change` becomes the error at that line."""

        def walk(value: Any, place: Place) -> Any:
            if isinstance(value, dict):
                return {key: walk(item, (*place, key)) for key, item in value.items()}
            if isinstance(value, list):
                return [walk(item, (*place, at)) for at, item in enumerate(value)]
            if isinstance(value, str):
                try:
                    return change(value)
                except LookupError as missing:
                    raise self.fault(place, str(missing.args[0])) from None
            return value

        self.value = walk(self.value, ())

    def parse(self, model: type[M]) -> M:
        """The document as `model`; an empty document is an empty mapping."""
        value = {} if self.value is None else self.value
        if not isinstance(value, Mapping):
            raise self.fault((), "expected `key: value` lines")
        try:
            return model.model_validate(value)
        except ValidationError as wrong:
            problems = wrong.errors(include_url=False)
            # A misspelt key is also a missing one: what was written says more than what was not.
            first = min(problems, key=lambda each: each["type"] != "extra_forbidden")
            place = tuple(part for part in first["loc"] if isinstance(part, str | int))
            raise self.fault(place, explain(first, place, model)) from None


def explain(problem: Any, place: Place, model: type[BaseModel]) -> str:
    """One clause for a pydantic error, with the nearest valid key for an unknown one."""
    name = ".".join(str(part) for part in place)
    if problem["type"] == "extra_forbidden":
        valid = _keys(model, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(valid)}"
        return f"unknown key {name!r}; {hint}"
    if problem["type"] == "missing":
        return f"the key {name!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]} (got {problem['input']!r:.60})"


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that are valid at `place` below `model`."""
    inside: Any = model
    for part in place:
        if _is_model(inside):
            field = inside.model_fields.get(str(part))
            inside = _chosen(field.annotation) if field else None
        else:  # an item of a list or a value of a mapping
            inside = _chosen((typing.get_args(inside) or (None,))[-1])
    if not _is_model(inside):
        return []
    return [field.alias or name for name, field in inside.model_fields.items()]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _chosen(annotation: Any) -> Any:
    """What a key can lie in: of `str | X | None` the record type or collection, `X`."""
    if typing.get_origin(annotation) not in (types.UnionType, typing.Union):
        return annotation
    inner = [arg for arg in typing.get_args(annotation) if arg not in (type(None), str)]
    return inner[0] if inner else None
