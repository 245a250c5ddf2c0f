"""A damaged index, with the real Chroma: it answers all the same, and is built again without embedding."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from brain.errors import KnowledgeError
from brain.knowledge import versions
from brain.knowledge.index import Index
from brain.knowledge.library import FIT
from tests.unit.shop import Shop, best

QUESTION = "배송 안내: 제주 지역 배송은 사흘 더 걸립니까"
ANSWER = "제주 지역 배송은 사흘 더 걸립니다."
ROWS = 1_100
"""Chroma saves its graph from 1,000 vectors on."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose live version v000002 has a saved graph; v000001 holds the same."""
    made = Shop(tmp_path_factory.mktemp("sound"))
    chance = random.Random(5)

    def word() -> str:
        # Of few syllables: among words that share none, a graph may not reach every single one.
        return "".join(chr(0xAC00 + 28 * chance.randrange(60)) for _ in range(24))

    rows = "\n".join(f"{word()},{word()}" for _ in range(ROWS))
    made.write("products.csv", f"상품,설명\n{rows}\n")

    async def index() -> None:
        async with made.library() as library:
            await library.reload()
            await library.reload(force=True)

    asyncio.run(index())
    return made


@pytest.fixture
def shop(sound: Shop, tmp_path: Path) -> Shop:
    copy = Shop(tmp_path)
    shutil.copytree(sound.folder, copy.folder, dirs_exist_ok=True)
    shutil.copytree(sound.data, copy.data)
    copy.vectors.kept = dict(sound.vectors.kept)
    return copy


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def wipe(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path, start: int = 1_000, count: int = 50) -> None:
    data = bytearray(path.read_bytes())
    data[start : start + count] = bytes(byte ^ 0xFF for byte in data[start : start + count])
    path.write_bytes(data)


def zero(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 4] + bytes(size - size // 4))


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.write_text("not a folder")


def forbid(path: Path) -> None:
    """Unreadable for whoever is not root; for root, gone."""
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.unlink()


def graph(version: Path, name: str) -> Path:
    (file,) = version.glob(f"chroma/*/{name}")
    return file


def manifest(version: Path, **changes: object) -> None:
    file = version / versions.MANIFEST
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}))


def other_dimension(version: Path) -> None:
    """Vectors of another length, in every file that a check could see."""
    np.save(version / versions.VECTORS, np.ones((ROWS + 2, 32), dtype=np.float32))


def sqlite(version: Path) -> Path:
    return version / "chroma" / "chroma.sqlite3"


