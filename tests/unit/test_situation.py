"""What is going on: language, customer, repeats, and what is read from the question vector."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from brain.memory import Exchange, Session
from brain.messages import Address
from brain.situation import detect_language, repeats

ADDRESS = Address(channel="fake", conversation="c", user="u")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("배송 언제 와요?", "ko"),
        ("ㅇㅇ ㅋㅋㅋ", "ko"),
        ("Galaxy Buds Pro 2 재고 있나요", "ko"),
        ("iPhone 15 Pro Max", "en"),
        ("What does 배송 mean in English?", "en"),
        ("hello", "en"),
        ("AS", "ko"),
        ("SM-G990", "ko"),
        ("12345", "ko"),
        ("👍", "ko"),
        ("返品はできますか", "ja"),
        ("我的订单在哪里", "zh"),
        ("Где мой заказ?", "ru"),
        ("Tôi muốn trả hàng, phải làm thế nào?", "vi"),
        ("คืนสินค้าได้ไหม", "th"),
    ],
)
def test_language_is_read_from_the_script(text: str, language: str) -> None:
    assert detect_language(text, "ko") == language


def session(*said: str) -> Session:
    return Session(
        address=ADDRESS,
        exchanges=tuple(
            Exchange(
                turn=str(n),
                at=datetime(2026, 1, 1, tzinfo=UTC),
                customer=text,
                assistant="",
                kind="answer",
            )
            for n, text in enumerate(said)
        ),
    )


def test_the_same_question_in_nearly_the_same_words_is_a_repeat() -> None:
    asked = session("배송 언제 와요?", "환불되나요", "배송 언제 와요??ㅠㅠ", "감사합니다")
    assert repeats("배송 언제 오나요 / 배송 언제 와요", session()) == 0
    assert repeats("배송 언제 와요", asked) == 2
    assert repeats("교환은 어떻게 하나요", asked) == 0
    assert repeats("", asked) == 0
