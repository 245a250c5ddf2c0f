"""What the knowledge folder asks for: the passages that a new version should hold, and what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brain.errors import KnowledgeError
from brain.knowledge import chunk as chunking
from brain.knowledge.chunk import Chunk, chunk
from brain.knowledge.document import Problem
from brain.knowledge.questions import SMOKE, Question, read_questions
from brain.knowledge.read import read_folder
from brain.knowledge.reports import Report, compare
from brain.knowledge.versions import Manifest

SHRINK = 0.2
"""Share of passages whose loss is taken for an accident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A version to be made."""

    documents: Mapping[str, str]
    """Hash of every document by its path."""
    chunks: Sequence[Chunk]
    """Its passages."""
    report: Report
    """What differs from the version that is live."""
    shrunk: str
    """Why it should be refused: it lost too much; empty if it did not."""
    smoke: Sequence[Question]
    """What it has to answer."""


def plan(folder: Path, live: Manifest | None) -> Plan:
    """The documents of `folder` as passages, compared with the `live` version, openable or not.

    Raises `KnowledgeError` when there is nothing to read.
    """
    documents, problems = read_folder(folder)
    if not documents:
        raise KnowledgeError(_nothing_readable(folder, problems))
    chunks = [passage for document in documents for passage in chunk(document)]
    shrunk = ""
    if live and live.chunker == chunking.VERSION and len(chunks) < live.chunks * (1 - SHRINK):
        shrunk = (
            f"refused: {len(chunks)} passages instead of {live.chunks}; the index stays as it is. "
            "If so much was really removed, reload with force"
        )
    smoke = folder / SMOKE
    return Plan(
        documents={document.path: document.hash for document in documents},
        chunks=chunks,
        report=compare(live, documents, len(chunks), problems),
        shrunk=shrunk,
        smoke=[each for each in read_questions(smoke) if each.sources] if smoke.is_file() else [],
    )


def _nothing_readable(folder: Path, problems: Sequence[Problem]) -> str:
    if not problems:
        return (
            f"knowledge folder {folder} holds no documents "
            "(Markdown, text, YAML, CSV, JSON, HTML, PDF, DOCX)"
        )
    first = f"{problems[0].path}: {problems[0].reason}"
    return f"none of the {len(problems)} documents in {folder} can be read; the first: {first}"
