"""Markdown and plain text read into sections of blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from brain.errors import DocumentError
from brain.knowledge.document import Content, Outline, row_sentence
from brain.knowledge.front_matter import front_matter, title_of
from brain.knowledge.html import read_html

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

LONGEST_LINE = 100_000
"""Characters: prose has no such lines, exported data has."""

LONGEST_INLINE = 5_000
"""Characters of one Markdown paragraph: a longer one is taken as it is, since reading its emphasis and
links can take time that grows with the square of its length."""

_LONE_HEADING = re.compile(r"[^.!?。:,\n]{1,40}")
_MARKED_HEADING = re.compile(
    r"(?:[■□◆◇▶▷●○※]\s*|[\[【<](?=[^\]】>]{1,40}[\]】>]$))(.{1,60}?)[\]】>]?$"
)
_ARTICLE = re.compile(r"제\s?\d+\s?[조장절](?:의\s?\d+)?\s?(?:[(\[].{1,40}[)\]])?$")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|─{3,})$")
_ITEM = re.compile(r"\s*(?:[-*•·‣▪]|\d{1,3}[.)]|[①-⑳]|[가-하][.)])\s+\S")
_QUESTION = re.compile(r"(?:Q\s?\d{0,3}|질문\s?\d{0,3})\s?[.:)．]\s*(.+)$", re.IGNORECASE)
_ANSWER = re.compile(r"(?:A\s?\d{0,3}|답변|답)\s?[.:)．]\s*", re.IGNORECASE)


def read_markdown(text: str, name: str) -> Content:
    """Markdown (CommonMark with tables), with or without YAML front matter."""
    refuse_long_lines(text)
    metadata, body = front_matter(text)
    tree = _markdown_tree(body)
    nodes = tree.children
    tops = [node for node in nodes if node.type == "heading" and node.tag == "h1"]
    headline = _inline(tops[0]) if len(tops) == 1 and nodes[0] is tops[0] else ""
    title = title_of(metadata) or headline or name
    outline = Outline(title)
    for node in nodes[1:] if headline == title else nodes:
        _add(outline, node)
    return Content(title=title, metadata={**metadata, "title": title}, sections=outline.sections())


def read_text(text: str, name: str) -> Content:
    """Plain text: paragraphs, lists, and what people use for headings and questions in such files."""
    refuse_long_lines(text)
    metadata, body = front_matter(text)
    paragraphs = [block for block in re.split(r"\n[ \t]*\n", body.strip("\n")) if block.strip()]
    title = title_of(metadata)
    if not title and len(paragraphs) > 1 and _lone(paragraphs[0]):
        title = paragraphs.pop(0).strip()
        title = marked.group(1) if (marked := _MARKED_HEADING.match(title)) else title
    outline = Outline(title or name)
    for paragraph, following in zip(paragraphs, [*paragraphs[1:], ""], strict=True):
        add_plain(outline, paragraph, heads=bool(following) and not _lone(following))
    metadata = {**metadata, "title": outline.title}
    return Content(title=outline.title, metadata=metadata, sections=outline.sections())


# ---- Markdown


def _markdown_tree(text: str) -> SyntaxTreeNode:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    markdown = MarkdownIt("commonmark").enable("table")
    markdown.core.ruler.at("inline", _parse_inline)
    return SyntaxTreeNode(markdown.parse(text))


def _parse_inline(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and len(token.content) <= LONGEST_INLINE:
            token.children = []
            state.md.inline.parse(token.content, state.md, state.env, token.children)


def _add(outline: Outline, node: SyntaxTreeNode) -> None:
    """Append a top-level Markdown node."""
    if node.type == "heading":
        outline.heading(int(node.tag[1:]), _inline(node))
    elif node.type in {"bullet_list", "ordered_list"}:
        outline.add("list", _items(node))
    elif node.type == "table":
        rows = [[_inline(cell) for cell in row.children] for row in _table_rows(node)]
        outline.add("table", [row_sentence(rows[0], row) for row in rows[1:]])
    elif node.type in {"fence", "code_block"}:
        outline.add("code", [node.content])
    elif node.type == "blockquote":
        for child in node.children:
            _add(outline, child)
    elif node.type == "html_block":
        # Raw HTML in Markdown: its text, none of its headings.
        for section in read_html(node.content, "").sections:
            for block in section.blocks:
                outline.add(block.kind, block.parts)
    else:
        outline.add("paragraph", [_plain(node)])


def _items(node: SyntaxTreeNode, depth: int = 0) -> Iterator[str]:
    """The items of a list as lines with their marker, nested ones indented under their parent."""
    number = int(node.attrs.get("start", 1))
    for item in node.children:
        marker = f"{number}." if node.type == "ordered_list" else "-"
        number += 1
        lines: list[str] = []
        for child in item.children:
            if child.type in {"bullet_list", "ordered_list"}:
                lines.extend(_items(child, depth + 1))
            else:
                lines.append(_plain(child))
        yield "  " * depth + f"{marker} " + "\n".join(lines).strip()


def _table_rows(node: SyntaxTreeNode) -> Iterator[SyntaxTreeNode]:
    for part in node.children:
        yield from part.children


def _plain(node: SyntaxTreeNode) -> str:
    """The text of any node, blocks on lines of their own."""
    if node.type in {"fence", "code_block"}:
        return node.content.strip()
    if node.type == "html_block":
        return ""
    if node.type == "inline" or not node.children:
        return _inline(node)
    return "\n".join(_plain(child) for child in node.children).strip()


def _inline(node: SyntaxTreeNode) -> str:
    """Inline Markdown as plain text; the addresses of links follow at the end."""
    inline = node if node.type == "inline" else next(iter(node.children), None)
    tokens: Sequence[Token] = (inline.token.children or []) if inline and inline.token else []
    if inline and inline.token and not tokens:
        return inline.token.content.strip()
    parts: list[str] = []
    links: list[str] = []
    label_from = 0
    href = ""
    for token in tokens:
        if token.type == "link_open":
            href, label_from = str(token.attrs.get("href", "")), len(parts)
        elif token.type == "link_close":
            label = "".join(parts[label_from:]).strip()
            if href.startswith(("https://", "http://")) and label != href:
                links.append(f"{label}: {href}")
        elif token.type in {"softbreak", "hardbreak"} or token.content.lower().startswith("<br"):
            parts.append("\n")
        elif token.type != "html_inline":
            parts.append(token.content)
    text = "".join(parts).strip()
    return f"{text} ({', '.join(links)})" if links else text


# ---- plain text


def _lone(paragraph: str) -> bool:
    """Whether a paragraph is one short line that is no sentence: a heading, if text follows."""
    return _LONE_HEADING.fullmatch(paragraph.strip()) is not None


def add_plain(outline: Outline, paragraph: str, *, heads: bool, level: int = 1) -> None:
    """Append one paragraph of plain text, which may hold headings, questions and lists.

    `heads`: text follows that a lone line would be the heading of. `level`: of its headings.
    """
    lines = paragraph.split("\n")
    if heads and _lone(paragraph) and not (_ITEM.match(lines[0]) or _QUESTION.match(lines[0])):
        line = paragraph.strip()
        marked = _MARKED_HEADING.match(line)
        outline.heading(level, marked.group(1).strip() if marked else line)
        return
    run: list[str] = []
    for index, line in enumerate(lines):
        stripped = line.strip()
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        heading = _plain_heading(stripped, following)
        if heading:
            _add_run(outline, run)
            run = []
            outline.heading(level + 1 if _QUESTION.match(stripped) else level, heading)
        elif not _UNDERLINE.match(stripped):
            answer = _ANSWER.match(stripped)
            run.append(stripped[answer.end() :] if answer else line.rstrip())
    _add_run(outline, run)


def starts_anew(line: str) -> bool:
    """Whether a line of plain text cannot continue the one before it."""
    return bool(_ITEM.match(line) or _ANSWER.match(line) or _plain_heading(line, ""))


def _plain_heading(line: str, following: str) -> str:
    if question := _QUESTION.match(line):
        return question.group(1)
    if marked := _MARKED_HEADING.match(line):
        return marked.group(1).strip()
    if _ARTICLE.match(line) or (line and len(line) <= 60 and _UNDERLINE.match(following)):
        return line
    return ""


def _add_run(outline: Outline, lines: Sequence[str]) -> None:
    """Lines that follow each other: list items if they look like it, else paragraphs."""
    text: list[str] = []
    items: list[str] = []
    for line in lines:
        if _ITEM.match(line):
            outline.add("paragraph", ["\n".join(text)])
            text = []
            items.append(line.strip())
        elif items and line.startswith((" ", "\t")):
            items[-1] += "\n" + line.strip()
        else:
            outline.add("list", items)
            items = []
            text.append(line)
    outline.add("list", items)
    outline.add("paragraph", ["\n".join(text)])


def refuse_long_lines(text: str) -> None:
    """Raise `DocumentError` for lines that no prose has, on which patterns would take long."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise DocumentError(
                f"line {number}: {len(line):,} characters in one line are data, not a document; "
                "break it into paragraphs"
            )
