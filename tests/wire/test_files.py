"""Files that customers send on each channel: had at once from where the platform keeps them, and from nowhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.kakao.channel import PATH, Kakao
from adapters.kakao.skill import Texts
from brain.messages import Address, Attachment, Event, Message, Receipt, Reply
from tests.wire import telegram_channel
from tests.wire.discord_channel import Line, served
from tests.wire.kakao_server import Platform
from tests.wire.telegram_server import TelegramServer

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


class Kept:
    """What was kept, by the name of its file."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    async def __call__(self, attachment: Attachment, content: bytes) -> Attachment:
        self.contents[attachment.name] = content
        return replace(attachment, content=attachment.name)


def attached(event: Event) -> list[tuple[str, str, bool]]:
    assert isinstance(event, Message)
    return [(each.kind, each.name, bool(each.content)) for each in event.attachments]


async def test_telegram() -> None:
    kept = Kept()
    async with TelegramServer() as server, telegram_channel.opened(server, keep=kept) as post:
        server.files = {"big": PICTURE, "note": b"OggS", "bill": b"%PDF"}
        server.say(photo=[{"file_id": "small"}, {"file_id": "big"}], caption="이거 환불?")
        server.say(voice={"file_id": "note", "mime_type": "audio/ogg"})
        server.say(document={"file_id": "bill", "file_name": "영수증.pdf"})
        server.say(document={"file_id": "film", "file_name": "film.mp4", "file_size": 90_000_000})
        server.say(document={"file_id": "gone", "file_name": "gone.txt"})
        events = await post.heard(5)
        assert [attached(each)[0] for each in events] == [
            ("image", "photo.jpg", True),
            ("voice", "voice.ogg", True),
            ("file", "영수증.pdf", True),
            ("file", "film.mp4", False),
            ("file", "gone.txt", False),
        ]
        assert events[0].text == "이거 환불?"
        assert kept.contents["photo.jpg"] == PICTURE
        assert [each.given["file_id"] for each in server.called("getFile")].count("film") == 0


async def test_discord() -> None:
    kept = Kept()
    async with served() as server:
        line = Line(server, keep=kept)
        await line.start()
        foreign = {**server.attachment("b.png", PICTURE), "url": "http://127.0.0.1:9/b.png"}
        await server.say("이거 환불?", attachments=[server.attachment("a.png", PICTURE), foreign])
        await server.say("그리고요")
        await line.heard(2)
        assert attached(line.events[0]) == [("image", "a.png", True), ("image", "b.png", False)]
        assert kept.contents == {"a.png": PICTURE}
        assert "hm=" not in repr(line.events)  # which opens the file
        await line.stop()


class Nothing:
    async def waiting(self, address: Address) -> Sequence[Reply]:
        return ()

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        return None


@asynccontextmanager
async def photos() -> AsyncIterator[str]:
    """Where KakaoTalk keeps photos; the address of it."""

    async def photo(request: web.Request) -> web.Response:
        if request.path == "/slow.png":
            await asyncio.sleep(10)
        return web.Response(body=PICTURE)

    application = web.Application()
    application.router.add_get("/{name}", photo)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "had"), [("/a.png?credential=c&expires=1", True), ("/slow.png", False)]
)
async def test_kakao(path: str, had: bool) -> None:
    kept, events = Kept(), []
    texts = Texts(**{field.name: field.name for field in fields(Texts)})

    async def accept(event: Event) -> None:
        events.append(event)
        answer = Reply(id="t1", in_reply_to=event.id, text="네, 고객님.", kind="answer")
        answering.append(asyncio.create_task(channel.deliver(event.address, answer)))

    answering: list[asyncio.Task[Any]] = []
    async with photos() as host:
        hosts = ("bot-api.kakao.com", host)
        channel = Kakao(
            secret="s3cret", texts=texts, parked=Nothing(), callback_hosts=hosts, keep=kept
        )
        running = asyncio.create_task(channel.run(accept))
        application = web.Application()
        application.add_routes(channel.routes())
        async with TestServer(application) as house, Platform(str(house.make_url(PATH))) as kakao:
            url = f"http://{host}{path}"
            secure = json.dumps({"secureUrls": f"List({url}, http://127.0.0.1:9/inside.png)"})
            whole = kakao.payload(url)
            whole["userRequest"]["utterance"] = url
            whole["action"]["params"] = {"photo": secure}
            answered = await kakao.say("", body=json.dumps(whole).encode())
        assert answered.texts[0].startswith("네")
        assert answered.seconds < 4.5
        await asyncio.gather(*answering)
        running.cancel()
        await asyncio.wait({running})
    [event] = events
    assert event.text == ""
    assert attached(event) == [("image", path[1:].partition("?")[0], had)]
    assert "credential" not in repr(event)
    assert list(kept.contents.values()) == ([PICTURE] if had else [])
