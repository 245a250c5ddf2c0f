"""The exception matrix: what is said and done when a message is no plain question.

Detected, classified, the handlers that apply ordered by priority, the reply made from their texts:
`Matrix.decide` gives a `Verdict`, which is recorded on the turn together with what has to follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from brain.emotion import Vector
from brain.errors import PromptError
from brain.exceptions.detect import Detector, folded
from brain.exceptions.hunch import BEYOND, UNLIKELY, Hunches
from brain.exceptions.matrix_file import Handler, Offer, Texts, read
from brain.facts import Facts, shown, suggest
from brain.messages import Attention, Choice, Level, ReplyKind, Situation, Turn
from brain.situation import detect_language

CRITICAL = "critical_safety."
"""Names of the handlers that come before everything else begin like this."""
ELSEWHERE = "out_of_scope.elsewhere"
"""The handler of what is not our field unless the documents say so."""
NOTES = 2
"""Sentences put before an answer at most."""
ANGRY_TURNS = 2
"""Angry messages in a row from which the anger counts as sustained."""
REPEATS = 2
"""Earlier messages that asked the same from which the problem counts as unresolved."""

_RANK: Mapping[Level, int] = {"low": 0, "medium": 1, "high": 2}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the matrix decided about a turn; nothing by default."""

    exceptions: tuple[str, ...] = ()
    """Names of the handlers that apply, by priority."""
    follow_ups: tuple[str, ...] = ()
    """What is to be done afterwards."""
    escalation: str = ""
    """Why a person should take over: a handler's name; empty if none should."""
    alone: bool = False
    """Whether `text` is the whole reply; else it is said before the answer."""
    kind: ReplyKind = "answer"
    """Of the reply, if it is the whole one."""
    text: str = ""
    """What is said."""
    choices: tuple[Choice, ...] = ()
    """What can be tapped."""
    attention: Attention = ""
    """How loudly it is reported."""

    def on(self, turn: Turn) -> Turn:
        """`turn` with what the matrix decided recorded on it."""
        return replace(
            turn,
            exceptions=self.exceptions,
            follow_ups=self.follow_ups,
            escalation=self.escalation,
            attention=self.attention,
            handoff="waiting" if turn.reply.kind == "handoff" else turn.handoff,
        )


NOTHING = Verdict()
"""No exception."""


