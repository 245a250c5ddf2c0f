"""Long texts in parts that a channel takes, cut where a reader would."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from adapters.graphemes import parts_at

Measure = Callable[[str], int]

_FENCE: Final = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})[ \t]*(\S*).*")
# Korean sentences often end without a mark, but not without one of these endings.
_SENTENCE: Final = re.compile(
    r"[.!?…]+[\"'”’」』)\]*]*(?=\s)|[。！？]+[\"'”’」』)\]*]*"
    r"|(?<=[가-힣])(?:니다|니까|세요|어요|아요|여요|해요|예요|에요|네요|데요|까요|지요|군요|죠)[~^ㅎㅋ]*(?=\s)"
)
_SPACE: Final = re.compile(r"\s+")
_SPAN: Final = re.compile(
    r"`[^`]+`|\[[^\]]*\]\([^)\s]*\)|\*\*(?!\s)[^*]+\*\*|(?<![*\w])\*(?![\s*])[^*]+\*(?!\*)"
)
# Nothing is cut off right behind the mark of a list, a quotation or a heading.
_MARK_ONLY: Final = re.compile(r"\s*(?:[-*+•]|\d{1,9}[.)]|[>#]+)?\s*")
_HEADING: Final = re.compile(r"[ \t]*#{1,6}[ \t]")
_BLANK_LINES: Final = re.compile(r"(?:[ \t]*\r?\n)+")

_PARAGRAPH, _LINE, _SENTENCE_END, _WORD, _WITHIN = range(5)
"""Places to cut, best first; `_WITHIN` is one within bold, code or a link."""
_LONGEST_LANGUAGE: Final = 20
_LONGEST_SPAN: Final = 500


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

    def ends_with(self, line: str) -> bool:
        """Whether `line` closes it."""
        line = line.strip()
        return len(line) >= len(self.marker) and not line.strip(self.marker[0])


@dataclass(frozen=True, slots=True)
class _Cut:
    """A place to cut, and the fence that is open there."""

    position: int
    rank: int
    fence: _Fence | None


@dataclass(slots=True)
class _Seen:
    """What a look over the beginning of a text found."""

    cuts: list[_Cut] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """Where each line begins."""
    fences: list[_Fence | None] = field(default_factory=list)
    """The fence that is open within each line."""

    def fence_at(self, position: int) -> _Fence | None:
        return self.fences[bisect_right(self.lines, position) - 1]


def split(text: str, limit: int, *, measure: Measure = len) -> list[str]:
    """`text`, in our Markdown subset, in parts of at most `limit` by `measure`; none if it is blank.

    Cut after a paragraph, else a line, else a sentence, else a word, as long as that fills half of
    the part; never inside what a reader sees as one character, unless that alone is over the limit.
    A code fence that is cut is closed and opened again with its language, unless the limit is too
    small for that. Nothing is lost but white space at the cuts. `measure` should grow with the text;
    where not even one character is within the limit, that character is a part.
    Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError("a part needs room for something")
    parts: list[str] = []
    rest, fence = _from_first_line(text), None
    while rest.strip():
        part, rest, fence = _first_part(rest, fence, limit, measure)
        parts.append(part)
    return parts


def _first_part(
    rest: str, fence: _Fence | None, limit: int, measure: Measure
) -> tuple[str, str, _Fence | None]:
    """The first part of `rest`, which begins inside `fence`; what is left, and the fence it begins in."""
    opening = fence.opening if fence else ""
    whole = opening + rest.rstrip()
    if len(whole) <= 2 * limit and measure(whole) <= limit:
        return whole, "", None
    end = _reach(opening, rest, limit, measure)
    seen = _look_over(rest, end, fence)
    for cut in _by_preference(rest, end, seen):
        kept = cut.fence if cut.fence and _has_room(cut.fence, limit, measure) else None
        part = rest[: cut.position].rstrip()
        if not part or _only_opens(part, kept):
            continue
        part = opening + part + (kept.closing if kept else "")
        if measure(part) <= limit:
            return part, *_left(rest[cut.position :], kept)
    end = max(end, 1)  # one visible character is over the limit, or a fence leaves no room
    return opening + rest[:end], rest[end:], None


