"""What a question leans on, and how much of it is looked up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from brain.followup import RECENT, Before, before, reads_as_whole
from brain.memory import Exchange, Session
from brain.messages import Address

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def session(*said: tuple[str, str], ago: timedelta = timedelta(minutes=1)) -> Session:
    return Session(
        address=Address(channel="fake", conversation="c", user="u"),
        exchanges=tuple(
            Exchange(turn=str(n), at=NOW - ago, customer=asked, assistant=answered, kind="answer")
            for n, (asked, answered) in enumerate(said)
        ),
    )


def small_talk(words: str) -> bool:
    return words in ("안녕하세요", "감사합니다")


def test_a_first_question_leans_on_nothing() -> None:
    assert before(session(), NOW, small_talk) is None


def test_the_last_turn_about_something_is_leant_on() -> None:
    said = session(
        ("반품 배송비 얼마예요?", "6,000원입니다."),
        ("교환은요?", "8,000원입니다."),
        ("감사합니다", "천만에요."),
    )
    assert before(said, NOW, small_talk) == Before(asked="교환은요?", answered="8,000원입니다.")


def test_what_was_not_taken_up_is_not_leant_on() -> None:
    said = session(("配送はいつですか", "한국어나 영어로 말씀해 주세요."))
    refused = replace(said, exchanges=(replace(said.exchanges[0], kind="exception"),))
    assert before(refused, NOW, small_talk) is None


def test_after_a_longer_silence_a_question_is_new() -> None:
    said = session(("반품 배송비 얼마예요?", "6,000원입니다."), ago=RECENT + timedelta(minutes=1))
    assert before(said, NOW, small_talk) is None


@pytest.mark.parametrize(
    "question",
    [
        "그럼 교환은요?",
        "그건 얼마예요?",
        "거기 주차돼요?",
        "언제까지요?",
        "신한은요?",
        "150만원짜리 노트북을 주문하면 그때도 문 앞에 두고 가시나요?",
        "What if it arrives late and nobody is at home to take it?",
    ],
)
def test_a_question_that_refers_back_is_not_whole(question: str) -> None:
    assert not reads_as_whole(question)


@pytest.mark.parametrize(
    "question",
    [
        "제가 가입한 이메일 아이디를 잊어버렸는데 어떻게 찾을 수 있나요?",
        "휴면 계정은 얼마나 오래 로그인을 안 하면 되는 거예요?",
        "How do I change the delivery address of my order?",
    ],
)
def test_a_long_question_without_a_reference_is_whole(question: str) -> None:
    assert reads_as_whole(question)
