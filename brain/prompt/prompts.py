"""The prompt set in use: phrases for customers, composed prompts for the model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from brain.errors import PromptError
from brain.exceptions.matrix import Matrix
from brain.facts import Facts, suggest
from brain.guard.leak import Secrets
from brain.guard.terms import Terms
from brain.memory import Session
from brain.messages import Address, Passage, Situation
from brain.prompt.adjustments import Adjustments
from brain.prompt.budget import Budget
from brain.prompt.compose import Composed, Composer
from brain.prompt.files import Reader
from brain.prompt.parts import PromptSet
from brain.prompt.phrases import Phrases
from brain.prompt.variants import Experiment, PromptFiles


class Prompts:
    """A loaded prompt set: phrases for customers, composed prompts for the model."""

    def __init__(
        self,
        parts: PromptSet,
        phrases: Phrases,
        matrix: Matrix,
        version: str,
        *,
        terms: Terms,
        public: Sequence[str] = (),
        experiment: Experiment | None = None,
        variants: Mapping[str, PromptSet] | None = None,
    ) -> None:
        """`variants` holds what is read to customers of each variant of `experiment`, by its name.

        `public` is what the company says of itself.
        """
        self.version = version
        """Id of the set: a short hash of every file and the persona."""
        self.experiment = experiment
        """What divides the customers; None: all get the same."""
        self.adjustments: Adjustments = parts.adjustments
        """What measured values switch on and off."""
        self.adjusted: Collection[str] = frozenset()
        """Names of the adjustments that are on; set from outside, as measured."""
        self.matrix = matrix
        """What is said and done when a message is no plain question."""
        self.terms = terms
        """The words that answers keep to."""
        self.public = (*public, *_knowledge(parts))
        """What every answer may rest on: the company's facts, and what layer 2 says in numbers."""
        self.secrets = Secrets([parts, *(variants or {}).values()], public)
        """What must not stand in an answer."""
        self._phrases = phrases
        self._composer = Composer(parts)
        self._composers = {name: Composer(own) for name, own in (variants or {}).items()}

    @classmethod
    def load(cls, folder: Path, facts: Facts, *, persona: str = "base") -> Prompts:
        """Read the prompt set in `folder`. Raises PromptError with file, line and what to write."""
        parts = Reader(folder, facts).parts(persona)
        phrases = Phrases.load(folder / "phrases", facts)
        matrix = Matrix.load(folder, facts)
        experiment = Experiment.load(folder)
        variants = {
            each.name: Reader(
                folder, facts, overlay=folder / each.overlay if each.overlay else None
            ).parts(each.persona or persona)
            for each in (experiment.variants if experiment else ())
        }
        version = PromptFiles.read(folder, persona).id
        return cls(
            parts,
            phrases,
            matrix,
            version,
            terms=Terms.load(folder / "terms.yaml", facts),
            public=facts.lines(),
            experiment=experiment,
            variants=variants,
        )

    def check(self, budget: Budget) -> None:
        """Raises PromptError when rules leave no room for a question; see `Composer.check`."""
        for composer in (self._composer, *self._composers.values()):
            composer.check(budget)

    def phrase(self, name: str, language: str = "ko", /, **slots: object) -> str:
        """The phrase `name` (`quoted.answer`) in Korean or English, English for other languages.

        `exceptions.system_error` is what that handler of the exception matrix says.
        Raises PromptError for an unknown name or a missing slot.
        """
        section, _, handler = name.partition(".")
        if section == "exceptions":
            return self.matrix.text(handler, language, **slots)
        return self._phrases.text(name, language, slots)

    def names(self, names: Iterable[str], language: str) -> tuple[str, ...]:
        """Those of `names` that the rules for words would change."""
        return tuple(name for name in names if self.terms.reworded(name, language) != name)

    def standing(self, topic: str, language: str) -> str | None:
        """The standing answer to one of the commonest questions; None if there is none."""
        return self._phrases.standing(topic, language)

    def variant(self, address: Address) -> str:
        """What this customer gets: `version`, or `version:experiment.variant` in an experiment."""
        if self.experiment is None:
            return self.version
        return f"{self.version}:{self.experiment.name}.{self.experiment.of(address).name}"

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
        variant: str = "",
    ) -> Composed:
        """The prompt of one turn; see `Composer.compose`.

        `variant` names one of the experiment's, else it is that of the session's customer.
        """
        return self._composer_for(session.address, variant).compose(
            situation=situation,
            session=session,
            question=question,
            passages=passages,
            now=now,
            budget=budget,
            marker=marker,
            adjusted=self.adjusted,
        )

    def ahead(
        self, session: Session, budget: Budget, situation: Situation
    ) -> tuple[dict[str, Any], ...]:
        """What the next prompt of a conversation will begin with; see `Composer.ahead`."""
        return self._composer_for(session.address).ahead(session, budget, situation)

    def digest(self, session: Session, budget: Budget) -> tuple[dict[str, Any], ...]:
        """What to ask the model for a summary; see `Composer.digest`."""
        return self._composer_for(session.address).digest(session, budget)

    def _composer_for(self, address: Address, variant: str = "") -> Composer:
        if not variant and self.experiment:
            variant = self.experiment.of(address).name
        if variant and variant not in self._composers:
            near = suggest(variant, list(self._composers))
            raise PromptError(f"unknown variant {variant!r}; {near}")
        return self._composers[variant] if variant else self._composer


def _knowledge(parts: PromptSet) -> tuple[str, ...]:
    layer = next(each for each in parts.layers if each.name == "knowledge")
    texts = (text for rule in layer.rules for text in rule.texts.values())
    return tuple(text for text in texts if any(map(str.isdecimal, text)))
