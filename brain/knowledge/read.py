"""The knowledge folder read into documents; a file that cannot be read is a problem, not an end."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from brain.errors import DocumentError, KnowledgeError
from brain.knowledge.document import Content, Document, Problem
from brain.knowledge.formats import read_csv, read_faq, read_markdown, read_text
from brain.knowledge.html import read_html

LARGEST = 20_000_000
"""Bytes of one file."""
COMPANY = "company.yaml"
"""Facts of the company at the folder's root: not a document."""

_log = logging.getLogger(__name__)

_READERS: dict[str, Callable[[str, str], Content]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".yaml": read_faq,
    ".yml": read_faq,
    ".csv": read_csv,
    ".html": read_html,
    ".htm": read_html,
}

# Characters that are never part of the words: controls, direction marks, invisible tag letters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u3000]")


def read_folder(folder: Path) -> tuple[list[Document], list[Problem]]:
    """Every document below `folder` in order of path, and the files that could not be read.

    Raises `KnowledgeError` when there is no such folder.
    """
    if not folder.is_dir():
        raise KnowledgeError(f"knowledge folder {folder} does not exist: create it or set another")
    documents: list[Document] = []
    problems: list[Problem] = []
    for file in _files(folder):
        path = unicodedata.normalize("NFC", file.relative_to(folder).as_posix())
        try:
            documents.append(read_file(file, path, within=folder.resolve()))
        except DocumentError as error:
            problems.append(Problem(path=_printable(path), reason=str(error)))
        except OSError as error:
            problems.append(
                Problem(path=_printable(path), reason=f"cannot be read: {error.strerror}")
            )
        except Exception as error:  # noqa: BLE001 - a parser's bug must not cost the other documents
            _log.warning("document not read: %s: %s", _printable(path), type(error).__name__)
            reason = f"cannot be read: {type(error).__name__} in its reader"
            problems.append(Problem(path=_printable(path), reason=reason))
    return documents, problems


def read_file(file: Path, path: str, *, within: Path) -> Document:
    """One file as a document called `path`; raises `DocumentError` or `OSError`."""
    if _printable(path) != path:
        raise DocumentError("its name is not valid text; rename it")
    if not file.resolve().is_relative_to(within):
        raise DocumentError("a link that leaves the knowledge folder")
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DocumentError("not a regular file")
    if about.st_size > LARGEST:
        raise DocumentError(f"larger than {LARGEST // 1_000_000} MB; split it")
    data = file.read_bytes()
    text = clean(decode(data))
    if not text.strip():
        raise DocumentError("empty")
    name = " ".join(re.split(r"[\s_-]+", clean(file.stem))).strip() or path
    content = _READERS[file.suffix.lower()](text, name)
    if not content.sections:
        raise DocumentError("no text in it")
    return Document(
        path=path,
        hash=hashlib.sha256(data).hexdigest()[:32],
        title=content.title,
        metadata=content.metadata,
        sections=content.sections,
    )


def decode(data: bytes) -> str:
    """UTF-8, UTF-16 with a byte order mark, or CP949; anything else is a `DocumentError`."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return _proper(data.decode("utf-16"))
        except UnicodeDecodeError as error:
            raise DocumentError(
                f"not valid UTF-16 at byte {error.start}; save it as UTF-8"
            ) from None
    try:
        return _proper(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        broken = error
    # Korean text in UTF-8 with a few bad bytes would pass as CP949, as nonsense.
    lossy = data.decode("utf-8", "replace")
    if sum("가" <= c <= "힣" for c in lossy) <= lossy.count("\ufffd"):
        try:
            text = data.decode("cp949")
        except UnicodeDecodeError:
            raise DocumentError("neither UTF-8 nor CP949 text; save it as UTF-8") from None
        foreign = [c for c in text if not c.isascii()]
        if 2 * sum("가" <= c <= "힣" for c in foreign) >= len(foreign):
            return _proper(text)
        raise DocumentError("its encoding is not known; save it as UTF-8")
    line = data.count(b"\n", 0, broken.start) + 1
    raise DocumentError(f"line {line}: not valid UTF-8 at byte {broken.start}; save it as UTF-8")


def clean(text: str) -> str:
    """Composed (NFC), with `\\n` between lines, without control and invisible characters."""
    text = _LINE_ENDS.sub("\n", text)
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _INVISIBLE.sub("", text)))


def _proper(text: str) -> str:
    if text.count("\0") * 10 > len(text) > 20:
        raise DocumentError("not text, or UTF-16 without its mark; save it as UTF-8")
    return text


def _files(folder: Path) -> Iterator[Path]:
    """Files of supported formats in order; links to folders are not followed."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if name.startswith(".") or file.suffix.lower() not in _READERS:
                continue
            if file != folder / COMPANY:
                yield file


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode("utf-8")
