"""The session: its window, what leaves it, and what survives being stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from brain.memory import MARKS, STORED, SUMMARY_LINES, Exchange, Session, marks_in
from brain.messages import Address, Message, Reply, Turn

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
    assert kept.marks == ("주문번호 20260301-0012", "3만 5천원", "TM-X200")
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


def test_the_stored_session_is_bounded_and_what_is_pruned_is_not_lost() -> None:
    kept = session(0).after(turn(0, "주문번호 20260301-0012예요."))
    for number in range(1, STORED + 20):
        kept = kept.after(turn(number))
    assert len(kept.exchanges) == STORED
    assert kept.window == kept.exchanges
    assert kept.marks == ("주문번호 20260301-0012",)
    fitted = kept.fit(100, ten).after(turn(100))
    assert len(fitted.exchanges) == STORED
    assert [e.turn for e in fitted.window][-2:] == [f"t{STORED + 19}", "t100"]
    assert len(fitted.window) == 6


def test_a_session_survives_being_stored() -> None:
    kept = replace(session(30).fit(100, ten), profile={"customer": "vip"})
    assert Session.load(ADDRESS, kept.dump()) == kept
