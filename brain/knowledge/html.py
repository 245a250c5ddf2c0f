"""HTML read into sections of blocks: the main content, without navigation, forms and what is hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from brain.errors import DocumentError
from brain.knowledge.document import Content, Outline, row_sentence

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_DROPPED = (
    "script, style, noscript, template, nav, footer, aside, form, iframe, svg, button, select, "
    "textarea, object, [hidden], [aria-hidden=true], [role=navigation], [role=banner], "
    "[role=contentinfo], [role=search], [role=dialog]"
)
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0", re.IGNORECASE)
_MAIN = ("main", "[role=main]", "article", "#content", "#main", "body")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_QUESTION_LEVEL = 7
"""Level of a `summary` or a `dt` that asks: below every heading."""
_BLOCKS = frozenset(
    {"p", "div", "section", "article", "main", "header", "blockquote", "figure", "figcaption"}
    | {"address", "dl", "dd", "details", "td", "th", "tr", "table", "tbody", "hr", "fieldset"}
    | {"center", "body"}
)
_DEEPEST = 1_000
"""Elements open at once: the parser's time grows with the square of it."""
_OPENING = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_SELF_CLOSING = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track"}
    | {"wbr", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option"}
)
_WIDEST = 50
"""Columns and rows that one cell may span."""


def read_html(text: str, name: str) -> Content:
    """The main content of a page; headings give the sections, tables are read by row."""
    from selectolax.lexbor import LexborHTMLParser

    _refuse_deep(text)
    page = LexborHTMLParser(text)
    root = _main(page)
    headline = page.css_first("title")
    tops = root.css("h1") if root else []
    title = _words(tops[0]) if len(tops) == 1 else _words(headline) if headline else ""
    metadata = _metadata(page) | {"title": title or name}
    reader = _Reader(Outline(title or name))
    if root is not None:
        reader.read(root)
    return Content(title=title or name, metadata=metadata, sections=reader.outline.sections())


def _main(page: LexborHTMLParser) -> LexborNode | None:
    """The element that holds the page's own content, stripped of everything else."""
    for node in page.css(_DROPPED):
        node.decompose()
    for node in page.css("[style]"):
        if _UNSEEN.search(node.attributes.get("style") or ""):
            node.decompose()
    for selector in _MAIN:
        found = page.css(selector)
        if len(found) == 1:
            root = found[0]
            break
    else:
        return None
    if root.tag == "body":
        for node in root.css("header"):
            node.decompose()
    return root


def _refuse_deep(text: str) -> None:
    depth = 0
    for tag in _OPENING.finditer(text):
        if tag.group(2).lower() not in _SELF_CLOSING:
            depth = max(0, depth - 1) if tag.group(1) else depth + 1
        if depth > _DEEPEST:
            raise DocumentError(f"elements are nested deeper than {_DEEPEST:,} levels")


def _metadata(page: LexborHTMLParser) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for key in ("category", "date", "locale"):
        node = page.css_first(f"meta[name={key}]")
        if node and (value := (node.attributes.get("content") or "").strip()):
            metadata[key] = value
    keywords = page.css_first("meta[name=keywords], meta[name=tags]")
    if keywords:
        words = (keywords.attributes.get("content") or "").split(",")
        metadata["tags"] = [word.strip() for word in words if word.strip()]
    html = page.css_first("html")
    language = (html.attributes.get("lang") or "").strip() if html else ""
    return metadata | ({"locale": language} if language and "locale" not in metadata else {})


