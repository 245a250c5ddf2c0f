"""Files of questions with known answers: what has to be found, and whether it was."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain.errors import KnowledgeError
from brain.messages import Passage

SMOKE = "smoke.jsonl"
"""Questions at the knowledge folder's root that every version must answer: not a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question and where its answer stands."""

    text: str
    """As a customer asks it."""
    sources: tuple[str, ...] = ()
    """Documents that answer it, any of which will do; none if no document does."""
    must: tuple[str, ...] = ()
    """What a passage has to say to answer it."""
    kind: str = ""
    """Of a question that no document answers: near or far."""

    def rank(self, passages: Sequence[Passage], *, anywhere: bool = False) -> int:
        """Rank of the first passage that answers, from 1; 0 when none does.

        `anywhere`: of whatever document, if it says what must be said.
        """
        wanted = [_folded(words) for words in self.must]
        for at, passage in enumerate(passages, 1):
            text = _folded(f"{passage.heading} {passage.text}")
            right = bool(wanted) if anywhere else passage.document in self.sources
            if right and all(words in text for words in wanted):
                return at
        return 0


def read_questions(path: Path) -> list[Question]:
    """The rows of a JSON lines file: `{q, source, must}` or, for what nothing answers, `{q, kind}`.

    `source` is a path or a list of paths, `must` (optional) a list of words. Raises `KnowledgeError`
    naming file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path}: cannot be read: {error}") from None
    found: list[Question] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_question(json.loads(line)))
            except ValueError as error:
                raise KnowledgeError(f"{path}:{number}: {error}") from None
    return found


def _question(row: Any) -> Question:
    if not isinstance(row, dict) or not isinstance(row.get("q"), str) or not row["q"].strip():
        raise ValueError('needs {"q": ..., "source": ...}, or {"q": ..., "kind": "near"}')
    sources = _words(row, "source")
    kind = row.get("kind", "")
    if not sources and kind not in ("near", "far"):
        raise ValueError("without `source`, `kind` must be near or far: nothing answers it")
    return Question(
        text=row["q"], sources=sources, must=_words(row, "must"), kind="" if sources else kind
    )


def _words(row: dict[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key) or []
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"`{key}` must be text or a list of texts")
    return tuple(value)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
