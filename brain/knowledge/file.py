"""One file of the knowledge folder read into a document, whatever its format."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from brain.errors import DocumentError
from brain.knowledge.data import read_csv, read_faq, read_json, read_jsonl
from brain.knowledge.document import Content, Document
from brain.knowledge.docx import read_docx
from brain.knowledge.formats import read_markdown, read_text
from brain.knowledge.front_matter import is_log
from brain.knowledge.html import read_html
from brain.knowledge.logs import read_log
from brain.knowledge.pdf import read_pdf
from brain.knowledge.text import clean, decode

LARGEST = 20_000_000
"""Bytes of one file."""
LOGS = "logs"
"""A folder of this name, at any depth, holds consultation logs."""

_TEXT: dict[str, Callable[[str, str], Content]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".yaml": read_faq,
    ".yml": read_faq,
    ".csv": read_csv,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".html": read_html,
    ".htm": read_html,
}
_BINARY: dict[str, Callable[[bytes, str], Content]] = {".pdf": read_pdf, ".docx": read_docx}
_UNREAD = {
    **dict.fromkeys((".hwp", ".hwpx", ".doc", ".rtf", ".odt"), "save it as DOCX or PDF"),
    **dict.fromkeys((".ppt", ".pptx", ".odp", ".key"), "save it as PDF"),
    **dict.fromkeys((".xls", ".xlsx", ".ods", ".tsv"), "save it as CSV"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".gz", ".tgz", ".tar"), "unpack it"),
    **dict.fromkeys((".xml", ".mht", ".mhtml", ".epub"), "save it as HTML or PDF"),
}
"""Files that somebody may take for documents, and what to do about them."""


def is_document(name: str) -> bool:
    """Whether a file of this name is read, or at least reported; pictures and programs are not."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in _TEXT or suffix in _BINARY or suffix in _UNREAD


def read_file(file: Path, path: str, *, within: Path) -> Document:
    """One file as a document called `path`; raises `DocumentError`, `OSError` or a parser's own bug."""
    suffix = file.suffix.lower()
    if suffix in _UNREAD:
        raise DocumentError(f"{suffix} files are not read; {_UNREAD[suffix]}")
    data = _bytes(file, within)
    name = " ".join(re.split(r"[\s_-]+", clean(file.stem))).strip() or path
    in_logs = LOGS in PurePosixPath(path.lower()).parts[:-1]
    if suffix in _BINARY:
        if in_logs:
            raise DocumentError("consultation logs are read from CSV, JSON, JSONL and text")
        content = _BINARY[suffix](data, name)
    else:
        text = clean(decode(data))
        if not text.strip():
            raise DocumentError("empty")
        content = _of_text(text, name, suffix, in_logs=in_logs)
    if not content.sections:
        raise DocumentError("no text in it")
    return Document(
        path=path,
        hash=hashlib.sha256(data).hexdigest()[:32],
        title=content.title,
        metadata=content.metadata,
        sections=content.sections,
        missing=content.missing,
    )


def _bytes(file: Path, within: Path) -> bytes:
    if not file.resolve().is_relative_to(within):
        raise DocumentError("a link that leaves the knowledge folder")
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DocumentError("not a regular file")
    if about.st_size > LARGEST:
        raise DocumentError(f"larger than {LARGEST // 1_000_000} MB; split it")
    data = file.read_bytes()
    if not data:
        raise DocumentError("empty")
    return data


def _of_text(text: str, name: str, suffix: str, *, in_logs: bool) -> Content:
    if in_logs:
        return read_log(text, name, suffix)
    content = _TEXT[suffix](text, name)
    # Nothing of the first reading is kept: it is not masked.
    return read_log(text, name, suffix) if is_log(content.metadata) else content
