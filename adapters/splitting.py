"""Long texts in parts that a channel takes, cut where a reader would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from adapters.graphemes import parts_at

Measure = Callable[[str], int]

_FENCE: Final = re.compile(r"[ \t>]*(`{3,}(?=[^`\n]*$)|~{3,})[ \t]*(\S*)[^\n]*", re.M)
# Korean sentences often end without a mark, but not without one of these endings.
_SENTENCE: Final = re.compile(
    r"[.!?…]+[\"'”’」』)\]*]*(?=\s)|[。！？]+[\"'”’」』)\]*]*"
    r"|(?<=[가-힣])(?:니다|니까|세요|어요|아요|여요|해요|예요|에요|네요|데요|까요|지요|군요|죠)[~^ㅎㅋ]*(?=\s)"
)
_SPACE: Final = re.compile(r"\s+")
_SPAN: Final = re.compile(
    r"`[^`\n]+`|\[[^\]\n]*\]\([^)\s]*\)|\*\*(?!\s)[^*\n]+\*\*|(?<![*\w])\*(?![\s*])[^*\n]+\*(?!\*)"
)
_MARK_ONLY: Final = re.compile(r"\s*(?:[-*+•]|\d{1,9}[.)]|[>#]+|[A-Za-z]\.)\s*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t]*\r?\n)+")

PARAGRAPH, LINE, SENTENCE, SPACE, INSIDE = range(5)
"""Places to cut, best first; `INSIDE` is a space or a sentence's end within bold, code or a link."""


@dataclass(frozen=True, slots=True)
class _Fence:
    """A code fence that is open."""

    marker: str
    language: str

    @property
    def opening(self) -> str:
        return f"{self.marker}{self.language}\n"

    @property
    def closing(self) -> str:
        return f"\n{self.marker}"


@dataclass(frozen=True, slots=True)
class _Cut:
    """A place to cut: what is before it, from what is after it."""

    position: int
    rank: int
    fence: _Fence | None = None


def split(text: str, limit: int, *, measure: Measure = len) -> list[str]:
    """`text`, in our Markdown subset, in parts of at most `limit` by `measure`; none if it is blank.

    Cut after a paragraph, else a line, else a sentence, else a word, as long as the part is at
    least half full; never inside what a reader sees as one character, unless that alone is over the
    limit. A code fence that is cut is closed and opened again with its language, unless the limit is
    too small for that. Nothing is lost but white space at the cuts. `measure` must not be negative
    and should grow with the text; a limit smaller than one character by it gives that character.
    Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError("a part needs room for something")
    parts: list[str] = []
    rest, fence = text, None
    while rest.strip():
        part, rest, fence = _first_part(rest, fence, limit, measure)
        parts.append(part)
    return parts


def _first_part(
    rest: str, fence: _Fence | None, limit: int, measure: Measure
) -> tuple[str, str, _Fence | None]:
    """The first part of `rest`, which begins inside `fence`; then what is left, and its fence."""
    opening = fence.opening if fence else ""
    if measure(opening + rest) <= limit:
        return opening + rest.rstrip(), "", None
    end = _reach(opening, rest, limit, measure)
    for cut in _by_preference(rest, end, fence, limit, measure):
        part = _part(opening, rest, cut)
        if part is not None and measure(part) <= limit:
            left, still_open = _left(rest, cut)
            return part, left, still_open
    return rest[:1], rest[1:], None
