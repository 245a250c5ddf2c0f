"""PDF read into sections: lines by their place on the page, headings by the size of their letters."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brain.errors import DocumentError
from brain.knowledge.document import Content, Outline
from brain.knowledge.formats import add_plain, starts_anew
from brain.knowledge.front_matter import kept
from brain.knowledge.text import clean

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_MARGIN = 0.065
"""Share of a page's height at the top and at the bottom."""
_LONGEST_HEADING = 80
_LEVELS = 6
_TEXT_LEVEL = _LEVELS + 1
"""Of headings that are marked in the text itself, `■ 기간`, below those that are set larger."""
_BOLD = re.compile(r"bold|black|heavy", re.IGNORECASE)
_PAGE_NUMBER = re.compile(
    r"(?:[-–—(\[]\s*)?(?:p(?:age)?\.?\s*)?\d{1,4}(?:\s*/\s*\d{1,4})?(?:\s*[-–—)\]]|\s*쪽)?",
    re.IGNORECASE,
)
_MADE_UP_TITLE = re.compile(
    r"^Microsoft \w+ - |\.(?:docx?|hwpx?|pptx?|xlsx?|indd|html?|pdf)$|^(?:untitled|제목 없음|무제|\(?anonymous\)?)",
    re.IGNORECASE,
)
_PRESENTATION = re.compile("[\u2f00-\u2fdf\ufb00-\ufb06]")
_WORD = re.compile(r"[가-힣]+")
_LONE_SYLLABLES = frozenset(
    "수것등및또더안못중후전시때내외간별총약각매본그이저할한된될두세네단즉곳점분일월년"
)
"""Words of one syllable: any other syllable that stands alone at a line's end is a part of a word."""


@dataclass(slots=True)
class _Line:
    """What stands at one height of a page."""

    text: str
    left: float
    """Points from the page's left edge."""
    bottom: float
    """Points from the page's lower edge."""
    size: float
    """Of the letters, in points; bold ones count as a little larger."""
    marginal: bool = False
    """Whether it stands where headers and footers do."""

    @property
    def right(self) -> float:
        """Where it ends, by the usual widths of letters."""
        wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in self.text)
        return self.left + self.size * (0.9 * wide + 0.5 * (len(self.text) - wide))


def read_pdf(data: bytes, name: str) -> Content:
    """The text of a PDF file.

    Raises `DocumentError` when it is protected by a password, damaged or holds no text (a scan).
    """
    from pypdf.errors import PyPdfError

    if b"%PDF-" not in data[:1024]:
        raise DocumentError("not a PDF file")
    try:
        return _read(data, name)
    except PyPdfError as error:
        raise DocumentError(f"a damaged PDF file ({error}); export it again") from error


def _read(data: bytes, name: str) -> Content:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("protected by a password; export it without one")
    pages, broken = _pages(reader)
    lines = [line for page in _without_margins(pages) for line in page]
    if not lines and broken:
        raise DocumentError("a damaged PDF file: no page can be read; export it again")
    if not lines:
        raise DocumentError(
            "no text in it; if its pages are pictures (a scan), run text recognition (OCR) first"
        )
    title, about = _about(reader)
    usual = _usual_size(lines)
    first = lines[0]
    if (
        first.size == max(line.size for line in lines) > usual
        and len(first.text) <= _LONGEST_HEADING
    ):
        title = lines.pop(0).text
    outline = Outline(title or name)
    _outline(outline, lines, usual)
    return Content(
        title=outline.title,
        metadata={**about, "title": outline.title},
        sections=outline.sections(),
        missing=f"cannot be read: page {', '.join(map(str, broken))}" if broken else "",
    )


def _about(reader: PdfReader) -> tuple[str, dict[str, Any]]:
    """The title, unless a program made it up, and the other metadata."""
    about: Mapping[str, Any] = reader.metadata or {}
    title, tags = (clean(str(about.get(key) or "")).strip() for key in ("/Title", "/Keywords"))
    language = reader.root_object.get("/Lang") or ""
    metadata = kept({"tags": tags, "locale": str(language)})
    return "" if _MADE_UP_TITLE.search(title) else title, metadata


# ---- lines


