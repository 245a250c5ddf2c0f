"""What a question leans on, and how much of it is looked up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from brain.followup import LEANS, RECENT, Before, before, leans
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
    ["그럼 교환은요?", "그건 얼마예요?", "거기 주차돼요?", "언제까지요?", "What about TVs?"],
)
def test_what_points_back_leans_on_what_was_said(question: str) -> None:
    assert leans(question, cosine=0.3) > LEANS


@pytest.mark.parametrize(
    "question",
    [
        "제가 가입한 이메일 아이디를 잊어버렸는데 어떻게 찾을 수 있나요?",
        "휴면 계정은 얼마나 오래 로그인을 안 하면 되는 거예요?",
        "How do I change the delivery address of my order?",
    ],
)
def test_a_long_question_stands_alone(question: str) -> None:
    assert leans(question, cosine=0.4) < LEANS


def test_a_bare_noun_names_a_topic_of_its_own() -> None:
    assert leans("환불", cosine=0.2) < LEANS < leans("환불은요?", cosine=0.2)


def test_a_short_question_that_finds_its_answer_leans_less() -> None:
    assert (
        leans("선물 포장도 되나요?", cosine=0.9) < LEANS < leans("선물 포장도 되나요?", cosine=0.1)
    )
