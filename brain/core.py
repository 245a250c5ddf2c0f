"""One turn: from a customer's words to a reply together with everything that shaped it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from brain import attached, followup, keyboard, quoted
from brain.admission import Admission, Unlimited
from brain.aide import Asker
from brain.clock import CompanyClock
from brain.emotion import EmotionHead, Vector
from brain.errors import Busy, ModelError, PromptError
from brain.exceptions.matrix import ANGRY_TURNS, NOTHING, REPEATS, Verdict
from brain.generate import Writer
from brain.intent import Intents
from brain.knowledge.library import Library
from brain.knowledge.retrieve import Found
from brain.memory import Session
from brain.messages import (
    Choice,
    Draft,
    Emotion,
    Message,
    Passage,
    Reply,
    ReplyKind,
    Situation,
    Source,
    Turn,
    new_id,
)
from brain.model.llm import Model
from brain.prompt.budget import Budget, Calibration
from brain.prompt.compose import Composed
from brain.prompt.prompts import Prompts
from brain.second_look import SecondLook
from brain.situation import SERVED, Asked, detect_language, felt, read_situation

log = logging.getLogger(__name__)

PASSAGES = 5
"""Passages looked up for a question."""
NEAR = 3
"""Passages whose headings are offered where none answers."""
Show = Callable[[Draft], None]


@dataclass(slots=True)
class _Work:
    """What has become known of a turn while it runs."""

    session: Session
    question: str
    now: datetime
    returning: bool
    show: Show
    prompts: Prompts
    """The set in use when the turn began, whatever is loaded meanwhile."""
    came: attached.Attached
    """What came with the words."""
    began: float = field(default_factory=time.perf_counter)
    found: Found | None = None
    situation: Situation = field(default_factory=Situation)
    emotion: Emotion | None = None
    model: str = ""
    layers: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    tokens: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    verdict: Verdict = NOTHING
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
        second_look: SecondLook | None = None,
        mood: Callable[[str], Vector] | None = None,
        language: str = "ko",
        longest: int = 4000,
        contents: attached.Contents | None = None,
    ) -> None:
        """`mood` embeds for `emotions` where the library's embedder is another than it was trained on."""
        self.library = library
        self.prompts = prompts
        self.model = model
        self._clock = clock
        self._emotions = emotions
        self._mood = mood
        self._asked = Asked()
        self.intents = intents
        self._budget = budget
        self._admission = admission or Unlimited()
        self.second_look = second_look or SecondLook(library)
        self.calibration = Calibration()
        self._language = language
        self._longest = longest
        self._contents = contents

    def budget_of(self, model: str) -> Budget:
        """The shares of the context window, counted as `model` counts."""
        return replace(self._budget, factor=self.calibration.factor(model))

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
        came = await attached.look(
            messages, contents=self._contents, model=self.model, phrase=self.prompts.phrase
        )
        question = "\n".join(message.text for message in messages).strip()
        question = keyboard.meant(question) or (came.names if came.pictures else "")
        work = _Work(
            session=session,
            question=question,
            now=now,
            returning=returning,
            show=show,
            prompts=self.prompts,
            came=came,
        )
        said = self._refuse(messages, work) or await self._look_up(work)
        if said is None:
            said = self._noted(work, await self._reply(work))
        work.lap("total", work.began)
        return self._turn(came.messages, work, said), work.session

    def _refuse(self, messages: Sequence[Message], work: _Work) -> _Said | None:
        """The reply to what is no question at all, and to what no question may come before."""
        work.situation = self._without_lookup(work)
        if danger := work.prompts.matrix.critical(work.question):
            return self._except(work, danger)
        if not work.question:
            name = "technical_limitation.attachment" if work.came.names else "invalid_input.empty"
            return self._except(work, name)
        if len(work.question) > self._longest * len(messages):
            return self._except(work, "invalid_input.too_long", limit=self._longest)
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

    def _except(self, work: _Work, *names: str, **slots: object) -> _Said | None:
        """What the exception matrix replies; None if it says at most a note before the answer."""
        work.verdict = verdict = work.prompts.matrix.decide(names, work.situation, **slots)
        if verdict.alone:
            return _Said(verdict.kind, verdict.text, choices=verdict.choices)
        if verdict.text:
            show = work.show
            work.show = lambda draft: show(Draft(text=f"{verdict.text}\n\n{draft.text}"))
            work.situation = replace(work.situation, exception=verdict.exceptions[0])
        return None

    def _exceptional(self, work: _Work, mood: Vector) -> _Said | None:
        """What the matrix replies to the words, and to what has happened in the conversation."""
        exchanges = work.session.exchanges
        before = exchanges[-1].assistant if exchanges else None
        names = [*work.prompts.matrix.detect(work.question, before=before)]
        if not names and self.intents.needs_no_knowledge(work.question):
            return None
        known = work.situation.confidence == "high"
        matrix = work.prompts.matrix
        names = [*matrix.weigh(names, work.question, mood, before=before, known=known)]
        if work.situation.repeats >= REPEATS:
            names.append("repeated_failure")
        work.session = felt(work.session, work.situation)
        if work.session.profile.get("angry", 0) == ANGRY_TURNS:
            names.append("sustained_anger")
        return self._except(work, *names)

    def _noted(self, work: _Work, said: _Said) -> _Said:
        """The answer with what the matrix says before it, and what nobody looked at after it."""
        verdict, came = work.verdict, work.came
        if said.kind not in ("answer", "quoted"):
            return said
        unseen = came.unseen or (came.pictures and said.kind == "quoted")
        note = self.prompts.phrase("attached.unseen", work.situation.language) if unseen else ""
        text = "\n\n".join(filter(None, (verdict.text, said.text, note)))
        return replace(said, text=text, choices=said.choices or verdict.choices)

    async def _look_up(self, work: _Work) -> _Said | None:
        """Retrieve and read the situation; a reply where no knowledge is needed or none is there."""
        began = time.perf_counter()
        leans_on = followup.before(work.session, work.now, self._about_nothing)
        looked = await followup.look_up(self.library, work.question, leans_on, k=PASSAGES)
        work.lap("retrieve", began)
        work.found = found = looked.found
        began = time.perf_counter()
        mood = await asyncio.to_thread(self._mood, work.question) if self._mood else looked.own
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
            asked=self._asked,
        )
        work.lap("situation", began)
        if exceptional := self._exceptional(work, mood):
            return exceptional
        if small_talk := self.intents.needs_no_knowledge(work.question):
            return _Said("answer", self._pleasantry(small_talk, work.situation))
        topic = self.intents.standing(work.question)
        if topic and (text := work.prompts.standing(topic, work.situation.language)):
            more = quoted.sources(found.passages[:1]) if found.related else ()
            return _Said("quoted", text, more)
        found = await self._look_again(work, looked)
        return None if found.related or work.came.pictures else self._abstain(work)

    async def _look_again(self, work: _Work, looked: followup.Looked) -> Found:
        """What a second look finds, now that the question is one for the documents."""
        began = time.perf_counter()
        compose = partial(self._compose, work, ())
        asker = Asker(address=work.session.address, compose=compose, budget=self.budget_of)
        work.found = found = await self.second_look.look(looked, k=PASSAGES, asker=asker)
        work.situation = replace(work.situation, confidence=found.confidence.level)
        work.lap("second_look", began)
        return found

    def _about_nothing(self, words: str) -> bool:
        return self.intents.needs_no_knowledge(words) is not None

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
        if found is None or not found.related:
            name = "abstained.open" if situation.open else "abstained.closed"
            return _Said("abstained", self.prompts.phrase(name, situation.language))
        headings = quoted.headings(found.passages[:NEAR])
        listed = "\n".join(f"• {heading}" for heading in headings)
        self._except(work, "partial_match", headings=listed)
        choices = tuple(Choice(label=each[:40], text=each) for each in headings)
        return _Said("abstained", work.verdict.text, choices=choices)

    async def _reply(self, work: _Work) -> _Said:
        """The model's words; the passage itself when there is no model, or none that says it right."""
        assert work.found is not None  # noqa: S101 - _look_up answered otherwise
        began = time.perf_counter()
        try:
            said = await self._generate(work, work.found)
        except Busy as busy:
            work.failure = type(busy).__name__
            text = self.prompts.phrase(busy.phrase, work.situation.language, ahead=busy.ahead)
            return _Said("busy", text)
        except (ModelError, PromptError) as failed:
            log.info("quoted instead of the model: %s", type(failed).__name__)
            said = None
        work.lap("model", began)
        return said or self._quote(work, work.found)

    def _quote(self, work: _Work, found: Found) -> _Said:
        """The best passage, word for word, unless it hardly answers."""
        if found.confidence.level == "low":
            return self._abstain(work)
        text = quoted.quote(found.passages, found.confidence, self.prompts, work.situation.language)
        return _Said("quoted", text, quoted.sources(found.passages[:1]))

    def _compose(self, work: _Work, passages: Sequence[Passage], model: str) -> Composed:
        return work.prompts.compose(
            situation=work.situation,
            session=work.session,
            question=work.came.asked(work.question),
            passages=passages,
            now=self._clock.local(work.now),
            budget=self.budget_of(model),
        )

    async def _generate(self, work: _Work, found: Found) -> _Said | None:
        """The model's words; None where the guard refused them twice."""
        composed = self._compose(work, found.passages, await self.model.find())
        work.session, work.layers, work.dropped = (
            composed.session,
            composed.layers,
            composed.dropped,
        )
        work.tokens = dict(composed.tokens)
        writer = Writer(
            model=self.model,
            prompts=work.prompts,
            composed=work.came.shown(composed),
            question=work.question,
            language=work.situation.language,
            now=self._clock.local(work.now),
            show=work.show,
        )
        async with self._admission.slot(work.session.address):
            written = await writer.write()
        completion, work.guarded = written.completion, written.guarded
        work.model = completion.model
        if completion.prompt_tokens and completion.reply_tokens:
            work.tokens |= {"prompt": completion.prompt_tokens, "reply": completion.reply_tokens}
            if not work.came.pictures:
                self.calibration.observe(
                    completion.model, written.messages, completion.prompt_tokens
                )
        if not written.text:
            return None
        return _Said("answer", written.text, quoted.sources(composed.passages))

    def _turn(self, messages: Sequence[Message], work: _Work, said: _Said) -> Turn:
        identity = new_id()
        last = messages[-1]
        turn = Turn(
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
            lookup=work.found.lookup if work.found else {},
            model=work.model,
            variant=work.prompts.variant(last.address),
            layers=work.layers,
            dropped=work.dropped,
            guarded=work.guarded,
            tokens=work.tokens,
            timings=work.timings,
            failure=work.failure,
        )
        return work.verdict.on(turn)

    def _disclosure(self, language: str) -> str:
        return self.prompts.phrase("disclosure.first", language if language in SERVED else "en")

    async def warm(self) -> None:
        """Load what the first question needs, so that it does not wait for it."""
        await asyncio.gather(self.library.search("warm"), return_exceptions=True)
