"""From the customer's words to those of documents: spoken forms replaced, other names looked up too.

The package brings general words; a company's own stand in `thesaurus.yaml` of its knowledge folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from brain.errors import PromptError
from brain.strict import Document

FILE = "thesaurus.yaml"
"""Name of the file, among the prompts and in the knowledge folder: there it is no document."""
MOST = 12
"""Other words looked up for one question at most."""

_PARTICLE = (
    r"(?=(?:은|는|이|가|을|를|도|만|의|에|로|과|와|랑|이랑|하고|이나|으로|에서|까지|부터|보다)?"
    r"(?:\W|$))"
)
_WORD_START = r"(?<![가-힣A-Za-z0-9])"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    replace: dict[str, str] = {}
    expand: list[list[str]] = Field(default=[], min_length=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thesaurus:
    """Words of customer service; one that knows nothing leaves every question as it is."""

    replaced: Mapping[str, str] = field(default_factory=dict)
    """Forms to replace and what by."""
    groups: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Words that may mean the same, each with its letters alone."""
    _spoken: tuple[tuple[re.Pattern[str], str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_spoken", _patterns(self.replaced))

    @classmethod
    def load(cls, path: Path) -> Thesaurus:
        """The file, or an empty one where there is none. Raises PromptError with file and line."""
        if not path.is_file():
            return cls()
        document = Document(path, error=PromptError)
        file = document.parse(_File)
        for at, group in enumerate(file.expand):
            if len(group) < 2 or not all(word.strip() for word in group):
                raise document.fault(("expand", at), "needs at least two words")
        return cls(replaced=file.replace, groups=tuple(map(_group, file.expand)))

    def with_own(self, own: Thesaurus) -> Thesaurus:
        """This one with a company's words, which go before: a form that it replaces by itself stays."""
        if not (own.replaced or own.groups):
            return self
        return Thesaurus(
            replaced={**self.replaced, **own.replaced}, groups=own.groups + self.groups
        )

    def rewritten(self, text: str) -> str:
        """`text` with spoken forms replaced by those of documents."""
        for pattern, written in self._spoken:
            text = pattern.sub(written, text)
        return text

    def also(self, text: str) -> tuple[str, ...]:
        """Other words for what `text` says that it does not hold itself."""
        said = _folded(text)
        found: dict[str, None] = {}
        for group in self.groups:
            if any(letters in said for _, letters in group):
                found.update((word, None) for word, letters in group if letters not in said)
        return tuple(found)[:MOST]


def _group(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((word, _folded(word)) for word in words)


def _folded(text: str) -> str:
    return "".join(text.casefold().split())


def _patterns(replace: Mapping[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Longer forms first. A short or Latin one is replaced only where the word ends after it."""
    forms: Sequence[str] = sorted(replace, key=len, reverse=True)
    return tuple(
        (
            re.compile(
                _WORD_START
                + re.escape(form)
                + (_PARTICLE if len(form) == 1 or form.isascii() else ""),
                re.IGNORECASE,
            ),
            replace[form],
        )
        for form in forms
    )
