"""The library: the knowledge folder kept searchable, reloaded while it serves, rolled back, repaired."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from brain.errors import KnowledgeError
from brain.knowledge import chunk as chunking
from brain.knowledge import versions
from brain.knowledge.build import write_version
from brain.knowledge.chunk import Chunk
from brain.knowledge.confidence import Fit, read_fit
from brain.knowledge.embed import Embedder, Matrix, Vector
from brain.knowledge.index import Index, Lease, intact_chunks
from brain.knowledge.plan import Plan, plan
from brain.knowledge.probe import probe
from brain.knowledge.questions import SMOKE, Question
from brain.knowledge.recent import Recent
from brain.knowledge.reports import Report, Status
from brain.knowledge.retrieve import NOTHING, Found, Searchable, retrieve
from brain.knowledge.thesaurus import Thesaurus
from brain.knowledge.validity import Validity
from brain.knowledge.vectors import Progress, Vectors, VectorStore
from brain.knowledge.versions import Manifest, only_writer
from brain.knowledge.words import Words

VERSIONS = 3
"""Versions kept for rollback, the live one included."""
SMOKE_RANK = 3
"""Best rank by which a smoke question must be answered."""
RECENT = 512
"""Questions whose passages are kept for when they are asked again."""
FIT = "confidence.json"
"""The company's own fit of the confidence, beside the versions."""

