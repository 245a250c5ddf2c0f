"""Questions that name a thing and say no more."""

from __future__ import annotations

import pytest

from brain.knowledge.bare import thing


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("배송비", "배송비"),
        ("배송비?", "배송비"),
        ("배송비는", "배송비"),
        ("배송비는요?", "배송비"),
        ("배송비가 어떻게 되나요?", "배송비"),
        ("환불은어떻게해요", "환불"),
        ("회원등급을 알려주세요", "회원등급"),
        ("배송 알려 주세요", "배송"),
        ("와이파이 문의드립니다", "와이파이"),
        ("와이파이가 어떻게", "와이파이"),
        ("제주 배송비는?", "제주 배송비"),
        ("TV는요?", "TV"),
    ],
)
def test_particles_and_empty_questions_are_left_out(question: str, named: str) -> None:
    assert thing(question) == named


@pytest.mark.parametrize(
    "question",
    [
        "",
        "배송비가 얼마예요",
        "적정온도",
        "어린이",
        "마을",
        "휴가",
        "재고가",
        "회사은",
        "좋아요",
        "안돼요",
        "제주도 가는 배송비는 어떻게 되나요",
        "what about delivery",
    ],
)
def test_what_says_more_stays_whole(question: str) -> None:
    assert thing(question) == question
