"""Which prompt set is in use, through edits, choices, returns and restarts."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app import prompt_versions, read_prompts
from bot.config import Config
from bot.prompts.versions import Versions, in_use, latest_sets
from bot.store.prompt_history import Entry
from bot.store.store import Store
from brain.errors import PromptError
from brain.prompt.variants import PromptFiles

SHIPPED = Path(__file__).parents[2] / "prompts"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
async def versions(tmp_path: Path) -> AsyncIterator[Versions]:
    shutil.copytree(SHIPPED, tmp_path / "prompts")
    config = Config.model_validate(
        {"data": tmp_path / "data", "prompts": {"folder": tmp_path / "prompts"}}
    )
    store = await Store.open(tmp_path / "data" / "sangdam.db")
    yield prompt_versions(config, store, lambda: NOW)
    await store.close()


def edit(folder: Path, text: str) -> None:
    path = folder / "prompts" / "frame.yaml"
    words = path.read_text(encoding="utf-8")
    path.write_text(f"{words}# {text}\n", encoding="utf-8")


async def start(versions: Versions) -> str:
    """What a start or a reload does; the id of the set that is then in use."""
    config = await versions.config()
    await versions.found(config)
    return read_prompts(config).version


async def test_edits_make_versions_that_one_can_go_back_through(
    versions: Versions, tmp_path: Path
) -> None:
    first = await start(versions)
    edit(tmp_path, "둘째")
    second = await start(versions)
    edit(tmp_path, "셋째")
    third = await start(versions)
    assert await start(versions) == third
    entries = await versions.history.entries()
    assert [(entry.kind, entry.what) for entry in entries] == [
        ("found", first),
        ("found", second),
        ("found", third),
    ]
    assert entries[2].changes == ("~ frame.yaml",)
    assert (await versions.rollback("틀린 안내")).what == second
    assert await start(versions) == second
    back = await versions.rollback()
    assert (back.kind, back.what, back.pinned) == ("back", first, True)
    edit(tmp_path, "넷째")
    assert await start(versions) == first  # the folder is not followed any more
    with pytest.raises(PromptError, match="no prompt set was in use before"):
        await versions.rollback()
    followed = await versions.use("folder")
    assert (followed.pinned, await start(versions)) == (False, followed.what)
    assert followed.what not in (first, second, third)
    assert (await versions.rollback()).what == first


async def test_an_earlier_set_is_used_whole_after_the_folder_is_gone(
    versions: Versions, tmp_path: Path
) -> None:
    first = await start(versions)
    shutil.rmtree(tmp_path / "prompts" / "modules")
    edit(tmp_path, "바뀜")
    (tmp_path / "prompts" / "adjustments.yaml").unlink()
    (tmp_path / "prompts" / "examples" / "adjusted_specific.yaml").unlink()
    await start(versions)
    entry = await versions.use(first[:6], "모듈이 필요함")
    assert entry.note == "모듈이 필요함"
    assert "+ modules/troubleshooting.yaml" in entry.changes
    folder = (await versions.config()).prompts_folder
    assert (folder / "modules" / "troubleshooting.yaml").is_file()
    (folder / "modules" / "troubleshooting.yaml").write_text("kaputt", encoding="utf-8")
    assert await start(versions) == first


async def test_a_pinned_set_that_is_too_old_to_be_read_says_how_to_get_out(
    versions: Versions, tmp_path: Path
) -> None:
    await start(versions)
    (tmp_path / "prompts" / "frame.yaml").write_text("reading: x\n", encoding="utf-8")
    old = PromptFiles.read(tmp_path / "prompts", "base")
    shutil.copy(SHIPPED / "frame.yaml", tmp_path / "prompts" / "frame.yaml")
    entry = Entry(kind="chosen", at=NOW, what=old.id, pinned=True)
    await versions.history.add(entry, old)
    with pytest.raises(PromptError, match=r"frame\.yaml:1: .*pinned: `sangdam prompt use folder`"):
        await versions.load()
    await versions.use("folder")
    await versions.load()


async def test_what_is_broken_or_unknown_is_not_taken(versions: Versions, tmp_path: Path) -> None:
    first = await start(versions)
    (tmp_path / "prompts" / "frame.yaml").write_text("reading: x\n", encoding="utf-8")
    with pytest.raises(PromptError, match=r"frame\.yaml:1"):
        await versions.use("folder")
    with pytest.raises(PromptError, match="no prompt set 'abc'"):
        await versions.use("abc")
    with pytest.raises(PromptError, match="no prompt set ''"):
        await versions.use("")
    entries = await versions.history.entries()
    current = in_use(entries)
    assert current is not None
    assert current.what == first
    assert latest_sets(entries) == [first]
