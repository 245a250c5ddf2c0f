"""Telegram with the real client library, against a Bot API on loopback: what comes in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.telegram import channel as telegram
from bot.store.store import Store
from brain.errors import ChannelDown, ConfigError, StoreError
from brain.messages import Event, Message, Receipt
from tests.wire.telegram_channel import CUSTOMER, GROUP, Post, opened, until
from tests.wire.telegram_server import TOKEN, USERNAME, TelegramServer


@pytest.fixture
async def server() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as running:
        yield running


@pytest.fixture
async def post(server: TelegramServer) -> AsyncIterator[Post]:
    async with opened(server) as running:
        yield running


# ---- in


async def test_a_private_message_is_handed_in_and_answered(post: Post) -> None:
    number = post.server.say("환불 언제 되나요? 🙏")
    [event] = await post.heard()
    assert event.id.startswith(f"{number}.")
    assert event.address == CUSTOMER
    assert (event.text, event.locale, event.name) == ("환불 언제 되나요? 🙏", "ko", "지민")
    assert event.addressed
    receipt = await post.deliver("**7일** 안에 <환불>해 드립니다.", in_reply_to=event.id)
    [shown] = post.server.shown[111]
    assert shown.text == "7일 안에 <환불>해 드립니다."
    assert receipt == Receipt(outcome="delivered", native_ids=(str(shown.id),))
    assert "reply_parameters" not in shown.given
    assert post.channel.heard is not None


async def test_in_a_group_only_who_means_the_bot_is_heard(post: Post) -> None:
    say, theirs = post.server.say, {"is_bot": False, "id": 7, "first_name": "남"}
    answer = {"message_id": 5, "date": 1, "chat": {"id": -100500, "type": "supergroup"}}
    say("우리끼리 하는 말", chat=-100500)
    say("@someone_else 이거 봐", chat=-100500)
    say("/help@other_bot", chat=-100500)
    say("네", chat=-100500, reply_to_message=answer | {"from": theirs})
    mine = answer | {"from": {"is_bot": True, "id": 110201543, "first_name": "상담"}}
    say("또 다른 봇", chat=-100500, **{"from": {"id": 9, "is_bot": True, "first_name": "봇"}})
    say(f"😀 @{USERNAME.upper()} 환불 되나요?", chat=-100500)
    say("그럼 교환은요?", chat=-100500, reply_to_message=mine)
    say(f"/help@{USERNAME} 전부", chat=-100500)
    say("/whoami", chat=-100500, user=222)
    events = await post.heard(4)
    assert [each.text for each in events] == [
        "😀 환불 되나요?",
        "그럼 교환은요?",
        "/help 전부",
        "/whoami",
    ]
    assert [each.address.user for each in events] == ["111", "111", "111", "222"]
    assert {each.address.conversation for each in events} == {"-100500"}
    assert events[1].reply_to == "5"
    await post.deliver("됩니다.", GROUP, in_reply_to=events[0].id)
    [shown] = post.server.shown[-100500]
    assert str(shown.given["reply_parameters"]["message_id"]) == events[0].id.partition(".")[2]


async def test_with_overhears_group_chatter_is_handed_in_unaddressed(
    server: TelegramServer,
) -> None:
    async with opened(server, overhears=True) as post:
        server.say("우리끼리 하는 말", chat=-100500)
        [event] = await post.heard()
        assert not event.addressed


async def test_a_topic_is_a_conversation_of_its_own(post: Post) -> None:
    started = {"message_id": 3, "date": 1, "chat": {"id": -100500, "type": "supergroup"}}
    started |= {"from": {"id": 110201543, "is_bot": True, "first_name": "상담"}}
    started |= {"forum_topic_created": {"name": "배송", "icon_color": 1}}
    topic = {"chat": -100500, "message_thread_id": 3, "is_topic_message": True}
    post.server.say("혼잣말", reply_to_message=started, **topic)
    post.server.say(f"@{USERNAME} 배송비요", reply_to_message=started, **topic)
    post.server.say(f"@{USERNAME} 답글 사슬", chat=-100500, message_thread_id=9)
    in_topic, elsewhere = await post.heard(2)
    assert in_topic.text == "배송비요"
    assert in_topic.address.conversation == "-100500/3"
    assert elsewhere.address.conversation == "-100500"
    await post.deliver(to=in_topic.address)
    assert post.server.shown[-100500][0].given["message_thread_id"] == 3


async def test_what_is_no_message_is_confirmed_and_forgotten(post: Post) -> None:
    post.server.update(edited_message=post.server.message("고친 말"))
    post.server.update(message=post.server.message(new_chat_title="새 이름"))
    post.server.update(poll={"id": "1"})
    post.server.say("질문")
    [event] = await post.heard()
    assert event.text == "질문"
    await until(lambda: not post.server.waiting)


async def test_files_are_attachments(post: Post) -> None:
    photo = [{"file_id": "s", "file_size": 1}, {"file_id": "big", "file_size": 900}]
    post.server.say(photo=photo, caption="이거 깨졌어요")
    post.server.say(
        document={"file_id": "d", "file_name": "영수증.pdf", "mime_type": "application/pdf"}
    )
    post.server.say(voice={"file_id": "v", "mime_type": "audio/ogg", "duration": 2})
    post.server.say(sticker={"file_id": "s", "emoji": "👍"})
    post.server.say(location={"latitude": 37.5, "longitude": 127.0})
    photo_, file, voice, sticker, location = await post.heard(5)
    assert photo_.text == "이거 깨졌어요"
    assert [(a.kind, a.url, a.size) for a in photo_.attachments] == [("image", "telegram:big", 900)]
    assert [(a.kind, a.name) for a in file.attachments] == [("file", "영수증.pdf")]
    assert [a.kind for a in voice.attachments] == ["voice"]
    assert (sticker.text, sticker.attachments) == ("👍", ())
    assert [(a.kind, a.name) for a in location.attachments] == [("file", "location")]


async def test_start_is_a_greeting(post: Post) -> None:
    post.server.say("/start promo")
    [event] = await post.heard()
    assert event.text == "안녕하세요"


async def test_half_a_surrogate_pair_is_no_obstacle(post: Post) -> None:
    post.server.say("깨진 글자 \ud83d")
    [event] = await post.heard()
    assert event.text == "깨진 글자 ?"


# ---- confirming


async def test_an_update_is_confirmed_only_after_it_was_accepted(server: TelegramServer) -> None:
    gate = asyncio.Event()
    post = Post(server)

    async def accept(event: Event) -> None:
        await gate.wait()
        post.events.append(event)

    post.accept = accept  # type: ignore[method-assign]
    post.start()
    number = server.say("질문")
    await until(lambda: server.polls)
    await asyncio.sleep(0.2)
    assert server.waiting == [number]
    assert server.confirmed == 0
    gate.set()
    await until(lambda: not server.waiting)
    assert server.confirmed == number + 1
    await post.stop()


async def test_a_crash_between_keeping_and_confirming_loses_and_doubles_nothing(
    server: TelegramServer, tmp_path: Path
) -> None:
    store = await Store.open(tmp_path / "s.db")
    kept: list[bool] = []
    crashed = asyncio.Event()

    async def keep_and_crash(event: Event) -> None:
        kept.append(await store.receive(event, at=event.sent_at))
        crashed.set()
        await asyncio.sleep(60)

    async def keep(event: Event) -> None:
        kept.append(await store.receive(event, at=event.sent_at))

    first, second = Post(server), Post(server)
    first.accept = keep_and_crash  # type: ignore[method-assign]
    second.accept = keep  # type: ignore[method-assign]
    server.say("하나")
    server.say("둘")
    first.start()
    await crashed.wait()
    await first.stop()
    assert len(server.waiting) == 2
    second.start()
    await until(lambda: not server.waiting)
    await second.stop()
    assert kept == [True, False, True]
    texts = [
        each.event.text for each in await store.unanswered() if isinstance(each.event, Message)
    ]
    assert texts == ["하나", "둘"]
    await store.close()


async def test_a_poison_update_is_skipped_and_the_rest_goes_on(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    poison = post.server.update(message={"message_id": "?", "chat": 7, "from": [], "text": "비밀"})
    worse = post.server.update(message={"text": {"a": 1}, "from": {"id": "x"}, "chat": {}})
    post.server.say("질문")
    [event] = await post.heard()
    assert event.text == "질문"
    await until(lambda: not post.server.waiting)
    assert {f"update {poison} was skipped: AttributeError"} <= set(caplog.messages)
    assert any(str(worse) in each for each in caplog.messages)
    assert "비밀" not in caplog.text


async def test_an_event_that_the_gateway_chokes_on_is_skipped(post: Post) -> None:
    post.failures.append(ValueError("환불 언제"))
    post.server.say("독")
    post.server.say("질문")
    [event] = await post.heard()
    assert event.text == "질문"


async def test_while_the_store_fails_nothing_is_confirmed(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram, "STORE_PAUSES", (0.01, 0.01))
    async with opened(server) as post:
        post.failures += [StoreError("disk full")] * 2
        number = server.say("질문")
        await post.heard()
        await until(lambda: server.confirmed == number + 1)
        post.failures += [StoreError("disk full")] * 3
        again = server.say("또")
        assert post.running is not None
        await asyncio.wait({post.running})
        assert isinstance(post.running.exception(), StoreError)
        assert server.waiting == [again]
        post.start()
        assert [each.text for each in await post.heard(2)] == ["질문", "또"]


@pytest.mark.parametrize("when", ["polling", "webhook"])
async def test_a_conflict_ends_the_channel(server: TelegramServer, when: str) -> None:
    async with opened(server) as post:
        if when == "webhook":
            server.webhook = {"url": "http://127.0.0.1:9"}
        else:
            server.script("getUpdates", "conflict")
        server.say("질문")
        assert post.running is not None
        await asyncio.wait({post.running}, timeout=5)
        failure = post.running.exception()
        assert isinstance(failure, ChannelDown)
        assert "another program" in str(failure)


async def test_two_instances_do_not_lose_anything(server: TelegramServer) -> None:
    async with opened(server) as first:
        second = Post(server)
        second.start()
        assert first.running is not None
        await asyncio.wait({first.running}, timeout=5)
        assert isinstance(first.running.exception(), ChannelDown)
        server.say("질문")
        await second.heard()
        await second.stop()


async def test_a_wrong_token_is_named_without_being_told(server: TelegramServer) -> None:
    post = Post(server, token="12345:wrong-secret")
    post.start()
    assert post.running is not None
    await asyncio.wait({post.running}, timeout=5)
    failure = post.running.exception()
    assert isinstance(failure, ConfigError)
    assert "wrong-secret" not in str(failure)
    with pytest.raises(ChannelDown):
        await post.deliver()


async def test_one_bad_answer_is_passed_over_and_three_are_not(
    server: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = asyncio.sleep
    monkeypatch.setattr(telegram.asyncio, "sleep", lambda seconds: real(min(seconds, 0.01)))
    async with opened(server) as post:
        server.script("getUpdates", "error", "dropped")
        server.say("하나")
        await post.heard()
        server.script("getUpdates", "error", "lost", "error")
        server.say("둘")
        assert post.running is not None
        await asyncio.wait({post.running}, timeout=5)
        assert isinstance(post.running.exception(), ChannelDown)


async def test_a_flood_of_questions_is_waited_out(post: Post) -> None:
    post.server.script("getUpdates", "flood")
    post.server.say("하나")
    await post.heard()
    post.server.say("둘")
    await post.heard(2)


# ---- secrets


async def test_no_log_holds_the_token_or_a_word(
    server: TelegramServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "adapters")
    async with opened(server) as post:
        for fault in ("error", "dropped", "blocked", "unparsable", "flood"):
            server.script("sendMessage", fault)
            server.script("sendChatAction", fault)
            server.script("editMessageText", fault)
            await post.draw("", "환불은")
            await post.deliver("환불은 됩니다.", kind="answer")
        post.failures.append(ValueError("비밀번호는 1234"))
        server.say("비밀번호는 1234")
        server.update(message={"text": "비밀번호는 1234"})
        server.script("getUpdates", "error")
        server.say("질문")
        await post.heard()
    told = caplog.text + "".join(capfd.readouterr())
    assert TOKEN not in told
    assert TOKEN.partition(":")[2] not in told
    ours = [each for each in caplog.records if not each.name.startswith("asyncio")]
    assert ours
    for word in ("환불은", "비밀번호"):
        assert word not in told
