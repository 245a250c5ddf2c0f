"""The watch: follows other processes, repairs, and reloads once the documents stand still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from brain.errors import KnowledgeError
from brain.knowledge.library import Library
from brain.knowledge.versions import only_writer
from brain.knowledge.watch import Watch, snapshot
from tests.unit.shop import Shop, best

NEW = "# 배송 안내\n\n제주 지역 배송은 하루면 됩니다."


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def watched(library: Library) -> tuple[Watch, list[str]]:
    versions: list[str] = []

    async def reload() -> None:
        versions.append((await library.reload()).version)

    return Watch(library, reload=reload), versions


async def test_documents_are_reloaded_once_they_stand_still(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        watch, reloads = watched(library)
        for _ in range(3):
            await watch.look()
        assert reloads == ["v000001"], "what changed before the start is noticed too"
        shop.write("delivery.md", NEW)
        await watch.look()
        shop.write("more.md", "# 포인트\n\n포인트는 구매 금액의 일 퍼센트입니다.")
        await watch.look()
        assert reloads == ["v000001"], "somebody is still copying"
        await watch.look()
        await watch.look()
        assert reloads == ["v000001", "v000002"]
        assert await best(library, "제주 배송") == "제주 지역 배송은 하루면 됩니다."


async def test_a_refused_reload_is_told_once_and_tried_when_something_changes(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        watch, reloads = watched(library)
        (shop.folder / "delivery.md").unlink()
        await watch.look()
        with pytest.raises(KnowledgeError, match="refused: 1 passages instead of 2"):
            await watch.look()
        await watch.look()
        await watch.look()
        shop.write("delivery.md", NEW)
        await watch.look()
        await watch.look()
        assert reloads == ["v000002"]


async def test_a_reload_waits_for_the_one_under_way(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        watch, reloads = watched(library)
        shop.write("delivery.md", NEW)
        with only_writer(shop.home):
            await watch.look()
            await watch.look()
            assert reloads == []
        await watch.look()
        assert reloads == ["v000002"]


async def test_a_reload_elsewhere_is_followed_and_damage_repaired(shop: Shop) -> None:
    async with shop.library() as library, shop.library() as elsewhere:
        await library.reload()
        watch = Watch(library)
        shop.write("delivery.md", NEW)
        await elsewhere.reload()
        await watch.look()
        assert library.status().version == "v000002"
    (shop.home / "v000002" / "chroma" / "chroma.sqlite3").write_bytes(b"")
    async with shop.library() as library:
        watch = Watch(library)
        await watch.look()
        assert (library.status().version, library.damage) == ("v000003", "")


async def test_a_repair_that_fails_rests(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop.library() as library:
        await library.reload()
        cut(shop.home / "v000001" / "chunks.jsonl")
    shop.folder.rename(shop.folder.with_name("away"))
    async with shop.library() as library:
        watch = Watch(library)
        with pytest.raises(KnowledgeError, match="does not exist"):
            await watch.look()
        await watch.look()
        assert library.damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "a.md").write_text("다른 글"),
        lambda f: (f / "a.md").unlink(),
        lambda f: (f / "b.md").write_text("새 글"),
    ],
)
def test_a_snapshot_differs_with_every_change(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    (tmp_path / "a.md").write_text("글")
    before = snapshot(tmp_path)
    (tmp_path / ".a.md.swp").write_text("편집 중")
    (tmp_path / "a.md~").write_text("글")
    assert snapshot(tmp_path) == before
    change(tmp_path)
    assert snapshot(tmp_path) != before
