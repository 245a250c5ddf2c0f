"""Word documents (DOCX) read into sections: headings by style, tables by row, what is hidden left out."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from brain.errors import DocumentError
from brain.knowledge.document import Content, Outline, row_sentence
from brain.knowledge.front_matter import kept
from brain.knowledge.text import clean

if TYPE_CHECKING:
    from docx.document import Document as WordDocument
    from docx.table import Table
    from docx.text.paragraph import Paragraph

MOST_MEMBERS = 1_000
"""Files in the archive that a Word document is."""
LARGEST_UNPACKED = 200_000_000
"""Bytes of all of them."""
LARGEST_TEXT = 50_000_000
"""Bytes of one XML file among them."""
HIGHEST_RATIO = 100
"""Unpacked to packed size of one; what is smaller than a megabyte may be packed tighter."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, SyntaxError, NotImplementedError)
"""What the archive, compression and XML readers raise for files that are none."""

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_LEFT_OUT = frozenset(
    {f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", f"{_W}instrText"}
    | {"{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}
)
_ENDS = {f"{_W}tab": " ", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_HEADING = re.compile(r"(?:heading|제목)\s*([1-9])", re.IGNORECASE)


def read_docx(data: bytes, name: str) -> Content:
    """The body of a Word document.

    Raises `DocumentError` when it is none, is protected by a password, or unpacks to too much.
    """
    import docx
    from docx.opc.exceptions import OpcError

    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DocumentError("protected by a password, or of an old Word; save it as plain DOCX")
    try:
        _refuse_bombs(data)
        document = docx.Document(io.BytesIO(data))
    except (OpcError, *_DAMAGE) as error:
        raise DocumentError("not a DOCX file, or a damaged one; save it again") from error
    blocks = list(_blocks(document))
    title, about = _about(document, blocks)
    outline = Outline(title or name)
    items: list[str] = []
    for block in blocks:
        if block.kind == "item":
            items.append(f"- {block.text}")
            continue
        outline.add("list", items)
        items = []
        if block.kind == "heading":
            if block.text != title or block.level > 1:
                outline.heading(block.level, block.text)
        elif block.kind == "table":
            outline.add("table", block.rows)
        else:
            outline.add("paragraph", [block.text])
    outline.add("list", items)
    return Content(
        title=outline.title,
        metadata={**about, "title": outline.title},
        sections=outline.sections(),
    )


def _refuse_bombs(data: bytes) -> None:
    """The sizes that the archive states bind: reading a member ends there."""
    members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    if len(members) > MOST_MEMBERS:
        raise DocumentError(f"{len(members):,} files packed in it, more than {MOST_MEMBERS:,}")
    if sum(member.file_size for member in members) > LARGEST_UNPACKED:
        raise DocumentError(f"unpacks to more than {LARGEST_UNPACKED // 1_000_000} MB")
    for member in members:
        packed = max(member.compress_size, 1)
        if member.file_size > 1_000_000 and member.file_size > HIGHEST_RATIO * packed:
            raise DocumentError(f"unpacks to more than {HIGHEST_RATIO} times its size")
        if member.filename.endswith((".xml", ".rels")) and member.file_size > LARGEST_TEXT:
            raise DocumentError(f"holds more than {LARGEST_TEXT // 1_000_000} MB of text; split it")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A paragraph or a table of the body."""

    kind: Literal["heading", "item", "paragraph", "table"]
    text: str = ""
    level: int = 0
    """Of a heading; 0 is the document's title."""
    rows: tuple[str, ...] = ()
    """Of a table, each as a sentence."""


def _about(document: WordDocument, blocks: Sequence[_Block]) -> tuple[str, dict[str, Any]]:
    """The title: set as such, or the one heading of the first level on top, or of the properties."""
    properties = document.core_properties
    metadata = kept(
        {
            "category": properties.category or "",
            "tags": properties.keywords or "",
            "locale": properties.language or "",
        }
    )
    heads = [block for block in blocks if block.kind == "heading"]
    for level in (0, 1):
        found = [block.text for block in heads if block.level == level]
        if len(found) == 1 and (level == 0 or blocks[0].text == found[0]):
            return found[0], metadata
    return clean(properties.title or "").strip(), metadata


def _blocks(document: WordDocument) -> Iterator[_Block]:
    from docx.table import Table
    from docx.text.paragraph import Paragraph

    for element in _elements(document.element.body):
        if element.tag == f"{_W}tbl":
            rows = tuple(_rows(Table(element, document)))
            yield _Block(kind="table", rows=rows)
            continue
        text = _text(element)
        if not text:
            continue
        paragraph = Paragraph(element, document)
        level = _level(paragraph)
        if level is not None:
            yield _Block(kind="heading", text=" ".join(text.split()), level=level)
        elif _listed(paragraph):
            yield _Block(kind="item", text=text)
        else:
            yield _Block(kind="paragraph", text=text)


def _elements(parent: Any) -> Iterator[Any]:
    """Paragraphs and tables in order, also those inside content controls and tracked insertions."""
    for element in parent:
        if element.tag in {f"{_W}p", f"{_W}tbl"}:
            yield element
        elif element.tag in {f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"}:
            yield from _elements(element)


def _text(paragraph: Any) -> str:
    """The words of a paragraph as they are printed: no deleted, hidden or doubled ones."""
    parts: list[str] = []
    waiting = [paragraph]
    while waiting:
        element = waiting.pop()
        if element.tag == f"{_W}t":
            parts.append(element.text or "")
        elif element.tag in _ENDS:
            parts.append(_ENDS[element.tag])
        elif element.tag not in _LEFT_OUT and not _hidden(element):
            waiting.extend(reversed(element))
    lines = (" ".join(line.split()) for line in clean("".join(parts)).split("\n"))
    return "\n".join(line for line in lines if line)


def _hidden(element: Any) -> bool:
    if element.tag != f"{_W}r":
        return False
    mark = element.find(f"{_W}rPr/{_W}vanish")
    return mark is not None and mark.get(f"{_W}val") not in {"0", "false", "off"}


def _level(paragraph: Paragraph) -> int | None:
    """The level of a heading, by its style or its outline level; None for everything else."""
    style = paragraph.style
    name = (style.name if style else "") or ""
    if name in {"Title", "제목"}:
        return 0
    if match := _HEADING.fullmatch(name):
        return int(match[1])
    for properties in (paragraph._p.pPr, style.element.pPr if style else None):
        outline = properties.find(f"{_W}outlineLvl") if properties is not None else None
        value = outline.get(f"{_W}val") if outline is not None else None
        if value is not None and value.isdecimal() and int(value) < 9:
            return int(value) + 1
    return None


def _listed(paragraph: Paragraph) -> bool:
    properties = paragraph._p.pPr
    numbered = properties is not None and properties.find(f"{_W}numPr") is not None
    return numbered or bool(paragraph.style and (paragraph.style.name or "").startswith("List"))


def _rows(table: Table) -> Iterator[str]:
    """A table by row, merged cells repeated; one of two columns has no header unless it is marked."""
    rows: list[list[str]] = []
    for row in table.rows:
        cells = [_cell(cell._tc) for cell in row.cells]
        if any(cells):
            rows.append(cells)
    if len(rows) > 1 and (len(rows[0]) > 2 or (len(rows[0]) == 2 and _headed(table))):
        yield from (row_sentence(rows[0], row) for row in rows[1:])
    else:
        yield from (": ".join(filter(None, dict.fromkeys(row))) for row in rows)


def _headed(table: Table) -> bool:
    first = table.rows[0]._tr
    if first.find(f"{_W}trPr/{_W}tblHeader") is not None:
        return True
    runs = list(first.iter(f"{_W}r"))
    return bool(runs) and all(run.find(f"{_W}rPr/{_W}b") is not None for run in runs)


def _cell(cell: Any) -> str:
    return " ".join(" ".join(_text(p) for p in cell.iter(f"{_W}p")).split())
