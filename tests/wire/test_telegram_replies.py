"""Telegram with the real client library, against a Bot API on loopback: what goes out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from adapters.telegram import line as telegram_line
from adapters.telegram import replies as telegram_replies
from adapters.telegram.channel import Menu, Telegram
from brain.errors import ChannelDown
from brain.messages import Action, Address, Choice, Message, Source
from tests.wire.telegram_channel import CUSTOMER, GROUP, LABELS, Post, opened, reply, until
from tests.wire.telegram_rules import units
from tests.wire.telegram_server import TOKEN, USERNAME, Script, TelegramServer


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        yield running


@pytest.fixture
async def post(server: TelegramServer) -> AsyncIterator[Post]:
    async with opened(server) as running:
        yield running


# ---- out


async def test_it_waits_as_long_as_telegram_says(post: Post) -> None:
    post.server.script("sendMessage", "flood")
    assert (await post.deliver()).outcome == "delivered"
    first, second = post.server.called("sendMessage")
    assert 1.0 <= second.at - first.at < 1.5
    assert post.texts() == ["네, 고객님."]


async def test_a_long_flood_puts_the_reply_off_without_asking_again(post: Post) -> None:
    post.server.script("sendMessage", Script(fault="flood", seconds=3600))
    for _ in range(3):
        with pytest.raises(ChannelDown):
            await post.deliver()
    assert len(post.server.called("sendMessage")) == 1
    await post.deliver(to=Address(channel="telegram", conversation="222", user="222"))
    assert len(post.server.shown[222]) == 1


async def test_who_blocked_the_bot_is_asked_once(post: Post) -> None:
    post.server.script("sendMessage", "blocked")
    receipt = await post.deliver()
    assert receipt.outcome == "refused"
    assert len(post.server.called("sendMessage")) == 1


async def test_who_blocked_the_bot_is_left_alone_until_they_write_again(post: Post) -> None:
    post.server.script("sendMessage", "blocked")
    for _ in range(3):
        assert (await post.deliver()).outcome == "refused"
    await post.draw("", "네")
    await asyncio.sleep(0.05)
    assert len(post.server.calls_in(111)) == 1
    post.server.say("다시 왔어요")
    await post.heard()
    assert (await post.deliver()).outcome == "delivered"


async def test_markup_that_telegram_cannot_read_is_left_out(post: Post) -> None:
    post.server.script("sendMessage", "unparsable")
    assert (await post.deliver("**7일** 안에 *꼭* 됩니다. 1 < 2")).outcome == "delivered"
    marked, bare = post.server.called("sendMessage")
    assert marked.given["parse_mode"] == "HTML"
    assert "parse_mode" not in bare.given
    assert post.texts() == ["7일 안에 꼭 됩니다. 1 < 2"]


@pytest.mark.parametrize("fault", ["dropped", "lost", "error"])
async def test_an_answer_that_never_came_leaves_it_unknown(post: Post, fault: Any) -> None:
    post.server.script("sendMessage", fault)
    receipt = await post.deliver()
    assert receipt.outcome == "unknown"
    assert len(post.server.called("sendMessage")) == 1


async def test_an_answer_that_takes_too_long_leaves_it_unknown(server: TelegramServer) -> None:
    async with opened(server, timeout=0.3) as post:
        server.script("sendMessage", Script(fault="slow", seconds=0.8))
        assert (await post.deliver()).outcome == "unknown"


async def test_what_was_certainly_not_sent_is_said_to_be_down(unused_tcp_port: int) -> None:
    channel = Telegram(
        token=TOKEN, base_url=f"http://127.0.0.1:{unused_tcp_port}", labels=lambda: LABELS
    )
    with pytest.raises(ChannelDown):
        await channel.deliver(CUSTOMER, reply())
    with pytest.raises(ChannelDown):
        await channel.run(lambda event: asyncio.sleep(0))


async def test_a_group_that_became_a_supergroup_is_followed(post: Post) -> None:
    old = Address(channel="telegram", conversation="-500", user="111")
    post.server.script("sendMessage", Script(fault="migrated", chat=-100777))
    assert (await post.deliver("하나", old)).outcome == "delivered"
    await post.deliver("둘", old)
    assert post.texts(-100777) == ["하나", "둘"]
    post.server.update(message=post.server.message(chat=-600, migrate_to_chat_id=-100888))
    post.server.say("질문")
    await post.heard()
    await post.deliver("셋", Address(channel="telegram", conversation="-600", user="111"))
    assert post.texts(-100888) == ["셋"]


LONG = "\n\n".join(
    f"{number}. 고객님, **반품 {number}번** 안내입니다. 👨‍👩‍👧‍👦 정말 <중요>한 내용이에요 🙏🏽.\n"
    + ("```python\nfor i in range(3):\n    print('가', i < 2)\n```" if number % 9 == 0 else "")
    for number in range(210)
)


async def test_twelve_thousand_characters_arrive_complete_and_in_order(post: Post) -> None:
    assert len(LONG) > 12_000
    receipt = await post.deliver(LONG, kind="answer")
    assert receipt.outcome == "delivered"
    texts = post.texts()
    assert len(texts) == len(receipt.native_ids) >= 3
    assert all(units(each) <= 4096 for each in texts)
    together = "\n".join(texts)
    assert re.findall(r"반품 (\d+)번", together) == [str(number) for number in range(210)]
    assert together.count("👨‍👩‍👧‍👦") == together.count("🙏🏽") == together.count("<중요>") == 210
    assert together.count("print('가', i < 2)") == LONG.count("print('가', i < 2)")
    assert [bool(each.buttons) for each in post.server.shown[111]] == [False] * (len(texts) - 1) + [
        True
    ]


async def test_the_rest_of_a_long_reply_waits_out_a_flood_and_a_lost_line(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.server.script("sendMessage", Script(fault="slow", seconds=0), "flood")
    assert (await post.deliver(LONG)).outcome == "delivered"
    monkeypatch.setattr(telegram_line, "how", lambda error: "down")
    monkeypatch.setattr(telegram_replies, "PAUSES", (0.01, 0.01))
    before = len(post.server.shown[111])
    post.server.script("sendMessage", Script(fault="slow", seconds=0), "error")
    assert (await post.deliver(LONG)).outcome == "delivered"
    assert len(post.server.shown[111]) == 2 * before
    post.server.script("sendMessage", Script(fault="slow", seconds=0), *["error"] * 3)
    receipt = await post.deliver(LONG)
    assert (receipt.outcome, len(receipt.native_ids)) == ("unknown", 1)


# ---- drafts


async def test_a_draft_grows_in_one_message_and_becomes_the_reply(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_replies, "PRIVATE_EDIT_SECONDS", 0.2)
    async with opened(server) as post:
        await post.draw("")
        await until(lambda: server.called("sendChatAction"))
        words = "구매하신 날부터 **7일 안에** 반품하실 수 있습니다."
        for end in range(1, len(words)):
            await post.draw(words[:end])
            await asyncio.sleep(0.02)
        receipt = await post.deliver(words, kind="answer", notice="AI가 답합니다.")
        [shown] = server.shown[111]
        assert shown.text == "AI가 답합니다.\n\n구매하신 날부터 7일 안에 반품하실 수 있습니다."
        assert receipt.native_ids == (str(shown.id),)
        assert [each["text"] for each in shown.buttons] == ["👍", "👎"]
        edits = [each.at for each in server.called("editMessageText")]
        assert 3 <= len(edits) <= 6
        gaps = [later - earlier for earlier, later in pairwise(edits[:-1])]
        assert min(gaps) >= 0.19


def test_edits_are_rare_enough_for_telegram() -> None:
    assert telegram_replies.PRIVATE_EDIT_SECONDS >= 1.0
    assert telegram_replies.GROUP_EDIT_SECONDS >= 3.0


async def test_it_types_every_four_seconds_until_there_is_something_to_see(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert telegram_replies.TYPING_SECONDS == 4.0
    monkeypatch.setattr(telegram_replies, "TYPING_SECONDS", 0.05)
    async with opened(server) as post:
        await post.draw("")
        await until(lambda: len(server.called("sendChatAction")) >= 3)
        await post.draw("네")
        await until(lambda: server.shown[111])
        await asyncio.sleep(0.1)
        typed = len(server.called("sendChatAction"))
        await asyncio.sleep(0.2)
        assert len(server.called("sendChatAction")) == typed


async def test_a_reply_that_never_comes_is_not_typed_any_more(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_replies, "TYPING_SECONDS", 0.02)
    async with opened(server) as post:
        await post.draw("")
        await until(lambda: len(server.called("sendChatAction")) >= 2)
        await post.channel.show(CUSTOMER, None)
        typed = len(server.called("sendChatAction"))
        await asyncio.sleep(0.2)
        assert len(server.called("sendChatAction")) <= typed + 1  # one may have been on its way


async def test_in_private_drafts_are_no_messages(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_replies, "PRIVATE_EDIT_SECONDS", 0.01)
    server.takes_drafts = True
    async with opened(server) as post:
        await post.draw("**굵은** 글")
        await until(lambda: server.drafts)
        number, text = server.drafts[111]
        assert (text, server.shown[111]) == ("굵은 글", [])
        await post.draw("")  # begun anew: the same draft goes on
        await post.draw("다른 글")
        await until(lambda: server.drafts[111] == (number, "다른 글"))
        await post.deliver("끝", kind="answer")
        assert (post.texts(), server.drafts) == (["끝"], {})
        assert server.called("editMessageText") == []
        await post.draw("다음 글")
        await until(lambda: server.drafts)
        assert server.drafts[111][0] != number
        await post.draw("무리의 글", to=GROUP)
        await until(lambda: server.shown[-100500])


async def test_a_server_that_knows_no_drafts_is_asked_once(post: Post) -> None:
    for word in ("하나", "둘"):
        await post.draw(word)
        await until(lambda word=word: word in post.texts())  # type: ignore[misc]
        await post.deliver(f"{word}.", kind="answer")
    assert len(post.server.called("sendMessageDraft")) == 1


async def test_drafts_in_a_flood_become_one(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_replies, "PRIVATE_EDIT_SECONDS", 0.01)
    async with opened(server) as post:
        await post.draw("가")
        await until(lambda: server.shown[111])
        server.script("editMessageText", "flood")
        for end in range(2, 40):
            await post.draw("가" * end)
            await asyncio.sleep(0.01)
        await post.deliver("끝", kind="answer")
        assert post.texts() == ["끝"]
        calls = server.called("editMessageText")
        assert len(calls) == 2  # the one that met the flood, and the reply after it
        assert calls[1].at - calls[0].at >= 1.0


async def test_a_reply_whose_edit_was_not_answered_is_edited_again(post: Post) -> None:
    await post.draw("가")
    await until(lambda: post.server.shown[111])
    post.server.script("editMessageText", "dropped")
    assert (await post.deliver("끝", kind="answer")).outcome == "delivered"
    assert post.texts() == ["끝"]


async def test_a_draft_that_the_customer_deleted_is_sent_anew(post: Post) -> None:
    await post.draw("가")
    await until(lambda: post.server.shown[111])
    post.server.shown[111].clear()
    assert (await post.deliver("끝", kind="answer")).outcome == "delivered"
    assert post.texts() == ["끝"]


async def test_an_answer_given_up_for_another_is_taken_back(post: Post) -> None:
    await post.draw("", "환불은")
    await until(lambda: post.server.shown[111])
    await post.draw("", "교환은")
    await until(lambda: post.texts() == ["교환은"])
    await post.deliver("교환은 됩니다.", kind="answer")
    assert post.texts() == ["교환은 됩니다."]


async def test_a_command_is_answered_beside_the_answer_being_written(post: Post) -> None:
    await post.draw("환불은")
    await until(lambda: post.server.shown[111])
    await post.deliver("도움말", kind="command")
    await post.deliver("환불은 됩니다.", kind="answer")
    assert post.texts() == ["환불은 됩니다.", "도움말"]


async def test_two_people_of_a_group_have_drafts_of_their_own(post: Post) -> None:
    others = Address(channel="telegram", conversation="-100500", user="222")
    post.server.say(f"@{USERNAME} 하나", chat=-100500)
    [event] = await post.heard()
    await post.draw("가", to=GROUP)
    await post.draw("나", to=others)
    await until(lambda: len(post.server.shown[-100500]) == 2)
    await post.deliver("나나", others, kind="answer")
    await post.deliver("가가", GROUP, kind="answer", in_reply_to=event.id)
    assert sorted(post.texts(-100500)) == ["가가", "나나"]
    calls = [each.given for each in post.server.called("sendMessage") if each.given["text"] == "가"]
    assert str(calls[0]["reply_parameters"]["message_id"]) == event.id.partition(".")[2]


async def test_a_reply_is_delivered_after_the_channel_was_stopped(post: Post) -> None:
    await post.draw("가")
    await until(lambda: post.server.shown[111])
    await post.stop()
    assert (await post.deliver("끝", kind="answer")).outcome == "delivered"
    assert post.texts() == ["끝"]


# ---- buttons and commands


async def test_feedback_buttons_vote_and_stop_waiting(server: TelegramServer) -> None:
    async with opened(server, thanks=lambda: "의견 감사합니다") as post:
        turn = "0123456789abcdef0123456789abcdef"
        await post.deliver("네.", kind="answer", id=turn)
        [shown] = server.shown[111]
        server.press(shown, "👍")
        server.press(shown, "👎")
        up, down = await post.heard(2)
        assert isinstance(up, Action)
        assert (up.kind, up.value, up.about, up.address) == ("feedback", "up", turn, CUSTOMER)
        assert down.value == "down"
        await until(lambda: len(server.called("answerCallbackQuery")) == 2)
        assert server.called("answerCallbackQuery")[0].given["text"] == "의견 감사합니다"
        server.update(callback_query={"id": "x", "from": {"id": 111}, "data": "old:1"})
        await until(lambda: len(server.called("answerCallbackQuery")) == 3)


async def test_choices_say_what_they_stand_for(post: Post) -> None:
    long = "제주와 도서 산간 지역의 추가 배송비와 배송 기간 안내"
    choices = (
        Choice(label="배송비", text="배송비는 얼마인가요?"),
        Choice(label="제주와 도서 산간", text=long),
    )
    await post.deliver("무엇을 도와드릴까요?", kind="abstained", choices=choices)
    [shown] = post.server.shown[111]
    assert [each["text"] for each in shown.buttons] == ["배송비", "제주와 도서 산간", "👍", "👎"]
    post.server.press(shown, "배송비")
    post.server.press(shown, "제주")
    first, second = await post.heard(2)
    assert isinstance(first, Message)
    assert (first.text, second.text) == ("배송비는 얼마인가요?", long)
    post.channel._replies.choices.clear()  # a restart
    post.server.press(shown, "제주")
    assert (await post.heard(3))[2].text == "제주와 도서 산간"


async def test_sources_stand_under_what_the_model_wrote(post: Post) -> None:
    source = Source(document="faq/배송.md", heading="배송비", score=1.0)
    await post.deliver("2,500원입니다.", kind="answer", sources=(source,))
    assert post.texts() == ["2,500원입니다.\n\n출처: faq/배송.md · 배송비"]


async def test_commands_are_offered_by_person_and_language(server: TelegramServer) -> None:
    menus = (
        Menu(commands=[("help", "명령 목록을 보여 드립니다")]),
        Menu(commands=[("help", "Shows the commands")], language="en"),
        Menu(commands=[("reload", "다시 읽습니다")], person=77),
    )
    async with opened(server, menus=menus):
        server.script("setMyCommands", "error")
        await until(lambda: len(server.called("setMyCommands")) == 3)
        default, english, admin = (each.given for each in server.called("setMyCommands"))
        assert default["commands"] == [
            {"command": "help", "description": "명령 목록을 보여 드립니다"}
        ]
        assert english["language_code"] == "en"
        assert admin["scope"] == {"type": "chat", "chat_id": 77}


async def test_a_draft_longer_than_a_message_stays_at_its_beginning(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram_replies, "PRIVATE_EDIT_SECONDS", 0.02)
    async with opened(server) as post:
        for end in range(2000, len(LONG), 1000):
            await post.draw(LONG[:end])
            await asyncio.sleep(0.05)
        edits = len(server.called("editMessageText"))
        assert len(post.texts()) == 1
        receipt = await post.deliver(LONG, kind="answer")
        assert re.findall(r"반품 (\d+)번", "\n".join(post.texts())) == [str(n) for n in range(210)]
        assert receipt.native_ids[0] == str(server.shown[111][0].id)
        assert edits <= 5
