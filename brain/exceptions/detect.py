"""Which exceptions a message is about, told by the patterns of `prompts/detection.yaml`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from brain.errors import PromptError
from brain.facts import suggest
from brain.strict import Document, expression

LONGEST: Final = 4000
"""Characters of a message that are looked at."""

_SPACE = re.compile(r"(?<!\\) ")


def _loosened(pattern: str) -> str:
    """`pattern` with every space made optional: customers leave them out."""
    loose = expression(_SPACE.sub(r"\\s*", pattern))
    if re.search(loose, "") or not pattern.strip():
        raise ValueError("matches every message")
    return loose


Pattern = Annotated[str, AfterValidator(_loosened)]


class _Signs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patterns: list[Pattern] = Field(min_length=1)
    unless: list[Pattern] = []
    longest: int = Field(LONGEST, gt=0)
    opening: bool = False
    weighed: bool = False


class _File(BaseModel):
    """The file: the signs of each exception by its name."""

    model_config = ConfigDict(extra="forbid")

    signs: dict[str, _Signs]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sign:
    patterns: Sequence[re.Pattern[str]]
    unless: Sequence[re.Pattern[str]]
    longest: int
    opening: bool
    weighed: bool

    def shows(self, said: str, opening: bool) -> bool:
        if len(said) > self.longest or (self.opening and not opening):
            return False
        shown = any(pattern.search(said) for pattern in self.patterns)
        return shown and not self.denied(said)

    def denied(self, said: str) -> bool:
        return any(pattern.search(said) for pattern in self.unless)


class Detector:
    """Reads messages; the same message always reads the same."""

    def __init__(self, signs: Mapping[str, _Sign]) -> None:
        self._signs = signs

    @classmethod
    def load(cls, path: Path, names: Collection[str]) -> Detector:
        """Read the file, whose sections must be among `names`. Raises PromptError with file and line."""
        document = Document(path, error=PromptError)
        file = document.parse(_File)
        for name in file.signs:
            if name not in names:
                near = suggest(name, list(names))
                raise document.fault(("signs", name), f"unknown exception {name!r}; {near}")
        return cls(
            {
                name: _Sign(
                    patterns=[re.compile(pattern) for pattern in signs.patterns],
                    unless=[re.compile(pattern) for pattern in signs.unless],
                    longest=signs.longest,
                    opening=signs.opening,
                    weighed=signs.weighed,
                )
                for name, signs in file.signs.items()
            }
        )

    def find(
        self, text: str, *, opening: bool = True, only: str = "", but: str = "-"
    ) -> tuple[str, ...]:
        """Names of the exceptions that show in `text`, in the order of the file.

        `opening`: nothing was said before it. `only`: no others than those that begin like this;
        `but`: none that begins like this.
        """
        said = folded(text)
        return tuple(
            name
            for name, sign in self._signs.items()
            if name.startswith(only) and not name.startswith(but) and sign.shows(said, opening)
        )

    def denied(self, name: str, text: str) -> bool:
        """Whether something in `text` speaks against `name`."""
        return name in self._signs and self._signs[name].denied(folded(text))

    def weighed(self, name: str) -> bool:
        """Whether the patterns of `name` are too general to be believed against all likelihood."""
        return name in self._signs and self._signs[name].weighed


def folded(text: str) -> str:
    """`text` as patterns see it: lower case, one space between words."""
    return " ".join(unicodedata.normalize("NFC", text[:LONGEST]).casefold().split())
