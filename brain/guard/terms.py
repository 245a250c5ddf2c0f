"""The words that answers keep to: `prompts/terms.yaml`, ready to be applied to a piece of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from brain.errors import PromptError
from brain.facts import Facts, slots_of
from brain.guard.politeness import coda
from brain.prompt.last_message import TEMPLATE_TOKENS
from brain.strict import Document

Word = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

_PARTICLES: Final = (
    r"(?:이에요|예요|입니다|이십니다|이시라면|이신|이시|이라도|이라면|이라는|이라고|이라|이나|이며|이고|이랑|으로|라는|라고|라도"
    r"|께서|께|에게서|에게|에서|에|한테|까지|부터|보다|마다|처럼|하고|밖에|조차|이내|안에|들|분|인|만|의|도|은|는|이|가|을|를"
    r"|과|와|로|나|랑)"
)
_AFTER_CONSONANT: Final = ("은", "이", "을", "과", "이나", "이랑", "이에요")
_AFTER_VOWEL: Final = ("는", "가", "를", "와", "나", "랑", "예요")
_PAIRED: Final = (*_AFTER_CONSONANT, *_AFTER_VOWEL, "으로", "로")
_L: Final = 8
"""Final ㄹ, after which 로 stands as after a vowel."""


class _Languages(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ko: Word
    en: Word


class _Corrections(BaseModel):
    model_config = ConfigDict(extra="forbid")

    figures: Word
    polite: Word
    script: Word
    language: _Languages
    leak: Word


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    replace: dict[Word, Word] = {}
    address: dict[Word, Word] = {}
    keep: list[Word] = []
    competitors: _Languages
    hanja: dict[Annotated[str, Field(pattern=r"^[\u3400-\u9fff\uf900-\ufaff]+$")], Word] = {}
    remove: list[Word] = []
    openings: list[Word] = []
    endings: list[Word] = []
    corrections: _Corrections


class Terms:
    """Words to replace, to keep, to remove, and what the model is told when it has to write again."""

    def __init__(self, file: _File, competitors: Sequence[str] = ()) -> None:
        self._replace = {**file.replace, **file.address}
        self._words = {
            "ko": _pattern(file.replace, file.address, competitors),
            "en": _pattern({}, {}, competitors),
        }
        self._neutral: Mapping[str, str] = dict(file.competitors)
        self._hanja = file.hanja
        self._mapped = re.compile(_either(file.hanja) or r"(?!)")
        self._corrections = _texts(file.corrections)
        self.keep = tuple(file.keep)
        """Names and set phrases that stay as they are."""
        self.removed = re.compile(
            "|".join(filter(None, (_either(file.remove), TEMPLATE_TOKENS))), re.IGNORECASE
        )
        """Finds what leaked from a chat template."""
        self.opening = re.compile(
            rf"\s*\**(?:{_either(file.openings) or '(?!)'})\**\s?(?:[:：]\**[ \t]*\n?|\n)",
            re.IGNORECASE,
        )
        """Matches the speaker's name at the beginning of an answer."""
        self.ending = re.compile(
            rf"\s*\**(?:{_either(file.endings) or '(?!)'})\**\s?(?:[:：]|\n)", re.IGNORECASE
        )
        """Matches a line in which the model begins to speak for the customer."""

    @classmethod
    def load(cls, path: Path, facts: Facts) -> Terms:
        """Read the file. Raises PromptError with file and line."""
        document = Document(path, error=PromptError)
        file = document.parse(_File)
        for name, text in _texts(file.corrections).items():
            try:
                unknown = [slot for slot in slots_of(text) if slot != "found"]
            except ValueError as stray:
                raise document.fault(("corrections", name), str(stray)) from None
            if unknown:
                raise document.fault(
                    ("corrections", name), f"unknown slot {unknown[0]!r}; valid is 'found'"
                )
        named = facts.text("competitors") or ""
        return cls(file, [name.strip() for name in named.split(",") if name.strip()])

    def reworded(self, text: str, language: str) -> str:
        """`text` with every word that has a better one replaced, particles adjusted."""
        return self._words["ko" if language == "ko" else "en"].sub(
            lambda match: self._instead(match, language), text
        )

    def _instead(self, match: re.Match[str], language: str) -> str:
        word, particle = match["word"], match["particle"] or ""
        by = self._replace.get(word) or self._replace.get(word.casefold())
        if by is None:
            by = self._neutral["ko" if language == "ko" else "en"]
        return by + _fitting(particle, by)

    def in_hangul(self, hanja: str) -> str | None:
        """What to write for Hanja; None if part of it has no word here."""
        rest = self._mapped.sub("", hanja)
        return None if rest else self._mapped.sub(lambda found: self._hanja[found[0]], hanja)

    def correction(self, kind: str, found: str, language: str) -> str:
        """What the model is told after a violation of this kind in an answer in `language`."""
        text = self._corrections.get(kind) or self._corrections[f"{kind}.{language}"]
        return text.format_map({"found": found})


def _fitting(particle: str, word: str) -> str:
    """The form of `particle` that goes with `word`."""
    final = coda(word[-1])
    if particle in ("으로", "로"):
        return "로" if final in (0, _L) else "으로"
    before, after = (_AFTER_VOWEL, _AFTER_CONSONANT) if final else (_AFTER_CONSONANT, _AFTER_VOWEL)
    return after[before.index(particle)] if particle in before else particle


def _texts(corrections: _Corrections) -> dict[str, str]:
    """The texts by name, those of one language as `language.ko`."""
    found: dict[str, str] = {}
    for name, value in corrections:
        pairs = value if isinstance(value, _Languages) else [("", value)]
        found |= {f"{name}.{language}".rstrip("."): text for language, text in pairs}
    return found


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _pattern(
    replace: Iterable[str], address: Iterable[str], competitors: Iterable[str]
) -> re.Pattern[str]:
    """Finds the words where they stand alone, and the particle that has to fit what replaces them."""
    begin = r"(?<![가-힣A-Za-z\]])"
    ending = rf"(?:{_PARTICLES}){{0,2}}(?![가-힣A-Za-z])"
    alone = _either([*replace, *competitors]) or r"(?!)"
    named = _either(address) or r"(?!)"
    return re.compile(
        rf"{begin}(?P<word>(?:{alone})(?={ending})"
        rf"|(?:{named})(?=(?:{_PARTICLES}){{1,2}}(?![가-힣A-Za-z])|\s*[,.!?~]|\s*\Z))"
        rf"(?P<particle>(?:{_either(_PAIRED)})(?![가-힣]))?",
        re.IGNORECASE,
    )
