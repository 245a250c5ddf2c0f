"""What others read in the same documents: our messages judged by simcord and kakao-chatbot."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import discord
import pytest

from adapters.discord import incoming, outgoing
from adapters.discord.channel import TEXTS
from adapters.kakao.call import read
from adapters.kakao.skill import Texts, encoded, response, show
from brain.messages import Action, Choice, Message, Reply, Source
from tests.wire.discord_channel import COMMANDS
from tests.wire.kakao_server import Platform

LABELS = {name: name for name in TEXTS}
LONG = "\n\n".join(
    f"**{number}.** 주문하신 상품은 내일 도착합니다 😀. `코드`" for number in range(90)
)


def reply(**changes: Any) -> Reply:
    given = {"id": "t1", "in_reply_to": "m1", "text": "네, **고객님**.", "kind": "answer"}
    return Reply(**{**given, **changes})


CHOICES = tuple(Choice(label=f"선택 {n}", text=f"{n}번으로 할게요") for n in range(3))
REPLIES = {
    "plain": reply(),
    "long": reply(text=LONG),
    "choices": reply(choices=CHOICES),
    "many choices": reply(choices=CHOICES * 3),
    "sources": reply(sources=(Source(document="a/b.md", heading="가 > 나", score=0.5),)),
    "handoff": reply(kind="handoff", notice="AI가 답합니다."),
}


@pytest.mark.parametrize("name", REPLIES)
async def test_simcord_takes_what_we_send_and_we_read_what_its_people_do(name: str) -> None:
    simcord = pytest.importorskip("simcord")
    bot = discord.Client(intents=discord.Intents.all())
    async with simcord.run(bot, strict_sync=False) as env:
        assert bot.user is not None
        guild = env.create_guild()
        channel = guild.create_text_channel("문의")
        alice = guild.add_member(env.create_user("alice"))
        heard: list[discord.Message] = []
        pressed: list[Any] = []
        bot.event(_named("on_message", heard))
        bot.event(_named("on_interaction", pressed))

        await alice.send(channel, f"{bot.user.mention} 환불 언제 되나요?")
        [asked] = [each for each in heard if not each.author.bot]
        assert incoming.meant(asked, bot.user.id)
        said = incoming.said(asked, bot.user.id, asked.channel.id)
        assert (said.text, said.address.user) == ("환불 언제 되나요?", str(alice.id))

        for number, part in enumerate(outgoing.parts(REPLIES[name], LABELS)):
            payload = {**part, "nonce": outgoing.nonce("t1", number), "enforce_nonce": True}
            where = discord.http.Route(
                "POST", "/channels/{channel_id}/messages", channel_id=asked.channel.id
            )
            await bot.http.request(where, json=payload)
        assert "고객님" in channel.last_message.content or name == "long"
        if REPLIES[name].kind == "answer":
            await alice.click(channel.last_message, label=LABELS["web.feedback_up"])
            vote = incoming.done(pressed[-1])
            assert isinstance(vote, Action)
            assert (vote.value, vote.about) == ("up", "t1")


def _named(name: str, kept: list[Any]) -> Any:
    async def handler(happened: Any) -> None:
        kept.append(happened)
        if isinstance(happened, discord.Interaction):
            await happened.response.defer()

    handler.__name__ = name
    return handler


async def test_simcord_takes_our_commands() -> None:
    simcord = pytest.importorskip("simcord")
    bot = discord.Client(intents=discord.Intents.all())
    async with simcord.run(bot) as env:
        used: list[Any] = []
        bot.event(_named("on_interaction", used))
        where = discord.http.Route("PUT", f"/applications/{bot.application_id}/commands")
        await bot.http.request(where, json=[each.payload() for each in COMMANDS])
        guild = env.create_guild()
        channel = guild.create_text_channel("문의")
        owner = guild.add_member(env.create_user("owner"))
        await owner.slash(channel, "help")
        event = incoming.done(used[-1])
        assert isinstance(event, Message)
        assert event.text == "/help"


@pytest.mark.parametrize("name", REPLIES)
def test_kakao_chatbot_makes_the_same_response_of_the_same_parts(name: str) -> None:
    kakao = pytest.importorskip("kakao_chatbot.response")
    components = pytest.importorskip("kakao_chatbot.response.components")
    texts = Texts(**{field.name: field.name for field in fields(Texts)})
    shown = show(REPLIES[name], texts)
    body = response(shown.bubbles[:3], shown.quick, group=False)
    built = kakao.KakaoResponse(
        component_list=[_component(components, each) for each in body["template"]["outputs"]],
        quick_replies=[
            kakao.QuickReply(
                label=each["label"],
                action=each["action"],
                message_text=each.get("messageText"),
                extra=each.get("extra"),
            )
            for each in body["template"].get("quickReplies", ())
        ],
    )
    built.validate()
    assert built.render()["template"] == body["template"]
    assert built.render()["version"] == body["version"]
    assert encoded(body)


def _component(components: Any, output: dict[str, Any]) -> Any:
    [(kind, given)] = output.items()
    buttons = [
        components.Button(
            label=each["label"], action=each["action"], message_text=each.get("messageText")
        )
        for each in given.get("buttons", ())
    ]
    if kind == "simpleText":
        return components.SimpleTextComponent(given["text"])
    if kind == "textCard":
        return components.TextCardComponent(
            title=given.get("title"), description=given.get("description"), buttons=buttons
        )
    items = [
        components.ListItem(
            title=each["title"], action=each["action"], message_text=each["messageText"]
        )
        for each in given["items"]
    ]
    return components.ListCardComponent(header=given["header"]["title"], items=items)


def test_kakao_chatbot_reads_our_calls_as_we_do() -> None:
    payload = pytest.importorskip("kakao_chatbot").Payload
    whole = Platform("http://127.0.0.1:9").payload("환불 언제 되나요?", extra={"fb": "up"})
    theirs = payload.from_dict(whole)
    ours = read(encoded(whole), request_id="request-1", seconds=0)
    assert theirs.user_id == ours.address.user
    assert theirs.utterance.strip() == ours.text
