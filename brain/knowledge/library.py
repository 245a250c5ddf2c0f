"""The library: the knowledge folder kept searchable, reloaded while it serves, rolled back."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from brain.errors import KnowledgeError
from brain.knowledge import chunk as chunking
from brain.knowledge import index as indexes
from brain.knowledge.build import write_version
from brain.knowledge.chunk import Chunk, chunk
from brain.knowledge.document import Document, Problem
from brain.knowledge.embed import Embedder, Matrix, Vector
from brain.knowledge.index import Index, Lease, Manifest, only_writer
from brain.knowledge.read import read_folder
from brain.knowledge.retrieve import NOTHING, Found, normalised, retrieve
from brain.knowledge.thesaurus import Thesaurus

BATCH = 8
"""Pieces embedded at a time: a customer's question waits for at most one batch."""
KEPT_AT_ONCE = 64
"""Vectors embedded between two writes to the store, so that a stopped reload goes on where it was."""
VERSIONS = 3
"""Versions kept for rollback, the live one included."""
SHRINK = 0.2
"""Share of passages whose loss is taken for an accident."""

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)


class VectorStore(Protocol):
    """Where vectors outlive the index versions, so that only changed passages are embedded."""

    async def vectors(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """Those of the wanted vectors that are known: float32, little-endian."""
        ...

    async def keep_vectors(self, fingerprint: str, vectors: Mapping[str, bytes]) -> None:
        """Add vectors by the hash of their text."""
        ...


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What serves now."""

    version: str
    """Name of the live version; empty when there is none."""
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


class Library:
    """Searches the live version of the index; makes new ones from the knowledge folder."""

    def __init__(
        self,
        *,
        folder: Path,
        data: Path,
        embedder: Embedder,
        vectors: VectorStore,
        kiwi: bool = False,
        thesaurus: Thesaurus | None = None,
    ) -> None:
        self.thesaurus = thesaurus or Thesaurus()
        """What questions are rewritten and widened by; may be replaced at any time."""
        self._folder = folder
        self._home = data / "index"
        self._embedder = embedder
        self._vectors = vectors
        self._kiwi = kiwi
        self._lease: Lease | None = None
        self._seen: tuple[int, int] | None = None  # of the live file, when it was last followed
        self._embedding = asyncio.Lock()
        self._moving = asyncio.Lock()
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="library")

    async def open(self) -> bool:
        """Open the live version. False when there is none that fits: it must be built."""
        async with self._moving:
            await self._follow()
        return self._lease is not None

    async def search(
        self,
        query: str,
        *,
        vector: Vector | None = None,
        k: int = 5,
        where: Mapping[str, str] | None = None,
    ) -> Found:
        """The passages that answer best. `vector` is what `embed` gave for the same query.

        Without an index nothing is found and the confidence is low.
        """
        if _signature(self._home) != self._seen and not (self._lease and self._moving.locked()):
            async with self._moving:
                await self._follow()
        if vector is None and self._lease:
            vector = await self.embed(query)
        lease = self._lease
        if lease is None or vector is None:
            return Found(passages=(), confidence=NOTHING, rewritten=self.rewritten(query))
        text = self.rewritten(query)
        also = self.thesaurus.also(text)
        lease.take()
        search = self._workers.submit(
            retrieve, lease.index, text, vector, also=also, k=k, where=where
        )
        search.add_done_callback(lambda _: lease.give())
        return await asyncio.wrap_future(search)

    def rewritten(self, query: str) -> str:
        """A question as it is looked up."""
        return self.thesaurus.rewritten(normalised(query))

    async def embed(self, query: str) -> Vector:
        """The vector of a question as it is looked up. One text is embedded at a time."""
        async with self._embedding:
            return await asyncio.to_thread(self._embedder.query, self.rewritten(query))

    async def reload(
        self, *, dry_run: bool = False, force: bool = False, progress: Progress | None = None
    ) -> Report:
        """Bring the index up to the knowledge folder; until it is done, and if it fails, the old one serves.

        `force` builds a new version even if nothing changed, and accepts one that lost much.
        `progress` hears how many pieces have vectors, of how many. Raises `KnowledgeError` when there
        is nothing to read, when another reload is under way, or when the new version is refused.
        """
        began = time.monotonic()
        documents, problems = await asyncio.to_thread(read_folder, self._folder)
        if not documents:
            raise KnowledgeError(_nothing_readable(self._folder, problems))
        if dry_run:
            _, _, report = await asyncio.to_thread(self._plan, documents, problems)
            return replace(report, seconds=time.monotonic() - began)
        with only_writer(self._home):
            await self.open()
            chunks, shrunk, report = await asyncio.to_thread(self._plan, documents, problems)
            if shrunk and not force:
                raise KnowledgeError(shrunk)
            idle = not (report.added or report.changed or report.removed or force)
            if not idle or self._lease is None:
                version = await self._make(documents, chunks, progress)
                report = replace(report, version=version)
        return replace(report, seconds=time.monotonic() - began)

    async def rollback(self) -> str:
        """Go back to the version that served before; returns its name.

        Raises `KnowledgeError` when there is none or it cannot be opened.
        """
        with only_writer(self._home):
            older = indexes.older(self._home, indexes.live_version(self._home))
            if not older:
                raise KnowledgeError("there is no older version of the index to go back to")
            await self._serve(older[0])
            return older[0]

    def status(self) -> Status:
        """What serves now."""
        manifest = self._lease.index.manifest if self._lease else None
        return Status(
            version=manifest.version if manifest else "",
            documents=len(manifest.documents) if manifest else 0,
            chunks=manifest.chunks if manifest else 0,
            embedder=manifest.embedder if manifest else "",
            created=manifest.created if manifest else None,
            versions=tuple(indexes.versions(self._home)),
        )

    async def close(self) -> None:
        """Let go of the index and of the threads that search it."""
        lease, self._lease = self._lease, None
        self._workers.shutdown(wait=False)
        if lease:
            lease.retire()

    # ---- the version that serves

    async def _follow(self) -> None:
        """Move to the version that `live` names now; stay where we are if it cannot be opened."""
        seen = _signature(self._home)
        if seen == self._seen:
            return
        self._seen = seen
        name = indexes.live_version(self._home)
        if not name or (self._lease and self._lease.index.version == name):
            return
        try:
            index = await asyncio.to_thread(self._open, name)
        except KnowledgeError as error:
            _log.warning("%s; it must be built again", error)
            return
        self._adopt(index)

    async def _serve(self, name: str) -> None:
        """Open a version, and once it is found sound make it the live one."""
        index = await asyncio.to_thread(self._open, name)
        async with self._moving:
            try:
                indexes.switch_live(self._home, name)
            except OSError:
                index.close()
                raise
            self._seen = _signature(self._home)
            self._adopt(index)

    def _open(self, name: str) -> Index:
        folder = self._home / name
        manifest = Manifest.read(folder)
        wanted = (self._embedder.fingerprint, self._kiwi, chunking.VERSION)
        if (manifest.embedder, manifest.kiwi, manifest.chunker) != wanted:
            raise KnowledgeError(
                f"index {name} was made with another embedder, analyser or chunker"
            )
        return Index.open(folder)

    def _adopt(self, index: Index) -> None:
        old, self._lease = self._lease, Lease(index)
        if old:
            old.retire()

    def _plan(
        self, documents: Sequence[Document], problems: Sequence[Problem]
    ) -> tuple[list[Chunk], str, Report]:
        """The passages to index, why that should be refused if it should, and what changes.

        Compared with the live version even when that cannot be opened any more.
        """
        old = None
        with suppress(KnowledgeError):
            old = Manifest.read(self._home / (indexes.live_version(self._home) or "none"))
        chunks = [passage for document in documents for passage in chunk(document)]
        shrunk = ""
        if old and old.chunker == chunking.VERSION and len(chunks) < old.chunks * (1 - SHRINK):
            shrunk = (
                f"refused: {len(chunks)} passages instead of {old.chunks}; the index stays as it is. "
                "If so much was really removed, reload with force"
            )
        return chunks, shrunk, _compare(old, documents, len(chunks), problems)

    # ---- making a version

    async def _make(
        self, documents: Sequence[Document], chunks: Sequence[Chunk], progress: Progress | None
    ) -> str:
        vectors = await self._embedded(chunks, progress)
        existing = [int(f.name[1:]) for f in self._home.glob("v*") if f.name[1:].isdecimal()]
        name = f"v{max(existing, default=0) + 1:06d}"
        staging = self._home / "staging"
        try:
            await write_version(staging, chunks, vectors, kiwi=self._kiwi)
            manifest = Manifest(
                version=name,
                created=datetime.now(UTC),
                previous=indexes.live_version(self._home),
                embedder=self._embedder.fingerprint,
                kiwi=self._kiwi,
                documents={document.path: document.hash for document in documents},
                chunks=len(chunks),
                pieces=len(vectors),
                checksums=await asyncio.to_thread(indexes.checksums, staging),
                engine=indexes.engine(),
            )
            manifest.write(staging)
            staging.rename(self._home / name)
            await self._serve(name)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            if indexes.live_version(self._home) != name:
                shutil.rmtree(self._home / name, ignore_errors=True)
            raise
        await asyncio.to_thread(self._retire, name)
        return name

    async def _embedded(self, chunks: Sequence[Chunk], progress: Progress | None) -> Matrix:
        """The vectors of all pieces in order, those that are known taken from the store."""
        texts = [text for chunk in chunks for text in chunk.embedded]
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        fingerprint = await asyncio.to_thread(lambda: self._embedder.fingerprint)
        known = await self._vectors.vectors(fingerprint, list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        done = len(known)
        total = done + len(missing)
        if progress:
            progress(done, total)
        fresh: dict[str, bytes] = {}
        todo = list(missing.items())
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            async with self._embedding:
                rows = await asyncio.to_thread(self._embedder.passages, [text for _, text in batch])
            fresh |= {
                key: np.asarray(row, dtype="<f4").tobytes()
                for (key, _), row in zip(batch, rows, strict=True)
            }
            done += len(batch)
            if len(fresh) >= KEPT_AT_ONCE or start + BATCH >= len(todo):
                await self._vectors.keep_vectors(fingerprint, fresh)
                known |= fresh
                fresh = {}
            if progress:
                progress(done, total)
        matrix = np.frombuffer(b"".join(known[key] for key in keys), dtype="<f4")
        return matrix.reshape(len(keys), -1)

    def _retire(self, live: str) -> None:
        """Remove versions that no rollback reaches."""
        keep = {live, *indexes.older(self._home, live)[: VERSIONS - 1]}
        for folder in self._home.glob("v*"):
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def _signature(home: Path) -> tuple[int, int] | None:
    """Changes whenever the live file is replaced."""
    try:
        about = (home / indexes.LIVE).stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ino


def _nothing_readable(folder: Path, problems: Sequence[Problem]) -> str:
    if not problems:
        return f"knowledge folder {folder} holds no documents (Markdown, text, YAML, CSV, HTML)"
    first = f"{problems[0].path}: {problems[0].reason}"
    return f"none of the {len(problems)} documents in {folder} can be read; the first: {first}"


def _compare(
    old: Manifest | None,
    documents: Sequence[Document],
    chunks: int,
    problems: Sequence[Problem],
) -> Report:
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
