"""The knowledge folder read into documents; a file that cannot be read is a problem, not an end."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from brain.errors import DocumentError, KnowledgeError
from brain.knowledge.confined import Reader
from brain.knowledge.document import Document, Problem
from brain.knowledge.file import is_document
from brain.knowledge.questions import SMOKE
from brain.knowledge.thesaurus import FILE as THESAURUS

COMPANY = "company.yaml"
"""Facts of the company at the folder's root: not a document."""

_log = logging.getLogger(__name__)


def read_folder(folder: Path) -> tuple[list[Document], list[Problem]]:
    """Every document below `folder` in order of path, and what could not be read.

    Files are read in a child process. Raises `KnowledgeError` when there is no such folder.
    """
    if not folder.is_dir():
        raise KnowledgeError(f"knowledge folder {folder} does not exist: create it or set another")
    documents: list[Document] = []
    problems: list[Problem] = []
    with Reader() as reader:
        for file in _files(folder):
            path = unicodedata.normalize("NFC", file.relative_to(folder).as_posix())
            try:
                if _printable(path) != path:
                    raise DocumentError("its name is not valid text; rename it")
                document = reader.read(file, path, within=folder.resolve())
            except DocumentError as error:
                _log.info("document not read: %s: %s", _printable(path), error)
                problems.append(Problem(path=_printable(path), reason=str(error)))
                continue
            documents.append(document)
            if document.missing:
                problems.append(Problem(path=path, reason=document.missing))
    return documents, problems


def _files(folder: Path) -> Iterator[Path]:
    """Files of supported formats in order; links to folders are not followed."""
    apart = {folder / name for name in (COMPANY, SMOKE, THESAURUS)}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and is_document(name) and file not in apart:
                yield file


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode("utf-8")
