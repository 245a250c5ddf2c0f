"""A small knowledge folder and what reads it, with the real Chroma and a crude embedder."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

import numpy as np

from brain.knowledge.embed import Matrix, Vector
from brain.knowledge.library import Library


class BigramEmbedder:
    """Hashes neighbouring letters into a vector: crude, but equal words give near vectors."""

    dimension = 64

    def __init__(self, fingerprint: str = "bigrams-1") -> None:
        self.fingerprint = fingerprint
        self.embedded: list[str] = []

    def query(self, text: str) -> Vector:
        vector = np.full(self.dimension, 1e-3, dtype=np.float32)
        for pair in itertools.pairwise(text):
            vector[crc32("".join(pair).encode()) % self.dimension] += 1
        return vector / np.float32(np.linalg.norm(vector))

    def passages(self, texts: Sequence[str]) -> Matrix:
        self.embedded.extend(texts)
        return np.stack([self.query(text) for text in texts])


class Vectors:
    """A vector store in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    async def vectors(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, bytes]:
        return {h: self.kept[fingerprint, h] for h in hashes if (fingerprint, h) in self.kept}

    async def keep_vectors(self, fingerprint: str, vectors: Mapping[str, bytes]) -> None:
        self.kept |= {(fingerprint, key): vector for key, vector in vectors.items()}


class Shop:
    """A knowledge folder and what reads it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "kb"
        self.data = root / "data"
        self.home = self.data / "index"
        self.vectors = Vectors()
        self.embedder = BigramEmbedder()
        self.write("delivery.md", "# 배송 안내\n\n제주 지역 배송은 사흘 더 걸립니다.")
        self.write("refund.md", "# 환불 안내\n\n환불은 카드사에서 닷새 안에 처리합니다.")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    @asynccontextmanager
    async def library(self, embedder: BigramEmbedder | None = None) -> AsyncIterator[Library]:
        library = Library(
            folder=self.folder,
            data=self.data,
            embedder=embedder or self.embedder,
            vectors=self.vectors,
        )
        try:
            yield library
        finally:
            await library.close()

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.home.glob("[!l]*"))


async def best(library: Library, query: str) -> str:
    found = await library.search(query)
    return found.passages[0].text if found.passages else ""
