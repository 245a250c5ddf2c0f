"""The guide to a new channel, followed literally, makes one that works; what it does beyond the conformance suite."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from adapters.presentation import Labels
from brain.errors import ChannelDown, StoreError
from brain.messages import Address, Choice, Event, Message, Reply
from tests.contract import guide
from tests.wire.line_server import GROUP, SECRET, TOKEN, USER, LineServer

CUSTOMER = Address(channel="line", conversation=USER, user=USER)


def reply(text: str = "네, 고객님.", **more: Any) -> Reply:
    return Reply(**{"id": "t1", "in_reply_to": "m1", "text": text, "kind": "answer", **more})


class Open:
    """The guide's channel, running."""

    def __init__(self, server: LineServer) -> None:
        labels = Labels(source="출처: {document} · {heading}", choices="")
        self.server = server
        self.channel = guide.line().Line(
            secret=SECRET, token=TOKEN, labels=lambda: labels, api_base=server.api_base
        )
        self.events: list[Event] = []
        self.failing = False

    async def accept(self, event: Event) -> None:
        if self.failing:
            raise StoreError("the disk is full")
        self.events.append(event)


@asynccontextmanager
async def opened() -> AsyncIterator[Open]:
    async with LineServer() as server:
        line = Open(server)
        running = asyncio.create_task(line.channel.run(line.accept))
        application = web.Application()
        application.add_routes(line.channel.routes())
        async with TestServer(application) as house:
            server.webhook = str(house.make_url("/channels/line"))
            yield line
        running.cancel()
        await asyncio.wait({running})


@pytest.fixture
async def line() -> AsyncIterator[Open]:
    async with opened() as running:
        yield running


async def test_a_reply_uses_its_token_and_what_comes_later_is_pushed(line: Open) -> None:
    await line.server.say("환불?")
    [asked] = line.events
    for _ in range(2):
        receipt = await line.channel.deliver(CUSTOMER, reply(in_reply_to=asked.id))
        assert receipt.outcome == "delivered"
    assert line.server.calls == ["reply", "push"]
    assert line.server.shown[USER] == ["네, 고객님.", "네, 고객님."]


async def test_an_expired_token_costs_a_push_and_no_reply(line: Open) -> None:
    await line.server.say("환불?")
    line.server.expire()
    [asked] = line.events
    assert (
        await line.channel.deliver(CUSTOMER, reply(in_reply_to=asked.id))
    ).outcome == "delivered"
    assert line.server.calls == ["reply", "push"]
    assert line.server.shown[USER] == ["네, 고객님."]


async def test_who_does_not_know_the_secret_is_not_heard(line: Open) -> None:
    assert await line.server.post([{"type": "message"}], secret="guessed") == 401
    assert line.events == []


async def test_what_could_not_be_kept_is_asked_for_again_and_odd_events_harm_nobody(
    line: Open,
) -> None:
    line.failing = True
    assert await line.server.say("환불?") == 503
    line.failing = False
    assert (
        await line.server.post([{"type": "message", "message": 1}, {}, {"type": "follow"}]) == 200
    )
    assert await line.server.say("환불?") == 200
    assert len(line.events) == 1


async def test_in_a_group_the_bot_is_meant_when_it_is_mentioned(line: Open) -> None:
    await line.server.say("다들 식사하셨어요?", group=True)
    await line.server.say("@상담 환불?", group=True, mention=True)
    assert [each.addressed for each in line.events if isinstance(each, Message)] == [False, True]
    asked = line.events[-1]
    await line.channel.deliver(asked.address, reply(in_reply_to=asked.id))
    assert line.server.shown[GROUP] == ["네, 고객님."]


async def test_trouble_is_told_apart(line: Open) -> None:
    line.server.faults.extend(["429", "500", "lost"])
    with pytest.raises(ChannelDown):
        await line.channel.deliver(CUSTOMER, reply())
    assert (await line.channel.deliver(CUSTOMER, reply())).outcome == "unknown"
    assert (await line.channel.deliver(CUSTOMER, reply())).outcome == "unknown"


async def test_a_very_long_reply_arrives_whole_with_its_buttons(line: Open) -> None:
    text = " ".join(f"{number}번째 문장입니다 😀." for number in range(3000))
    many = tuple(
        Choice(label=f"아주 긴 선택지의 이름 {n:02}번입니다", text=str(n)) for n in range(20)
    )
    receipt = await line.channel.deliver(CUSTOMER, reply(text, choices=many))
    assert receipt.outcome == "delivered"
    assert len(line.server.calls) > 1
    assert "".join("".join(line.server.shown[USER]).split()) == "".join(text.split())
    assert len(line.server.buttons) == 13


async def test_followed_literally_it_makes_a_channel_that_answers(tmp_path: Path) -> None:
    """In a copy of the project, through `sangdam run`, in fewer than 150 lines."""
    project = tmp_path / "project"
    for package in ("bot", "adapters"):
        shutil.copytree(guide.ROOT / package, project / package)
    for folder in ("brain", "prompts"):
        (project / folder).symlink_to(guide.ROOT / folder)
    assert guide.follow(project) < 150
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "delivery.md").write_text("# 배송비\n배송비는 2,500원입니다.\n")
    async with LineServer() as server:
        settings = f"""\
knowledge: {{folder: ./kb}}
model: {{host: "http://127.0.0.1:9"}}
web: {{port: 0}}
channels:
  line: {{token: "${{LINE_TOKEN}}", secret: "${{LINE_SECRET}}", api_base: "{server.api_base}"}}
"""
        (tmp_path / "sangdam.yaml").write_text(settings)
        secrets = {"LINE_TOKEN": TOKEN, "LINE_SECRET": SECRET, "PYTHONPATH": str(project)}
        said = tmp_path / "stderr"
        with said.open("w") as errors:
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run"),
                cwd=tmp_path,
                env={**os.environ, **secrets},
                stderr=errors,
            )
        try:
            async with asyncio.timeout(60):
                while not (found := re.search(r"Sangdam: (http://\S+)", said.read_text())):
                    assert running.returncode is None, said.read_text()
                    await asyncio.sleep(0.05)
                server.webhook = f"{found[1]}/channels/line"
                async with ClientSession() as session:
                    while not (await session.get(f"{found[1]}/readyz")).ok:
                        await asyncio.sleep(0.05)
                assert await server.say("배송비 얼마예요?") == 200
                while not server.shown[USER]:
                    await asyncio.sleep(0.05)
        finally:
            if running.returncode is None:
                running.terminate()
            await running.wait()
        assert "2,500원" in server.shown[USER][0]
