"""What is going on: language, customer, repeats, and what is read from the question vector."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from brain.knowledge.embed import open_embedder
from brain.memory import Exchange, Session
from brain.messages import Address
from brain.situation import Asked, detect_language

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


EMBEDDER = open_embedder("bundled", ollama_host="")


def repeats(text: str, *said: str, known: bool = True) -> int:
    """How often `text` was asked before, after the texts `said`, whose vectors are `known`."""
    asked = Asked()
    for at, before in enumerate(said if known else ()):
        asked.again(before, EMBEDDER.query(before), session(*said[:at]))
    return asked.again(text, EMBEDDER.query(text), session(*said))


@pytest.mark.parametrize("known", [True, False])
def test_the_same_question_in_nearly_the_same_words_is_a_repeat(known: bool) -> None:
    said = ("배송 언제 와요?", "환불되나요", "배송 언제 와요??ㅠㅠ", "감사합니다")
    assert repeats("배송 언제 와요", *said, known=known) == 2
    assert repeats("매장은 몇 시에 여나요", *said, known=known) == 0
    assert repeats("배송 언제 와요?") == 0
    assert repeats("?", *said, known=known) == 0


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("노트북이 안 켜져요", "노트북 전원이 여전히 안 들어와요"),
        ("환불해 주세요", "환불해 달라니까요!!"),
        ("전원이 안 켜져요", "그래도 전원이 안 켜져요"),
        ("비밀번호를 잊어버렸어요", "비밀번호가 기억이 안 나요"),
        ("반품 신청은 어떻게 해요?", "반품하려면 어떻게 신청하나요"),
        ("무료 배송 기준이 얼마예요?", "얼마부터 배송이 무료예요?"),
    ],
)
def test_the_same_question_in_other_words_is_a_repeat(before: str, text: str) -> None:
    assert repeats(text, before) == 1


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("교환은 어떻게 하나요?", "환불은 어떻게 하나요?"),
        ("무게가 얼마예요?", "가격이 얼마예요?"),
        ("세탁기가 안 돼요", "건조기가 안 돼요"),
        ("제주도도 배송되나요?", "울릉도도 배송되나요?"),
        ("루미북 14 얼마예요", "루미북 16 얼마예요"),
        ("주문번호 20260225-0012 어디쯤 왔어요", "주문번호 20260301-0044 어디쯤 왔어요"),
        ("반품하고 싶어요", "반품 배송비는 누가 내요?"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_another_question_about_the_same_is_no_repeat(before: str, text: str, known: bool) -> None:
    assert repeats(text, before, known=known) == 0
