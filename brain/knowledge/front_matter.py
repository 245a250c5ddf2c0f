"""What a document says about itself: title, category, date, locale, tags and whatever else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from brain.errors import DocumentError
from brain.knowledge.strict_yaml import load_mapping
from brain.knowledge.text import clean

VALID = ("valid_from", "valid_until")
"""First and last day on which what a document says holds."""

_FENCE = re.compile(r"---[ \t]*\n")


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The mapping between the first two `---` lines, and what follows them.

    Raises `DocumentError` when it is never closed or is no mapping.
    """
    opening = _FENCE.match(text)
    if not opening:
        return {}, text
    closing = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, opening.end())
    if not closing:
        raise DocumentError("line 1: the front matter that `---` opens is never closed by `---`")
    block = text[opening.end() : closing.start()]
    mapping = load_mapping(block, first_line=2) if block.strip() else {}
    return kept(mapping), text[closing.end() :]


def kept(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it is kept: tags always a list, empty values left out.

    Raises `DocumentError` when it names a day that is none.
    """
    metadata = {clean(key): _cleaned(value) for key, value in mapping.items()}
    metadata = {key: value for key, value in metadata.items() if value not in ("", None, [], {})}
    tags = metadata.get("tags")
    if isinstance(tags, str):
        metadata["tags"] = [tag.strip() for tag in tags.split(",") if tag.strip()]
    for key in VALID:
        if key in metadata and day(metadata[key]) is None:
            raise DocumentError(f"`{key}` must be a day such as 2026-12-31")
    return metadata


def day(value: object) -> date | None:
    """The day that a value of `valid_from` or `valid_until` names; None when it names none."""
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        return None


def title_of(metadata: Mapping[str, Any]) -> str:
    """The title that the metadata gives, or nothing; `DocumentError` when it is no text."""
    title = metadata.get("title", "")
    if not isinstance(title, str):
        raise DocumentError("`title` must be text")
    return title.strip()


def is_log(metadata: Mapping[str, Any]) -> bool:
    """Whether a document calls itself a consultation log: `kind: log`."""
    return str(metadata.get("kind", "")).strip().casefold() in {"log", "logs"}


def _cleaned(value: Any) -> Any:
    # Escapes in YAML and JSON bring back characters that the text itself was rid of.
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, Mapping):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    return value
