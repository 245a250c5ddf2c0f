"""One version of the index, opened: passages, their words, and the nearest pieces to a vector."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from brain.errors import KnowledgeError
from brain.knowledge import topics, versions
from brain.knowledge.chunk import Chunk
from brain.knowledge.embed import Matrix, Vector
from brain.knowledge.lexical import Lexical
from brain.knowledge.topics import Subjects, Topics
from brain.knowledge.validity import Validity
from brain.knowledge.versions import Manifest, Reading

COLLECTION = "pieces"
OTHERWISE = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a program on purpose. A panic inside Chroma is no `Exception` either, but a fault."""

_log = logging.getLogger(__name__)


def write_chunks(folder: Path, chunks: Sequence[Chunk], vectors: Matrix) -> None:
    """What a version is built from: passages and the vectors of their pieces, in order."""
    with (folder / "chunks.jsonl").open("w", encoding="utf-8") as file:
        for chunk in chunks:
            file.write(json.dumps(asdict(chunk), ensure_ascii=False) + "\n")
    np.save(folder / versions.VECTORS, vectors, allow_pickle=False)


def read_chunks(folder: Path) -> list[Chunk]:
    """The passages of a version."""
    with (folder / "chunks.jsonl").open(encoding="utf-8") as file:
        return [_chunk(json.loads(line)) for line in file]


