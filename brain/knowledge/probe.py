"""Looks into a version in a child process, so that what kills a process over it kills only that one."""

from __future__ import annotations

import sys
from pathlib import Path

from brain.errors import KnowledgeError
from brain.knowledge.child import run_child
from brain.knowledge.index import OTHERWISE, Stored
from brain.knowledge.versions import Manifest

SAMPLES = 16
"""Chunks that are looked up: some damage shows only in the second query or elsewhere in the graph."""
SECONDS = 60.0
"""After which a version counts as damaged; some kinds of damage hang."""


async def probe(folder: Path) -> None:
    """`KnowledgeError` when the version in `folder` is not safe to open here."""
    try:
        await run_child("brain.knowledge.probe", str(folder), seconds=SECONDS)
    except KnowledgeError as failed:
        raise KnowledgeError(f"index {folder.name} is damaged ({failed})") from failed


def look(folder: Path) -> str:
    """In the child: what is wrong with the vectors of the version, empty if nothing is."""
    manifest = Manifest.read(folder)
    stored = Stored(folder / "chroma")
    if stored.count() != manifest.pieces:
        return f"{stored.count()} vectors instead of {manifest.pieces}"
    sound = stored.finds_itself(manifest.chunks, samples=SAMPLES)
    stored.close()
    return "" if sound else "its own vectors are not found"


if __name__ == "__main__":
    try:
        wrong = look(Path(sys.argv[1]))
    except OTHERWISE:
        raise
    except BaseException as error:  # noqa: BLE001 - Chroma raises whatever, panics included
        wrong = f"{type(error).__name__}: {error}"
    sys.exit(wrong or 0)
