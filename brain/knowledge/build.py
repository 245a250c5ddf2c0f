"""Writes the files of an index version, the heavy part of it in a child process.

Chroma's writes hold the interpreter lock from beginning to end, so they would stop a server that did
them itself; and a crash in the child costs nobody an answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brain.errors import KnowledgeError
from brain.knowledge import versions
from brain.knowledge.child import run_child
from brain.knowledge.chunk import Chunk
from brain.knowledge.embed import Matrix
from brain.knowledge.index import COLLECTION, chroma, read_chunks, write_chunks
from brain.knowledge.lexical import Lexical

GRAPH = {"space": "cosine", "ef_search": 100, "ef_construction": 200, "max_neighbors": 32}
"""Twice Chroma's own: a lone passage beside a thousand rows of a price list was lost in 2 builds of 50."""
BATCH = 5_000
"""Vectors a call: Chroma refuses more than 5,461."""


async def write_version(
    staging: Path, chunks: Sequence[Chunk], vectors: Matrix, *, kiwi: bool
) -> None:
    """Fill `staging` with everything but the manifest; `KnowledgeError` when the child fails."""
    await asyncio.to_thread(_stage, staging, chunks, vectors)
    try:
        await run_child("brain.knowledge.build", str(staging), *(["--kiwi"] if kiwi else []))
    except KnowledgeError as failed:
        raise KnowledgeError(f"the index could not be written ({failed})") from failed


def _stage(staging: Path, chunks: Sequence[Chunk], vectors: Matrix) -> None:
    versions.remove(staging)  # of a reload that was killed
    staging.mkdir(parents=True)
    write_chunks(staging, chunks, vectors)


def build(staging: Path, *, kiwi: bool) -> None:
    """In the child: write `bm25/` and `chroma/` from the chunks and vectors in `staging`."""
    chunks = read_chunks(staging)
    vectors = np.load(staging / versions.VECTORS)
    Lexical.build([chunk.embedded for chunk in chunks], kiwi=kiwi).save(staging / "bm25")
    ids = [f"{c}:{p}" for c, chunk in enumerate(chunks) for p in range(len(chunk.pieces))]
    client = chroma(staging / "chroma")
    pieces = client.create_collection(
        COLLECTION,
        embedding_function=None,
        configuration={"hnsw": GRAPH},
    )
    for start in range(0, len(ids), BATCH):
        pieces.add(ids=ids[start : start + BATCH], embeddings=vectors[start : start + BATCH])
    client.close()
    versions.seal(staging)


if __name__ == "__main__":
    build(Path(sys.argv[1]), kiwi="--kiwi" in sys.argv[2:])
