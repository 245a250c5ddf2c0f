"""Shorter words for the rules that are the same for everybody: `prompts/abbreviations.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from brain.errors import PromptError
from brain.prompt.budget import Compression, weigh
from brain.strict import Document, Place

ABBREVIATIONS = "abbreviations.yaml"
"""The file in a prompt folder that holds them."""
WORTHWHILE: Final = 10
"""Tokens that codes must save: for fewer, plain words are the better understood."""

_QUOTED: Final = (
    r"(?<![A-Za-z])'[^'\n]*'|[\"“‘「『`][^\"”’」』`\n]*[\"”’」』`]|\{[^{}]*\}|<[^<>\n]*>"
)
_PARTICLES: Final = "은|는|이|가|을|를|과|와|의|에|에서|에게|께|도|만|로|으로|이나|나"
_BEFORE, _AFTER = r"(?<![가-힣A-Za-z0-9])", r"(?![가-힣A-Za-z0-9])"

Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abbreviations:
    """What is written shorter, and what the model is told of it."""

    levels: tuple[Compression, ...] = ()
    """Wordings that are shortened."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What explains itself, by the longer words; `-` stands for the beginning of a word."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """What has to be explained, by the longer words."""
    legend: str = ""
    """The explanation, `{codes}` for its list."""

    @classmethod
    def load(cls, folder: Path) -> Abbreviations:
        """Those of the prompt set in `folder`; none without the file. Raises PromptError."""
        path = folder / ABBREVIATIONS
        if not path.is_file():
            return cls()
        document = Document(path, error=PromptError)
        file = document.parse(_File)
        for section, entries in (("words", file.words), ("codes", file.codes)):
            for long, short in entries.items():
                _check(document, (section, long), long, short)
        means: dict[str, str] = {}
        for long, short in file.codes.items():
            if long in file.words:
                raise document.fault(("codes", long), f"{long!r} stands in 'words' too")
            if short in means:
                raise document.fault(
                    ("codes", long), f"{short!r} stands for {means[short]!r} already"
                )
            means[short] = long
        if file.codes and "{codes}" not in file.legend:
            raise document.fault(
                ("legend",), "write {codes} where the abbreviations are to be explained"
            )
        return cls(
            levels=tuple(file.levels), words=file.words, codes=file.codes, legend=file.legend
        )

    def shorter(self, text: str) -> str:
        """`text` with its `words` replaced; a rule on a line of its own needs no full stop either."""
        return replaced(text, self.words).removesuffix(".")

    def worthwhile(self, texts: Sequence[str]) -> dict[str, str]:
        """The codes that save `WORTHWHILE` tokens in `texts`, their explanation paid for; or none.

        A code that stands in `texts` already means something there, so it is not used.
        """
        saved = {}
        for long, short in self.codes.items():
            gain = sum(weigh(text) - weigh(replaced(text, {long: short})) for text in texts)
            gain -= weigh(_listed({long: short}))
            if gain > 0 and not any(_stands(short, text) for text in texts):
                saved[long] = gain
        head = weigh(self.legend.replace("{codes}", "") + "\n")
        if sum(saved.values()) < head + WORTHWHILE:
            return {}
        return {long: self.codes[long] for long in saved}

    def explained(self, codes: Mapping[str, str]) -> str:
        """The line that explains `codes`; empty if there are none."""
        return self.legend.replace("{codes}", _listed(codes)) if codes else ""


def replaced(text: str, by: Mapping[str, str]) -> str:
    """`text` with whole words, and endings of words, replaced; quoted text is left alone."""
    return _pattern(by).sub(lambda found: _instead(found, by), text) if by else text


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    levels: list[Compression] = Field(["core"], min_length=1)
    words: dict[Words, Words] = {}
    codes: dict[Words, Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,5}$")]] = {}
    legend: str = ""


def _check(document: Document, place: Place, long: str, short: str) -> None:
    if long.startswith("-") != short.startswith("-"):
        raise document.fault(place, "an ending is written with '-' on both sides")
    if re.search(_QUOTED, f"{long} {short}") or set("{}") & set(long + short):
        raise document.fault(place, "braces, fences and quotation marks are never shortened")
    longer, shorter = weigh(long), weigh(short)
    if shorter >= longer:
        raise document.fault(
            place,
            f"{short!r} saves nothing: it takes {shorter:.1f} tokens, {long!r} {longer:.1f}",
        )


def _pattern(by: Mapping[str, str]) -> re.Pattern[str]:
    """Quoted text, whole words with at most a particle behind, and the endings of words."""
    longest = sorted(by, key=len, reverse=True)
    whole = "|".join(re.escape(long) for long in longest if not long.startswith("-"))
    ends = "|".join(re.escape(long[1:]) for long in longest if long.startswith("-"))
    return re.compile(
        f"(?P<kept>{_QUOTED})"
        f"|{_BEFORE}(?P<word>{whole or '(?!)'})(?=(?:{_PARTICLES})?{_AFTER})"
        f"|(?P<end>{ends or '(?!)'}){_AFTER}"
    )


def _instead(found: re.Match[str], by: Mapping[str, str]) -> str:
    if found["kept"]:
        return found["kept"]
    return by[found["word"]] if found["word"] else by[f"-{found['end']}"][1:]


def _stands(short: str, text: str) -> bool:
    return bool(re.search(rf"(?<![A-Za-z0-9]){short}(?![A-Za-z0-9])", text))


def _listed(codes: Mapping[str, str]) -> str:
    return ", ".join(f"{short}={long}" for long, short in codes.items())
