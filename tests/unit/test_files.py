"""Files that customers send: bounds, and what is left when one cannot be had."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters import files as bounds
from adapters.files import Files, over_http
from bot.files import Files as Folder
from brain.messages import Action, Address, Attachment, Message

HERE = Address(channel="fake", conversation="c1", user="u1")
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def message(*names: str, size: int | None = None) -> Message:
    attached = tuple(Attachment(kind="file", name=each, url=each, size=size) for each in names)
    return Message(id="m1", address=HERE, text="", sent_at=NOW, attachments=attached)


async def content(attachment: Attachment) -> AsyncIterator[bytes]:
    if attachment.url == "broken":
        raise OSError("https://files.example/secret")
    if attachment.url == "slow":
        await asyncio.sleep(60)
    pieces = 100_000 if attachment.url == "endless" else 2
    for _ in range(pieces):
        yield b"0123456789" * 100


async def kept(folder: Folder, *names: str, size: int | None = None) -> list[bool]:
    event = await Files(folder.keep, content).kept(message(*names, size=size))
    assert isinstance(event, Message)
    assert [each.name for each in event.attachments] == list(names)
    return [bool(each.content) for each in event.attachments]


async def test_what_was_had_can_be_read_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files")
    event = await Files(folder.keep, content).kept(message("a"))
    assert isinstance(event, Message)
    [attachment] = event.attachments
    assert attachment.size == 2000
    assert await folder.read(attachment) == b"0123456789" * 200


async def test_one_that_cannot_be_had_hides_no_other_and_no_secret_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert await kept(Folder(tmp_path), "a", "broken", "b") == [True, False, True]
    assert "secret" not in caplog.text


async def test_size_number_and_time_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    assert await kept(folder, "endless", "a") == [False, True]
    assert await kept(folder, "a", size=bounds.LARGEST + 1) == [False]
    assert await kept(folder, "a", "b", "c", "d", "e") == [True, True, True, True, False]
    monkeypatch.setattr(bounds, "SECONDS", 0.1)
    assert await kept(folder, "a", "slow", "b") == [True, False, False]


async def test_other_events_pass(tmp_path: Path) -> None:
    vote = Action(id="a1", address=HERE, kind="feedback", value="up", sent_at=NOW)
    assert await Files(Folder(tmp_path).keep, content).kept(vote) is vote
    plain = message()
    assert await Files(Folder(tmp_path).keep, content).kept(plain) is plain


async def test_the_folder_forgets_and_does_not_overflow(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "files", most=5000, seconds=60)
    a, b = (Attachment(kind="file", name=name) for name in "ab")
    a = await folder.keep(a, b"a" * 3000)
    with pytest.raises(OSError, match="full"):
        await folder.keep(b, b"b" * 3000)
    old = time.time() - 61
    os.utime(tmp_path / "files" / a.content, (old, old))
    b = await folder.keep(b, b"b" * 3000)
    assert await folder.read(a) is None
    assert await folder.read(b) == b"b" * 3000


async def test_a_download_leads_nowhere_else() -> None:
    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/other")

    async def other(_: web.Request) -> web.Response:
        return web.Response(body=b"inside")

    application = web.Application()
    application.add_routes([web.get("/moved", moved), web.get("/other", other)])
    async with TestServer(application) as server:
        assert [each async for each in over_http(str(server.make_url("/other")))] == [b"inside"]
        with pytest.raises(ValueError, match="302"):
            [each async for each in over_http(str(server.make_url("/moved")))]
