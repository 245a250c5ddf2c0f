"""Markdown, plain text, FAQ YAML and CSV read into sections of blocks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from brain.errors import DocumentError
from brain.knowledge.document import Content, Outline, row_sentence
from brain.knowledge.html import read_html
from brain.knowledge.strict_yaml import load_mapping

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

LONGEST_LINE = 100_000
"""Characters: prose has no such lines, exported data has."""

LONGEST_INLINE = 5_000
"""Characters of one Markdown paragraph: a longer one is taken as it is, since reading its emphasis and
links can take time that grows with the square of its length."""

_FENCE = re.compile(r"---[ \t]*\n")
_LONE_HEADING = re.compile(r"[^.!?。:,\n]{1,40}")
_MARKED_HEADING = re.compile(
    r"(?:[■□◆◇▶▷●○※]\s*|[\[【<](?=[^\]】>]{1,40}[\]】>]$))(.{1,60}?)[\]】>]?$"
)
_ARTICLE = re.compile(r"제\s?\d+\s?[조장절](?:의\s?\d+)?\s?(?:[(\[].{1,40}[)\]])?$")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|─{3,})$")
_ITEM = re.compile(r"\s*(?:[-*•·‣▪]|\d{1,3}[.)]|[①-⑳]|[가-하][.)])\s+\S")
_QUESTION = re.compile(r"(?:Q\s?\d{0,3}|질문\s?\d{0,3})\s?[.:)．]\s*(.+)$", re.IGNORECASE)
_ANSWER = re.compile(r"(?:A\s?\d{0,3}|답변|답)\s?[.:)．]\s*", re.IGNORECASE)

_QUESTION_COLUMNS = frozenset({"질문", "question", "q", "문의"})
_ANSWER_COLUMNS = frozenset({"답변", "answer", "a", "답"})


def read_markdown(text: str, name: str) -> Content:
    """Markdown (CommonMark with tables), with or without YAML front matter."""
    _refuse_long_lines(text)
    metadata, body = _front_matter(text)
    tree = _markdown_tree(body)
    nodes = tree.children
    tops = [node for node in nodes if node.type == "heading" and node.tag == "h1"]
    headline = _inline(tops[0]) if len(tops) == 1 and nodes[0] is tops[0] else ""
    title = _title(metadata) or headline or name
    outline = Outline(title)
    for node in nodes[1:] if headline == title else nodes:
        _add(outline, node)
    return Content(title=title, metadata={**metadata, "title": title}, sections=outline.sections())


def read_text(text: str, name: str) -> Content:
    """Plain text: paragraphs, lists, and what people use for headings and questions in such files."""
    _refuse_long_lines(text)
    metadata, body = _front_matter(text)
    paragraphs = [block for block in re.split(r"\n[ \t]*\n", body.strip("\n")) if block.strip()]
    title = _title(metadata)
    if not title and len(paragraphs) > 1 and _lone(paragraphs[0]):
        title = paragraphs.pop(0).strip()
        title = marked.group(1) if (marked := _MARKED_HEADING.match(title)) else title
    outline = Outline(title or name)
    for paragraph, following in zip(paragraphs, [*paragraphs[1:], ""], strict=True):
        _add_plain(outline, paragraph, heads=bool(following) and not _lone(following))
    metadata = {**metadata, "title": outline.title}
    return Content(title=outline.title, metadata=metadata, sections=outline.sections())


def read_faq(text: str, name: str) -> Content:
    """A YAML mapping with title, category and so on, and `faq`: a list of questions with answers."""
    document = load_mapping(text)
    entries = document.pop("faq", None)
    if not isinstance(entries, list) or not entries:
        raise DocumentError(
            "no `faq` list: expected `faq:` with `- question: ...` and `answer: ...`"
        )
    metadata = _metadata(document)
    outline = Outline(_title(metadata) or name)
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DocumentError(f"faq entry {number}: expected `question:` and `answer:`")
        question, answer = (_text(entry, key, number) for key in ("question", "answer"))
        also = entry.get("also") or []
        also = [also] if isinstance(also, str) else also
        if not isinstance(also, list) or not all(isinstance(other, str) for other in also):
            raise DocumentError(f"faq entry {number}: `also` is a list of other wordings")
        rest = {k: v for k, v in entry.items() if k not in {"question", "answer", "also"}}
        outline.entry(question, answer, [a.strip() for a in also if a.strip()], _metadata(rest))
    metadata = {**metadata, "title": outline.title}
    return Content(title=outline.title, metadata=metadata, sections=outline.sections())


def read_csv(text: str, name: str) -> Content:
    """A table with a header row; a row reads `column: value, column: value`.

    A table with a question and an answer column is a FAQ.
    """
    rows = list(_csv_rows(text))
    header = rows[0][1] if rows else []
    if len(rows) < 2:
        raise DocumentError("a header row and at least one row under it are needed")
    if not all(header) or len(set(header)) < len(header) or not any(map(_wordy, header)):
        raise DocumentError("line 1: the first row must name every column, each once")
    outline = Outline(name)
    asked = next((i for i, h in enumerate(header) if h.lower() in _QUESTION_COLUMNS), None)
    answered = next((i for i, h in enumerate(header) if h.lower() in _ANSWER_COLUMNS), None)
    for line, row in rows[1:]:
        if len(row) > len(header):
            raise DocumentError(
                f"line {line}: {len(row)} values for {len(header)} columns; "
                'put a value that holds a comma into "quotes"'
            )
        if asked is not None and answered is not None:
            _add_question_row(outline, header, row + [""] * len(header), asked, answered)
        else:
            label = next((value for value in row if _wordy(value)), "")
            outline.heading(1, label if len(label) <= 60 else "")
            outline.add("record", [row_sentence(header, row)])
    return Content(title=name, metadata={"title": name}, sections=outline.sections())


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


def _add_plain(outline: Outline, paragraph: str, *, heads: bool) -> None:
    """Append one paragraph of a text file, which may hold headings, questions and lists.

    `heads`: text follows that a lone line would be the heading of.
    """
    lines = paragraph.split("\n")
    if heads and _lone(paragraph) and not (_ITEM.match(lines[0]) or _QUESTION.match(lines[0])):
        line = paragraph.strip()
        marked = _MARKED_HEADING.match(line)
        outline.heading(1, marked.group(1).strip() if marked else line)
        return
    run: list[str] = []
    for index, line in enumerate(lines):
        stripped = line.strip()
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        heading = _plain_heading(stripped, following)
        if heading:
            _add_run(outline, run)
            run = []
            outline.heading(2 if _QUESTION.match(stripped) else 1, heading)
        elif not _UNDERLINE.match(stripped):
            answer = _ANSWER.match(stripped)
            run.append(stripped[answer.end() :] if answer else line.rstrip())
    _add_run(outline, run)


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


# ---- CSV


def _csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line they end on."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            values = [" ".join(value.split()) for value in row]
            while values and not values[-1]:
                values.pop()
            if values:
                yield reader.line_num, values
    except csv.Error as error:
        raise DocumentError(f"line {reader.line_num}: not valid CSV: {error}") from error


def _add_question_row(
    outline: Outline, header: Sequence[str], row: Sequence[str], asked: int, answered: int
) -> None:
    if not row[asked] or not row[answered]:
        return
    rest = {h: v for i, (h, v) in enumerate(zip(header, row, strict=False)) if v} | {}
    del rest[header[asked]], rest[header[answered]]
    outline.entry(row[asked], row[answered], [], rest)


def _wordy(value: str) -> bool:
    return any(character.isalpha() for character in value)


# ---- shared


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The mapping between the first two `---` lines, and what follows them."""
    opening = _FENCE.match(text)
    if not opening:
        return {}, text
    closing = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, opening.end())
    if not closing:
        raise DocumentError("line 1: the front matter that `---` opens is never closed by `---`")
    block = text[opening.end() : closing.start()]
    mapping = load_mapping(block, first_line=2) if block.strip() else {}
    return _metadata(mapping), text[closing.end() :]


def _metadata(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Front matter as kept: tags always a list, empty values left out."""
    metadata = {key: value for key, value in mapping.items() if value not in ("", [], {})}
    tags = metadata.get("tags")
    if isinstance(tags, str):
        metadata["tags"] = [tag.strip() for tag in tags.split(",") if tag.strip()]
    return metadata


def _title(metadata: Mapping[str, Any]) -> str:
    title = metadata.get("title", "")
    if not isinstance(title, str):
        raise DocumentError("`title` must be text")
    return title.strip()


def _text(entry: Mapping[str, Any], key: str, number: int) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DocumentError(f"faq entry {number}: `{key}` must be text")
    return value.strip()


def _refuse_long_lines(text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise DocumentError(
                f"line {number}: {len(line):,} characters in one line are data, not a document; "
                "break it into paragraphs"
            )