_log = logging.getLogger(__name__)


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
        today: Callable[[], date] = date.today,
    ) -> None:
        """`today` is the company's day: documents that do not hold on it are not found."""
        self.words = Words(folder, thesaurus or Thesaurus())
        """What questions are rewritten and widened by."""
        self._today = today
        self.folder = folder
        """The documents."""
        self._home = data / "index"
        self._vectors = Vectors(embedder, vectors)
        self._kiwi = kiwi
        self._lease: Lease | None = None
        self._damage = ""
        self._fit: Fit | None = None
        self._seen: object = None  # of the files that say what serves, when they were last followed
        self._moving = asyncio.Lock()
        self._found = Recent[Hashable, Found](RECENT)
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="library")  # two hold up the loop

    async def open(self) -> bool:
        """Move to the version that should serve now. False when there is none: it must be built.

        Of a damaged one what is left answers, until `repair` or `reload` has made another.
        """
        # Without a version yet, wait for whoever is just opening one.
        if self._lease is None or self._signature() != self._seen:
            async with self._moving:
                await self._follow()
        return self._lease is not None

    @property
    def damage(self) -> str:
        """Why the index has to be built again, though it may answer; empty when it is sound."""
        return self._damage or (self._lease.index.damage if self._lease else "")

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
        if not (self._lease and self._moving.locked()):
            await self.open()
        if vector is None and self._lease:
            vector = await self.embed(query)
        lease = self._lease
        if lease is None or vector is None:
            return Found(passages=(), confidence=NOTHING, rewritten=self.rewritten(query))
        found = await self._looked_up(lease, query, vector, k, where or {})
        if self._fit is None or found.signals is None:
            return found
        return replace(found, confidence=self._fit.assess(found.signals), fit=self._fit)

    async def _looked_up(
        self, lease: Lease, query: str, vector: Vector, k: int, where: Mapping[str, str]
    ) -> Found:
        text, index, today = self.rewritten(query), lease.index, self._today()
        also, filters = self.words.also(text), sorted(where.items())
        asked_for = (index.version, index.damage, today, text, also, vector.tobytes(), k, *filters)
        if found := self._found.get(asked_for):
            return found
        holds = index.validity.on(today)
        lease.take()
        options = {"also": also, "k": k, "where": where, "holds": holds}
        search = self._workers.submit(self._retrieve, index, text, vector, **options)
        search.add_done_callback(lambda _: lease.give())
        found = await asyncio.wrap_future(search)
        if holds is not None:
            found = replace(found, filters={"day": today.isoformat(), **found.filters})
        self._found.keep(asked_for, found)
        return found

    async def search_in(
        self, index: Searchable, query: str, *, vector: Vector | None = None, k: int = 5
    ) -> Found:
        """What `search` would find if `index` served, judged as shipped."""
        if vector is None:
            vector = await self.embed(query)
        text, holds = self.rewritten(query), Validity(index.chunks).on(self._today())
        options = {"also": self.words.also(text), "k": k, "holds": holds}
        search = self._workers.submit(self._retrieve, index, text, vector, **options)
        return await asyncio.wrap_future(search)

    def _retrieve(self, index: Searchable, text: str, vector: Vector, **options: Any) -> Found:
        return retrieve(index, text, vector, topics=self._vectors.topics, **options)

    def rewritten(self, query: str) -> str:
        """A question as it is looked up."""
        return self.words.rewritten(query)

    async def embed(self, query: str) -> Vector:
        """The vector of a question as it is looked up. One text is embedded at a time."""
        return await self._vectors.query(self.rewritten(query))

    async def reload(
        self, *, dry_run: bool = False, force: bool = False, progress: Progress | None = None
    ) -> Report:
        """Bring the index up to the knowledge folder; until it is done, and if it fails, the old one serves.

        `force` builds a new version even if nothing changed, and accepts one that lost much or that
        fails the smoke questions. `progress` hears how many pieces have vectors, of how many. Raises
        `KnowledgeError` when there is nothing to read or the new version is refused, `PromptError` for
        a mistake in the company's own words, `IndexBusy` when another reload is under way.
        """
        began = time.monotonic()
        await asyncio.to_thread(self.words.check)
        if dry_run:
            report = (await asyncio.to_thread(self._plan)).report
            return replace(report, seconds=time.monotonic() - began)
        with only_writer(self._home):
            await self.open()
            wanted = await asyncio.to_thread(self._plan)
            report = wanted.report
            if wanted.shrunk and not force:
                raise KnowledgeError(wanted.shrunk)
            if report.changes or force or self.damage or self._lease is None:
                smoke = () if force else wanted.smoke
                version = await self._make(wanted.documents, wanted.chunks, progress, smoke=smoke)
                report = replace(report, version=version)
        return replace(report, seconds=time.monotonic() - began)

    async def repair(self) -> str:
        """Build the live version again from its own passages; from the documents if these are damaged.

        Returns the version that serves; raises `KnowledgeError` as `reload` does.
        """
        name = versions.live_version(self._home)
        try:
            manifest = await asyncio.to_thread(self._manifest, name)
            chunks = await asyncio.to_thread(intact_chunks, self._home / name, manifest)
        except KnowledgeError:
            return (await self.reload()).version
        with only_writer(self._home):
            return await self._make(manifest.documents, chunks, None)

    async def rollback(self) -> str:
        """Go back to the version that served before; returns its name.

        Raises `KnowledgeError` when there is none or it cannot be opened.
        """
        with only_writer(self._home):
            older = versions.older(self._home, versions.live_version(self._home))
            if not older:
                raise KnowledgeError("there is no older version of the index to go back to")
            await self._serve(await self._sound(older[0]))
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
            versions=tuple(versions.versions(self._home)),
            damage=self.damage,
            confidence=self._judged_by(),
        )

    def _judged_by(self) -> str:
        if self._fit:
            return f"fitted on {self._fit.questions} own questions, {self._fit.created}"
        if (self._home / FIT).exists():
            return "as shipped: the own fit is of another embedder or an older version, calibrate again"
        return "as shipped"

    async def calibrated(self, fit: Fit) -> None:
        """Judge by this fit from now on, in every process that reads this index."""
        with only_writer(self._home):
            await asyncio.to_thread(fit.write, self._home / FIT)
        await self.open()

    async def passages(self) -> tuple[Sequence[Chunk], Matrix]:
        """All passages and the vectors of their pieces; `KnowledgeError` without an index."""
        if self._lease is None:
            raise KnowledgeError("there is no index yet; sangdam kb reload builds it")
        chunks = self._lease.index.chunks
        return chunks, await self._vectors.passages(chunks)

    async def close(self) -> None:
        """Let go of the index and of the threads that search it."""
        lease, self._lease = self._lease, None
        self._workers.shutdown(wait=False)
        if lease:
            await asyncio.to_thread(lease.retire)

    # ---- the version that serves

    def _signature(self) -> object:
        """Changes whenever a file is replaced that says what serves."""
        return versions.stamps(self._home / versions.LIVE, self._home / FIT, self.words.file)

    async def _follow(self) -> None:
        """Move to the version that `live` names now; to what is left if it cannot be opened."""
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        self.words.read()
        name = versions.live_version(self._home)
        if not self._lease or self._lease.index.version != name:
            found, self._damage = await self._best(name)
            if self._damage:
                _log.warning("%s; it must be built again", self._damage)
            if found:
                await self._adopt(found)
        self._read_fit()

    async def _best(self, name: str) -> tuple[Index | None, str]:
        """The live version, what is left of it, or another sound one; and what is wrong."""
        others = [other for other in reversed(versions.versions(self._home)) if other != name]
        if not name and not others:
            return None, ""
        try:
            return await self._sound(name), ""
        except KnowledgeError as error:
            damage = str(error)
        with suppress(KnowledgeError):
            await asyncio.to_thread(self._manifest, name)
            return await asyncio.to_thread(Index.salvage, self._home / name, damage), damage
        if self._lease:  # what served until now is as good as any other
            return None, damage
        for other in others:
            with suppress(KnowledgeError):
                return await self._sound(other), damage
        return None, damage

    def _manifest(self, name: str) -> Manifest:
        """Of a version that fits; `KnowledgeError` when there is none or it was made otherwise."""
        if not name:
            raise KnowledgeError("no index version is live")
        manifest = Manifest.read(self._home / name)
        wanted = (self._vectors.fingerprint, self._kiwi, chunking.VERSION)
        if (manifest.embedder, manifest.kiwi, manifest.chunker) != wanted:
            raise KnowledgeError(
                f"index {name} was made with another embedder, analyser or chunker"
            )
        return manifest

    async def _sound(self, name: str) -> Index:
        """A version opened; first looked into by a child process if somebody died over it."""
        folder = self._home / name
        await asyncio.to_thread(self._manifest, name)
        if not await asyncio.to_thread(versions.safe_to_open, folder):
            await probe(folder)
        return await asyncio.to_thread(Index.open, folder)

    async def _serve(self, index: Index) -> None:
        """Make a version that was found sound the live one."""
        async with self._moving:
            try:
                versions.switch_live(self._home, index.version)
            except OSError:
                index.close()
                raise
            self._seen = self._signature()
            self.words.read()
            self._damage = ""
            await self._adopt(index)
            self._read_fit()

    def _read_fit(self) -> None:
        embedder = self._lease.index.manifest.embedder if self._lease else ""
        self._fit = read_fit(self._home / FIT, embedder)

    async def _adopt(self, index: Index) -> None:
        old, self._lease = self._lease, Lease(index)
        if old:
            await asyncio.to_thread(old.retire)

    # ---- making a version

    def _plan(self) -> Plan:
        live = None
        with suppress(KnowledgeError):
            live = Manifest.read(self._home / (versions.live_version(self._home) or "none"))
        return plan(self.folder, live)

    async def _make(
        self,
        documents: Mapping[str, str],
        chunks: Sequence[Chunk],
        progress: Progress | None,
        *,
        smoke: Sequence[Question] = (),
    ) -> str:
        vectors = await self._vectors.passages(chunks, progress)
        name = versions.next_name(self._home)
        staging = self._home / "staging"
        try:
            await write_version(staging, chunks, vectors, kiwi=self._kiwi)
            manifest = Manifest(
                version=name,
                created=datetime.now(UTC),
                previous=versions.live_version(self._home),
                embedder=self._vectors.fingerprint,
                kiwi=self._kiwi,
                documents=documents,
                chunks=len(chunks),
                pieces=len(vectors),
                checksums=await asyncio.to_thread(versions.checksums, staging),
                engine=versions.engine(),
            )
            manifest.write(staging)
            staging.rename(self._home / name)
            index = await asyncio.to_thread(Index.open, self._home / name)
            await self._check(index, smoke)
            await self._serve(index)
        except BaseException:
            versions.remove(staging)
            if versions.live_version(self._home) != name:
                versions.remove(self._home / name)
            raise
        await asyncio.to_thread(versions.retire, self._home, name, VERSIONS)
        return name

    async def _check(self, index: Index, smoke: Sequence[Question]) -> None:
        """Close a version and raise `KnowledgeError` when it does not answer the smoke questions."""
        failed = []
        try:
            for question in smoke:
                found = await self.search_in(index, question.text, k=SMOKE_RANK)
                if not question.rank(found.passages):
                    failed.append(question.text)
            if failed:
                raise KnowledgeError(
                    f"refused: {len(failed)} of {len(smoke)} questions in {SMOKE} are not answered by "
                    f"their documents any more, such as {failed[0]!r}; the index stays as it is. If "
                    "that is meant, correct the file or reload with force"
                )
        except BaseException:
            await asyncio.to_thread(index.close)
            raise
