"""What is going on in a conversation: the situation that prompts, phrases and decisions go by."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import datetime
from typing import Final

from brain.clock import CompanyClock
from brain.emotion import EmotionHead, Vector
from brain.intent import Intents
from brain.keyboard import meant
from brain.knowledge.recent import Recent
from brain.memory import Session
from brain.messages import CustomerKind, Emotion, Level, Situation

ASKED_AGAIN: Final = 0.8
"""Nearness from which two messages ask the same: the cosine and `LIKE_WORDS` of their words' likeness.

Of paraphrases 77 % are found, of other questions about the same 0.8 % taken for one; by words alone
16 % (`tests/bench/repeats.py`).
"""
LIKE_WORDS: Final = 0.3
"""What alike words add to the cosine."""
SAME_WORDS: Final = 0.6
"""Share of letter pairs (Dice) from which they do where the vector of the earlier one is not known."""
QUESTIONS: Final = 2048
"""Questions whose vectors are kept, of all customers together."""
SERVED: Final = ("ko", "en")
"""Languages in which answers are given."""
LOOKED_BACK: Final = 20
"""Earlier messages of the conversation among which repeats are looked for."""

_HANGUL = re.compile(r"[가-힣ㄱ-ㆎᄀ-ᇿ]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_LATIN_WORD = re.compile(r"(?<![\w-])[A-Za-z][a-z']{2,}(?![\w-])|(?<![\w-])[A-Z]{4,}(?![\w-])")
_SCRIPTS: Final = (
    # Kana before Han: Japanese is written in both.
    ("ja", re.compile(r"[ぁ-ヿ]")),
    ("zh", re.compile(r"[㐀-鿿]")),
    ("ru", re.compile(r"[Ѐ-ӿ]")),
    ("th", re.compile(r"[ก-๛]")),
    ("ar", re.compile(r"[؀-ۿ]")),
    ("vi", re.compile(r"[ăđơưĂĐƠƯẠ-ỹ]")),
)
_NOT_LETTERS: Final = re.compile(r"[\W_]+")
_DIGITS: Final = re.compile(r"\d+")
_WORD: Final = re.compile(r"\w+")


def detect_language(text: str, default: str) -> str:
    """Language of `text` by its script, ISO 639-1; `default` where letters decide nothing.

    Numbers, emoji, model names and abbreviations are written alike in every language. A sentence
    whose last word is Korean is Korean, however many product names it holds; so is Korean typed with
    the keyboard left in English.
    """
    text = meant(text)
    hangul, latin = len(_HANGUL.findall(text)), len(_LATIN.findall(text))
    for language, script in _SCRIPTS:
        found = len(script.findall(text))
        if found >= 2 and found > hangul and found * (8 if language == "vi" else 2) > latin:
            return language
    words = text.split()
    if hangul and (hangul * 2 >= latin or any(_HANGUL.search(word) for word in words[-1:])):
        return "ko"
    return "en" if _LATIN_WORD.search(text) else default


def read_situation(
    *,
    text: str,
    vector: Vector,
    session: Session,
    clock: CompanyClock,
    now: datetime,
    language: str,
    confidence: Level,
    returning: bool,
    emotion_head: EmotionHead,
    intents: Intents,
    asked: Asked,
) -> tuple[Situation, Emotion]:
    """The situation of a message and the probabilities behind its emotion.

    `vector` is the question vector of `text` by the embedder that `emotion_head` was trained on.
    """
    emotion = emotion_head.read(vector)
    situation = Situation(
        emotion=emotion.label,
        intensity=emotion.intensity,
        daypart=clock.daypart(now),
        open=clock.is_open(now),
        intent=intents.classify(text),
        customer=_customer(session, returning),
        language=language,
        repeats=asked.again(text, vector, session),
        confidence=confidence,
    )
    return situation, emotion


def _customer(session: Session, returning: bool) -> CustomerKind:
    if session.profile.get("customer") == "vip":
        return "vip"
    return "returning" if returning else "new"


def felt(session: Session, situation: Situation) -> Session:
    """The session that knows how many of its latest messages in a row were angry."""
    before = session.profile.get("angry", 0)
    now = before + 1 if situation.emotion == "angry" else 0
    return session if now == before else replace(session, profile={**session.profile, "angry": now})


class Asked:
    """What was asked lately, by its vectors: tells how often a question was asked before.

    After a restart the vectors of earlier questions are gone, and their words decide.
    """

    def __init__(self) -> None:
        self._vectors = Recent[str, Vector](QUESTIONS)

    def again(self, text: str, vector: Vector, session: Session) -> int:
        """How many of the conversation's earlier messages asked what `text` asks."""
        text = meant(text.strip())
        self._vectors.keep(text, vector)
        pairs = _pairs(text)
        earlier = (meant(said.customer.strip()) for said in session.exchanges[-LOOKED_BACK:])
        return sum(self._same(text, pairs, vector, said) for said in earlier)

    def _same(self, text: str, pairs: frozenset[str], vector: Vector, said: str) -> bool:
        others = _pairs(said)
        if not pairs or not others or _about_another(text, said):
            return False
        alike = 2 * len(pairs & others) / (len(pairs) + len(others))
        before = self._vectors.get(said)
        if before is None:
            return alike >= SAME_WORDS
        return float(vector @ before) + LIKE_WORDS * alike >= ASKED_AGAIN


def _about_another(one: str, other: str) -> bool:
    """Whether the same is asked about another number or thing: "세탁기가 안 돼요", "건조기가 안 돼요"."""
    numbers, others = set(_DIGITS.findall(one)), set(_DIGITS.findall(other))
    if numbers and others and numbers != others:
        return True
    words, said = _WORD.findall(one), _WORD.findall(other)
    if len(words) != len(said) or words[-1] != said[-1]:
        return False
    different = [pair for pair in zip(words, said, strict=True) if pair[0] != pair[1]]
    return len(different) == 1 and different[0][0][0] != different[0][1][0]


def _pairs(text: str) -> frozenset[str]:
    letters = _NOT_LETTERS.sub("", text.casefold())[:400]
    return frozenset(map("".join, itertools.pairwise(letters)))
