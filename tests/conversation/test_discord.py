"""The whole path from Discord and back, with the real client library, REST and gateway on loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bot.channels.connect import configured
from tests.conversation.conftest import Run, Sangdam
from tests.wire.discord_channel import EDITS, POSTS, served
from tests.wire.discord_gateway import ALICE, BOB, CHANNEL, DM, TOKEN
from tests.wire.discord_server import DiscordServer, Fault
from tests.wire.ollama_server import OllamaServer, Script


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with served() as running:
        yield running


def settings(server: DiscordServer) -> dict[str, Any]:
    discord = {"token": TOKEN, "api_base": server.api_base}
    return {"channels": {"discord": discord}, "admins": [f"discord:{ALICE}"]}


async def connect(sangdam: Sangdam, server: DiscordServer) -> None:
    before = len(server.identifies)
    [channel] = configured(sangdam.app)
    sangdam.app.connect(channel)
    await until(lambda: len(server.identifies) > before and server.sessions)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def test_customers_are_answered_in_private_and_in_a_channel(
    server: DiscordServer, run: Run
) -> None:
    async with run(**settings(server)) as sangdam:
        await connect(sangdam, server)
        await server.say("배송비 얼마예요?")
        await server.say("우리끼리 하는 말", channel=CHANNEL, author=BOB)
        await server.say("반품은 며칠 안에 해야 하나요?", channel=CHANNEL, author=BOB, mention=True)
        await until(lambda: server.shown(DM) and server.shown(CHANNEL))
        [private], [public] = server.shown(DM), server.shown(CHANNEL)
        assert "2,500원" in private["content"]
        assert "7일" in public["content"]
        assert sangdam.phrase("disclosure.first") in private["content"]
        assert "delivery.md" in private["embeds"][0]["description"]
        token = await server.press(private["components"][-1]["components"][0]["custom_id"], private)
        await until(lambda: server.ephemeral.get(token))
        assert (await sangdam.app.store.stats()).up == 1
        token = await server.slash("status", channel=CHANNEL)
        await until(lambda: server.ephemeral.get(token))
        assert "지식 버전" in server.ephemeral[token][0]["content"]
        assert len(server.shown(CHANNEL)) == 1


async def test_who_is_no_admin_is_told_so_whatever_discord_let_through(
    server: DiscordServer, run: Run
) -> None:
    async with run(**{**settings(server), "admins": []}) as sangdam:
        await connect(sangdam, server)
        token = await server.slash("stats", channel=CHANNEL)
        await until(lambda: server.ephemeral.get(token))
        assert f"discord:{ALICE}" in server.ephemeral[token][0]["content"]
        assert "관리자만" in server.ephemeral[token][0]["content"]


async def test_the_models_words_grow_in_one_message(server: DiscordServer, run: Run) -> None:
    words = (
        "고객님, 배송비는 2,500원이며 20,000원 이상 주문하시면 무료로 배송해 드립니다. "
        "제주와 도서 산간 지역은 3,000원이 더해집니다. 결제가 끝난 뒤 1~2영업일 안에 출고합니다. "
        "더 궁금하신 점이 있으면 언제든지 말씀해 주세요."
    )
    script = Script(reply=words, delay=0.1)
    async with OllamaServer(script=script) as model:
        async with run(**settings(server), model={"host": model.host}) as sangdam:
            await connect(sangdam, server)
            await server.say("배송비 얼마예요?")
            await until(lambda: server.shown() and server.shown()[0]["components"])
            await sangdam.quiet()
        [shown] = server.shown()
        assert shown["content"].endswith(words)
        assert len(server.made(POSTS)) == 1
        assert len(server.made(EDITS)) >= 2


async def test_what_a_resume_replays_is_answered_once(server: DiscordServer, run: Run) -> None:
    async with run(**settings(server)) as sangdam:
        await connect(sangdam, server)
        await server.say("배송비 얼마예요?")
        await until(lambda: server.shown())
        [session] = server.sessions.values()
        asked = next(data for name, data in session.sent if name == "MESSAGE_CREATE")
        for _ in range(20):
            await server.dispatch("MESSAGE_CREATE", asked)
            await server.dispatch("MESSAGE_UPDATE", asked)
        server.cut()
        await server.say("반품은 며칠 안에 해야 하나요?")
        await until(lambda: len(server.shown()) == 2)
        await sangdam.quiet()
        assert len(server.shown()) == 2


@pytest.mark.parametrize("kind", ["done, then lost", "lost", "503"])
async def test_a_reply_nobody_heard_of_is_shown_once_and_without_excuse(
    server: DiscordServer, run: Run, kind: Any
) -> None:
    async with run(**settings(server)) as sangdam:
        await connect(sangdam, server)
        server.faults.append(Fault(on=POSTS, kind=kind))
        await server.say("배송비 얼마예요?")
        await until(lambda: server.shown())
        await sangdam.quiet()
        [shown] = server.shown()
        assert sangdam.phrase("delivery.again") not in shown["content"]
        assert not await sangdam.app.store.undelivered("pending", "sending", "again")


@pytest.mark.parametrize("arrived", [True, False])
async def test_after_a_restart_a_reply_is_shown_once(
    server: DiscordServer, run: Run, arrived: bool
) -> None:
    """Killed after the send and before it was noted: the outbox still says that it is being sent."""
    async with run(**settings(server)) as sangdam:
        await connect(sangdam, server)
        server.faults += [Fault(on=POSTS, kind="done, then lost" if arrived else "lost")]
        server.faults += [Fault(on=r"GET .*/messages", kind="403")] * 9
        keep = sangdam.app.store.receipt
        sangdam.app.store.receipt = _nothing  # type: ignore[method-assign]
        await server.say("배송비 얼마예요?")
        await until(lambda: server.made(POSTS))
        await sangdam.quiet()
        sangdam.app.store.receipt = keep  # type: ignore[method-assign]
    server.nonces.clear()
    server.faults.clear()
    async with run(**settings(server)) as sangdam:
        await connect(sangdam, server)
        await sangdam.app.gateway.resume()
        await sangdam.quiet()
        assert len(server.shown()) == 1


async def _nothing(*_: object, **__: object) -> None:
    return


async def test_the_library_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, bot.serve; sys.exit('discord' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_what_was_asked_while_it_was_down_is_answered_once(
    server: DiscordServer, run: Run
) -> None:
    async with run(**settings(server)) as sangdam:
        await connect(sangdam, server)
        await server.say("배송비 얼마예요?")
        await until(lambda: server.shown(DM))
    await server.say("반품은 며칠 안에 해야 하나요?")
    for _ in range(2):
        async with run(**settings(server), resume=True) as sangdam:
            await connect(sangdam, server)
            await until(lambda: len(server.shown(DM)) == 2)
            await sangdam.quiet()
    first, second = server.shown(DM)
    assert first["content"] != second["content"]
