"""The index through its whole life, with the real Chroma: made, followed, refused, damaged, rolled back."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from brain.errors import KnowledgeError
from brain.knowledge import index as indexes
from brain.knowledge.embed import Matrix, Vector
from brain.knowledge.index import Index, Lease, only_writer
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


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def best(library: Library, query: str) -> str:
    found = await library.search(query)
    return found.passages[0].text if found.passages else ""


async def test_an_index_is_made_followed_changed_and_rolled_back(shop: Shop) -> None:
    async with shop.library() as library, shop.library() as other:
        assert not await library.open()
        nothing = await library.search("제주 배송")
        assert (nothing.passages, nothing.confidence.level) == ((), "low")
        assert library.status().version == ""

        steps: list[tuple[int, int]] = []
        report = await library.reload(progress=lambda done, total: steps.append((done, total)))
        assert (report.version, report.added) == ("v000001", ("delivery.md", "refund.md"))
        assert (report.changed, report.removed, report.unchanged, report.chunks) == ((), (), 0, 2)
        assert steps == [(0, 2), (2, 2)]
        found = await library.search("제주 배송 얼마나 걸려요", k=1)
        (passage,) = found.passages
        assert (passage.document, passage.heading) == ("delivery.md", "배송 안내")
        assert passage.best == passage.text == "제주 지역 배송은 사흘 더 걸립니다."
        assert await best(other, "환불 처리") == "환불은 카드사에서 닷새 안에 처리합니다."

        again = await library.reload()
        assert (again.version, again.unchanged, shop.versions()) == ("v000001", 2, ["v000001"])

        shop.embedder.embedded.clear()
        shop.write("delivery.md", "# 배송 안내\n\n제주 지역 배송은 하루면 됩니다.")
        shop.write("sub/new.txt", "포인트는 구매 금액의 일 퍼센트입니다.")
        shop.write("broken.md", "")
        planned = await library.reload(dry_run=True)
        assert (planned.version, planned.added) == ("v000001", ("sub/new.txt",))
        assert shop.versions() == ["v000001"]
        report = await library.reload()
        assert (report.version, report.added) == ("v000002", ("sub/new.txt",))
        assert (report.changed, report.unchanged) == (("delivery.md",), 1)
        assert [problem.path for problem in report.problems] == ["broken.md"]
        assert len(shop.embedder.embedded) == 2, "only what changed is embedded"
        for reader in (library, other):
            assert await best(reader, "제주 배송") == "제주 지역 배송은 하루면 됩니다."

        assert await library.rollback() == "v000001"
        for reader in (library, other):
            assert await best(reader, "제주 배송") == "제주 지역 배송은 사흘 더 걸립니다."
            assert reader.status().versions == ("v000001", "v000002")
        with pytest.raises(KnowledgeError, match="no older version"):
            await library.rollback()

    async with shop.library() as reopened:
        assert await reopened.open()
        assert reopened.status().documents == 2
        assert await best(reopened, "제주 배송") == "제주 지역 배송은 사흘 더 걸립니다."


async def test_three_versions_stay_and_a_rollback_skips_what_was_rolled_back(shop: Shop) -> None:
    async with shop.library() as library:
        for _ in range(4):
            await library.reload(force=True)
        assert shop.versions() == ["v000002", "v000003", "v000004"]
        assert await library.rollback() == "v000003"
        assert (await library.reload(force=True)).version == "v000005"
        assert shop.versions() == ["v000002", "v000003", "v000005"]
        assert await library.rollback() == "v000003"


async def test_what_is_refused_leaves_the_old_index_serving(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        kept = shop.folder.rename(shop.folder.with_name("away"))
        with pytest.raises(KnowledgeError, match="does not exist"):
            await library.reload(force=True)
        shop.folder.mkdir()
        with pytest.raises(KnowledgeError, match="holds no documents"):
            await library.reload(force=True)
        shop.write("bad.md", "")
        with pytest.raises(KnowledgeError, match=r"none of the 1 documents .* bad.md: empty"):
            await library.reload(force=True)
        shutil.copy(kept / "refund.md", shop.folder)
        with pytest.raises(KnowledgeError, match="refused: 1 passages instead of 2"):
            await library.reload()
        with only_writer(shop.home), pytest.raises(KnowledgeError, match="another reload"):
            await library.reload(force=True)
        assert await best(library, "제주 배송") == "제주 지역 배송은 사흘 더 걸립니다."
        assert (await library.reload(force=True)).removed == ("delivery.md",)


def children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


async def child_at_work(reload: asyncio.Task[object]) -> int:
    before = set(children())
    while not (new := set(children()) - before):
        assert not reload.done()
        await asyncio.sleep(0.01)
    return new.pop()


async def test_a_child_that_is_killed_costs_nothing(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        reload = asyncio.create_task(library.reload(force=True))
        os.kill(await child_at_work(reload), signal.SIGKILL)
        with pytest.raises(KnowledgeError, match="could not be written"):
            await reload
        assert shop.versions() == ["v000001"]
        assert await best(library, "제주 배송") == "제주 지역 배송은 사흘 더 걸립니다."


async def test_a_reload_that_is_cancelled_takes_its_child_along(shop: Shop) -> None:
    async with shop.library() as library:
        reload = asyncio.create_task(library.reload())
        child = await child_at_work(reload)
        reload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reload
        assert child not in children()
        assert shop.versions() == []
        assert (await library.reload()).version == "v000001"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "live names nothing": lambda v: (v.parent / "live").write_text("v9"),  # type: ignore[misc, dict-item] # returns a count
    "live is binary": lambda v: (v.parent / "live").write_bytes(b"\xff\0"),  # type: ignore[misc, dict-item] # returns a count
    "manifest gone": lambda v: (v / "manifest.json").unlink(),
    "manifest cut": lambda v: truncate(v / "manifest.json"),
    "manifest is a list": lambda v: (v / "manifest.json").write_text("[]"),  # type: ignore[misc, dict-item] # returns a count
    "other format": lambda v: (v / "manifest.json").write_text('{"format": 0}'),  # type: ignore[misc, dict-item] # returns a count
    "chunks cut": lambda v: truncate(v / "chunks.jsonl"),
    "words gone": lambda v: shutil.rmtree(v / "bm25"),
    "chroma gone": lambda v: shutil.rmtree(v / "chroma"),
    "chroma cut": lambda v: truncate(v / "chroma" / "chroma.sqlite3"),
    "chroma wiped": lambda v: (v / "chroma" / "chroma.sqlite3").write_bytes(b""),  # type: ignore[misc, dict-item] # returns a count
}


async def test_damage_is_found_at_opening_and_repaired_without_embedding(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
    shutil.copytree(shop.home, shop.home.with_name("sound"))
    shop.embedder.embedded.clear()
    for kind, damage in DAMAGE.items():
        shutil.rmtree(shop.home)
        shutil.copytree(shop.home.with_name("sound"), shop.home)
        damage(shop.home / "v000001")
        async with shop.library() as library:
            assert not await library.open(), kind
            assert (await library.search("제주")).passages == (), kind
    async with shop.library() as library:
        assert (await library.reload()).version == "v000002"
        assert await best(library, "제주 배송") == "제주 지역 배송은 사흘 더 걸립니다."
    assert shop.embedder.embedded == []


async def test_a_graph_with_flipped_bytes_is_never_opened(shop: Shop) -> None:
    rows = "\n".join(f"상품 {n},{n * 100}원" for n in range(1_200))
    shop.write("products.csv", f"상품,가격\n{rows}\n")
    async with shop.library() as library:
        await library.reload()
        assert await best(library, "상품 777 가격 77700원") == "상품: 상품 777, 가격: 77700원"
    async with shop.library() as library:
        assert await library.open(), "opening leaves the checked files as they are"
    async with shop.library() as library:
        assert await library.open()
    (graph,) = (shop.home / "v000001").glob("chroma/*/data_level0.bin")
    data = bytearray(graph.read_bytes())
    data[1_000:1_050] = bytes(byte ^ 0xFF for byte in data[1_000:1_050])
    graph.write_bytes(data)
    async with shop.library() as library:
        assert not await library.open()


async def test_another_embedder_makes_another_index(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
    other = BigramEmbedder("bigrams-2")
    async with shop.library(other) as library:
        assert not await library.open()
        report = await library.reload()
        assert (report.version, report.unchanged) == ("v000002", 2)
        assert len(other.embedded) == 2


async def test_searches_go_on_while_the_index_is_reloaded(shop: Shop) -> None:
    async with shop.library() as library, shop.library() as other:
        await library.reload()
        texts: set[str] = set()
        over = asyncio.Event()

        async def ask(reader: Library) -> None:
            while not over.is_set():
                texts.add(await best(reader, "제주 배송"))
                await asyncio.sleep(0)

        askers = [asyncio.create_task(ask(reader)) for reader in (library, other, library)]
        for days in ("나흘", "닷새", "엿새", "이레"):
            shop.write("delivery.md", f"# 배송 안내\n\n제주 지역 배송은 {days} 더 걸립니다.")
            await library.reload()
        over.set()
        await asyncio.gather(*askers)
        assert {
            f"제주 지역 배송은 {days} 더 걸립니다." for days in ("사흘", "나흘", "닷새")
        } <= texts
        assert all(text.startswith("제주 지역 배송은") for text in texts), (
            "never empty, never mixed"
        )
        assert await best(other, "제주 배송") == "제주 지역 배송은 이레 더 걸립니다."


async def test_an_index_is_closed_after_its_last_search(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
    index = Index.open(shop.home / indexes.live_version(shop.home))
    lease = Lease(index)
    lease.take()
    lease.retire()
    vector = shop.embedder.query("배송 안내\n제주 지역 배송은 사흘 더 걸립니다.")
    (nearest,) = index.nearest(vector, 1)
    assert nearest == (0, 0, pytest.approx(1.0, abs=1e-3))
    assert len(index.nearest(vector, 50)) == 2
    lease.give()
    with pytest.raises(Exception, match=r".+"):
        index.nearest(vector, 1)
