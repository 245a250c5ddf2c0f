"""A customer asks, Sangdam answers: the whole path through the fake channel."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from brain.messages import Action, Address, Attachment, Message

SEOUL = ZoneInfo("Asia/Seoul")


@pytest.mark.parametrize(
    ("question", "document", "fact"),
    [
        ("배송비 얼마예요?", "delivery.md", "2,500원"),
        ("환불은 언제 되나요?", "refund.md", "2영업일"),
        ("선물포장 가능한가요", "faq.yaml", "1,000원"),
        ("해운대점에 주차할 수 있나요?", "shops.csv", "주차 불가"),
    ],
)
async def test_without_a_model_the_passage_is_quoted(run, question, document, fact) -> None:
    async with run() as sangdam:
        turn = await sangdam.say(question)
    assert turn.reply.kind == "quoted"
    assert fact in turn.reply.text
    assert turn.reply.sources[0].document == document
    assert turn.model == ""


@pytest.mark.parametrize(
    "question", ["오늘 서울 날씨 어때?", "파이썬으로 정렬 짜 줘", "삼성전자 주가 알려줘"]
)
async def test_what_is_not_our_field_is_said_to_be_so(run, question) -> None:
    async with run() as sangdam:
        turn = await sangdam.say(question)
    assert (turn.reply.kind, turn.exceptions) == ("exception", ("out_of_scope",))
    assert turn.reply.sources == ()


async def test_the_first_reply_says_that_an_ai_answers(run) -> None:
    async with run() as sangdam:
        first = await sangdam.say("안녕하세요")
        second = await sangdam.say("배송비 얼마예요?")
    assert "AI" in first.reply.notice
    assert "달빛서점" in first.reply.notice
    assert first.reply.kind == "answer"
    assert second.reply.notice == ""


async def test_a_conversation_survives_a_restart(run) -> None:
    async with run() as sangdam:
        await sangdam.say("배송비 얼마예요?", user="u1", conversation="c1")
    async with run() as sangdam:
        turn = await sangdam.say("환불은 언제 되나요?", user="u1", conversation="c1")
        session = await sangdam.app.store.session(turn.address)
        other = await sangdam.app.store.session(
            Address(channel="fake", conversation="c1", user="u2")
        )
    assert turn.reply.notice == ""
    assert [each.customer for each in session.exchanges] == [
        "배송비 얼마예요?",
        "환불은 언제 되나요?",
    ]
    assert other.exchanges == ()


async def test_an_event_that_comes_twice_is_answered_once(run) -> None:
    async with run() as sangdam:
        await sangdam.say("배송비 얼마예요?", event_id="e1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sangdam.say("배송비 얼마예요?", event_id="e1"), 0.3)
        assert len(sangdam.turns) == 1


async def test_personal_data_reaches_neither_disk_nor_log(
    run, tmp_path: Path, caplog, capsys
) -> None:
    secrets = ["010-9876-5432", "900101-1234568", "hong@example.org", "4111-1111-1111-1111"]
    caplog.set_level(logging.DEBUG)
    async with run() as sangdam:
        turn = await sangdam.say(
            f"주문번호 20260101-00123 배송 조회 부탁드려요. {', '.join(secrets)}"
        )
        assert "[전화번호]" in turn.messages[0].text
        assert "20260101-00123" in turn.messages[0].text
    written = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    printed = caplog.text + "".join(capsys.readouterr())
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in printed
    assert "배송 조회 부탁" not in printed


@pytest.mark.parametrize(
    ("text", "exception"),
    [
        ("", "invalid_input"),
        ("   \n ", "invalid_input"),
        ("가" * 100_000, "invalid_input"),
        ("返品はできますか？送料はいくらですか", "language_barrier"),
    ],
)
async def test_what_is_no_question_gets_one_clear_reply(run, text, exception) -> None:
    async with run() as sangdam:
        turn = await sangdam.say(text)
        assert turn.reply.kind == "exception"
        assert turn.exceptions == (exception,)
        assert (await sangdam.say("배송비 얼마예요?")).reply.kind == "quoted"


async def test_an_attachment_without_words_is_politely_declined(run) -> None:
    picture = Attachment(kind="image", name="a.png", mime="image/png")
    async with run() as sangdam:
        turn = await sangdam.say("", attachments=(picture,))
    assert turn.exceptions == ("technical_limitation",)


async def test_the_situation_follows_the_companys_clock(run) -> None:
    sunday_night = datetime(2026, 11, 22, 23, 0, tzinfo=SEOUL)
    async with run(now=sunday_night) as sangdam:
        turn = await sangdam.say("안녕하세요")
    assert (turn.situation.daypart, turn.situation.open) == ("night", False)
    assert turn.situation.intent == "greeting"


async def test_conversations_do_not_mix(run) -> None:
    async with run() as sangdam:
        await asyncio.gather(
            *(
                sangdam.fake.say(f"{n}번 주문 배송비 얼마예요?", user=f"u{n}", conversation="room")
                for n in range(8)
            )
        )
        for n in range(8):
            address = Address(channel="fake", conversation="room", user=f"u{n}")
            session = await sangdam.app.store.session(address)
            assert [each.customer for each in session.exchanges] == [f"{n}번 주문 배송비 얼마예요?"]


async def test_feedback_is_kept_with_its_turn(run) -> None:
    async with run() as sangdam:
        turn = await sangdam.say("배송비 얼마예요?")
        accept = await sangdam.fake._door()
        await accept(
            Action(
                id="f1",
                address=turn.address,
                kind="feedback",
                value="up",
                sent_at=turn.started_at,
                about=turn.id,
            )
        )
        assert (await sangdam.app.store.stats()).up == 1


async def test_what_a_killed_run_left_is_answered_at_the_next_start(run) -> None:
    left = Message(
        id="left",
        address=Address(channel="fake", conversation="c9", user="u9"),
        text="배송비 얼마예요?",
        sent_at=datetime.now(SEOUL),
    )
    async with run() as sangdam:
        await sangdam.app.store.receive(left, at=datetime.now(SEOUL))
    async with run() as sangdam:
        await sangdam.app.gateway.resume()
        while sangdam.app.gateway.busy:
            await asyncio.sleep(0.01)
        assert [turn.messages[0].id for turn in sangdam.turns] == ["left"]
        assert await sangdam.app.store.unanswered() == []
    async with run() as sangdam:
        await sangdam.app.gateway.resume()
        while sangdam.app.gateway.busy:
            await asyncio.sleep(0.01)
        assert sangdam.turns == []
