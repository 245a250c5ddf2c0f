"""Telegram calling us, and others who pretend to be it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import ClientSession, web

from adapters.telegram.channel import SECRET_HEADER, Telegram
from brain.errors import ConfigError, StoreError
from tests.wire.telegram_channel import LABELS, SECRET, Post, until
from tests.wire.telegram_server import TOKEN, TelegramServer


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        yield running


@asynccontextmanager
async def hooked(server: TelegramServer) -> AsyncIterator[tuple[Post, str]]:
    """A channel that Telegram calls, and where."""
    routes = web.Application()
    runner = web.AppRunner(routes, shutdown_timeout=0.1)
    holder = Telegram(
        token=TOKEN, labels=lambda: LABELS, webhook_url="http://x", webhook_secret=SECRET
    )
    assert [each.path for each in holder.routes()] == ["/channels/telegram"]
    post: Post | None = None

    async def called(request: web.Request) -> web.StreamResponse:
        assert post is not None
        return await post.channel._called(request)

    routes.router.add_post("/channels/telegram", called)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://{}:{}".format(*runner.addresses[0])
    post = Post(server, webhook_url=url, webhook_secret=SECRET)
    post.start()
    await until(lambda: server.webhook)
    yield post, f"{url}/channels/telegram"
    await post.stop()
    await runner.cleanup()


async def test_telegram_calls_with_the_secret(server: TelegramServer) -> None:
    async with hooked(server) as (post, url):
        assert server.webhook["url"] == url
        assert server.webhook["allowed_updates"] == ["message", "callback_query"]
        server.say("질문")
        server.update(message={"from": 7})
        post.failures.append(StoreError("disk full"))
        server.say("또")
        await post.heard(1)
        assert [each.text for each in await post.heard(2)] == ["질문", "또"]
        await until(lambda: not server.waiting)
        assert sorted(server.pushed) == [200, 200, 200, 503]
        assert post.channel.heard is None


async def test_nobody_else_calls(server: TelegramServer) -> None:
    forged = {"update_id": 1, "message": server.message("위조")}
    async with hooked(server) as (post, url), ClientSession() as session:
        wrong: list[dict[str, str]] = [
            {},
            *({SECRET_HEADER: each} for each in ("", "x", SECRET + "x")),
        ]
        for headers in wrong:
            async with session.post(url, json=forged, headers=headers) as answer:
                assert answer.status == 403
        headers = {SECRET_HEADER: SECRET}
        async with session.post(url, data=b"{", headers=headers) as answer:
            assert answer.status == 400
        async with session.post(url, json=[1], headers=headers) as answer:
            assert answer.status == 200  # skipped
        assert post.events == []
        await post.stop()
        async with session.post(url, json=forged, headers=headers) as answer:
            assert answer.status == 503


async def test_ten_thousand_forgeries_are_turned_away() -> None:
    channel = Telegram(
        token=TOKEN, labels=lambda: LABELS, webhook_url="https://x", webhook_secret=SECRET
    )
    for number in range(10_000):
        forged = SECRET[: number % len(SECRET)] + chr(33 + number % 200) * 2
        request = cast("web.Request", SimpleNamespace(headers={SECRET_HEADER: forged}))
        with pytest.raises(web.HTTPForbidden):
            await channel._called(request)


@pytest.mark.parametrize("secret", ["", "with space", "가"])
def test_a_webhook_needs_a_usable_secret(secret: str) -> None:
    with pytest.raises(ConfigError):
        Telegram(token=TOKEN, labels=lambda: LABELS, webhook_url="https://x", webhook_secret=secret)
