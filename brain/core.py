"""One turn: from a customer's words to a reply together with everything that shaped it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from brain import quoted
from brain.budget import Budget, Calibration
from brain.clock import CompanyClock
from brain.emotion import EmotionHead, Vector
from brain.errors import Busy, ModelError
from brain.intent import Intents
from brain.knowledge.library import Library
from brain.knowledge.retrieve import Found
from brain.llm import Model
from brain.memory import Session
from brain.messages import (
    Address,
    Choice,
    Draft,
    Emotion,
    Message,
    Reply,
    ReplyKind,
    Situation,
    Source,
    Turn,
)
from brain.prompts import Prompts
from brain.situation import detect_language, read_situation

log = logging.getLogger(__name__)

PASSAGES = 5
"""Passages looked up for a question."""
NEAR = 3
"""Passages whose headings are offered where none answers."""
SERVED = ("ko", "en")
"""Languages in which answers are given."""
Show = Callable[[Draft], None]


@dataclass(slots=True)
class _Work:
    """What has become known of a turn while it runs."""

    session: Session
    question: str
    now: datetime
    returning: bool
    show: Show
    began: float = field(default_factory=time.perf_counter)
    found: Found | None = None
    situation: Situation = field(default_factory=Situation)
    emotion: Emotion | None = None
    model: str = ""
    layers: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    tokens: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    exceptions: tuple[str, ...] = ()
    failure: str = ""

    def lap(self, step: str, since: float) -> None:
        """Note the milliseconds that `step` took."""
        self.timings[step] = round((time.perf_counter() - since) * 1000, 3)


@dataclass(frozen=True, slots=True)
class _Said:
    """The words of a reply and how they came about."""

    kind: ReplyKind
    text: str
    sources: tuple[Source, ...] = ()
    choices: tuple[Choice, ...] = ()


class Admission(Protocol):
    """Decides how many answers are generated at a time, and who is next."""

    def slot(self, address: Address) -> AbstractAsyncContextManager[None]:
        """Holds the model for one answer. Raises Busy when too many wait already."""
        ...


class Unlimited:
    """Everybody at once."""

    def slot(self, address: Address) -> AbstractAsyncContextManager[None]:
        """See `Admission.slot`."""
        return nullcontext()


class Brain:
    """Answers one turn at a time; holds no conversation, so that many may run at once."""

    def __init__(
        self,
        *,
        library: Library,
        prompts: Prompts,
        model: Model,
        clock: CompanyClock,
        emotions: EmotionHead,
        intents: Intents,
        budget: Budget,
        admission: Admission | None = None,
        mood: Callable[[str], Vector] | None = None,
        language: str = "ko",
        longest: int = 4000,
    ) -> None:
        """`mood` embeds for `emotions` where the library's embedder is another than it was trained on."""
        self.library = library
        self.prompts = prompts
        self.model = model
        self._clock = clock
        self._emotions = emotions
        self._mood = mood
        self.intents = intents
        self._budget = budget
        self._admission = admission or Unlimited()
        self._calibration = Calibration()
        self._language = language
        self._longest = longest

    async def answer(
        self,
        messages: Sequence[Message],
        session: Session,
        *,
        now: datetime,
        returning: bool = False,
        show: Show = lambda draft: None,
    ) -> tuple[Turn, Session]:
        """The turn that answers `messages`, and the session as the prompt left it (without the turn).

        `show` gets the reply while it grows. Model faults end in a quoted answer or an abstention,
        so nothing is raised for them.
        """
        question = "\n".join(message.text for message in messages).strip()
        work = _Work(session=session, question=question, now=now, returning=returning, show=show)
        said = self._refuse(messages, work) or await self._look_up(work)
        if said is None:
            said = await self._reply(work)
        work.lap("total", work.began)
        return self._turn(messages, work, said), work.session

    def _refuse(self, messages: Sequence[Message], work: _Work) -> _Said | None:
        """The reply to what is no question at all."""
        work.situation = self._without_lookup(work)
        if not work.question:
            attached = any(message.attachments for message in messages)
            return self._except(work, "technical_limitation" if attached else "invalid_input_empty")
        if len(work.question) > self._longest * len(messages):
            return self._except(work, "invalid_input_too_long", limit=self._longest)
        if work.situation.language not in SERVED:
            return self._except(work, "language_barrier")
        return None

    def _without_lookup(self, work: _Work) -> Situation:
        language = detect_language(work.question[: self._longest], self._language)
        return Situation(
            daypart=self._clock.daypart(work.now),
            open=self._clock.is_open(work.now),
            language=language,
        )

    def _except(self, work: _Work, name: str, **slots: object) -> _Said:
        work.exceptions = (*work.exceptions, name)
        language = work.situation.language if work.situation.language in SERVED else "en"
        return _Said("exception", self.prompts.phrase(f"exceptions.{name}", language, **slots))

    async def _look_up(self, work: _Work) -> _Said | None:
        """Retrieve and read the situation; a reply where no knowledge is needed or none is there."""
        began = time.perf_counter()
        vector = await self.library.embed(work.question)
        work.lap("embed", began)
        began = time.perf_counter()
        found = await self.library.search(work.question, vector=vector, k=PASSAGES)
        work.lap("retrieve", began)
        work.found = found
        began = time.perf_counter()
        mood = await asyncio.to_thread(self._mood, work.question) if self._mood else vector
        work.situation, work.emotion = read_situation(
            text=work.question,
            vector=mood,
            session=work.session,
            clock=self._clock,
            now=work.now,
            language=work.situation.language,
            confidence=found.confidence.level,
            returning=work.returning,
            emotion_head=self._emotions,
            intents=self.intents,
        )
        work.lap("situation", began)
        small_talk = self.intents.needs_no_knowledge(work.question)
        if small_talk:
            return _Said("answer", self._pleasantry(small_talk, work.situation))
        return None if found.related else self._abstain(work)

    def _pleasantry(self, name: str, situation: Situation) -> str:
        language = situation.language
        if name == "greeting":
            return self.prompts.phrase(
                f"greeting.{situation.customer}_{situation.daypart}", language
            )
        return self.prompts.phrase(f"{name}.reply", language)

    def _abstain(self, work: _Work) -> _Said:
        """Says that the documents do not answer, and what they hold that comes near."""
        situation, found = work.situation, work.found
        name = "abstained.open" if situation.open else "abstained.closed"
        text = self.prompts.phrase(name, situation.language)
        if found is None or not found.related:
            return _Said("abstained", text)
        headings = quoted.headings(found.passages[:NEAR])
        listed = "\n".join(f"• {heading}" for heading in headings)
        near = self.prompts.phrase("abstained.near", situation.language, headings=listed)
        choices = tuple(Choice(label=each[:40], text=each) for each in headings)
        return _Said("abstained", f"{text}\n\n{near}", choices=choices)

    async def _reply(self, work: _Work) -> _Said:
        """The model's words; the passage itself when there is no model or it fails."""
        assert work.found is not None  # noqa: S101 - _look_up answered otherwise
        began = time.perf_counter()
        try:
            said = await self._generate(work, work.found)
        except Busy as busy:
            work.failure = type(busy).__name__
            text = self.prompts.phrase(busy.phrase, work.situation.language, ahead=busy.ahead)
            return _Said("busy", text)
        except ModelError as failed:
            log.info("quoted instead of the model: %s", type(failed).__name__)
            work.timings["model"] = round((time.perf_counter() - began) * 1000, 3)
            if work.found.confidence.level == "low":
                return self._abstain(work)
            text = quoted.quote(
                work.found.passages, work.found.confidence, self.prompts, work.situation.language
            )
            return _Said("quoted", text, quoted.sources(work.found.passages[:1]))
        work.lap("model", began)
        return said

    async def _generate(self, work: _Work, found: Found) -> _Said:
        name = await self.model.find()
        composed = self.prompts.compose(
            situation=work.situation,
            session=work.session,
            question=work.question,
            passages=found.passages,
            now=self._clock.local(work.now),
            budget=replace(self._budget, factor=self._calibration.factor(name)),
        )
        work.session, work.layers, work.dropped = (
            composed.session,
            composed.layers,
            composed.dropped,
        )
        work.tokens = dict(composed.tokens)
        text = ""

        def write(piece: str) -> None:
            nonlocal text
            text += piece
            work.show(Draft(text=text))

        async with self._admission.slot(work.session.address):
            completion = await self.model.generate(composed.messages, write=write)
        work.model = completion.model
        if completion.prompt_tokens and completion.reply_tokens:
            work.tokens |= {"prompt": completion.prompt_tokens, "reply": completion.reply_tokens}
            self._calibration.observe(completion.model, composed.messages, completion.prompt_tokens)
        return _Said("answer", completion.text, quoted.sources(composed.passages))

    def _turn(self, messages: Sequence[Message], work: _Work, said: _Said) -> Turn:
        identity = uuid4().hex
        last = messages[-1]
        return Turn(
            id=identity,
            address=last.address,
            messages=tuple(messages),
            reply=Reply(
                id=identity,
                in_reply_to=last.id,
                text=said.text,
                kind=said.kind,
                sources=said.sources,
                choices=said.choices,
                notice="" if work.session.exchanges else self._disclosure(work.situation.language),
            ),
            started_at=work.now,
            situation=work.situation,
            emotion=work.emotion,
            confidence=work.found.confidence if work.found else None,
            passages=work.found.passages if work.found else (),
            exceptions=work.exceptions,
            model=work.model,
            variant=self.prompts.version,
            layers=work.layers,
            dropped=work.dropped,
            tokens=work.tokens,
            timings=work.timings,
            failure=work.failure,
        )

    def _disclosure(self, language: str) -> str:
        return self.prompts.phrase("disclosure.first", language if language in SERVED else "en")

    async def warm(self) -> None:
        """Load what the first question needs, so that it does not wait for it."""
        await asyncio.gather(self.library.search("warm"), return_exceptions=True)
