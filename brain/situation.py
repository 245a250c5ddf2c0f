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
from brain.memory import Session
from brain.messages import CustomerKind, Emotion, Level, Situation

ASKED_AGAIN: Final = 0.6
"""Share of letter pairs (Dice) from which two messages ask the same."""
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
        repeats=repeats(text, session),
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


def repeats(text: str, session: Session) -> int:
    """How many of the conversation's earlier messages asked the same in nearly the same words."""
    asked = _pairs(text)
    if not asked:
        return 0
    earlier = (_pairs(exchange.customer) for exchange in session.exchanges[-LOOKED_BACK:])
    return sum(_dice(asked, said) >= ASKED_AGAIN for said in earlier)


def _pairs(text: str) -> frozenset[str]:
    letters = _NOT_LETTERS.sub("", text.casefold())[:400]
    return frozenset(map("".join, itertools.pairwise(letters)))


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    together = len(one) + len(other)
    return 2 * len(one & other) / together if together else 0.0
