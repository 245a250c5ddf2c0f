"""Standing answers: the policy in general from the company's facts, everything else looked up."""

from __future__ import annotations

import pytest

from bot.config import packaged
from brain.facts import Facts
from brain.intent import Intents
from brain.prompt.prompts import Prompts

INTENTS = Intents.load(packaged("prompts") / "intents.yaml")


async def test_the_policy_in_general_needs_no_model_and_says_where_more_is_to_be_read(run) -> None:
    async with run() as sangdam:
        delivery = await sangdam.say("안녕하세요, 배송 정책 좀 알려주세요!")
        refund = await sangdam.say("교환/환불 규정이 어떻게 되나요?")
        english = await sangdam.say("What's your refund policy?")
        special = await sangdam.say("제주 배송비 정책 알려주세요")
    assert "배송비: 2,500원 (20,000원 이상 주문하시면 무료)" in delivery.reply.text
    assert "배송 기간" not in delivery.reply.text  # a fact that this company does not give
    assert "반품은 7일 이내에" in refund.reply.text
    assert refund.reply.sources[0].document == "refund.md"
    assert english.reply.text.startswith("You can return within 7 days.")
    assert "제주와 도서 산간" in special.reply.text


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("배송 안내 부탁드려요", "delivery"),
        ("환불 정책", "refund"),
        ("교환이나 반품 조건이 궁금해요", "refund"),
        ("제품 비교해 주세요", "comparison"),
        ("배송", None),
        ("배송이 왜 이렇게 늦어요", None),
        ("환불 언제 되나요", None),
        ("개봉한 노트북 환불 정책 알려주세요", None),
        ("LB-14랑 LB-15 제품 비교해 주세요", None),
    ],
)
def test_only_the_general_question_gets_one(text: str, topic: str | None) -> None:
    assert INTENTS.standing(text) == topic


def test_without_the_facts_there_is_no_standing_answer() -> None:
    prompts = Prompts.load(packaged("prompts"), Facts.load(None))
    assert prompts.standing("delivery", "ko") is None
    assert prompts.standing("comparison", "ja") == prompts.standing("comparison", "en")


def test_tiresome_words_come_to_an_end() -> None:
    # A pattern that tries every way to split them would take hours.
    for text in ("환불 " * 20 + "!", "배송 안내 " * 10, "교환이나 환불이나 " * 6, "네 " * 30):
        INTENTS.standing(text)
        INTENTS.needs_no_knowledge(text)


def test_single_letters_are_read_as_written() -> None:
    said = {
        "ㅇㅇ": "closing",
        "ㅎㅇ": "greeting",
        "ㄱㅅㄱㅅ": "thanks",
        "ㅋㅋㅋ 알겠어요": "closing",
    }
    assert {text: INTENTS.needs_no_knowledge(text) for text in said} == said
    assert INTENTS.needs_no_knowledge("ＯＫ") == "closing"
