"""Vectors for passages: those that are known from the store, the others from the embedder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from brain.knowledge import topics
from brain.knowledge.chunk import Chunk
from brain.knowledge.embed import Embedder, Matrix, Vector
from brain.knowledge.recent import Recent
from brain.knowledge.topics import Topics

BATCH = 8
"""Pieces embedded at a time: a customer's question waits for at most one batch."""
RECENT = 512
"""Questions whose vectors are kept."""
KEPT_AT_ONCE = 64
"""Vectors embedded between two writes to the store, so that a stopped reload goes on where it was."""

Progress = Callable[[int, int], None]
"""Hears how many of how many steps are done."""


class VectorStore(Protocol):
    """Where vectors outlive the index versions, so that only changed passages are embedded."""

    async def vectors(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """Those of the wanted vectors that are known: float32, little-endian."""
        ...

    async def keep_vectors(self, fingerprint: str, vectors: Mapping[str, bytes]) -> None:
        """Add vectors by the hash of their text."""
        ...


class Vectors:
    """Embeds questions and passages, one text or small batch at a time, outside the event loop."""

    def __init__(self, embedder: Embedder, store: VectorStore) -> None:
        self._embedder = embedder
        self._store = store
        self._working = asyncio.Lock()
        self._recent = Recent[str, Vector](RECENT)

    @property
    def fingerprint(self) -> str:
        """Of the embedder. May ask a server, so not for the event loop."""
        return self._embedder.fingerprint

    @property
    def topics(self) -> Topics | None:
        """What customers ask, in vectors of the embedder; None without. Not for the event loop either."""
        return topics.of(self._embedder.fingerprint)

    async def query(self, text: str) -> Vector:
        """The vector of a question; kept for when it is asked again."""
        vector = self._recent.get(text)
        if vector is None:
            async with self._working:
                vector = await asyncio.to_thread(self._embedder.query, text)
            self._recent.keep(text, vector)
        return vector

    async def passages(self, chunks: Sequence[Chunk], progress: Progress | None = None) -> Matrix:
        """The vectors of all pieces of `chunks`, in order. `progress` counts pieces."""
        texts = [text for chunk in chunks for text in chunk.embedded]
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        fingerprint = await asyncio.to_thread(lambda: self._embedder.fingerprint)
        known = await self._store.vectors(fingerprint, list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        done = len(known)
        total = done + len(missing)
        if progress:
            progress(done, total)
        fresh: dict[str, bytes] = {}
        todo = list(missing.items())
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            async with self._working:
                rows = await asyncio.to_thread(self._embedder.passages, [text for _, text in batch])
            fresh |= {
                key: np.asarray(row, dtype="<f4").tobytes()
                for (key, _), row in zip(batch, rows, strict=True)
            }
            done += len(batch)
            if len(fresh) >= KEPT_AT_ONCE or start + BATCH >= len(todo):
                await self._store.keep_vectors(fingerprint, fresh)
                known |= fresh
                fresh = {}
            if progress:
                progress(done, total)
        matrix = np.frombuffer(b"".join(known[key] for key in keys), dtype="<f4")
        return matrix.reshape(len(keys), -1)
