"""Documents cut into passages for people and models, and those into pieces for matching.

A passage is what is quoted and read: a section, or a part of a long one, of at most 480 estimated
tokens. It is found through its pieces: a few sentences each, embedded together with the heading
path, because a vector of a whole passage blurs what its sentences say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from brain.knowledge.document import Block, Document, Section

VERSION = 4
"""Raised whenever the same document would be cut differently: old indexes are then rebuilt."""

LONGEST = 480
"""Estimated tokens of a passage: below 500 however the words are counted."""
SHORT = 300
"""Estimated tokens: a section below this may share a passage with its short neighbours."""
SHARED = 480
"""Estimated tokens of such a shared passage."""
PIECE = 70
"""Estimated tokens that a piece is filled up to: a sentence or two, some 90 letters of Hangul."""
LONGEST_PIECE = 130
"""Estimated tokens of a piece: embedding time grows with the square of its length."""
OVERLAP = 60
"""Estimated tokens: a sentence up to this long is repeated when a paragraph is cut after it."""

_CLASSES = (
    (0.75, re.compile(r"[가-힣]")),
    (0.3, re.compile(r"[A-Za-z]")),
    (0.05, re.compile(r"\s")),
    (1.0, re.compile(r"[^가-힣A-Za-z\s]")),
)
_SENTENCE_END = re.compile(
    r"""(?<![.?!。？！…])[.?!。？！…]+["'”’)\]」』】]*(?:\s+|$)|\n+"""
    r"""|(?<=[다요죠까음함임됨])[.?!](?=[가-힣])"""
)
_NO_END = re.compile(r"(?:\d|\b[A-Za-z]|\b(?:No|vs|Mr|Mrs|Ms|Dr|etc|approx|e\.g|i\.e))$")
_INTRODUCES = re.compile(r"[:：]\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage with its pieces."""

    id: str
    """Hash of document path, heading and text."""
    document: str
    """Path under the knowledge folder, with `/`."""
    heading: str
    """Heading path, `Title > Section > Sub`."""
    text: str
    """The passage, at most 500 tokens."""
    pieces: tuple[str, ...]
    """What is embedded and matched, at least one; of a FAQ entry first the question and its other
    wordings, which need not be words of the text."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """title, category, date, locale, tags and whatever else the document says about itself."""
    headings: tuple[str, ...] = ()
    """The sub-headings that stand in the text, in order."""

    def section(self, piece: str) -> str:
        """The part of the text under the sub-heading that `piece` stands under; empty without one."""
        heading = piece.partition("\n")[0]
        if heading not in self.headings:
            return ""
        text = f"\n\n{self.text}"
        start = text.find(f"\n\n{heading}\n")
        later = self.headings[self.headings.index(heading) + 1 :]
        ends = (text.find(f"\n\n{other}\n", start + 1) for other in later)
        return text[start : min((end for end in ends if end > 0), default=None)].strip()

    @property
    def embedded(self) -> tuple[str, ...]:
        """The pieces as they are embedded: each under its heading path."""
        return tuple(f"{self.heading}\n{piece}" for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class _Atom:
    """What is never cut: a sentence, a list item, a table row, a line of code."""

    text: str
    before: str
    """White space between the atom in front and this one."""
    border: int
    """How bad a cut in front of it is: 0 between blocks, 1 between items, 2 between sentences."""
    under: str = ""
    """Heading inside the passage that it stands under."""
    row: bool = False
    """Whether it is a piece of its own."""
    tokens: float = 0.0


def chunk(document: Document) -> list[Chunk]:
    """The passages of a document in its order; repeated ones are left out."""
    chunks: dict[str, Chunk] = {}
    for sections in _runs(document.sections):
        heading = _common(sections)
        metadata = {**document.metadata, **sections[0].metadata}
        atoms = [
            atom for s in sections for atom in _atoms(s, " > ".join(s.heading[len(heading) :]))
        ]
        wordings = [
            part
            for block in sections[0].blocks
            for wording in block.also
            for part in cut(wording, LONGEST_PIECE)
        ]
        # The question is a piece already, and stands in the heading that every piece is under.
        asked = 1 if wordings else 0
        for part in _passages(atoms):
            text = _joined(part, headed=True)
            pieces = dict.fromkeys([*wordings, *_pieces(part[asked:])])
            wordings, asked = [], 0
            path = " > ".join(heading)
            id_ = hashlib.sha256("\0".join((document.path, path, text)).encode()).hexdigest()[:24]
            chunks.setdefault(
                id_,
                Chunk(
                    id=id_,
                    document=document.path,
                    heading=path,
                    text=text,
                    pieces=tuple(pieces),
                    metadata=metadata,
                    headings=tuple(dict.fromkeys(atom.under for atom in part if atom.under)),
                ),
            )
    return list(chunks.values())


def estimate_tokens(text: str) -> float:
    """Tokens of a text as language models count them, on the high side."""
    return sum(weight * len(pattern.findall(text)) for weight, pattern in _CLASSES)


def sentences(text: str) -> list[str]:
    """The sentences of a text with the white space after them: joined they are the text again."""
    found: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        stop = end.group()
        inside = stop[0] == "." and "\n" not in stop and end.end() < len(text)
        if inside and _NO_END.search(text, max(start, end.start() - 8), end.start()):
            continue
        found.append(text[start : end.end()])
        start = end.end()
    if start < len(text):
        found.append(text[start:])
    return found


def cut(text: str, limit: float) -> Iterator[str]:
    """The text in parts of at most `limit` estimated tokens, cut at white space where there is any."""
    while estimate_tokens(text) > limit:
        end = _reach(text, limit)
        space = max(text.rfind(" ", end // 2, end), text.rfind("\n", end // 2, end))
        comma = text.rfind(", ", end // 2, end)
        at = comma + 1 if comma > 0 else space if space > 0 else end
        yield text[:at].strip()
        text = text[at:].lstrip()
    if text.strip():
        yield text


def _reach(text: str, limit: float) -> int:
    """How many characters stay within `limit` tokens; at least one."""
    low, high = 1, min(len(text), int(limit / 0.05))
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


# ---- sections


def _runs(sections: Sequence[Section]) -> Iterator[list[Section]]:
    """Sections one by one, but short neighbours under the same heading together."""
    run: list[Section] = []
    total = 0.0
    for section in sections:
        size = _size(section)
        if run and size < SHORT and total + size <= SHARED and _joins(run, section):
            run.append(section)
            total += size
            continue
        if run:
            yield run
        run = [section]
        # A section that is not short starts a run that nothing joins.
        total = size if size < SHORT else SHARED
    if run:
        yield run


def _joins(run: Sequence[Section], section: Section) -> bool:
    alone = {"faq", "record"}
    if any(block.kind in alone for s in (run[0], section) for block in s.blocks):
        return False
    if any(s.heading[-1].endswith(("?", "？")) for s in (run[-1], section)):
        return False
    return len(_common([*run, section])) >= max(1, len(run[0].heading) - 1)


def _common(run: Sequence[Section]) -> tuple[str, ...]:
    heading = run[0].heading
    for section in run[1:]:
        while section.heading[: len(heading)] != heading:
            heading = heading[:-1]
    return heading


def _size(section: Section) -> float:
    return sum(estimate_tokens(part) for block in section.blocks for part in block.parts)


# ---- passages


def _atoms(section: Section, under: str) -> Iterator[_Atom]:
    for block in section.blocks:
        border = 0
        before = "\n\n"
        for text, joint, within in _units(block):
            for part in cut(text, LONGEST - OVERLAP):
                yield _Atom(
                    part, before, border, under, block.kind == "table", estimate_tokens(part)
                )
                before, border = " ", 2
            before, border = joint, within


def _units(block: Block) -> Iterator[tuple[str, str, int]]:
    """Texts of a block, each with the white space after it and how bad a cut there is."""
    if block.kind == "faq":
        yield block.also[0], "\n", 2
    for part in block.parts:
        if block.kind in {"list", "table"} and estimate_tokens(part) <= LONGEST_PIECE:
            yield part, "\n", 1
            continue
        lines = part.splitlines(keepends=True) if block.kind == "code" else sentences(part)
        for index, sentence in enumerate(lines):
            space = sentence[len(sentence.rstrip()) :]
            last = index == len(lines) - 1
            text = sentence.rstrip() if block.kind == "code" else sentence.strip()
            if text:
                yield text, "\n" if last or "\n" in space else space, 1 if last else 2


def _passages(atoms: Sequence[_Atom]) -> Iterator[Sequence[_Atom]]:
    """Atoms in runs that fit, cut where it hurts least."""
    costs = [
        _cost(atom, headed=not i or atom.under != atoms[i - 1].under)
        for i, atom in enumerate(atoms)
    ]
    rest = sum(costs)
    start = 0
    while start < len(atoms):
        repeated = _cost(atoms[start], headed=True) - costs[start]  # its sub-heading, said again
        fits = rest + repeated <= LONGEST
        end = len(atoms) if fits else _end(atoms, costs, start, rest)
        yield atoms[start:end]
        again = end < len(atoms) and atoms[end].border == 2
        # The sentence in front of a cut is repeated behind it, so that the thought is whole.
        again = again and end - 1 > start and atoms[end - 1].tokens <= OVERLAP
        rest -= sum(costs[start : end - again])
        start = end - again


def _end(atoms: Sequence[_Atom], costs: Sequence[float], start: int, rest: float) -> int:
    """Where to cut: at the best border, of equal ones nearest to parts of the same size."""
    aim = rest / -(-rest // LONGEST)
    best = (9.0, 0.0, start + 1)
    total = _cost(atoms[start], headed=True)
    for end in range(start + 1, len(atoms)):
        if total > LONGEST / 3:
            introduced = 1.5 if _INTRODUCES.search(atoms[end - 1].text) else 0.0
            best = min(best, (max(atoms[end].border, introduced), abs(total - aim), end))
        total += costs[end]
        if total > LONGEST:
            return best[2] if best[0] < 9 else end
    return len(atoms)


def _cost(atom: _Atom, *, headed: bool) -> float:
    extra = estimate_tokens(atom.under) if headed and atom.under else 0.0
    return atom.tokens + extra + 0.2


def _joined(atoms: Sequence[_Atom], *, headed: bool) -> str:
    """The text of atoms, sub-headings on lines of their own."""
    parts: list[str] = []
    under = ""
    for atom in atoms:
        if headed and atom.under != under:
            under = atom.under
            parts.append(f"\n\n{under}\n{atom.text}" if under else f"\n\n{atom.text}")
        else:
            parts.append(atom.before + atom.text)
    return "".join(parts).strip()


# ---- pieces


def _pieces(atoms: Sequence[_Atom]) -> Iterator[str]:
    """Neighbouring atoms together up to the size of a piece; a table row alone."""
    run: list[_Atom] = []
    total = 0.0
    for atom in atoms:
        apart = atom.row or (run and (run[-1].row or run[-1].under != atom.under))
        if run and (apart or total + atom.tokens > PIECE):
            yield from _piece(run)
            run, total = [], 0.0
        run.append(atom)
        total += atom.tokens
    if run:
        yield from _piece(run)


def _piece(run: Sequence[_Atom]) -> Iterator[str]:
    under = run[0].under
    for text in cut(_joined(run, headed=False), LONGEST_PIECE - estimate_tokens(under)):
        yield f"{under}\n{text}" if under else text
