"""The index through its whole life, with the real Chroma: made, followed, refused, damaged, rolled back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from brain.errors import KnowledgeError
from brain.knowledge import versions
from brain.knowledge.index import Index, Lease
from brain.knowledge.library import Library
from brain.knowledge.versions import only_writer
from tests.unit.shop import BigramEmbedder, Shop, best


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


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
    """Those that write an index; the documents are read in another child."""
    tasks = Path("/proc/self/task").glob("*/children")
    found = [Path("/proc", pid) for task in tasks for pid in task.read_text().split()]
    building = []
    for process in found:
        with suppress(FileNotFoundError, ProcessLookupError):  # it may end meanwhile
            if b"knowledge.build" in (process / "cmdline").read_bytes():
                building.append(int(process.name))
    return building


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
    index = Index.open(shop.home / versions.live_version(shop.home))
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


async def test_a_version_that_fails_the_smoke_questions_is_refused(shop: Shop) -> None:
    shop.write("smoke.jsonl", '{"q": "제주 배송 기간", "source": "delivery.md"}\n')
    async with shop.library() as library:
        assert (await library.reload()).added == ("delivery.md", "refund.md"), "no document itself"
        (shop.folder / "delivery.md").rename(shop.folder / "moved.md")
        with pytest.raises(KnowledgeError, match=r"refused: 1 of 1 questions .* '제주 배송 기간'"):
            await library.reload()
        assert shop.versions() == ["v000001"]
        assert await best(library, "제주 배송") == "제주 지역 배송은 사흘 더 걸립니다."
        shop.write("smoke.jsonl", "{")
        with pytest.raises(KnowledgeError, match=r"smoke\.jsonl:1: "):
            await library.reload()
        shop.write("smoke.jsonl", '{"q": "제주 배송 기간", "source": "delivery.md"}\n')
        assert (await library.reload(force=True)).version == "v000002"


async def test_questions_that_come_while_the_index_is_opened_wait_for_it(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
    async with shop.library() as library:
        answers = await asyncio.gather(*(best(library, "제주 배송") for _ in range(5)))
        assert set(answers) == {"제주 지역 배송은 사흘 더 걸립니다."}