Harm = Callable[[Path], object]
DAMAGE: dict[str, Harm] = {
    "live names nothing": lambda v: (v.parent / "live").write_text("v9"),
    "live is binary": lambda v: (v.parent / "live").write_bytes(b"\xff\0"),
    "live is a folder": lambda v: ((v.parent / "live").unlink(), (v.parent / "live").mkdir()),
    "version is an empty folder": lambda v: (shutil.rmtree(v), v.mkdir()),
    "version is a file": replace_by_file,
    "manifest gone": lambda v: (v / "manifest.json").unlink(),
    "manifest cut": lambda v: cut(v / "manifest.json"),
    "other format": lambda v: manifest(v, format=0),
    "foreign embedder": lambda v: manifest(v, embedder="somebody-else"),
    "another Chroma": lambda v: manifest(v, engine="chromadb 0.1"),
    "chunks cut": lambda v: cut(v / "chunks.jsonl"),
    "words gone": lambda v: shutil.rmtree(v / "bm25"),
    "words and vectors gone": lambda v: (shutil.rmtree(v / "bm25"), wipe(v / "vectors.npy")),
    "vectors of another dimension": lambda v: (other_dimension(v), wipe(sqlite(v))),
    "chroma gone": lambda v: shutil.rmtree(v / "chroma"),
    "sqlite cut": lambda v: cut(sqlite(v)),
    "sqlite wiped": lambda v: wipe(sqlite(v)),
    "sqlite zeroed": lambda v: zero(sqlite(v)),
    "sqlite flipped": lambda v: flip(sqlite(v), 0, 200_000),
    "sqlite forbidden": lambda v: forbid(sqlite(v)),
    "graph flipped": lambda v: flip(graph(v, "data_level0.bin")),
    "graph metadata zeroed": lambda v: zero(graph(v, "index_metadata.pickle")),
    "graph folder gone": lambda v: shutil.rmtree(graph(v, "header.bin").parent),
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_damaged_version_answers_and_is_built_again(shop: Shop, kind: str) -> None:
    DAMAGE[kind](shop.home / "v000002")
    async with shop.library() as library:
        assert await library.open()
        assert library.damage
        assert await best(library, QUESTION) == ANSWER
        assert await library.repair() == "v000003"
        assert library.damage == ""
        assert await best(library, QUESTION) == ANSWER
    async with shop.library() as library:
        assert await library.open()
        assert (library.damage, library.status().version) == ("", "v000003")
    assert shop.embedder.embedded == []


async def test_half_a_version_is_passed_over(shop: Shop) -> None:
    half = shop.home / "v000003"
    shutil.copytree(shop.home / "v000002", half)
    (half / versions.MANIFEST).unlink()
    shutil.copytree(half, shop.home / "staging")
    async with shop.library() as library:
        assert await library.open()
        assert (library.damage, library.status().version) == ("", "v000002")
        assert (await library.reload(force=True)).version == "v000004"
    assert shop.versions() == ["v000001", "v000002", "v000004"]


async def test_without_anything_sound_a_reload_builds_from_the_documents(shop: Shop) -> None:
    for name in ("v000001", "v000002"):
        cut(shop.home / name / "chunks.jsonl")
    async with shop.library() as library:
        assert not await library.open()
        assert (await library.search(QUESTION)).passages == ()
        assert await library.repair() == "v000003"
        assert await best(library, QUESTION) == ANSWER


async def test_documents_that_changed_meanwhile_do_not_slip_into_a_repair(shop: Shop) -> None:
    shop.write("delivery.md", "# 배송 안내\n\n제주 지역 배송은 아직 정하지 않았습니다.")
    wipe(sqlite(shop.home / "v000002"))
    async with shop.library() as library:
        await library.repair()
        assert await best(library, QUESTION) == ANSWER
        assert (await library.reload()).changed == ("delivery.md",)


async def test_an_index_that_fails_while_it_serves_goes_on_with_its_vectors(shop: Shop) -> None:
    async with shop.library() as library:
        assert await best(library, QUESTION) == ANSWER
        index = library._lease.index  # type: ignore[union-attr] # it is open
        index._pieces.close()  # what the loss of its files does to Chroma
        assert await best(library, f"{QUESTION}?") == ANSWER
        assert "failed" in library.damage
        found = await library.search(QUESTION)
        assert found.passages[0].scores["cosine"] > 0.5, "not by words alone"
        assert await library.repair() == "v000003"
        assert library.damage == ""


READER = """
import asyncio, sys
from pathlib import Path
from tests.unit.shop import Shop, best

async def main():
    shop = Shop(Path(sys.argv[1]))
    async with shop.library() as library:
        print(await best(library, "배송 안내: 제주 지역 배송은 사흘 더 걸립니까"), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def killed_reader(shop: Shop) -> None:
    """Another process that has the index open until it is killed."""
    reader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READER, str(shop.data.parent)), stdout=asyncio.subprocess.PIPE
    )
    assert reader.stdout
    assert (await reader.stdout.readline()).decode().strip() == ANSWER
    os.kill(reader.pid, signal.SIGKILL)
    await reader.wait()


async def test_after_an_unclean_end_a_child_looks_first(shop: Shop) -> None:
    version = shop.home / "v000002"
    assert versions.is_sealed(version)
    await killed_reader(shop)
    assert not versions.is_sealed(version)
    # Only looking can tell: every checksum is made to agree with the flipped graph.
    flip(graph(version, "data_level0.bin"), 0, 10_000_000)
    manifest(version, checksums=versions.checksums(version))
    async with shop.library() as library:
        assert await library.open()
        assert "v000002 is damaged" in library.damage
        assert await best(library, QUESTION) == ANSWER
        await library.repair()


async def test_after_an_unclean_end_a_sound_version_serves_on(shop: Shop) -> None:
    await killed_reader(shop)
    async with shop.library() as library:
        assert await library.open()
        assert library.damage == ""
        assert await best(library, QUESTION) == ANSWER
    assert versions.is_sealed(shop.home / "v000002"), "and the next start needs no look"


async def test_a_second_reader_leaves_the_seal_to_the_last(shop: Shop) -> None:
    version = shop.home / "v000002"
    async with shop.library() as first:
        await first.open()
        async with shop.library() as second:
            await second.open()
            assert versions.safe_to_open(version), "somebody has it open and lives"
        assert await best(first, QUESTION) == ANSWER
    assert versions.is_sealed(version)


def test_a_damaged_version_is_never_opened_by_chroma(shop: Shop) -> None:
    flip(graph(shop.home / "v000002", "data_level0.bin"))
    with pytest.raises(KnowledgeError, match=r"data_level0\.bin differs"):
        Index.open(shop.home / "v000002")


async def test_a_damaged_fit_is_not_used(shop: Shop) -> None:
    (shop.home / FIT).write_text('{"weights": {')
    async with shop.library() as library:
        assert await best(library, QUESTION) == ANSWER
        assert library.status().confidence.startswith("as shipped")
