"""Discord with the real client library, against a REST server and a gateway on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from adapters.discord import sending
from bot.channels.discord import slash_commands
from bot.commands import COMMANDS
from brain.errors import ConfigError
from brain.messages import Action, Choice, Draft, Message, Receipt, Source
from tests.wire.discord_channel import (
    EDITS,
    IN_CHANNEL,
    IN_DM,
    POSTS,
    Line,
    opened,
    served,
    texts,
    until,
)
from tests.wire.discord_gateway import BOT, CHANNEL, DM
from tests.wire.discord_server import DiscordServer, Fault


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with served() as running:
        yield running


@pytest.fixture
async def line(server: DiscordServer) -> AsyncIterator[Line]:
    async with opened(server) as running:
        yield running


# ---- what people say


async def test_a_direct_message_is_handed_in_and_answered(line: Line) -> None:
    sent = await line.server.say("배송비 얼마예요?")
    message = await line.heard()
    assert message == Message(
        id=sent["id"],
        address=IN_DM,
        text="배송비 얼마예요?",
        sent_at=message.sent_at,
        name="alice",
    )
    assert message.sent_at.tzinfo is not None
    receipt = await line.deliver(in_reply_to=message.id)
    [shown] = line.server.shown()
    assert receipt == Receipt(outcome="delivered", native_ids=(shown["id"],))
    assert shown["content"] == "답변 1"
    assert "message_reference" not in shown  # there are only two of us


async def test_a_mention_is_handed_in_and_answered_in_reply(line: Line) -> None:
    sent = await line.server.say("환불 되나요?", channel=CHANNEL, mention=True)
    message = await line.heard()
    assert (message.text, message.address) == ("환불 되나요?", IN_CHANNEL)
    await line.deliver(to=IN_CHANNEL, in_reply_to=message.id)
    [shown] = line.server.shown(CHANNEL)
    assert shown["message_reference"]["message_id"] == sent["id"]


async def test_what_is_not_meant_for_us_is_ignored(line: Line) -> None:
    server = line.server
    ours = await server.say("저예요", author=BOT, channel=CHANNEL, bot=True)
    await server.say("잡담", channel=CHANNEL)
    await server.say("다른 봇", mention=True, channel=CHANNEL, bot=True)
    await server.say("웹훅", webhook_id="123456789012345678", channel=CHANNEL, mention=True)
    await server.say("들어왔어요", type=7)
    await server.say("그에게", channel=CHANNEL, reply_to=await server.say("나", channel=CHANNEL))
    edited = await server.say("질문")
    await server.dispatch("MESSAGE_UPDATE", {**edited, "content": "질문 둘"})
    replied = await server.say("고마워요", channel=CHANNEL, reply_to=ours)
    await line.heard(2)
    assert [event.id for event in line.events] == [edited["id"], replied["id"]]
    assert line.events[1].reply_to == ours["id"]  # type: ignore[union-attr]


async def test_attachments_come_along(line: Line) -> None:
    files = [
        {"id": "1", "filename": "a.png", "size": 12, "url": "https://cdn/a.png?ex=1", "proxy_url": "",
         "content_type": "image/png"},
        {"id": "2", "filename": "b", "size": 3, "url": "https://cdn/b", "proxy_url": ""},
    ]  # fmt: skip
    await line.server.say("", attachments=files)
    message = await line.heard()
    assert [(a.kind, a.name, a.mime, a.size, a.url) for a in message.attachments] == [
        ("image", "a.png", "image/png", 12, "https://cdn/a.png?ex=1"),
        ("file", "b", "", 3, "https://cdn/b"),
    ]


async def test_mention_only_mode_needs_no_privileged_intent() -> None:
    async with DiscordServer(content_allowed=False) as server:
        line = Line(server, mentions_only=True)
        await line.start()
        await server.say("잡담", channel=CHANNEL)
        await server.say("읽히나요?", channel=CHANNEL, mention=True)
        await server.say("여기는요?")
        await line.heard(2)
        assert [event.text for event in line.events] == ["읽히나요?", "여기는요?"]  # type: ignore[union-attr]
        await line.stop()


async def test_the_operator_hears_what_to_switch_on() -> None:
    async with DiscordServer(content_allowed=False) as server:
        line = Line(server)
        await line.start()
        with pytest.raises(ConfigError, match="Message Content Intent"):
            await line.running


async def test_the_operator_hears_of_a_wrong_token(server: DiscordServer) -> None:
    line = Line(server, token="wrong")
    await line.start()
    with pytest.raises(ConfigError, match=r"channels\.discord\.token"):
        await line.running
    await until(lambda: not server.connections)


async def test_a_thread_per_question(server: DiscordServer) -> None:
    line = Line(server, threads=True)
    await line.start()
    sent = await server.say("환불?", channel=CHANNEL, mention=True)
    first = await line.heard()
    assert first.address.conversation == sent["id"]
    await line.deliver(to=first.address, in_reply_to=first.id)
    assert texts(server, sent["id"]) == ["답변 1"]
    await server.say("언제요?", channel=sent["id"])  # without mention: the thread is ours
    assert (await line.heard(2)).address == first.address
    server.faults.append(Fault(on=r"POST .*/threads", kind="403"))
    await server.say("또요", channel=CHANNEL, mention=True)
    assert (await line.heard(3)).address == IN_CHANNEL
    await line.stop()


async def test_what_could_not_be_kept_is_handed_in_again_in_order(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.discord.channel.RETRIES", (0.01,) * 5)
    line.failing = 3
    for number in range(5):
        await line.server.say(f"질문 {number}")
    await line.heard(5)
    assert [e.text for e in line.events] == [f"질문 {n}" for n in range(5)]  # type: ignore[union-attr]


# ---- what we say


async def test_drafts_grow_in_one_message_that_becomes_the_reply(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "EDIT_SECONDS", 0.2)
    question = await line.asked()
    await line.channel.show(IN_DM, Draft(text=""))
    await until(lambda: line.server.made(rf"POST /channels/{DM}/typing"))
    began = time.monotonic()
    for length in range(1, 101):
        await line.channel.show(IN_DM, Draft(text="가" * length))
        await asyncio.sleep(0.01)
    took = time.monotonic() - began
    assert texts(line.server)[0].endswith("▍")
    await line.deliver(text="가" * 100, in_reply_to=question.id)
    assert texts(line.server) == ["가" * 100]
    edits = line.server.made(EDITS)
    assert len(line.server.made(POSTS)) == 1
    assert 2 <= len(edits) - 1 <= took / 0.2 + 1
    drafted = [call.at for call in edits[:-1]]
    assert all(b - a > 0.18 for a, b in pairwise(drafted))


def test_edits_keep_to_the_limit_of_a_channel() -> None:
    assert sending.EDIT_SECONDS == 1.2


async def test_a_draft_in_a_channel_answers_the_question(line: Line) -> None:
    sent = await line.server.say("환불?", channel=CHANNEL, mention=True)
    await line.heard()
    await line.channel.show(IN_CHANNEL, Draft(text="환불"))
    await until(lambda: line.server.shown(CHANNEL))
    await line.deliver(to=IN_CHANNEL, in_reply_to=sent["id"])
    [shown] = line.server.shown(CHANNEL)
    assert shown["content"] == "답변 1"
    assert shown["message_reference"]["message_id"] == sent["id"]


async def test_a_reply_that_never_comes_is_taken_back_and_not_typed_any_more(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TYPING_SECONDS", 0.02)
    typing = rf"POST /channels/{CHANNEL}/typing"
    await line.channel.show(IN_CHANNEL, Draft(text=""))
    await until(lambda: line.server.made(typing))
    await line.channel.show(IN_CHANNEL, None)
    typed = len(line.server.made(typing))
    await line.channel.show(IN_DM, Draft(text="답"))
    await until(lambda: line.server.shown())
    await line.channel.show(IN_DM, None)
    assert texts(line.server) == []
    await asyncio.sleep(0.2)
    assert len(line.server.made(typing)) <= typed + 1  # one may have been on its way


async def test_a_draft_that_somebody_removed(line: Line) -> None:
    await line.channel.show(IN_DM, Draft(text="답"))
    await until(lambda: line.server.shown())
    line.server.messages[DM].clear()
    assert (await line.deliver()).outcome == "delivered"
    assert texts(line.server) == ["답변 1"]


async def test_twelve_thousand_characters_with_code_and_emoji(line: Line) -> None:
    paragraph = "주문하신 상품은 결제하신 다음 날 출고되어 이틀 안에 도착합니다 👨‍👩‍👧‍👦. "
    code = "```python\n" + "\n".join(f"print({n})  # 한 줄 {n}" for n in range(150)) + "\n```"
    text = "\n\n".join([paragraph * 60, code, paragraph * 150])
    assert len(text) > 12_000
    await line.channel.show(IN_DM, Draft(text=text[:5000]))
    receipt = await line.deliver(text=text)
    shown = texts(line.server)
    assert len(receipt.native_ids) == len(shown) > 6
    assert all(len(each) <= 2000 and each.count("```") % 2 == 0 for each in shown)
    joined = "".join("".join(shown).replace("```python", "").replace("```", "").split())
    assert joined == "".join(text.replace("```python", "").replace("```", "").split())
    assert [bool(message["components"]) for message in line.server.shown()][-2:] == [False, True]


async def test_sources_and_choices(line: Line) -> None:
    await line.deliver(
        sources=(Source(document="a/b_c.md", heading="가 > 나", score=0.5),),
        choices=tuple(Choice(label=f"고름 {n}", text=f"고른 말 {n}") for n in range(7)),
        notice="AI가 답합니다.",
    )
    [shown] = line.server.shown()
    assert shown["content"] == "AI가 답합니다.\n\n답변 1"
    [embed] = shown["embeds"]
    assert embed["title"] == "web.sources"
    assert r"a/b\_c.md" in embed["description"]
    assert [len(row["components"]) for row in shown["components"]] == [5, 2, 2]
    await line.server.press(shown["components"][1]["components"][0]["custom_id"], shown)
    chosen = await line.heard()
    assert (chosen.text, chosen.address) == ("고른 말 5", IN_DM)
    long = tuple(Choice(label=f"고름 {n}", text="말" * 200) for n in range(2))
    await line.deliver(2, choices=long, kind="handoff")
    assert "고름 1" in texts(line.server)[1]
    assert line.server.shown()[1]["components"] == []


async def test_a_vote_is_heard_even_after_a_restart(line: Line, server: DiscordServer) -> None:
    await line.deliver()
    await line.stop()
    again = Line(server)
    await again.start()
    [shown] = server.shown()
    up, down = (button["custom_id"] for button in shown["components"][0]["components"])
    assert (up, down) == ("f:u:t1", "f:d:t1")
    token = await server.press(down, shown)
    vote = await again.heard()
    assert isinstance(vote, Action)
    assert (vote.kind, vote.value, vote.about, vote.address) == ("feedback", "down", "t1", IN_DM)
    await until(lambda: server.ephemeral.get(token))
    assert server.interactions[token]["ack"]["type"] == 6
    [thanks] = server.ephemeral[token]
    assert thanks["content"] == "web.thanks"
    await server.press("something:else", shown)
    await again.asked()
    await again.stop()


# ---- slash-commands


async def test_commands_are_announced_in_korean_and_only_once(line: Line) -> None:
    [helps, search] = line.server.commands
    assert helps["name_localizations"] == {"ko": "도움말"}
    assert helps["default_member_permissions"] is None
    assert search["default_member_permissions"] == "32"
    assert search["options"][0]["description_localizations"] == {"ko": "찾을 말"}
    await line.stop()
    await line.start()
    assert len(line.server.made(r"PUT .*/commands")) == 1


def test_every_command_is_announced() -> None:
    made = {each.name: each for each in slash_commands(lambda name, language: f"{name} {language}")}
    assert {name: each.korean_name for name, each in made.items()} == {
        command.name: command.korean for command in COMMANDS
    }
    assert made["help"].korean_name == "도움말"
    assert not made["help"].admin
    assert made["search"].admin
    assert made["search"].argument == ("discord.argument en", "discord.argument ko")
    assert made["stats"].argument is None


async def test_a_command_is_deferred_at_once_and_answered_where_only_its_user_sees(
    line: Line,
) -> None:
    token = await line.server.slash("search", {"text": "배송비 무료"}, channel=CHANNEL)
    message = await line.heard()
    assert (message.text, message.address, message.locale) == (
        "/search 배송비 무료",
        IN_CHANNEL,
        "ko",
    )
    pending = line.server.interactions[token]
    assert pending["ack"] == {"type": 5, "data": {"flags": 64}}
    assert pending["took"] < 1
    receipt = await line.deliver(
        to=IN_CHANNEL, in_reply_to=message.id, kind="command", text="결과\n" * 900
    )
    first, second = line.server.ephemeral[token]
    assert receipt.native_ids == (first["id"], second["id"])
    assert (first["content"] + "\n" + second["content"]).count("결과") == 900
    assert line.server.shown(CHANNEL) == []
    body = line.server.made(r"POST /webhooks/.*")[0].body
    assert body["flags"] & 64


async def test_an_answer_after_the_tokens_end_goes_to_the_channel(line: Line) -> None:
    token = await line.server.slash("help", channel=CHANNEL)
    message = await line.heard()
    line.server.interactions[token]["ack"] = None
    await line.deliver(to=IN_CHANNEL, in_reply_to=message.id, kind="command")
    assert texts(line.server, CHANNEL) == ["답변 1"]


async def test_a_command_that_could_not_be_deferred_counts(line: Line) -> None:
    line.server.faults.append(Fault(on=r"POST /interactions/.*", kind="404"))
    await line.server.slash("help", channel=CHANNEL)
    message = await line.heard()
    await line.deliver(to=IN_CHANNEL, in_reply_to=message.id, kind="command")
    assert texts(line.server, CHANNEL) == ["답변 1"]


async def test_many_commands_at_once_are_all_deferred_in_time(line: Line) -> None:
    tokens = [await line.server.slash("help") for _ in range(50)]
    await line.heard(50)
    assert all(line.server.interactions[token]["took"] < 3 for token in tokens)