class Matrix:
    """The handlers of a prompt set, ready to be asked."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        detector: Detector,
        reach: Mapping[bool, Texts],
        offer: Offer,
        hunches: Hunches,
    ) -> None:
        self._handlers = handlers
        self._detector = detector
        self._reach = reach
        self._offer = offer
        self._hunches = hunches

    @classmethod
    def load(cls, folder: Path, facts: Facts) -> Matrix:
        """Read `exceptions.yaml` and `detection.yaml`. Raises PromptError with file and line."""
        handlers, reach, offer = read(folder / "exceptions.yaml", facts)
        detector = Detector.load(folder / "detection.yaml", handlers)
        return cls(handlers, detector, reach, offer, Hunches.bundled())

    # ---- detect

    def critical(self, text: str) -> str:
        """The name of the handler that must come before every limit; empty for nearly every text."""
        return next(iter(self._detector.find(text, only=CRITICAL)), "")

    def detect(self, text: str, *, before: str | None) -> tuple[str, ...]:
        """Names of the handlers that `text` shows, without those that `critical` looks for.

        `before` is the last reply, None at the beginning.
        """
        names = self._detector.find(text, opening=before is None, but=CRITICAL)
        if before and not names and self._accepted(text, before):
            return ("person_wanted",)
        return _settled(names)

    def weigh(
        self, names: Sequence[str], text: str, vector: Vector, *, before: str | None, known: bool
    ) -> tuple[str, ...]:
        """The `names` that signs gave, without coincidences and with what no sign tells.

        `vector`: the bundled embedder's of `text`. `known`: the documents answer it for certain.
        """
        chances = self._hunches.read(text, vector)
        kept = [name for name in names if not self._coincidence(name, chances)]
        if ELSEWHERE in kept and chances["out_of_scope"] >= BEYOND:
            kept.append("out_of_scope")
        likely = [
            ELSEWHERE if name == "out_of_scope" else name
            for name, chance in sorted(chances.items(), key=lambda each: -each[1])
            if self._hunches.joins(name, chance, accounted=bool(kept or before) or known)
            and (chance >= BEYOND or not self._detector.denied(name, text))
            and not (name == "ambiguous_request" and (kept or before is not None))
        ]
        return _settled(_once([*kept, *likely]))

    def _coincidence(self, name: str, chances: Mapping[str, float]) -> bool:
        topic = name.split(".")[0]  # a wording of a handler is as likely as any other of it
        chance = max((chances[each] for each in chances if each.split(".")[0] == topic), default=1)
        return self._detector.weighed(name) and chance < UNLIKELY

    def _accepted(self, text: str, before: str) -> bool:
        """Whether `text` says yes to a person that the last reply offered."""
        offered = any(question in before for question in self._offer.question.values())
        return offered and any(sign.search(folded(text)) for sign in self._offer.accepted)

    # ---- decide

    def decide(self, names: Sequence[str], situation: Situation, /, **slots: object) -> Verdict:
        """What to do about the handlers called `names`; `NOTHING` when nothing is to be said.

        A handler with `answer_from` leaves the word to an answer of at least that confidence, and
        says its note before it, if it has one. Raises PromptError for an unknown name.
        """
        found = sorted((self._named(name) for name in names), key=lambda each: each.priority)
        spoken = [each for each in found if not _answered(each, situation)]
        noted = [each for each in found if _answered(each, situation) and each.notes][:NOTES]
        main = self._compound(spoken) or next(iter(spoken), None)
        speaking = [main] if main else noted
        if not speaking:
            return NOTHING
        texts = [main.texts] if main else [each.notes for each in noted]
        applying = sorted([*spoken, *noted], key=lambda each: each.priority)
        following = speaking if main and "+" in main.name else applying
        escalating = (each.recorded for each in [*speaking, *applying] if each.escalates)
        return Verdict(
            exceptions=_once(each.recorded for each in applying),
            follow_ups=_once(each.follow_up for each in following),
            escalation=next(escalating, ""),
            alone=main is not None,
            kind=main.kind if main else "answer",
            text="\n\n".join(self._say(each, situation, slots) for each in texts),
            attention=_attention([*speaking, *applying]),
            choices=next(filter(None, (self._choices(e, situation) for e in speaking)), ()),
        )

    def stand_in(self, name: str, words: str, /, **slots: object) -> Verdict:
        """What `name` says in the brain's place to a customer's `words`, and what these add to it."""
        detected = self._detector.find(words)
        others = [other for other in detected if f"{name}+{other}" in self._handlers]
        situation = Situation(language=detect_language(words, "ko"))
        return self.decide([name, *others], situation, **slots)

    def _compound(self, spoken: Sequence[Handler]) -> Handler | None:
        """The handler for two exceptions at once, if there is one for the first of `spoken`."""
        names = {each.recorded for each in spoken}
        for name, handler in self._handlers.items():
            both = name.split("+")
            if len(both) == 2 and names.issuperset(both) and spoken[0].recorded in both:
                return handler
        return None

    def _choices(self, handler: Handler, situation: Situation) -> tuple[Choice, ...]:
        choices = self._offer.choices if handler.offers else handler.choices
        return _in(choices, situation.language) if choices else ()

    # ---- say

    def text(self, name: str, language: str, /, **slots: object) -> str:
        """What the handler `name` says. Raises PromptError for an unknown name or a missing slot."""
        return self._say(self._named(name).texts, Situation(language=language), slots)

    def _named(self, name: str) -> Handler:
        if name not in self._handlers:
            near = suggest(name, list(self._handlers))
            raise PromptError(f"unknown exception {name!r}; {near}")
        return self._handlers[name]

    def _say(self, texts: Texts, situation: Situation, slots: Mapping[str, object]) -> str:
        language = situation.language
        known = {
            "reach": _in(self._reach[situation.open], language).format_map({}),
            "offer": _in(self._offer.question, language),
            **{name: shown(value) for name, value in slots.items()},
        }
        try:
            return _in(texts, language).format_map(known)
        except KeyError as missing:
            raise PromptError(f"an exception's text needs the slot {missing}") from None


def _settled(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without a question for details where something weightier was said, or nothing at all."""
    weightier = any(
        name in ("ambiguous_request", "policy_conflict") or name.startswith(CRITICAL)
        for name in names
    )
    return tuple(name for name in names if not (weightier and name == "insufficient_info"))


def _answered(handler: Handler, situation: Situation) -> bool:
    lowest = handler.answer_from
    return lowest is not None and _RANK[situation.confidence] >= _RANK[lowest]


def _attention(handlers: Sequence[Handler]) -> Attention:
    if any(each.alert for each in handlers):
        return "staff"
    return "log" if any(each.logged for each in handlers) else ""


def _in(by_language: Mapping[str, T], language: str) -> T:
    """What is there in `language`: English for all but Korean; Korean where none is given."""
    return by_language.get(language or "ko", by_language["en"])


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
