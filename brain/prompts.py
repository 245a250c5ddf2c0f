"""The prompt set in use: phrases for customers, composed prompts for the model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from brain.budget import Budget
from brain.compose import Composed, Composer
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Passage, Situation
from brain.parts import PromptSet
from brain.phrases import Phrases
from brain.prompt_files import Reader


class Prompts:
    """A loaded prompt set: phrases for customers, composed prompts for the model."""

    def __init__(self, parts: PromptSet, phrases: Phrases, version: str) -> None:
        self.version = version
        """Short hash of every file, the persona and the facts."""
        self._phrases = phrases
        self._composer = Composer(parts)

    @classmethod
    def load(cls, folder: Path, facts: Facts, *, persona: str = "base") -> Prompts:
        """Read the prompt set in `folder`. Raises PromptError with file, line and what to write."""
        parts = Reader(folder, facts).parts(persona)
        phrases = Phrases.load(folder / "phrases", facts)
        return cls(parts, phrases, _version(folder, facts, persona))

    def phrase(self, name: str, language: str = "ko", /, **slots: object) -> str:
        """The phrase `name` (`quoted.answer`) in Korean or English, English for other languages.

        Raises PromptError for an unknown name or a missing slot.
        """
        return self._phrases.text(name, language, slots)

    def compose(
        self,
        *,
        situation: Situation,
        session: Session,
        question: str,
        passages: Sequence[Passage],
        now: datetime,
        budget: Budget,
        marker: str = "",
    ) -> Composed:
        """The prompt of one turn; see `Composer.compose`."""
        return self._composer.compose(
            situation=situation,
            session=session,
            question=question,
            passages=passages,
            now=now,
            budget=budget,
            marker=marker,
        )


def _version(folder: Path, facts: Facts, persona: str) -> str:
    digest = sha256(f"{persona}\n{facts.digest()}\n".encode())
    for path in [*sorted(folder.glob("*/*.yaml")), folder / "frame.yaml"]:
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:10]
