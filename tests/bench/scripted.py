"""Scripted conversations over the sample company, their prompts composed as a turn composes them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

from brain.facts import Facts
from brain.memory import Session
from brain.messages import Address, EmotionLabel, Message, Passage, Reply, Situation, Turn
from brain.prompt.budget import Budget
from brain.prompt.compose import Composed
from brain.prompt.prompts import Prompts

ROOT = Path(__file__).parents[2]
PROMPTS = Prompts.load(ROOT / "prompts", Facts.load(ROOT / "kb" / "company.yaml"))
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=ZoneInfo("Asia/Seoul"))
REPLY_TOKENS = 768
"""As `model.num_predict` is by default."""
HOURS = (10, 19, 23)
"""Business hours, evening, night."""
EMOTIONS: Sequence[EmotionLabel] = get_args(EmotionLabel)
INTENTS = ("order", "exchange_refund", "product", "technical", "complaint", "account", "other")
FILLERS = (
    "배송은 보통 얼마나 걸려요?",
    "매장은 몇 시까지 하나요?",
    "포장은 어떻게 되어 있나요?",
    "회원 등급은 어떻게 올라가요?",
    "포인트는 언제 쌓이나요?",
    "설치도 해 주시나요?",
    "주말에도 상담이 되나요?",
    "교환하려면 어디로 보내야 하나요?",
    "영수증을 다시 받을 수 있나요?",
    "재고가 언제 들어오나요?",
)


def passages() -> list[Passage]:
    """The sections of the sample company's Markdown documents."""
    found = []
    for path in sorted((ROOT / "kb").rglob("*.md")):
        title, *sections = path.read_text(encoding="utf-8").split("\n## ")
        heading = title.rpartition("\n# ")[2].strip().splitlines()[0]
        for number, section in enumerate(sections):
            name, _, text = section.partition("\n")
            found.append(
                Passage(
                    id=f"{path}{number}",
                    document=path.relative_to(ROOT / "kb").as_posix(),
                    heading=f"{heading} > {name}",
                    text=text.strip(),
                    best=text.strip().partition("\n")[0],
                    score=0.5,
                )
            )
    return found


class Conversation:
    """One conversation: `ask` gives the prompt, `answer` remembers the turn.

    It takes place at one of `HOURS`; without `hour` at another one every turn.
    """

    def __init__(
        self, chance: random.Random, budget: Budget, number: int = 0, *, hour: int | None = None
    ) -> None:
        self.address = Address(channel="fake", conversation=f"c{number}", user="u")
        self.session = Session(address=self.address)
        self.budget = budget
        self._chance = chance
        self._hours = HOURS if hour is None else (hour,)
        self._turns = 0
        self._situation = Situation()

    def ask(self, question: str, *, most: int = 5) -> Composed:
        """The prompt for `question`, in a situation and with passages of its own."""
        moment = NOW.replace(hour=self._chance.choice(self._hours))
        self._situation = Situation(
            emotion=self._chance.choice(EMOTIONS[:4]),
            intensity=round(self._chance.random(), 1),
            daypart={10: "business", 19: "evening"}.get(moment.hour, "night"),  # type: ignore[arg-type]
            open=moment.hour == 10,
            intent=self._chance.choice(INTENTS),
            confidence=self._chance.choice(("low", "medium", "high")),
        )
        composed = PROMPTS.compose(
            situation=self._situation,
            session=self.session,
            question=question,
            passages=self._chance.sample(PASSAGES, self._chance.randint(0, most)),
            now=moment + timedelta(minutes=self._turns),
            budget=self.budget,
        )
        self.session = composed.session
        return composed

    def answer(self, question: str, reply: str) -> None:
        """Remember the turn."""
        self._turns += 1
        name = f"t{self._turns}"
        said = Message(id=f"m{name}", address=self.address, text=question, sent_at=NOW)
        self.session = self.session.after(
            Turn(
                id=name,
                address=self.address,
                messages=(said,),
                reply=Reply(id=name, in_reply_to=said.id, text=reply, kind="answer"),
                started_at=NOW,
            )
        )

    def ahead(self) -> Sequence[dict[str, Any]]:
        """What the model is given to read while the customer reads its reply."""
        return PROMPTS.ahead(self.session, self.budget, self._situation)

    def reply(self, longest: int = 300) -> str:
        """What a model might answer, from the documents, in up to `longest` characters."""
        text = self._chance.choice(PASSAGES).text.replace("\n", " ")
        return f"네, 고객님. {text[: self._chance.randint(40, longest)]}"

    def long_reply(self, shortest: int, longest: int) -> str:
        """The same in so many characters, from as many passages as that takes."""
        wanted, said = self._chance.randint(shortest, longest), "네, 고객님."
        while len(said) < wanted:
            said += " " + self._chance.choice(PASSAGES).text.replace("\n", " ")
        return said[:wanted]


PASSAGES = passages()