def _reach(opening: str, rest: str, limit: int, measure: Measure) -> int:
    """How many characters of `rest` are within the limit."""
    low, high = 0, min(limit, len(rest))
    while measure(opening + rest[:high]) <= limit:
        if high == len(rest):
            return high
        low, high = high, min(2 * high, len(rest))
    while high - low > 1:
        middle = (low + high) // 2
        if measure(opening + rest[:middle]) <= limit:
            low = middle
        else:
            high = middle
    return low


def _has_room(fence: _Fence, limit: int, measure: Measure) -> bool:
    return 2 * measure(fence.opening + fence.closing) <= limit


def _only_opens(part: str, fence: _Fence | None) -> bool:
    """Whether the last line of `part` is the one that opens `fence`: code without a line of it."""
    last = part.rpartition("\n")[2]
    match = _FENCE.fullmatch(last)
    return fence is not None and match is not None and not fence.ends_with(last)


def _look_over(rest: str, end: int, fence: _Fence | None) -> _Seen:
    """The places to cut in `rest` up to `end`, first to last."""
    seen, start = _Seen(), 0
    while start <= end and start < len(rest):
        newline = rest.find("\n", start)
        stop = len(rest) if newline < 0 else newline
        line = rest[start:stop].rstrip("\r")
        opens = None if fence else _FENCE.fullmatch(line)
        closes = fence is not None and fence.ends_with(line)
        seen.lines.append(start)
        seen.fences.append(None if opens else fence)
        if opens:
            seen.cuts.append(_Cut(start, _PARAGRAPH, None))
            language = opens[2] if len(opens[2]) <= _LONGEST_LANGUAGE else ""
            fence = _Fence(opens[1], language)
        else:
            if not closes:
                seen.cuts += _within_line(rest, start, min(stop, end + 1), fence)
            fence = None if closes else fence
            rank = _rank_of_end(rest, line, stop + 1, closes=closes, code=fence is not None)
            seen.cuts.append(_Cut(stop + 1, rank, fence))
        start = stop + 1
    return seen


def _rank_of_end(rest: str, line: str, after: int, *, closes: bool, code: bool) -> int:
    """What it is worth to cut behind `line`, `after` being where the next one begins."""
    if code:
        return _LINE
    if _HEADING.match(line):
        return _WORD  # what stands under it should follow
    blank_follows = _BLANK_LINES.match(rest, after) is not None
    return _PARAGRAPH if closes or blank_follows or not line.strip() else _LINE


def _within_line(rest: str, start: int, stop: int, fence: _Fence | None) -> Iterator[_Cut]:
    line = rest[start:stop]
    beyond = rest[start : stop + _LONGEST_SPAN].partition("\n")[0]
    spans = [] if fence else [span.span() for span in _SPAN.finditer(beyond)]
    ends = set() if fence else {match.end() for match in _SENTENCE.finditer(line)}
    spaces = {space.start(): space.end() for space in _SPACE.finditer(line)}
    for place in sorted(ends | spaces.keys()):
        behind = spaces.get(place, place)
        if _MARK_ONLY.fullmatch(line, 0, place) or not parts_at(rest, start + behind):
            continue
        rank = _SENTENCE_END if place in ends else _WORD
        if any(first < place < last for first, last in spans):
            rank = _WITHIN
        yield _Cut(start + behind, rank, fence)


def _by_preference(rest: str, end: int, seen: _Seen) -> Iterator[_Cut]:
    """The places to cut, best first: good ones that fill half of the part, others, any character."""
    latest_first = [cut for cut in reversed(seen.cuts) if cut.position > 0]
    half = end // 2
    for rank in (_PARAGRAPH, _LINE, _SENTENCE_END, _WORD):
        yield from (cut for cut in latest_first if cut.rank == rank and cut.position > half)
    for rank in (_PARAGRAPH, _LINE, _SENTENCE_END, _WORD, _WITHIN):
        yield from (cut for cut in latest_first if cut.rank == rank)
    for position in range(end, 0, -1):
        if parts_at(rest, position):
            yield _Cut(position, _WITHIN, seen.fence_at(position))


def _left(left: str, fence: _Fence | None) -> tuple[str, _Fence | None]:
    """What is left behind a cut, and the fence it begins in; one that was about to end is not opened."""
    if fence is not None:
        line, _, behind = _from_first_line(left).partition("\n")
        if not fence.ends_with(line):
            return left, fence
        left = behind
    return _from_first_line(left), None


def _from_first_line(text: str) -> str:
    """`text` without the empty lines at its beginning."""
    blank = _BLANK_LINES.match(text)
    return text[blank.end() :] if blank else text
