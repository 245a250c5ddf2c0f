"""What a reload did and what serves, as records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from brain.knowledge.document import Document, Problem
from brain.knowledge.versions import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a reload did, or with `dry_run` would do."""

    version: str
    """The version that serves now; empty when none does."""
    added: tuple[str, ...]
    """Paths of new documents."""
    changed: tuple[str, ...]
    """Paths of documents whose bytes differ."""
    removed: tuple[str, ...]
    """Paths of documents that are gone or became unreadable."""
    unchanged: int
    """Number of the other documents."""
    chunks: int
    """Passages in all."""
    seconds: float
    """How long it took."""
    problems: tuple[Problem, ...]
    """Files that could not be read."""

    @property
    def changes(self) -> bool:
        """Whether any document is not as it was."""
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What serves now."""

    version: str
    """Name of the version that answers; empty when there is none."""
    documents: int
    """Number of documents in it."""
    chunks: int
    """Number of passages in it."""
    embedder: str
    """Fingerprint of the embedder it was made with."""
    created: datetime | None
    """Aware time the version was made."""
    versions: tuple[str, ...]
    """Versions on disk, oldest first."""
    damage: str
    """What is wrong with the index, so that it has to be rebuilt; empty when it is sound."""
    confidence: str
    """What the confidence was fitted on."""


def compare(
    old: Manifest | None, documents: Sequence[Document], chunks: int, problems: Sequence[Problem]
) -> Report:
    """What differs between a version and the documents as they are now."""
    before = dict(old.documents) if old else {}
    now = {document.path: document.hash for document in documents}
    changed = [path for path in now if path in before and before[path] != now[path]]
    added = [path for path in now if path not in before]
    return Report(
        version=old.version if old else "",
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(path for path in before if path not in now),
        unchanged=len(now) - len(changed) - len(added),
        chunks=chunks,
        seconds=0.0,
        problems=tuple(problems),
    )
