"""Composed prompts, word for word; `UPDATE_GOLDEN=1 pytest tests/golden` rewrites them."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from brain.facts import Facts
from brain.memory import Exchange, Session
from brain.messages import Address, Passage, Situation
from brain.prompt.budget import Budget
from brain.prompt.prompts import Prompts

HERE = Path(__file__).parent
SEOUL = ZoneInfo("Asia/Seoul")
FACTS = Facts(
    {
        "name": "가나상점",
        "hours": {"weekdays": "09:00-18:00"},
        "contacts": {"phone": "1500-0000"},
        "policies": {"return_days": 14, "free_delivery_from": 30000, "delivery_days": "1~3영업일"},
    }
)
DELIVERY = Passage(
    id="1",
    document="배송.md",
    heading="배송 > 기간",
    text="평일 오후 2시까지 결제하시면 당일 출고되며, 영업일 기준 1~3일 안에 도착합니다.",
    score=1.0,
)
LAPTOP = Passage(
    id="2",
    document="상품/노트북.csv",
    heading="가벼운북 14",
    text="모델명: LB-14 | 무게: 1.19kg | 화면: 14인치 | 정가: 1,290,000원 | 할인가: 1,090,000원",
    score=1.0,
)


def remembered(*exchanges: tuple[str, str]) -> tuple[Exchange, ...]:
    at = datetime(2026, 3, 4, 10, 0, tzinfo=SEOUL)
    return tuple(
        Exchange(turn=f"t{number}", at=at, customer=customer, assistant=assistant, kind="answer")
        for number, (customer, assistant) in enumerate(exchanges)
    )


CASES = {
    "first_question_without_knowledge": (
        "base",
        "안녕하세요, 매장이 어디예요?",
        Situation(confidence="low"),
        (),
        {},
        4096,
    ),
    "angry_complaint_in_the_evening": (
        "base",
        "배송이 일주일째 안 와요. 정말 너무하네요!",
        Situation(
            emotion="angry",
            intensity=0.9,
            daypart="evening",
            open=False,
            intent="complaint",
            customer="returning",
            repeats=2,
            confidence="medium",
        ),
        (DELIVERY,),
        {
            "exchanges": remembered(
                ("어제도 물어봤는데 배송 언제 와요?", "고객님, 영업일 기준 1~3일 안에 도착합니다."),
                ("주문번호 20260225-0012예요.", "고객님, 확인 방법을 안내해 드리겠습니다."),
            )
        },
        8192,
    ),
    "product_in_english_for_a_vip": (
        "shopping",
        "How heavy is the LB-14?",
        Situation(
            emotion="satisfied", intent="product", customer="vip", language="en", confidence="high"
        ),
        (LAPTOP,),
        {},
        16384,
    ),
    "technical_at_night_in_a_small_window": (
        "technical",
        "전원이 안 켜져요 ㅠㅠ",
        Situation(emotion="anxious", daypart="night", open=False, intent="technical"),
        (LAPTOP, DELIVERY),
        {
            "exchanges": remembered(
                ("안녕하세요", "안녕하세요, 고객님."),
                ("노트북이 이상해요", "고객님, 어떤 증상인지 말씀해 주시겠어요?"),
            ),
            "start": 1,
            "summary": "지난주에 노트북을 샀어요.",
            "marks": ("주문번호 20260225-0012", "LB-14"),
        },
        2048,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_prompt_is_the_one_on_file(name: str) -> None:
    persona, question, situation, passages, memory, num_ctx = CASES[name]
    prompts = Prompts.load(HERE.parents[1] / "prompts", FACTS, persona=persona)
    composed = prompts.compose(
        situation=situation,
        session=Session(
            address=Address(channel="fake", conversation="c", user="u"),
            **memory,
        ),
        question=question,
        passages=passages,
        now=datetime(2026, 3, 4, 19, 30, tzinfo=SEOUL),
        budget=Budget(num_ctx=num_ctx, reserve=num_ctx // 8),
        marker="3f9a1c07",
    )
    text = "\n\n".join(
        [
            *(f"=== {message['role']}\n{message['content']}" for message in composed.messages),
            "=== parts\n" + "\n".join(composed.layers),
            "=== dropped\n" + "\n".join(composed.dropped),
            "=== tokens\n" + "\n".join(f"{part}: {n}" for part, n in composed.tokens.items()),
        ]
    )
    file = HERE / "prompts" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text + "\n"
