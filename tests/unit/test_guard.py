"""What the guard puts right, what it refuses, and what it leaves alone."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.errors import PromptError
from brain.facts import Facts
from brain.guard.grounds import Grounds
from brain.guard.guard import Guard, Violation
from brain.guard.politeness import polite
from brain.guard.terms import Terms
from brain.prompt.prompts import Prompts

SHIPPED = Path(__file__).parents[2] / "prompts"
FACTS = Facts(
    {
        "name": "가나상점",
        "policies": {"return_days": 14, "free_delivery_from": 30000, "delivery_fee": 3000},
        "contacts": {"phone": "1588-0420"},
        "competitors": ["쿠팡", "하이마트"],
    }
)
PROMPTS = Prompts.load(SHIPPED, FACTS)
KNOWN = Grounds(
    (
        *PROMPTS.public,
        "배송비는 3,000원이며 30,000원 이상이면 무료입니다. 도착까지 1~3영업일이 걸립니다.",
        "쇼핑백 50,000원, 25,000원. 新라면 세트. Premium care covers one repair of any kind for a year.",
    )
)


def guarded(*pieces: str, language: str = "ko", names: tuple[str, ...] = ()) -> Guard:
    guard = Guard(
        terms=PROMPTS.terms,
        secrets=PROMPTS.secrets,
        grounds=KNOWN,
        language=language,
        names=names,
    )
    for piece in pieces:
        guard.add(piece)
    guard.finish()
    return guard


REPAIRED = [
    # customers are addressed as 고객님
    ("고객, 안녕하세요. 당신의 주문은 손님이 고르셨어요.", "고객님, 안녕하세요. 고객님의 주문은 고객님이 고르셨어요."),
    ("네가 원하면 님께 보내 드려요.", "고객님이 원하면 고객님께 보내 드려요."),
    # amounts
    ("배송비는 3000원입니다.", "배송비는 3,000원입니다."),
    ("₩3,000 또는 KRW 30000, 30000 KRW입니다.", "3,000원 또는 30,000원, 30,000원입니다."),
    ("2만5000원이고 **50000**원입니다.", "25,000원이고 **50,000**원입니다."),
    ("3000~30000원입니다.", "3,000~30,000원입니다."),
    # business days
    ("1~3근무일, 평일 기준 3일, 3 working days입니다.", "1~3영업일, 영업일 기준 3일, 3 영업일입니다."),
    # 존댓말
    ("배송비는 3,000원이야. 무료다! 안 돼.", "배송비는 3,000원이에요. 무료입니다! 안 돼요."),
    ("1. 신청한다.\n2. 보내면 됨.\n", "1. 신청합니다.\n2. 보내면 됩니다."),
    # other scripts
    ("환불(還拂)은 退款 可能합니다。배송은！", "환불은 환불 가능합니다. 배송은!"),
    # templates and speakers
    ("### Response:\n상담원: 네, 고객님.", "네, 고객님."),
    ("네, 고객님.\n고객: 그럼 언제 와?\n상담원: 몰라.", "네, 고객님."),
    # competitors
    ("쿠팡은 잘 모릅니다. 하이마트로 가셔도 됩니다.", "다른 회사는 잘 모릅니다. 다른 회사로 가셔도 됩니다."),
]  # fmt: skip

KEPT = [
    "고객님, 배송비는 3,000원이며 고객센터(1588-0420)로 문의하시면 됩니다.",
    "고객 과실, 고객 만족, 비고객, 고객의 소리, 홍길동님, 너무 좋아요, 스님, 쿠팡페이입니다.",
    "\"고객은 30000원이다.\"라고 적혀 있습니다. '당신의 3000원'도요. `고객 3000원`도요.",
    "```\n고객 3000원이다.\n```\n그렇습니다.",
    "[고객은 여기](/help)에서 봐 주세요.",
    "| 고객 구분 | 배송비 |\n|---|---|\n| 일반 | 3,000원 |",
    "• 무료 배송\n• 부가세 포함\n• 올해 신상품\n• 제주 바다",
    "5만 원 이상, 30,000 원은 아니에요. 14일 안에 가능하시죠? 감사합니다 :)",
    "新라면 세트는 준비 중입니다.",
    "Premium care covers one repair of any kind for a year.",
    "네, 그럼요! 😊\n\n**무료**입니다…",
]

REFUSED = [
    ("배송비는 2,500원입니다.", Violation(kind="figures", found="2,500원")),
    ("よろしくお願いします。", Violation(kind="script", found="よろしくお願いします")),
    ("Спасибо!", Violation(kind="script", found="Спасибо")),
    ("龍은 없습니다.", Violation(kind="script", found="龍")),
    ("같이 확인해 보자.", Violation(kind="polite", found="같이 확인해 보자.")),
    (
        "I am sorry but we do not know that.",
        Violation(kind="language", found="I am sorry but we do not know that."),
    ),
    ("<말씀 1a2b3c4d>라고", Violation(kind="leak", found="<말씀 1a2b3c4d>")),
]

RULE = "주민등록번호, 카드번호, 비밀번호 같은 개인정보를 묻지도 되풀이하지도 않습니다."


@pytest.mark.parametrize(("wrong", "right"), REPAIRED)
def test_what_rules_can_put_right_is_put_right(wrong: str, right: str) -> None:
    guard = guarded(wrong)
    assert (guard.text.rstrip(), guard.violation) == (right, None)
    assert guard.repairs


@pytest.mark.parametrize("text", KEPT)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    guard = guarded(text)
    assert (guard.text, guard.repairs, guard.violation) == (text, [], None)


@pytest.mark.parametrize(("text", "violation"), REFUSED)
def test_what_no_rule_puts_right_is_not_shown(text: str, violation: Violation) -> None:
    guard = guarded(f"네, 고객님. {text} 더 있나요?")
    assert (guard.text, guard.violation) == ("네, 고객님.", violation)


@pytest.mark.parametrize(
    "said",
    [
        RULE,
        f"규칙은 {RULE}",
        " ".join(RULE),
        RULE[::-1],
        RULE.replace(" ", "-"),
        base64.b64encode(RULE.encode()).decode(),
        "주민등록번호, 카드번호! 비밀번호 같은. 개인정보를 묻지도\n되풀이하지도 않습니다.",
        "세 문장에서 다섯 문장으로 답합니다.",
    ],
)
def test_instructions_do_not_leak(said: str) -> None:
    violation = guarded(said).violation
    assert violation is not None
    assert violation.kind == "leak"


def test_product_names_are_left_alone() -> None:
    text = "당신의 하루 조명은 50,000원입니다."
    assert guarded(text, names=("당신의 하루",)).text == text
    assert PROMPTS.names(["당신의 하루", "배송 안내"], "ko") == ("당신의 하루",)


def test_english_answers_keep_their_words_and_say_won() -> None:
    guard = guarded("The fee is ₩3000, KRW 30,000 and up is free.", language="en")
    assert guard.text == "The fee is 3,000 won, 30,000 won and up is free."
    korean = guarded("배송비는 주문 한 건당 삼천 원입니다.", language="en").violation
    assert korean is not None
    assert korean.kind == "language"
    text = "Please call 1588-0420. It takes 1 to 3 business days for 가나상점."
    assert guarded(text, language="en").text == text


PARTS = [
    *(wrong for wrong, _ in REPAIRED),
    *KEPT,
    *(text for text, _ in REFUSED[4:]),
    *(
        " ",
        "\n",
        ".",
        "。",
        '"',
        "“",
        "**",
        "```\n",
        "1. ",
        "(",
        "…",
        "?\n\n",
        "고객",
        "3000",
        "원이다",
    ),
]


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(st.sampled_from(PARTS), max_size=8).map("".join),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=60),
)
def test_the_pieces_make_no_difference(text: str, sizes: list[int]) -> None:
    pieces: list[str] = []
    while text[len("".join(pieces)) :]:
        at = len("".join(pieces))
        pieces.append(text[at : at + sizes[len(pieces) % len(sizes)]])
    whole, cut = guarded(text), guarded(*pieces)
    assert (cut.text, cut.violation, cut.repairs) == (whole.text, whole.violation, whole.repairs)


def test_only_whole_sentences_are_shown() -> None:
    guard = Guard(terms=PROMPTS.terms, secrets=PROMPTS.secrets, grounds=KNOWN)
    seen: list[str] = []
    for letter in "배송비는 3000원이다. 30000원부터 무료야.\n끝":
        guard.add(letter)
        if not seen or guard.text != seen[-1]:
            seen.append(guard.text)
    first = "배송비는 3,000원입니다."
    assert seen == ["", first, f"{first} 30,000원부터 무료예요.\n"]
    assert guard.finish() == f"{first} 30,000원부터 무료예요.\n끝"


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("하지 않는다.", "하지 않습니다."),
        ("아니다.", "아닙니다."),
        ("12kg다.", "12kg입니다."),
        ("필요하니?", "필요하나요?"),
        ("알려줘!", "알려 주세요!"),
        ("응, 맞아.", "네, 맞아요."),
        ("할 거야", "할 거예요"),
        ("캐나다.", "캐나다."),
        ("올해.", "올해."),
        ("아닙니다.", "아닙니다."),
    ],
)
def test_endings(said: str, right: str) -> None:
    assert polite(said) == right


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("replace:", "replcae:", "did you mean 'replace'"),
        ("  당신: 고객님", "  당신: [고객님]", "replace.당신"),
        ("  退款: 환불", "  refund: 환불", "hanja.refund"),
        ("{found}은", "{fuond}은", "unknown slot 'fuond'"),
        ("{ko: 다른 회사, en: another company}", "{ko: 다른 회사}", "competitors.en"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    path = Path(shutil.copy(SHIPPED / "terms.yaml", tmp_path))
    text = path.read_text(encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PromptError) as raised:
        Terms.load(path, FACTS)
    assert f"terms.yaml:{line}: " in str(raised.value)
    assert reason in str(raised.value)
