"""Writes the files of an index version, the heavy part of it in a child process.

Chroma's writes hold the interpreter lock from beginning to end, so they would stop a server that did
them itself; and a crash in the child costs nobody an answer.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

import brain
from brain.errors import KnowledgeError
from brain.knowledge.chunk import Chunk
from brain.knowledge.embed import Matrix
from brain.knowledge.index import COLLECTION, chroma, read_chunks, write_chunks
from brain.knowledge.lexical import Lexical

BATCH = 5_000
"""Vectors a call: Chroma refuses more than 5,461."""

_HERE = str(Path(brain.__file__).resolve().parent.parent)


async def write_version(
    staging: Path, chunks: Sequence[Chunk], vectors: Matrix, *, kiwi: bool
) -> None:
    """Fill `staging` with everything but the manifest; `KnowledgeError` when the child fails."""
    await asyncio.to_thread(_stage, staging, chunks, vectors)
    # The child finds this very package, installed or not, and nothing of the current folder (-P).
    paths = [_HERE, *filter(None, [os.environ.get("PYTHONPATH")])]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "brain.knowledge.build", str(staging)),
        *(["--kiwi"] if kiwi else []),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        _, words = await child.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise
    if child.returncode:
        last = words.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise KnowledgeError(
            f"the index could not be written (exit {child.returncode}): {last[0][:300]}"
        )


def _stage(staging: Path, chunks: Sequence[Chunk], vectors: Matrix) -> None:
    shutil.rmtree(staging, ignore_errors=True)  # of a reload that was killed
    staging.mkdir(parents=True)
    write_chunks(staging, chunks, vectors)


def build(staging: Path, *, kiwi: bool) -> None:
    """In the child: write `bm25/` and `chroma/` from the chunks and vectors in `staging`."""
    chunks = read_chunks(staging)
    vectors = np.load(staging / "vectors.npy")
    Lexical.build([chunk.embedded for chunk in chunks], kiwi=kiwi).save(staging / "bm25")
    ids = [f"{c}:{p}" for c, chunk in enumerate(chunks) for p in range(len(chunk.pieces))]
    client = chroma(staging / "chroma")
    pieces = client.create_collection(
        COLLECTION,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_search": 100}},
    )
    for start in range(0, len(ids), BATCH):
        pieces.add(ids=ids[start : start + BATCH], embeddings=vectors[start : start + BATCH])
    client.close()


if __name__ == "__main__":
    build(Path(sys.argv[1]), kiwi="--kiwi" in sys.argv[2:])
