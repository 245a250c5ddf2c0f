"""What a message is about, by the weighted words of `prompts/intents.yaml`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

from brain.errors import PromptError
from brain.strict import Document, expression

OTHER: Final = "other"
"""The intent of a message that none of the words occur in."""
LONGEST: Final = 2000
"""Characters of a message that are looked at."""
LONGEST_SMALL_TALK: Final = 60
"""Characters beyond which a message is certainly more than politeness."""

_FOLDABLE: Final = re.compile(r"[^\u3131-\u3163]+")
"""All but single jamo, which NFKC would turn into the unprintable ones that syllables consist of."""


def _valid(pattern: str) -> str:
    if re.match(expression(pattern), "") or not pattern.strip():
        raise ValueError("matches every message")
    return pattern


Pattern = Annotated[str, AfterValidator(_valid)]


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    strong: list[Pattern] = []
    plain: list[Pattern] = []
    weak: list[Pattern] = []


class _SmallTalk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    greeting: list[Pattern]
    thanks: list[Pattern]
    closing: list[Pattern]
    filler: list[Pattern] = []


class _Standing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    delivery: list[Pattern] = []
    refund: list[Pattern] = []
    comparison: list[Pattern] = []


class _File(BaseModel):
    """The file: one section for each intent, the earlier first where two are equally likely."""

    model_config = ConfigDict(extra="forbid")

    complaint: _Words
    exchange_refund: _Words
    technical: _Words
    account: _Words
    order: _Words
    product: _Words
    greeting: _Words
    small_talk: _SmallTalk
    standing: _Standing = _Standing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intents:
    """The words of every intent, ready to be looked for."""

    _words: Mapping[str, Sequence[tuple[re.Pattern[str], int]]]
    _small_talk: Mapping[str, Callable[[str], re.Match[str] | None]]
    _standing: Mapping[str, Callable[[str], re.Match[str] | None]]

    @classmethod
    def load(cls, path: Path) -> Intents:
        """Read the file. Raises PromptError with file and line."""
        file = Document(path, error=PromptError).parse(_File)
        sections = {name: section for name, section in file if isinstance(section, _Words)}
        talk = file.small_talk
        return cls(
            _words={
                name: [
                    (re.compile(pattern), weight)
                    for patterns, weight in ((each.strong, 3), (each.plain, 2), (each.weak, 1))
                    for pattern in patterns
                ]
                for name, each in sections.items()
            },
            _small_talk={
                "thanks": _only(talk.thanks, [*talk.filler, *talk.greeting, *talk.closing]),
                "greeting": _only(talk.greeting, talk.filler),
                "closing": _only(talk.closing, talk.filler),
            },
            _standing={
                topic: _only(patterns, [*talk.filler, *talk.greeting])
                for topic, patterns in file.standing
                if patterns
            },
        )

    def classify(self, text: str) -> str:
        """The likeliest intent: a section of the file, or `other` without a single hit."""
        said = _folded(text[:LONGEST])
        scores = {
            name: sum(weight for pattern, weight in patterns if pattern.search(said))
            for name, patterns in self._words.items()
        }
        best = max(scores, key=lambda name: scores[name])
        # Politeness around a question is not what it is about.
        subjects = {name: score for name, score in scores.items() if name != "greeting" and score}
        if best == "greeting" and subjects:
            best = max(subjects, key=lambda name: subjects[name])
        return best if scores[best] else OTHER

    def needs_no_knowledge(self, text: str) -> str | None:
        """greeting, thanks or closing if the message is nothing else, None if it may be more."""
        return _alone(text, self._small_talk)

    def standing(self, text: str) -> str | None:
        """delivery, refund or comparison if the message asks for just that in general."""
        return _alone(text, self._standing)


def _alone(text: str, kinds: Mapping[str, Callable[[str], re.Match[str] | None]]) -> str | None:
    if len(text) > LONGEST_SMALL_TALK:
        return None
    said = re.sub(r"[\W_]+", " ", _folded(text)).strip()
    return next((name for name, only in kinds.items() if only(said)), None) if said else None


def _folded(text: str) -> str:
    """One form for full-width and composed letters; ㅋ and ㅇㅇ stay as the patterns write them."""
    return _FOLDABLE.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text).casefold().strip()


def _only(patterns: Sequence[str], around: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    """Matches what consists of the phrases of `patterns`, at least one, and those of `around`."""
    kind, rest = "|".join(patterns), "|".join([*around, *patterns])
    return re.compile(rf"(?:(?:{rest}) ?){{0,4}}(?:{kind})(?: ?(?:{rest})){{0,4}}").fullmatch
