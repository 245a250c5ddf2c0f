"""YAML from strangers' files: text, lists and mappings only, bounded, errors with their line."""

from __future__ import annotations

from typing import Any

import yaml

from brain.errors import DocumentError

_DEEPEST = 20
_NOTHING = frozenset({"", "~", "null"})

# libyaml is an order of magnitude faster; wheels without it fall back.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_mapping(text: str, *, first_line: int = 1) -> dict[str, Any]:
    """The mapping that `text` holds, every scalar as it is written (`no`, `010` and dates stay text).

    Raises `DocumentError` naming the line for anything that is not a mapping, for anchors, aliases and
    tags (no document needs them, and bombs are made of them), repeated keys and deep nesting.
    """
    try:
        value = _build(text, first_line)
    except yaml.MarkedYAMLError as error:
        line = first_line + (error.problem_mark.line if error.problem_mark else 0)
        raise DocumentError(f"line {line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise DocumentError(f"line {first_line}: expected `key: value` lines")
    return value


class _Mapping(dict[str, Any]):
    """A mapping being filled: the key whose value comes next."""

    key: str | None = None


def _build(text: str, first_line: int) -> Any:
    root: list[Any] = []
    stack: list[list[Any] | _Mapping] = [root]
    for event in yaml.parse(text, Loader=_LOADER):
        line = first_line + (event.start_mark.line if event.start_mark else 0)
        if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            stack.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        _refuse(event, line, depth=len(stack))
        value = _value(event)
        _put(stack[-1], value, line)
        if not isinstance(value, str):
            stack.append(value)
    if len(root) > 1:
        raise DocumentError("more than one YAML document in the file; keep one")
    return root[0] if root else None


def _refuse(event: yaml.NodeEvent, line: int, *, depth: int) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise DocumentError(
            f"line {line}: YAML anchors and aliases are not read; write the text out"
        )
    if getattr(event, "tag", None):
        raise DocumentError(f"line {line}: YAML tags (`!...`) are not read; write plain text")
    if depth > _DEEPEST:
        raise DocumentError(f"line {line}: nested deeper than {_DEEPEST} levels")


def _value(event: yaml.NodeEvent) -> str | list[Any] | _Mapping:
    if isinstance(event, yaml.MappingStartEvent):
        return _Mapping()
    if isinstance(event, yaml.SequenceStartEvent):
        return []
    assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - the only node left
    plain = event.style is None or event.style == ""
    return "" if plain and event.value in _NOTHING else str(event.value)


def _put(parent: list[Any] | _Mapping, value: str | list[Any] | _Mapping, line: int) -> None:
    if isinstance(parent, list):
        parent.append(value)
        return
    if parent.key is not None:
        parent[parent.key] = value
        parent.key = None
        return
    if not isinstance(value, str):
        raise DocumentError(f"line {line}: a key must be text")
    if value in parent:
        raise DocumentError(f"line {line}: `{value[:40]}` is given twice")
    parent.key = value