class _Reader:
    """Walks the tree once, in order, and hands text to the outline at every block's border."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self._text: list[str] = []
        self._items: list[str] = []
        self._lists: list[int | None] = []  # of each open list: the next number, None for bullets
        self._term = ""

    def read(self, root: LexborNode) -> None:
        skip = -1
        for node, entering in _walk(root):
            if skip >= 0:
                skip = -1 if node.mem_id == skip and not entering else skip
            elif entering:
                if self._enter(node):
                    skip = node.mem_id
            else:
                self._leave(node)
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Take a node in; True when its inside is done with."""
        tag = node.tag or ""
        if tag == "-text":
            self._text.append(re.sub(r"\s+", " ", node.text_content or ""))
        elif tag == "br":
            self._text.append("\n")
        elif tag in {"ul", "ol"}:
            self._open_list(_start(node) if tag == "ol" else None)
        elif tag == "li":
            self._item()
            self._text.append(self._marker())
        elif tag in _BLOCKS:
            self._flush()
            return tag == "table" and self._table(node)
        else:
            return self._whole(node, tag)
        return False

    def _whole(self, node: LexborNode, tag: str) -> bool:
        """Take in an element whose text is one: a heading, a term, code."""
        if tag in _HEADINGS or tag == "summary":
            self._flush()
            self.outline.heading(_HEADINGS.get(tag, _QUESTION_LEVEL), _words(node))
        elif tag == "dt":
            self._flush()
            self._define(_words(node))
        elif tag == "pre":
            self._flush()
            self.outline.add("code", [node.text() or ""])
        else:
            return False
        return True

    def _open_list(self, number: int | None) -> None:
        if self._lists:
            self._item()
        else:
            self._flush()
        self._lists.append(number)

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag in {"ul", "ol"} and self._lists:
            self._item()
            self._lists.pop()
            if not self._lists:
                self.outline.add("list", self._items)
                self._items = []
        elif tag in {"details", "dl"}:
            self._flush()
            self._term = ""
            self.outline.close(_QUESTION_LEVEL)
        elif tag in _BLOCKS:
            self._flush()

    def _define(self, term: str) -> None:
        """The `dt` before a `dd`: a heading if it asks, else put before its definition."""
        self.outline.close(_QUESTION_LEVEL)
        if term.endswith(("?", "？")):
            self._term = ""
            self.outline.heading(_QUESTION_LEVEL, term)
        else:
            self._term = term

    def _marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        indent = "  " * max(0, len(self._lists) - 1)
        if number is None:
            return indent + "- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "

    def _item(self) -> None:
        """End the list item being read; one of an inner list joins the item it stands in."""
        line = re.sub(r"\s*\n\s*", "\n", re.sub(r"(?<=\S) +", " ", "".join(self._text).rstrip()))
        self._text = []
        if not line.strip(" -"):
            return
        if len(self._lists) > 1 and self._items and line.startswith("  "):
            self._items[-1] += "\n" + line
        else:
            self._items.append(line.strip())

    def _flush(self) -> None:
        if self._lists:
            if "".join(self._text).strip(" -.0123456789"):  # more than the item's marker
                self._text.append("\n")
            return
        lines = (" ".join(line.split()) for line in "".join(self._text).split("\n"))
        text = "\n".join(line for line in lines if line)
        self._text = []
        if text and self._term:
            text, self._term = f"{self._term}: {text}", ""
        self.outline.add("paragraph", [text])

    def _table(self, table: LexborNode) -> bool:
        if table.css_first("table table, ul, ol, h1, h2, h3, h4"):
            return False  # a table that lays out the page: its cells are read as blocks
        rows = _grid(table)
        if not rows:
            return True
        headed = table.css_first("thead, tr:first-child > th + th") is not None
        if headed or len(rows[0]) > 2:
            self.outline.add("table", [row_sentence(rows[0], row) for row in rows[1:] or rows])
        else:
            self.outline.add("table", [": ".join(filter(None, row)) for row in rows])
        return True


def _grid(table: LexborNode) -> list[list[str]]:
    """The cells by row, those that span several repeated."""
    rows: list[list[str]] = []
    below: dict[tuple[int, int], str] = {}
    for y, row in enumerate(table.css("tr")):
        values: list[str] = []
        for cell in row.css("th, td"):
            while (y, len(values)) in below:
                values.append(below.pop((y, len(values))))
            text = _words(cell)
            for _ in range(_span(cell, "colspan")):
                for further in range(1, _span(cell, "rowspan")):
                    below[y + further, len(values)] = text
                values.append(text)
        while (y, len(values)) in below:
            values.append(below.pop((y, len(values))))
        if any(values):
            rows.append(values)
    return rows


def _span(cell: LexborNode, attribute: str) -> int:
    value = cell.attributes.get(attribute) or "1"
    return min(int(value), _WIDEST) if value.isdecimal() and int(value[:4]) else 1


def _start(node: LexborNode) -> int:
    value = node.attributes.get("start") or "1"
    return int(value[:6]) if value.isdecimal() else 1


def _words(node: LexborNode) -> str:
    return " ".join((node.text(separator=" ") or "").split())


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node on entering and on leaving it; pages nest deeper than Python recurses."""
    node = root
    while True:
        yield node, True
        if node.child is not None:
            node = node.child
            continue
        yield node, False
        while node.next is None:
            if node.mem_id == root.mem_id or node.parent is None:
                return
            node = node.parent
            yield node, False
            if node.mem_id == root.mem_id:
                return
        if node.mem_id == root.mem_id:
            return
        node = node.next
