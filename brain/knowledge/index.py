"""One version of the index on disk: written once, checked, then only read.

A version is a folder: `chunks.jsonl`, `vectors.npy` (one row a piece), `bm25/`, `chroma/`, and
`manifest.json`, written last. `live` beside the versions names the one that serves.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from brain.errors import KnowledgeError
from brain.knowledge import chunk as chunking
from brain.knowledge.chunk import Chunk
from brain.knowledge.embed import Matrix, Vector
from brain.knowledge.lexical import Lexical

FORMAT = 1
"""Of the version folder: one of another format is rebuilt, never converted."""
COLLECTION = "pieces"
MANIFEST = "manifest.json"
LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a version holds and what it was made with."""

    version: str
    """Its name, `v000001` and up."""
    created: datetime
    """Aware time it was made."""
    previous: str
    """The version that served before it, where a rollback goes; empty for the first."""
    embedder: str
    """Fingerprint of the embedder: vectors of another are not comparable."""
    kiwi: bool
    """Whether morphemes are indexed beside bigrams."""
    documents: Mapping[str, str]
    """Hash of every document by its path."""
    chunks: int
    """Number of passages."""
    pieces: int
    """Number of vectors."""
    checksums: Mapping[str, int]
    """CRC-32 by path of the files that must be intact before anything opens them."""
    format: int = FORMAT
    """Layout of the folder."""
    chunker: int = chunking.VERSION
    """How documents were cut."""
    engine: str = ""
    """Version of Chroma: its files are not opened by another one."""

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest in `folder`; `KnowledgeError` when there is none or it is of another format."""
        try:
            document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if document.get("format") != FORMAT:
                raise KnowledgeError(f"index {folder.name} was made by another version of Sangdam")
            document["created"] = datetime.fromisoformat(document["created"])
            return cls(**document)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise KnowledgeError(f"index {folder.name} has no readable manifest") from error

    def write(self, folder: Path) -> None:
        """Complete the version in `folder`."""
        document = asdict(self) | {"created": self.created.isoformat()}
        text = json.dumps(document, ensure_ascii=False, indent=1)
        (folder / MANIFEST).write_text(text, encoding="utf-8")


def engine() -> str:
    """The installed Chroma, without importing it."""
    return f"chromadb {installed('chromadb')}"


def write_chunks(folder: Path, chunks: Sequence[Chunk], vectors: Matrix) -> None:
    """What a version is built from: passages and the vectors of their pieces, in order."""
    with (folder / "chunks.jsonl").open("w", encoding="utf-8") as file:
        for chunk in chunks:
            file.write(json.dumps(asdict(chunk), ensure_ascii=False) + "\n")
    np.save(folder / "vectors.npy", vectors, allow_pickle=False)


def read_chunks(folder: Path) -> list[Chunk]:
    """The passages of a version."""
    with (folder / "chunks.jsonl").open(encoding="utf-8") as file:
        return [_chunk(json.loads(line)) for line in file]


def checksums(folder: Path) -> dict[str, int]:
    """CRC-32 of every file that later reads leave as it is.

    Chroma touches its SQLite file on every opening, and rebuilds a graph that it never had to save.
    """
    files = [folder / "chunks.jsonl", *sorted((folder / "bm25").rglob("*"))]
    for saved in sorted((folder / "chroma").glob("*/index_metadata.pickle")):
        files.extend(sorted(saved.parent.iterdir()))
    return {
        file.relative_to(folder).as_posix(): zlib.crc32(file.read_bytes())
        for file in files
        if file.is_file()
    }


class Index:
    """An open version: passages, their words, and the nearest pieces to a vector."""

    def __init__(
        self, manifest: Manifest, chunks: Sequence[Chunk], lexical: Lexical, client: Any
    ) -> None:
        self.manifest = manifest
        self.chunks = chunks
        self.lexical = lexical
        self._client = client
        self._pieces = client.get_collection(COLLECTION, embedding_function=None)

    @classmethod
    def open(cls, folder: Path) -> Index:
        """Open the version in `folder`; `KnowledgeError` when it is damaged or of another format.

        Checked before Chroma sees its files: it ends the whole process over some kinds of damage.
        """
        manifest = Manifest.read(folder)
        name = folder.name
        if manifest.engine != engine():
            raise KnowledgeError(f"index {name} was made with {manifest.engine}, not {engine()}")
        try:
            if checksums(folder) != manifest.checksums:
                raise KnowledgeError(
                    f"index {name} is damaged: a file differs from when it was made"
                )
            chunks = read_chunks(folder)
            lexical = Lexical.load(folder / "bm25")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KnowledgeError(f"index {name} cannot be read: {type(error).__name__}") from error
        client = None
        try:
            client = chroma(folder / "chroma")
            index = cls(manifest, chunks, lexical, client)
            index._check()
        except Exception as error:
            if client is not None:
                client.close()
            if isinstance(error, KnowledgeError):
                raise
            raise KnowledgeError(
                f"index {name} cannot be opened: {type(error).__name__}"
            ) from error
        return index

    @property
    def version(self) -> str:
        """Name of the version."""
        return self.manifest.version

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        """The `n` nearest pieces: chunk, piece within it, cosine; best first."""
        found = self._pieces.query(
            query_embeddings=[vector], n_results=min(n, self.manifest.pieces), include=["distances"]
        )
        hits: list[tuple[int, int, float]] = []
        for id_, distance in zip(found["ids"][0], found["distances"][0], strict=True):
            chunk, piece = id_.split(":")
            hits.append((int(chunk), int(piece), 1.0 - float(distance)))
        return hits

    def close(self) -> None:
        """Let go of the files. Nothing may be asked afterwards."""
        self._client.close()

    def _check(self) -> None:
        """Counts agree, and the first piece finds itself."""
        manifest = self.manifest
        pieces = sum(len(chunk.pieces) for chunk in self.chunks)
        counts = (len(self.chunks), self.lexical.size, pieces, self._pieces.count())
        if counts != (manifest.chunks, manifest.chunks, manifest.pieces, manifest.pieces):
            raise KnowledgeError(f"index {manifest.version} is incomplete")
        probe = self._pieces.get(ids=["0:0"], include=["embeddings"])["embeddings"][0]
        if self.nearest(np.asarray(probe, dtype=np.float32), 1)[0][2] < 0.99:
            raise KnowledgeError(f"index {manifest.version} does not find its own first piece")


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


@contextmanager
def only_writer(home: Path) -> Iterator[None]:
    """Hold the lock of the index folder; `KnowledgeError` at once when any process holds it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise KnowledgeError("another reload is under way; try again when it is done") from error
    except OSError as error:
        raise KnowledgeError(f"the index in {home} cannot be written: {error.strerror}") from error


def live_version(folder: Path) -> str:
    """Name of the version that serves, empty when there is none."""
    try:
        return (folder / LIVE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def switch_live(folder: Path, version: str) -> None:
    """Make `version` the one that serves: readers see the old name or the new one, nothing between."""
    fresh = folder / f"{LIVE}.new"
    with fresh.open("w", encoding="utf-8") as file:
        file.write(version + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / LIVE)


def versions(folder: Path) -> list[str]:
    """Complete versions on disk, oldest first."""
    return sorted(file.parent.name for file in folder.glob(f"v*/{MANIFEST}"))


def older(folder: Path, version: str) -> list[str]:
    """The versions that `version` followed, newest first, as far as they are on disk.

    Of one whose manifest is lost, all the others.
    """
    line: list[str] = []
    try:
        version = Manifest.read(folder / version).previous
    except KnowledgeError:
        return [other for other in reversed(versions(folder)) if other != version]
    with suppress(KnowledgeError):
        while version and version not in line:
            previous = Manifest.read(folder / version).previous
            line.append(version)
            version = previous
    return line


def _chunk(record: dict[str, Any]) -> Chunk:
    return Chunk(**(record | {"pieces": tuple(record["pieces"])}))
