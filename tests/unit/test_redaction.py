"""What is masked, what stays, and that neither depends on how often or how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.redaction import TAGS, find, redact

LABELLED = Path(__file__).parents[2].parent / "shared/data/korean/pii/strings.json"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("주민번호 900101-1234568 이에요", "주민번호 [주민등록번호] 이에요"),
        ("주민번호는 9001011234568입니다", "주민번호는 [주민등록번호]입니다"),
        ("900101-1****** 로 가입했어요", "[주민등록번호] 로 가입했어요"),
        ("외국인등록번호 920415-5678903", "외국인등록번호 [외국인등록번호]"),
        ("전화는 010-1234-5678로 주세요", "전화는 [전화번호]로 주세요"),
        ("０１０－１２３４－５６７８로 주세요", "[전화번호]로 주세요"),
        ("공일공 일이삼사 오육칠팔이요", "[전화번호]이요"),
        ("0 1 0 1 2 3 4 5 6 7 8 이에요", "[전화번호] 이에요"),
        ("010\u200b1234\u200b5678", "[전화번호]"),
        ("010-1234-5678, 010.2345.6789", "[전화번호], [전화번호]"),
        ("+82 (0)10-1234-5678", "[전화번호]"),
        ("call me at +1 415-555-2671", "call me at [전화번호]"),
        ("안심번호 0507-1234-5678", "안심번호 [전화번호]"),
        ("집전화 0311234567", "집전화 [전화번호]"),
        ("카드 4111 1111 1111 1111 CVC 123", "카드 [카드번호] CVC [카드번호]"),
        ("제 카드번호는 1234567812345678", "제 카드번호는 [카드번호]"),
        ("환불은 국민은행 123456-04-123456으로", "환불은 국민은행 [계좌번호]으로"),
        ("110-123-456789 신한은행입니다", "[계좌번호] 신한은행입니다"),
        ("hong@naver.com이에요", "[이메일]이에요"),
        ("hong(at)naver.com", "[이메일]"),
        ("테헤란로 152, 101동 1203호로 보내주세요", "[주소]로 보내주세요"),
        ("서울 마포구 월드컵북로 396 5층", "[주소]"),
        ("여권번호 M12345678", "여권번호 [여권번호]"),
        ("면허 서울 20-123456-12", "면허 [운전면허번호]"),
        ("사업자번호 123-45-67891", "사업자번호 [사업자등록번호]"),
        (
            "주문번호 20240315-0012345 연락처 010-1234-5678",
            "주문번호 20240315-0012345 연락처 [전화번호]",
        ),
    ],
)
def test_masks_what_is_personal(said: str, kept: str) -> None:
    assert redact(said).text == kept


@pytest.mark.parametrize(
    "said",
    [
        "바코드 없이 8801062518210 이 상품이요",  # EAN-13 that reads as 6 January 1988
        "주문번호는 240315-1234567 이에요",
        "251122-1234567 조회해주세요",  # an order of last year, or a customer of a hundred years
        "생일 990231-1234567",  # no such day
        "301231-3234567",  # not born yet
        "상품권 4123-5678-1234-5678 등록",
        "1588-1234, 080-123-4567",
        "에어팟 2개 1,234,567원 2026.11.22 14:30",
        "부산시 수리 3회 받았어요",
        "송장번호 010-1234-567890",
        "국민은행 이벤트 2026-11-22 10:00",
        "tracking number 640123456789",
        "모델 SM-S928N / 12345-67890",
    ],
)
def test_keeps_what_is_not(said: str) -> None:
    assert redact(said).text == said
    assert redact(said).kinds == ()


def test_names_every_find_in_order() -> None:
    kinds = redact("a@b.com 010-1234-5678 c@d.kr").kinds
    assert kinds == ("email", "phone", "email")


@pytest.mark.skipif(not LABELLED.exists(), reason="labelled strings are not at hand")
def test_labelled_strings() -> None:
    labelled = json.loads(LABELLED.read_text(encoding="utf-8"))
    assert [text for text in labelled["negative"] if find(text)] == []
    for row in labelled["positive"]:
        spans = find(row["text"])
        for start, end, _ in row["spans"]:
            masked = sum(max(0, min(end, e) - max(start, s)) for s, e, _ in spans)
            assert masked >= 0.8 * (end - start), row["text"]


FRAGMENTS = st.sampled_from(
    [
        *TAGS.values(),
        *"0123456789-. @/+()[]공일,\0\u200b",
        *(
            "국민은행 ",
            "계좌 ",
            "주문번호 ",
            "송장 ",
            "카드 ",
            "여권 ",
            "사업자 ",
            "전화 ",
            "주민번호 ",
        ),
        *("010-1234-5678", "900101-1234568", "4111-1111-1111-1111", "110-123-456789", "M12345678"),
        *(
            "서울 강남구 ",
            "테헤란로 152",
            "101동 1203호",
            "hong",
            "naver.com",
            "원",
            "은",
            "\n",
            "+82 10",
        ),
    ]
)


@given(st.lists(FRAGMENTS, max_size=24).map("".join))
def test_a_second_pass_changes_nothing(text: str) -> None:
    once = redact(text)
    again = redact(once.text)
    assert (again.text, again.kinds) == (once.text, ())


@pytest.mark.parametrize(
    "unit",
    ["1", "010-", "a@", "a.", "가", "서울 ", "가로1 ", "은행 1", "1 ", "+1 ", "010-1234-5678 "],
)
@pytest.mark.timeout(20)
def test_hostile_lengths_end(unit: str) -> None:
    """100,000 characters take about a tenth of a second; anything that backtracks takes hours."""
    text = unit * (100_000 // len(unit)) + "1"
    assert len(redact(text).text) <= len(text)
