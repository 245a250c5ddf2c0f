"""What a message says by its form, on words as customers type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.utterance import essence, reads_as

FINISHED = [
    # a question mark, of either width
    "배송 언제 와요?",
    "배송비 얼마예요？",
    "환불?",
    "저기요, 이거 되나요?",
    "Where is my order?",
    # a polite ending, with or without a full stop
    "배송 언제 와요",
    "환불하고 싶어요",
    "환불 부탁드립니다",
    "언제까지 기다려야 합니까",
    "이거 반품 되죠",
    "주소를 잘못 적었는데 바꿀 수 있을까요",
    "전화 주십시오",
    "그냥 취소해줘",
    "배송비가 얼마인가요。",
    "주문 취소했음.",
    "안녕히계세요",
    "알겠습니다!!",
    # short answers
    "네",
    "네네",
    "넵!",
    "아니요",
    "아뇨 괜찮아요",
    "ㅇㅇ",
    "감사합니다",
    "고마워요^^",
    "ok",
    "Thank you!",
    # English
    "where is my order",
    "I want to return the keyboard",
    "Can you help me with a refund",
    "My order arrived broken.",
    # long ones are whole, however they end
    "어제 저녁에 무선 키보드랑 마우스를 같이 주문했는데 오늘 확인해 보니까 키보드만 배송 준비 중이고 마우스는 아직도 결제 완료 상태라서",
]
OPEN = [
    "배송 언제 오나",
    "환불 언제 돼",
    "이거 얼마야",
    "결제가 두 번 됐음",
    "지난주에 주문한 무선 키보드가 아직 안 왔는데요",
    "주문번호 20260101-00123 무선 키보드 흰색",
    "the keyboard that arrived yesterday",
    "I bought a keyboard last week and",
    "ㅠㅠ",
    "ㅋㅋㅋ",
    "🙏",
]
FRAGMENTS = [
    # openings
    "안녕하세요",
    "안녕하세요!",
    "안녕하세용",
    "저기요",
    "혹시",
    "근데",
    "질문 있습니다",
    "질문이요",
    "한 가지 질문이 있습니다",
    "문의드립니다",
    "문의 좀 드릴게요",
    "문의드려도 될까요",
    "뭐 좀 여쭤볼게요",
    "하나 물어볼 게 있는데요",
    "물어볼 게 있는데요",
    "궁금한 게 있어서요",
    "Hello",
    "hi!",
    "excuse me,",
    "quick question",
    "I have a question",
    # clauses that lead on
    "주문했는데요",
    "어제 샀는데",
    "결제는 했고요",
    "색이 달라서요",
    # trailing off
    "배송비...",
    "배송비…",
    "사이즈가,",
    # pieces
    "노트북",
    "노트북을",
    "제가 어제",
    "환불",
    "order",
    "my order",
    "LB-14",
    "",
]


@pytest.mark.parametrize("text", FINISHED)
def test_what_needs_nothing_more_is_finished(text: str) -> None:
    assert reads_as(text) == "finished"


@pytest.mark.parametrize("text", OPEN)
def test_what_may_be_whole_is_open(text: str) -> None:
    assert reads_as(text) == "open"


@pytest.mark.parametrize("text", FRAGMENTS)
def test_what_leads_on_is_a_fragment(text: str) -> None:
    assert reads_as(text) == "fragment"


@pytest.mark.parametrize("decoration", [" ㅠㅠ", "~~", " ㅋㅋㅋ", " ^^", " ♡", "😭😭", " ❤️", "\n"])
@pytest.mark.parametrize(
    "text",
    ["배송 언제 와요?", "환불 부탁드립니다", "주문했는데요", "안녕하세요", "노트북", "네", "ok"],
)
def test_decoration_changes_nothing(text: str, decoration: str) -> None:
    assert reads_as(text + decoration) == reads_as(text)


@given(st.text() | st.text("ㅋㅠ~?!. \n네요는데안녕hi", max_size=60))
def test_whatever_is_typed_has_one_reading(text: str) -> None:
    assert reads_as(text) in ("finished", "open", "fragment")
    assert reads_as(f"  {text}\n") == reads_as(text)
    assert essence(text).strip() or not text.strip()


@pytest.mark.parametrize(
    "text", ["ㅋ" * 200_000 + "a", "! " * 50_000, "가 " * 50_000, "\n" * 200_000]
)
def test_any_length_is_read_in_passing(text: str) -> None:
    """A pattern that tries every place again would run into the timeout here."""
    assert reads_as(text) in ("finished", "open", "fragment")
    assert essence(text)


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("안녕하세요. 배송비 얼마예요?", "배송비 얼마예요?"),
        ("안녕하세요\n물어볼 게 있는데요\n배송비가 얼마인가요?", "배송비가 얼마인가요?"),
        ("저기요~ 환불 언제 돼요? 급해요", "환불 언제 돼요? 급해요"),
        ("Hello! where is my order?", "where is my order?"),
        ("배송비 얼마예요?", "배송비 얼마예요?"),
        ("안녕하세요", "안녕하세요"),
        ("안녕하세요~ ㅎㅎ", "안녕하세요~ ㅎㅎ"),
        ("ㅠㅠ", "ㅠㅠ"),
        ("", ""),
    ],
)
def test_the_essence_is_what_remains_without_openings(text: str, about: str) -> None:
    assert essence(text) == about
