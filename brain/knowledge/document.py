"""What a document is once read: sections of blocks under heading paths, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from brain.knowledge.text import clean

BlockKind = Literal["paragraph", "list", "table", "code", "record", "faq"]

LONGEST_HEADING = 100
"""Characters: a longer heading is a paragraph that somebody made bold; its beginning names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A paragraph, list, table, piece of code, row of a CSV file or FAQ answer."""

    kind: BlockKind
    """What it is."""
    parts: tuple[str, ...]
    """One text per list item or table row; one in all for everything else."""
    also: tuple[str, ...] = ()
    """Of a FAQ answer: the question and its other wordings, the question first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The blocks under one heading."""

    heading: tuple[str, ...]
    """Heading path from the document's title down."""
    blocks: tuple[Block, ...]
    """What stands there, in order; headings below it have sections of their own."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What this section alone says about itself, on top of the document's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a format's reader made of a text."""

    title: str
    """What the document is called."""
    metadata: Mapping[str, Any]
    """title, category, date, locale, tags and whatever else the front matter says."""
    sections: tuple[Section, ...]
    """In the document's order; none is empty."""
    missing: str = ""
    """Which part of it could not be read, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file of the knowledge folder."""

    path: str
    """Path under the knowledge folder, with `/`."""
    hash: str
    """Hash of the file's bytes: equal hash, equal document."""
    title: str
    """What the document is called."""
    metadata: Mapping[str, Any]
    """title, category, date, locale, tags and whatever else the front matter says."""
    sections: tuple[Section, ...]
    """In the document's order; none is empty."""
    missing: str = ""
    """Which part of it could not be read, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A file, or a part of one, that could not be read, and why; the others were."""

    path: str
    """Path under the knowledge folder, with `/`."""
    reason: str
    """What is wrong and what to do."""


class Outline:
    """Sections in the making: headings open them, blocks fill them."""

    def __init__(self, title: str) -> None:
        self.title = shortened(clean(title))
        self._path: list[tuple[int, str]] = []
        self._empty = False  # whether nothing stands under the last heading yet
        self._blocks: list[Block] = []
        self._sections: list[Section] = []

    def heading(self, level: int, text: str) -> None:
        """Open the section `text` below the nearest heading of a smaller level."""
        text = clean(text)
        self.close(level)
        self._empty = bool(text) and (bool(self._path) or text != self.title)
        if self._empty:
            self._path.append((level, shortened(text)))
        if len(text) > LONGEST_HEADING:
            self.add("paragraph", [text])

    def close(self, level: int) -> None:
        """End every open section of this level or deeper."""
        if self._empty and self._path[-1][0] >= level:
            # A heading with nothing under it says something by itself.
            self.add("paragraph", [self._path[-1][1]])
        self._flush()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()

    def add(self, kind: BlockKind, parts: Iterable[str]) -> None:
        """Append a block to the open section, if there is anything in it."""
        # Readers resolve escapes and entities, which bring back what the file's text was rid of.
        kept = tuple(text for part in parts if (text := clean(part).strip()))
        if kept:
            self._empty = False
            self._blocks.append(Block(kind=kind, parts=kept))

    def entry(
        self, question: str, answer: str, also: Sequence[str], metadata: Mapping[str, Any]
    ) -> None:
        """Append a FAQ entry, a section of its own."""
        question, answer = clean(question), clean(answer)
        self._flush()
        self._empty = False
        heading = (self.title, *(text for _, text in self._path), shortened(question))
        block = Block(kind="faq", parts=(answer,), also=(question, *map(clean, also)))
        self._sections.append(Section(heading=heading, blocks=(block,), metadata=metadata))

    def sections(self) -> tuple[Section, ...]:
        """Everything so far."""
        self.close(0)
        return tuple(self._sections)

    def _flush(self) -> None:
        if not self._blocks:
            return
        heading = (self.title, *(text for _, text in self._path))
        self._sections.append(Section(heading=heading, blocks=tuple(self._blocks)))
        self._blocks.clear()


def shortened(heading: str) -> str:
    """A heading of bounded length."""
    if len(heading) <= LONGEST_HEADING:
        return heading
    return heading[: LONGEST_HEADING - 1].rstrip() + "…"


# Column names that say nothing: a row of such a table reads better as "무게: 1.2kg".
_BLANK_LABELS = frozenset(
    {"", "항목", "구분", "사양", "스펙", "내용", "item", "spec", "key", "label", "name", "속성"}
)


def row_sentence(header: Sequence[str], row: Sequence[str]) -> str:
    """A table row that reads by itself: `column: value, column: value`."""
    filled = [
        (label.strip(), value.strip())
        for label, value in zip(header, row, strict=False)
        if value.strip()
    ]
    if len(header) == 2 and len(filled) == 2 and header[0].strip().lower() in _BLANK_LABELS:
        return f"{filled[0][1]}: {filled[1][1]}"
    return ", ".join(f"{label}: {value}" if label else value for label, value in filled)
