"""Which figures a text holds, and which of them nothing known supports."""

from __future__ import annotations

import pytest

from brain.guard.grounds import Grounds

KNOWN = Grounds(
    (
        "배송비는 3,000원이며 30,000원 이상이면 무료입니다. 환불은 3~5영업일 걸립니다. 반품은 14일 안에 하세요.",
        "평일 오전 9시부터 오후 6시까지, 1588-0420, help@techmarket.example.com",
        "https://www.techmarket.example.com/help",
        "루미북 14 (LB-1420) 1.12kg, 판매가: 1,090,000원. 2026년 12월 7일 입고, 리퍼는 10~30% 저렴합니다.",
        "50만 원 이상이면 두 번 방문합니다. 12개월 무상 보증. 카드는 삼성과 현대만 12개월",
        "policies.same_day_hours: 48",
    )
)

FOUNDED = [
    "배송비는 3000원입니다.",
    "3천 원",
    "삼천 원",
    "3만원부터 무료",
    "₩30,000",
    "30,000 KRW",
    "0원",
    "2주 안에 반품",
    "십사일 이내",
    "3일에서 5일",
    "닷새",
    "5 business days",
    "within five days",
    "오전 9시~오후 6시",
    "09:00-18:00",
    "6 p.m.",
    "15880420",
    "**1588-0420**으로",
    "www.techmarket.example.com",
    "help@techmarket.example.com으로",
    "LB-1420은 1120g입니다.",
    "109만 원",
    "12월 7일, 12/7, 2026-12-07",
    "December 7",
    "30%까지",
    "500,000원",
    "2번 방문",
    "1년 무상 보증",
    "48시간 안에",
    "1. 신청합니다.\n2. 보냅니다.\n① 끝",
    "두 가지 방법이 있고 3단계입니다. 첫 번째, 한 번 더, 1개, 1:1 문의, 제3자",
    "만일 십분 이해가 안 되시면, 네, 번호를 알려 주세요. 좋은 하루 보내세요.",
    "S3와 B2B",
]
UNFOUNDED = [
    ("배송비는 2,500원입니다.", "2,500원"),
    ("5만 원부터 무료", "5만 원"),
    ("오만 원", "오만 원"),
    ("2~3일 걸립니다.", "2~3일"),
    ("이틀 걸립니다.", "이틀"),
    ("한 달 걸립니다.", "한 달"),
    ("14% 할인", "14%"),
    ("오후 7시까지", "오후 7시"),
    ("19:30에", "19:30"),
    ("1588-0421", "1588-0421"),
    ("010-1234-5678로", "010-1234-5678"),
    ("https://evil.example.net/help", "https://evil.example.net/help"),
    ("cs@techmarket.example.com", "cs@techmarket.example.com"),
    ("LB-1540도", "LB-1540"),
    ("12월 8일", "12월 8일"),
    ("2027년", "2027년"),
    ("two weeks and three months", "three months"),
    ("세 번 방문", "세 번"),
    ("365일 상담", "365일"),
]


@pytest.mark.parametrize("text", FOUNDED)
def test_other_forms_of_what_is_known_are_founded(text: str) -> None:
    assert KNOWN.unfounded(text) == ()


@pytest.mark.parametrize(("text", "found"), UNFOUNDED)
def test_what_is_not_known_is_unfounded(text: str, found: str) -> None:
    assert KNOWN.unfounded(text) == (found,)


def test_hostile_digits_take_no_time_to_speak_of() -> None:
    for text in ("1" * 20_000, "1-" * 10_000, "1,111" * 4_000, "십만" * 10_000, "a.b" * 7_000):
        KNOWN.unfounded(text)