def intact_chunks(folder: Path, manifest: Manifest) -> list[Chunk]:
    """The passages of a version; `KnowledgeError` when their file is not as it was made."""
    if versions.damaged(folder, manifest, "chunks.jsonl"):
        raise KnowledgeError(f"index {folder.name} is damaged: chunks.jsonl")
    try:
        return read_chunks(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(
            f"index {folder.name} cannot be read: {type(error).__name__}"
        ) from error


class Pieces(Protocol):
    """The vectors of an index."""

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        """The `n` nearest pieces: chunk, piece within it, cosine; best first."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class Rows:
    """Vectors compared one by one: exact, and needs no more than the file they are kept in.

    What answers while Chroma's own files are damaged. Without vectors nothing is near, and
    retrieval goes by words alone.
    """

    def __init__(self, chunks: Sequence[Chunk], vectors: Matrix | None) -> None:
        self._counts = [len(chunk.pieces) for chunk in chunks]
        self._owners = [(c, p) for c, count in enumerate(self._counts) for p in range(count)]
        self._subjects: Subjects | None = None
        self._vectors = (
            vectors if vectors is not None and len(vectors) == len(self._owners) else None
        )

    @classmethod
    def of(cls, folder: Path, manifest: Manifest, chunks: Sequence[Chunk]) -> Rows:
        """Those of a version, as far as their file is intact."""
        vectors: Matrix | None = None
        if not versions.damaged(folder, manifest, versions.VECTORS):
            try:
                vectors = np.load(folder / versions.VECTORS, mmap_mode="r")
            except (OSError, ValueError) as error:
                _log.warning("index %s has no vectors: %s", folder.name, type(error).__name__)
        return cls(chunks, vectors)

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        """See `Pieces`."""
        if self._vectors is None or self._vectors.shape[1:] != vector.shape:
            return []
        cosines = self._vectors @ vector
        return [(*self._owners[at], float(cosines[at])) for at in np.argsort(-cosines)[:n]]

    def subjects(self, bank: Topics) -> Subjects | None:
        """What the pieces are about, found out once; None without vectors."""
        if self._subjects is None and self._vectors is not None:
            self._subjects = bank.subjects(self._vectors, self._counts)
        return self._subjects

    def close(self) -> None:
        """Nothing is held."""


class Stored:
    """Vectors in a Chroma collection."""

    def __init__(self, folder: Path) -> None:
        self._client = chroma(folder)
        try:
            self._pieces = self._client.get_collection(COLLECTION, embedding_function=None)
        except BaseException:
            self._client.close()
            raise

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        """See `Pieces`."""
        found = self._pieces.query(query_embeddings=[vector], n_results=n, include=["distances"])
        hits: list[tuple[int, int, float]] = []
        for id_, distance in zip(found["ids"][0], found["distances"][0], strict=True):
            chunk, piece = id_.split(":")
            hits.append((int(chunk), int(piece), 1.0 - float(distance)))
        return hits

    def count(self) -> int:
        """Number of vectors."""
        return int(self._pieces.count())

    def finds_itself(self, chunks: int, *, samples: int) -> bool:
        """Whether most of some vectors are found by themselves; a graph may not reach every single one."""
        ids = [f"{at}:0" for at in range(0, chunks, max(1, chunks // samples))]
        kept = self._pieces.get(ids=ids, include=["embeddings"])["embeddings"]
        found = [self.nearest(np.asarray(vector, dtype=np.float32), 1) for vector in kept]
        return 2 * sum(hits[0][2] >= 0.99 for hits in found) >= len(ids)

    def close(self) -> None:
        """Let go of the files. Nothing may be asked afterwards."""
        self._client.close()


class Index:
    """An open version. `damage` says what is wrong with it, if anything; it answers all the same."""

    def __init__(
        self,
        manifest: Manifest,
        chunks: Sequence[Chunk],
        lexical: Lexical,
        pieces: Pieces,
        *,
        spare: Callable[[], Rows],
        damage: str = "",
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """`spare` takes the place of `pieces` when these fail; `closed` is told of the end."""
        self.manifest = manifest
        self.chunks = chunks
        self.lexical = lexical
        self.damage = damage
        self._pieces = pieces
        self._failed: list[Pieces] = []  # closed at the end: others may still be asking them
        self._spare = spare
        self._told = closed
        self._closed = False

    @classmethod
    def open(cls, folder: Path) -> Index:
        """Open the version in `folder`; `KnowledgeError` when it is damaged or of another format.

        Checked before Chroma sees its files: it ends the whole process over some kinds of damage.
        """
        manifest = Manifest.read(folder)
        name = folder.name
        if manifest.engine != versions.engine():
            raise KnowledgeError(
                f"index {name} was made with {manifest.engine}, not {versions.engine()}"
            )
        if path := versions.damaged(folder, manifest, "bm25/", "chroma/"):
            raise KnowledgeError(f"index {name} is damaged: {path} differs from when it was made")
        chunks = intact_chunks(folder, manifest)
        lexical = Lexical.load(folder / "bm25")
        if not (folder / "chroma").is_dir():
            raise KnowledgeError(f"index {name} is damaged: chroma is gone")
        ends = ExitStack()
        try:
            reading = Reading(folder)
            ends.callback(reading.end)
            pieces = Stored(folder / "chroma")
            ends.callback(pieces.close)
            _check(manifest, chunks, lexical, pieces)
        except BaseException as error:
            ends.close()
            if isinstance(error, (*OTHERWISE, KnowledgeError)):
                raise
            raise KnowledgeError(
                f"index {name} cannot be opened: {type(error).__name__}"
            ) from error

        def closed() -> None:
            if reading.end():
                versions.seal(folder)

        def spare() -> Rows:
            return Rows.of(folder, manifest, chunks)

        index = cls(manifest, chunks, lexical, pieces, spare=spare, closed=closed)
        if bank := topics.of(manifest.embedder):  # no search should have to wait for it
            index.subjects(bank)
        return index

    @classmethod
    def salvage(cls, folder: Path, damage: str) -> Index:
        """What can be had of a damaged version: the passages, their words, and the vectors as kept.

        `KnowledgeError` when the passages themselves are damaged.
        """
        manifest = Manifest.read(folder)
        chunks = intact_chunks(folder, manifest)
        rows = Rows.of(folder, manifest, chunks)
        try:
            if versions.damaged(folder, manifest, "bm25/"):
                raise KnowledgeError("its words are damaged")
            lexical = Lexical.load(folder / "bm25")
        except KnowledgeError:
            lexical = Lexical.build([chunk.embedded for chunk in chunks], kiwi=manifest.kiwi)
        return cls(manifest, chunks, lexical, rows, spare=lambda: rows, damage=damage)

    @property
    def version(self) -> str:
        """Name of the version."""
        return self.manifest.version

    @cached_property
    def validity(self) -> Validity:
        """The days on which its passages hold."""
        return Validity(self.chunks)

    @cached_property
    def _rows(self) -> Rows:
        return self._spare()

    def subjects(self, bank: Topics) -> Subjects | None:
        """What the pieces are about, found out once: a second for 30,000; None without vectors."""
        return self._rows.subjects(bank)

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        """The `n` nearest pieces: chunk, piece within it, cosine; best first."""
        n = min(n, self.manifest.pieces)
        try:
            return self._pieces.nearest(vector, n)
        except BaseException as error:
            if self._closed or isinstance(error, OTHERWISE):
                raise
            self.damage = f"index {self.version} failed: {type(error).__name__}"
            _log.warning("%s; its vectors are compared one by one until it is rebuilt", self.damage)
            self._failed.append(self._pieces)
            self._pieces = self._rows
        return self._pieces.nearest(vector, n)

    def close(self) -> None:
        """Let go of the files. Nothing may be asked afterwards."""
        self._closed = True
        for pieces in (*self._failed, self._pieces):
            pieces.close()
        self._told()


def _check(manifest: Manifest, chunks: Sequence[Chunk], lexical: Lexical, stored: Stored) -> None:
    """Counts agree, and vectors find themselves."""
    pieces = sum(len(chunk.pieces) for chunk in chunks)
    counts = (len(chunks), lexical.size, pieces, stored.count())
    if counts != (manifest.chunks, manifest.chunks, manifest.pieces, manifest.pieces):
        raise KnowledgeError(f"index {manifest.version} is incomplete")
    if not stored.finds_itself(manifest.chunks, samples=4):
        raise KnowledgeError(f"index {manifest.version} does not find its own pieces")


class Lease:
    """An open index that is closed when it serves no more and the last search in it is over.

    Searches run in threads, and a cancelled one goes on there: only the thread knows when it ends.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._lock = threading.Lock()
        self._readers = 0
        self._retired = False

    def take(self) -> None:
        """A search begins."""
        with self._lock:
            self._readers += 1

    def give(self) -> None:
        """A search is over."""
        with self._lock:
            self._readers -= 1
            over = self._retired and not self._readers
        if over:
            self.index.close()

    def retire(self) -> None:
        """Another index serves from now on."""
        with self._lock:
            over, self._retired = not self._readers, True
        if over:
            self.index.close()


def chroma(folder: Path) -> Any:
    """A Chroma client on `folder`; nothing leaves the machine. Takes most of a second the first time."""
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))


def _chunk(record: dict[str, Any]) -> Chunk:
    lists = {name: tuple(record[name]) for name in ("pieces", "headings")}
    return Chunk(**(record | lists))
