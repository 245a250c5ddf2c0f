"""The session: its window, what leaves it, and what survives being stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from brain.marks import marks_in, products_in, promised_in, said_in
from brain.memory import MARKS, STORED, SUMMARY_LINES, Exchange, Session
from brain.messages import Address, Message, Passage, Reply, Turn

ADDRESS = Address(channel="fake", conversation="c", user="u")
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)


def turn(number: int, text: str = "", *, failure: str = "", remember: bool = True) -> Turn:
    said = text or f"질문 {number}번입니다. 자세한 이야기입니다."
    return Turn(
        id=f"t{number}",
        address=ADDRESS,
        messages=(Message(id=f"m{number}", address=ADDRESS, text=said, sent_at=NOW),),
        reply=Reply(id=f"t{number}", in_reply_to=f"m{number}", text=f"답 {number}", kind="answer"),
        started_at=NOW,
        failure=failure,
        remember=remember,
    )


def session(turns: int) -> Session:
    kept = Session(address=ADDRESS)
    for number in range(turns):
        kept = kept.after(turn(number))
    return kept


def ten(exchange: Exchange) -> int:
    return 10


def test_a_turn_is_remembered_unless_it_is_a_command_and_a_failure_leaves_no_reply() -> None:
    kept = session(1).after(turn(1, failure="ModelStalled")).after(turn(2, remember=False))
    assert [(e.turn, e.assistant) for e in kept.exchanges] == [("t0", "답 0"), ("t1", "")]


def test_a_window_within_its_capacity_is_left_alone() -> None:
    kept = session(10)
    assert kept.fit(100, ten) is kept


def test_a_full_window_is_cut_back_to_half_in_one_block() -> None:
    kept = session(11).fit(100, ten)
    assert [e.turn for e in kept.window] == ["t6", "t7", "t8", "t9", "t10"]
    assert len(kept.exchanges) == 11
    moves = 0
    for number in range(11, 60):
        kept = kept.after(turn(number))
        moved = kept.fit(100, ten)
        moves += moved.start != kept.start
        assert moved.window[-1].turn == f"t{number}"
        kept = moved
    assert moves == 8


def test_the_last_turn_stays_even_if_it_is_too_big() -> None:
    assert [e.turn for e in session(3).fit(5, ten).window] == ["t2"]
    assert session(0).fit(5, ten).window == ()


def test_what_leaves_is_summarised_once_and_in_bounds() -> None:
    kept = session(3).after(turn(3, "질문 0번입니다. 다시요.")).after(turn(4)).fit(10, ten)
    assert kept.summary.splitlines() == ["질문 0번입니다.", "질문 1번입니다.", "질문 2번입니다."]
    for number in range(5, 200):
        kept = kept.after(turn(number, f"{number} " + "가" * 500)).fit(10, ten)
    lines = kept.summary.splitlines()
    assert len(lines) == SUMMARY_LINES
    assert max(map(len, lines)) <= 60


def test_marked_facts_that_left_long_ago_are_kept_word_for_word() -> None:
    kept = session(0).after(turn(0, "주문번호 20260301-0012 이고 3만 5천원짜리 TM-X200이에요"))
    for number in range(1, 41):
        kept = kept.after(turn(number)).fit(30, ten)
    assert kept.marks == ("3만 5천원", "주문번호 20260301-0012", "TM-X200")
    for number in range(41, 200):
        kept = kept.after(turn(number, f"모델은 ZX-{number}00 입니다")).fit(30, ten)
    assert len(kept.marks) == MARKS


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("주문번호 20250301-0012 환불해주세요", ["주문번호 20250301-0012"]),
        ("송장번호는 6890123456789이에요", ["송장번호는 6890123456789"]),
        ("주문번호: AB1234567입니다", ["주문번호: AB1234567"]),
        ("my order number is X12345-9", ["order number is X12345-9"]),
        ("20250301-0012요", ["20250301-0012"]),
        ("TM-X200이랑 SM-S921N, 갤럭시 S24", ["TM-X200", "SM-S921N", "S24"]),
        ("1,234,500원이랑 3만 5천원, 3만원", ["1,234,500원", "3만 5천원", "3만원"]),
        ("2026년 3월 4일에 2개 주문 취소할래요", []),
        ("order something please", []),
        ("전화는 [전화번호]예요", []),
    ],
)
def test_marks(text: str, marks: list[str]) -> None:
    assert marks_in(text) == marks


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["1" * 9, "a1-", "주문번호", "1,111", "A", "9만", "주문 번호 : "])
def test_marks_of_a_hostile_message_are_found_before_the_time_is_out(text: str) -> None:
    hostile = (text * 100_000)[:100_000]
    assert all(mark in hostile for mark in marks_in(hostile))
    assert said_in(hostile[:20_000]) is not None
    assert not promised_in(hostile)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("안녕하세요 김민수입니다. 배송 문의요", "김민수"),
        ("제 이름은 박서연이에요", "박서연"),
        ("저는 이도윤이라고 합니다", "이도윤"),
        ("my name is Alice Kim", "Alice Kim"),
        ("앞으로 연락은 오전에만 주세요.", "앞으로 연락은 오전에만 주세요."),
        ("문자로 알려 주시면 편해요", "문자로 알려 주시면 편해요"),
        ("지난주에 무선 이어폰 프로를 주문했는데요", "무선 이어폰 프로"),
        ("소리담 이어폰이 고장 났어요", "소리담 이어폰"),
        ("‘달빛 가습기’ 있나요?", "달빛 가습기"),
        ("금요일까지 환불해 주신다고 하셨잖아요", "금요일까지 환불해 주신다고 하셨잖아요"),
        ("주문번호 20250301-0012 이고 3만 5천원이에요", "20250301-0012"),
    ],
)
def test_what_a_customer_says_of_importance_is_kept_word_for_word(text: str, kept: str) -> None:
    marks = said_in(text)
    assert any(kept in mark for mark in marks)
    assert all(mark in text for mark in marks)


@pytest.mark.parametrize("text", ["배송은 언제 오나요?", "감사합니다!", "영업시간이 궁금해요"])
def test_small_talk_leaves_no_marks(text: str) -> None:
    assert said_in(text) == []


def test_a_long_sentence_is_kept_around_what_it_tells() -> None:
    marks = said_in("그게 " * 100 + "제 이름은 최하은이고요 " + "아무튼 " * 100)
    assert [len(mark) <= 100 and "최하은" in mark for mark in marks] == [True]


def test_promises_of_a_reply_are_kept_and_plain_answers_are_not() -> None:
    reply = "불편을 드려 죄송합니다. 내일까지 5,000원 쿠폰을 보내 드리겠습니다. 더 도와드릴까요?"
    assert promised_in(reply) == ["내일까지 5,000원 쿠폰을 보내 드리겠습니다."]
    kept = session(0).after(replace(turn(0), reply=replace(turn(0).reply, text=reply)))
    for number in range(1, 20):
        kept = kept.after(turn(number)).fit(30, ten)
    assert "내일까지 5,000원 쿠폰을 보내 드리겠습니다." in kept.marks


def test_products_are_known_by_the_titles_of_their_documents() -> None:
    passages = [
        Passage(id="1", document="products/v.md", heading=f"{heading} > 사양", text="", score=1.0)
        for heading in ("쓱싹 로봇청소기 (SS-R7)", "맑음 세탁기")
    ]
    said = "쓱싹 로봇청소기 소음이 심한가요?"
    assert products_in(said, passages) == ("쓱싹 로봇청소기",)
    kept = session(0).after(replace(turn(0, said), passages=tuple(passages)))
    assert Session.load(ADDRESS, kept.dump()) == kept
    for number in range(1, 9):
        kept = kept.after(turn(number)).fit(30, ten)
    assert kept.marks == ("쓱싹 로봇청소기",)


def test_when_there_are_too_many_marks_names_outlast_amounts() -> None:
    kept = session(0).after(turn(0, "제 이름은 김민수예요."))
    for number in range(1, 150):
        kept = kept.after(turn(number, f"{number},000원이에요?")).fit(30, ten)
    assert len(kept.marks) == MARKS
    assert kept.marks[-1] == "제 이름은 김민수예요."


def test_the_stored_session_is_bounded_and_what_is_pruned_is_not_lost() -> None:
    kept = session(0).after(turn(0, "주문번호 20260301-0012예요."))
    for number in range(1, STORED + 20):
        kept = kept.after(turn(number))
        assert len(kept.exchanges) <= STORED
        assert len(kept.window) >= min(number, STORED // 2)
    assert len(kept.exchanges) == STORED
    assert kept.marks == ("주문번호 20260301-0012",)
    fitted = kept.fit(100, ten).after(turn(100))
    assert len(fitted.exchanges) == STORED
    assert [e.turn for e in fitted.window][-2:] == [f"t{STORED + 19}", "t100"]
    assert len(fitted.window) == 6


def test_a_long_window_of_short_turns_moves_in_blocks_too() -> None:
    kept, moves = session(0), 0
    for number in range(200):
        first = kept.window[:1]
        kept = kept.after(turn(number))
        moves += bool(first) and kept.window[:1] != first
    assert moves <= 200 // (STORED // 2)


def test_the_summary_of_the_model_takes_effect_when_the_window_moves() -> None:
    kept = session(9).with_digest("고객은 모니터를 찾습니다.", "t6")
    assert kept.summary == ""
    assert kept.fit(90, ten) is kept
    moved = kept.after(turn(9)).after(turn(10)).fit(100, ten)
    assert moved.summary == "고객은 모니터를 찾습니다."
    assert (moved.digest, moved.start) == ("", 6)
    late = session(9).with_digest("요약입니다.", "t2").fit(80, ten)
    assert late.summary.splitlines() == ["요약입니다.", "질문 3번입니다.", "질문 4번입니다."]


def test_a_summary_that_comes_too_late_or_for_a_forgotten_conversation_is_dropped() -> None:
    moved = session(11).fit(100, ten)
    assert moved.with_digest("요약입니다.", "t3") is moved
    assert session(0).with_digest("요약입니다.", "t3") == session(0)


def test_a_session_survives_being_stored() -> None:
    kept = replace(session(30).fit(100, ten), profile={"customer": "vip"})
    kept = kept.with_digest("요약입니다.", "t28")
    assert Session.load(ADDRESS, kept.dump()) == kept
