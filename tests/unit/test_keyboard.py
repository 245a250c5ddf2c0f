"""The wrong keyboard layout: turned into Korean when it is that, left alone when it is not."""

from __future__ import annotations

import pytest

from brain.keyboard import meant
from brain.knowledge.retrieve import normalised
from brain.situation import detect_language


@pytest.mark.parametrize(
    ("typed", "korean"),
    [
        ("qothd whghl", "배송 조회"),
        ("qothdql djfakdpdy?", "배송비 얼마에요?"),
        ("ghksqnf ehlskdy", "환불 되나요"),
        ("dkssudgktpdy qksvnagkrh tlvdjdy", "안녕하세요 반품하고 싶어요"),
        ("djqtdjdy", "없어요"),
        ("qkfrdms TV wofh", "밝은 TV 재로"),
        ("Qkfms qothd", "빠른 배송"),
        ("qothd djswp dhkdybb", "배송 언제 와요ㅠㅠ"),
        ("TM-20261015-0042 qothd whghl", "TM-20261015-0042 배송 조회"),
        ("dhsvoem iphone qothdgkfn tn dlTskdy", "온패드 iphone 배송하루 수 있나요"),
        ("so tnfl djelRkwl ehoTdjdyb", "내 수리 어디까지 됐어요ㅠ"),
        ("ㅂㅐㅅㅗㅇ ㅈㅗㅎㅗㅣ", "배송 조회"),
        ("ㅎㅗㅏㄴㅂㅜㄹ 되나요", "환불 되나요"),
    ],
)
def test_korean_is_what_was_meant(typed: str, korean: str) -> None:
    assert meant(typed) == korean


@pytest.mark.parametrize(
    "text",
    [
        "",
        "배송 조회",
        "how long does delivery take",
        "refund",
        "delivery fee",
        "when do you ship to Jeju",
        "the work is the same",
        "who",
        "so",
        "dog",
        "form",
        "TM-20261015-0042",
        "rk12dk",
        "https://gksk.com/qothd",
        "qothd@gksk.com",
        "GKSK",
        "SSD TV",
        "a",
        "rk",
        "ㅋㅋㅋㅋ",
        "ㅋㅋㅠㅠ",
        "ㅇㅇㅋㅋ",
        "asdf",
        "12345",
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert meant(text) == text


def test_such_a_question_is_looked_up_and_answered_in_korean() -> None:
    assert normalised("qothd whghl") == "배송 조회"
    assert normalised("ghksqnf ehlskdy ㅠㅠ") == "환불 되나요"
    assert detect_language("qothd whghl", "en") == "ko"
    assert detect_language("when will it ship", "ko") == "en"
