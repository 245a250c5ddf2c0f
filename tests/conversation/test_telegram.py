"""The whole path from a Telegram chat and back, with the real client library and a Bot API on loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bot.channels.connect import configured
from bot.commands import COMMANDS
from bot.serve import open_web
from tests.conversation.conftest import Run, Sangdam
from tests.wire.telegram_server import TOKEN, USERNAME, TelegramServer

FOR_ADMINS = {each.name for each in COMMANDS}


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        yield running


def settings(server: TelegramServer) -> dict[str, Any]:
    telegram = {"token": TOKEN, "base_url": server.host}
    return {"channels": {"telegram": telegram}, "admins": ["telegram:77"]}


def connect(sangdam: Sangdam) -> None:
    [channel] = configured(sangdam.app)
    sangdam.app.connect(channel)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def test_customers_are_answered_in_private_and_in_a_group(
    server: TelegramServer, run: Run
) -> None:
    async with run(**settings(server)) as sangdam:
        connect(sangdam)
        server.say("배송비 얼마예요?")
        server.say(f"@{USERNAME} 반품은 며칠 안에 해야 하나요?", chat=-100500, user=222)
        server.say("우리끼리 하는 말", chat=-100500, user=222)
        await until(lambda: server.shown[111] and server.shown[-100500])
        [private], [group] = server.shown[111], server.shown[-100500]
        assert "2,500원" in private.text
        assert "7일" in group.text
        assert sangdam.phrase("disclosure.first") in private.text
        server.press(private, "👍")
        await until(lambda: server.called("answerCallbackQuery"))
        assert (await sangdam.app.store.stats()).up == 1
        server.say("/status")
        server.say("/status", chat=77, user=77)
        await until(lambda: len(server.shown[111]) == 2 and server.shown[77])
        assert "telegram:111" in server.shown[111][1].text
        assert "지식 버전" in server.shown[77][0].text
        assert not server.waiting


async def test_an_update_that_comes_five_times_is_answered_once(
    server: TelegramServer, run: Run
) -> None:
    async with run(**settings(server)) as sangdam:
        connect(sangdam)
        number = server.say("배송비 얼마예요?")
        [update] = server._queue
        server._queue += [update] * 4
        await until(lambda: server.confirmed == number + 1)
        await sangdam.quiet()
        assert len(server.shown[111]) == 1


async def test_a_reply_lost_on_the_way_is_sent_again_with_a_note(
    server: TelegramServer, run: Run
) -> None:
    async with run(**settings(server)) as sangdam:
        connect(sangdam)
        server.script("sendMessage", "dropped")
        server.say("배송비 얼마예요?")
        await until(lambda: len(server.shown[111]) == 2)
        first, second = server.shown[111]
        assert "2,500원" in first.text
        assert second.text.startswith(sangdam.phrase("delivery.again"))


async def test_telegram_calls_the_one_server(
    server: TelegramServer, run: Run, unused_tcp_port: int
) -> None:
    given = settings(server)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    given["channels"]["telegram"] |= {"webhook_url": url, "webhook_secret": "s3cret"}
    async with run(**given, web={"port": unused_tcp_port}) as sangdam:
        web = await open_web(sangdam.app)
        try:
            server.say("배송비 얼마예요?")
            await until(lambda: server.shown[111])
            assert "2,500원" in server.shown[111][0].text
            assert set(server.pushed) == {200}
            assert not server.polls
        finally:
            await web.stop()


async def test_every_command_that_is_offered_exists(server: TelegramServer, run: Run) -> None:
    async with run(**settings(server)) as sangdam:
        connect(sangdam)
        await until(lambda: len(server.called("setMyCommands")) == 4)
        offered = [each.given for each in server.called("setMyCommands")]
        assert [each.get("language_code") for each in offered] == [None, "en", None, "en"]
        assert [each["scope"]["type"] for each in offered] == ["default", "default", "chat", "chat"]
        everybody = {each["command"] for each in offered[0]["commands"]}
        assert everybody == {"help", "reset", "whoami"}
        assert {each["command"] for each in offered[2]["commands"]} == FOR_ADMINS
        server.say("/help", chat=77, user=77)
        await until(lambda: server.shown[77])
        known = {line.split()[1] for line in server.shown[77][0].text.splitlines() if "•" in line}
        assert known == {f"/{name}" for name in FOR_ADMINS}


async def test_the_library_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, bot.serve; sys.exit('telegram' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
