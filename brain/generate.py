"""The model's answer through the guard: shown sentence by sentence, written once more when it is wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from brain.guard.grounds import Grounds
from brain.guard.guard import Guard, Violation
from brain.messages import Draft
from brain.model.asked import Completion
from brain.model.llm import Model
from brain.prompt.compose import Composed
from brain.prompt.prompts import Prompts

log = logging.getLogger(__name__)

SHORT: Final = 60
"""Characters of what was wrong that are remembered."""

_NAMES_A_LANGUAGE: Final = re.compile(r"영어|영문|english|한국어|korean", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of the model's answer."""

    text: str
    """The answer, fit to be shown; empty if it was wrong twice."""
    completion: Completion
    """The model's last attempt."""
    messages: Sequence[Mapping[str, str]]
    """What it was given for that."""
    guarded: tuple[str, ...]
    """What was put right (`terms`, `polite` ...), and `refused: kind: words` for an attempt in vain."""


class _Refused(Exception):
    """Stops a first attempt at the sentence that is wrong: the rest would be thrown away anyway."""


class Writer:
    """Writes the answers of one turn under the eyes of the guard."""

    def __init__(
        self,
        *,
        model: Model,
        prompts: Prompts,
        composed: Composed,
        question: str,
        language: str,
        now: datetime,
        show: Callable[[Draft], None],
    ) -> None:
        """`now` is in the company's time zone."""
        self._model = model
        self._prompts = prompts
        self._composed = composed
        self._show = show
        self._language = language
        self._foreign = bool(_NAMES_A_LANGUAGE.search(question))
        self._grounds = Grounds(
            (*prompts.public, *_passages(composed)),
            (*_conversation(composed), question, f"{now:%Y년 %m월 %d일 %H:%M}"),
        )
        self._names = prompts.names(_headings(composed), language)

    async def write(self) -> Written:
        """The model's answer; one that breaks the guard's rules is written once more.

        Raises a `ModelError` as the model does.
        """
        messages: Sequence[Mapping[str, str]] = self._composed.messages
        guarded: dict[str, None] = {}
        guard, completion = await self._attempt(messages, patient=False)
        if guard.violation:
            guarded |= dict.fromkeys((*guard.repairs, _named(guard.violation)))
            log.info("answer refused (%s), written again", guard.violation.kind)
            messages = self._corrected(guard.violation)
            guard, completion = await self._attempt(messages, patient=True)
        guarded |= dict.fromkeys(guard.repairs)
        if guard.violation:
            guarded[_named(guard.violation)] = None
        assert completion is not None  # noqa: S101 - only a refused first attempt has none
        return Written(
            text="" if guard.violation else guard.finish(),
            completion=completion,
            messages=messages,
            guarded=tuple(guarded),
        )

    async def _attempt(
        self, messages: Sequence[Mapping[str, str]], *, patient: bool
    ) -> tuple[Guard, Completion | None]:
        """A guard that has seen the whole answer, or as much of it as was wrong.

        A `patient` attempt goes on behind something wrong: a model that thinks aloud is judged by
        what it says after that.
        """
        guard = self._guard()
        heard = ""

        def hear(piece: str) -> None:
            nonlocal heard
            heard += piece
            shown = len(guard.text)
            guard.add(piece)
            if guard.violation and not patient:
                raise _Refused
            if len(guard.text) > shown:
                self._show(Draft(text=guard.text.rstrip()))

        try:
            completion = await self._model.generate(messages, write=hear)
        except _Refused:
            return guard, None
        if completion.text != heard.strip():
            # A loop was cut off, or what came first was a thought.
            guard = self._guard()
            guard.add(completion.text)
        guard.finish()
        return guard, completion

    def _guard(self) -> Guard:
        return Guard(
            terms=self._prompts.terms,
            secrets=self._prompts.secrets,
            grounds=self._grounds,
            language=self._language,
            names=self._names,
            foreign=self._foreign,
        )

    def _corrected(self, violation: Violation) -> Sequence[Mapping[str, str]]:
        *before, last = self._composed.messages
        told = self._prompts.terms.correction(
            violation.kind, violation.found[:SHORT], "ko" if self._language == "ko" else "en"
        )
        return (*before, {**last, "content": f"{last['content']}\n\n{told}"})


def _named(violation: Violation) -> str:
    return f"refused: {violation.kind}: {violation.found[:SHORT]}"


def _passages(composed: Composed) -> Iterator[str]:
    for passage in composed.passages:
        yield f"{passage.metadata.get('title', '')}\n{passage.heading}\n{passage.text}"


def _conversation(composed: Composed) -> Iterator[str]:
    session = composed.session
    yield from (session.summary, *session.marks)
    for exchange in session.window:
        yield from (exchange.customer, exchange.assistant)


def _headings(composed: Composed) -> Iterator[str]:
    for passage in composed.passages:
        yield from passage.heading.split(" > ")
        yield str(passage.metadata.get("title", ""))