class _Complaints(logging.Handler):
    """Counts what pypdf says of damage that it does not raise for, but answers with an empty page."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def _pages(reader: PdfReader) -> tuple[list[list[_Line]], list[int]]:
    """The lines of each page, and the numbers of the pages that cannot be read."""
    pages: list[list[_Line]] = []
    broken: list[int] = []
    complaints = _Complaints()
    logger = logging.getLogger("pypdf")
    logger.addHandler(complaints)
    try:
        for number in range(1, len(reader.pages) + 1):
            before = complaints.count
            try:
                lines = _lines(reader.pages[number - 1])
            except (MemoryError, RecursionError):
                raise
            except Exception:  # noqa: BLE001 - damaged pages raise anything; the others can be read
                lines, before = [], -1
            pages.append(lines)
            if not lines and complaints.count > before:
                broken.append(number)
    finally:
        logger.removeHandler(complaints)
    return pages, broken


def _lines(page: PageObject) -> list[_Line]:
    """What stands at the same height in a row is one line, so also the cells of a table's row."""
    lines: list[_Line] = []
    apart = False

    height = float(page.mediabox.height)

    def take(text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        nonlocal apart
        words = text.strip("\n")
        apart = apart or text.startswith("\n")
        if not words.strip():
            if lines:
                lines[-1].text += words
            return
        # The text's own matrix times the page's: where the first letter stands, how high it is.
        left = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
        bottom = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        scale = abs((tm[0] * tm[3] - tm[1] * tm[2]) * (cm[0] * cm[3] - cm[1] * cm[2])) ** 0.5
        bold = _BOLD.search(str((font or {}).get("/BaseFont", "")))
        letters = round(size * scale * (1.05 if bold else 1), 1)
        for number, part in enumerate(words.split("\n")):
            run = _Line(part, left, bottom - number * letters, letters)
            last = lines[-1] if lines else None
            if last and abs(last.bottom - run.bottom) < run.size / 2:
                last.text += f" {part}" if apart else part
                last.size = min(last.size, run.size)
            else:
                lines.append(run)
        apart = text.endswith("\n")

    page.extract_text(visitor_text=take)
    for line in lines:
        text = _PRESENTATION.sub(lambda m: unicodedata.normalize("NFKC", m[0]), clean(line.text))
        line.text = " ".join(text.split()) + " " * text.endswith(" ")
        above = line.bottom - float(page.mediabox.bottom)
        line.marginal = not _MARGIN * height < above < (1 - _MARGIN) * height
    return [line for line in lines if line.text.strip()]


def _without_margins(pages: Sequence[list[_Line]]) -> Iterator[list[_Line]]:
    """Pages without page numbers and what is repeated at the edge of most of them."""
    counts = Counter(
        text for page in pages for text in {_numberless(line) for line in page if line.marginal}
    )
    repeated = {text for text, count in counts.items() if len(pages) > 1 and 2 * count > len(pages)}
    for page in pages:
        yield [
            line
            for line in page
            if not line.marginal
            or not (_numberless(line) in repeated or _PAGE_NUMBER.fullmatch(line.text.strip()))
        ]


def _numberless(line: _Line) -> str:
    return re.sub(r"\d+", "#", line.text.strip())


# ---- structure


def _usual_size(lines: Sequence[_Line]) -> float:
    letters: Counter[float] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    return max(letters, key=lambda size: (letters[size], -size))


def _outline(outline: Outline, lines: Sequence[_Line], usual: float) -> None:
    larger = sorted({line.size for line in lines if line.size > usual * 1.04}, reverse=True)
    levels = {size: min(rank, _LEVELS) for rank, size in enumerate(larger, 1)}
    edge = sorted(line.right for line in lines)[len(lines) * 9 // 10]
    known = frozenset(word for line in lines for word in _WORD.findall(line.text))
    paragraph: list[str] = []
    last: _Line | None = None
    for line in lines:
        text = line.text.strip()
        level = levels.get(line.size) if len(text) <= _LONGEST_HEADING else None
        gap = abs(last.bottom - line.bottom) if last else 0.0
        if level or (last and gap > 2.2 * max(usual, line.size)):
            add_plain(outline, "\n".join(paragraph), heads=False, level=_TEXT_LEVEL)
            paragraph = []
        if level:
            outline.heading(level, text)
            last = None
            continue
        if last and paragraph and last.right > 0.85 * edge and not starts_anew(text):
            paragraph[-1] += _joint(last.text, line.text, known) + text
        else:
            paragraph.append(text)
        last = line
    add_plain(outline, "\n".join(paragraph), heads=False, level=_TEXT_LEVEL)


def _joint(before: str, after: str, known: frozenset[str]) -> str:
    """A space where a line broke between words, nothing where it broke inside one.

    Korean may break after any syllable, and the file does not say which it was.
    """
    end, start = re.search(r"[가-힣]+$", before), _WORD.match(after)
    if not end or not start:
        return " "
    if end[0] + start[0] in known:
        return ""
    cut = any(len(half) == 1 and half not in _LONE_SYLLABLES for half in (end[0], start[0]))
    return "" if cut else " "
