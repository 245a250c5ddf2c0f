"""The prompt of one turn, composed so that the model's server reads each token once.

A static system message, the summary of what left the window, the window's turns, and last the
customer's message with everything chosen for it: what stands before the last message only grows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from brain.errors import PromptError
from brain.memory import Exchange, Session
from brain.messages import Address, Passage, Situation
from brain.prompt.budget import PER_MESSAGE, Budget, Compression, compression, weigh
from brain.prompt.last_message import Defuser, LastMessage, Room, new_marker
from brain.prompt.parts import Part, Priority, PromptSet
from brain.prompt.system_message import SystemMessage

NEARLY_FULL = 0.7
"""Share of its room from which a window is summed up, so that the summary is there when it moves."""
SHORTEST_WORDS = 64
"""Tokens that the customer's words must be able to take, whatever else is in the prompt."""
LEAST_REPLY = 128
"""Tokens to which the room for the reply shrinks where rules and words would not fit otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A prompt and what became of its parts."""

    messages: tuple[dict[str, Any], ...]
    """`role` and `content`, as Ollama's chat takes them."""
    session: Session
    """The session, its window moved if it was full."""
    parts: tuple[Part, ...]
    """What it is made of."""
    dropped: tuple[str, ...]
    """What was left out or, with `:shorter`, shortened for want of room: `P3 format.emoji`."""
    tokens: Mapping[str, int]
    """Estimated tokens by kind of part, and `estimated` for the whole."""
    levels: Mapping[str, Compression]
    """Wordings used: of MUST and of other rules for everybody, and of what was chosen for the turn."""
    passages: tuple[Passage, ...]
    """Those that the model sees."""
    begins: str
    """What its last message begins with that the next one will too, unless the situation changes."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the parts that were used."""
        return tuple(part.name for part in self.parts)


class Composer:
    """Composes prompts from one prompt set."""

    def __init__(self, parts: PromptSet) -> None:
        self._parts = parts
        self._system = SystemMessage(parts)
        self._defuse = Defuser(parts.frame)

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
        adjusted: Collection[str] = (),
    ) -> Composed:
        """The prompt for `question`; never more than `budget.limit` tokens by its count.

        Where a small window or a wasteful tokenizer leaves no room for the customer's words, first
        the reply gets less, down to `LEAST_REPLY`, then layer 6 goes. `now` is in the company's
        time zone. `marker` is random unless given. `adjusted` are the adjustments that are on.
        Raises PromptError when the static rules leave no room even so.
        """
        static = self._system.at(budget)
        text = static.text
        system = budget.count(text) + PER_MESSAGE
        least = min(budget.reserve, LEAST_REPLY)
        for reserve, bare in ((budget.reserve, False), (least, False), (least, True)):
            last = LastMessage(
                self._parts,
                self._defuse,
                situation=situation,
                now=now,
                marker=marker or new_marker(),
                level=compression(budget.knowledge),
                adjusted=adjusted,
                bare=bare,
            )
            fixed = budget.count(last.text("")) + PER_MESSAGE
            free = budget.num_ctx - reserve - system - fixed
            if free >= SHORTEST_WORDS * max(1.0, budget.factor):
                break
        else:
            raise self._too_long(system + fixed, budget.num_ctx - least)
        words = self._defuse(question)
        kept = budget.shorten(words, free, self._parts.frame.omitted)
        free -= budget.count(kept)
        summary, history, session, lost = self._history(session, budget, free)
        ruled = {name: budget.count(f"- {rule}\n") for name, rule in last.musts.items()}
        spent = {
            "system": system,
            "history": _cost(history, budget),
            "summary": _cost(summary, budget),
            "question": budget.count(kept) + fixed - sum(ruled.values()),
            "situation": sum(ruled.values()),
        }
        room = Room(budget, free - spent["history"] - spent["summary"], used=spent)
        included = last.fill(room, passages)
        messages = _alternating(
            (
                {"role": "system", "content": text},
                *summary,
                *history,
                {"role": "user", "content": last.text(kept)},
            )
        )
        tokens = {kind: cost for kind, cost in room.used.items() if cost}
        before: dict[str, tuple[Priority | None, int]] = {
            **{name: (None, budget.count(block)) for name, block in static.blocks.items()},
            **{kind: ("P1", spent[kind]) for kind in ("summary", "history") if spent[kind]},
            **{name: ("P1", cost) for name, cost in ruled.items()},
        }
        parts = [
            Part(name=name, priority=keep, tokens=cost) for name, (keep, cost) in before.items()
        ]
        parts += [*room.parts, Part(name="question", priority="P0", tokens=spent["question"])]
        return Composed(
            messages=messages,
            session=session,
            parts=tuple(parts),
            dropped=(
                *static.dropped,
                *lost,
                *last.dropped,
                *(["P0 question:shorter"] if kept != words else []),
                *room.dropped,
            ),
            levels={
                **dict(zip(("MUST", "others"), static.levels, strict=True)),
                "turn": last.level,
            },
            tokens={**tokens, "estimated": sum(tokens.values())},
            passages=included,
            begins=last.begins(),
        )

    def _too_long(self, taken: int, limit: int) -> PromptError:
        rules = [rule for layer in self._parts.layers for rule in layer.rules]
        musts = (rule for rule in rules if rule.priority == "MUST")
        longest = max(musts, key=lambda rule: weigh(rule.text("core")))
        return PromptError(
            f"{longest.where}: the rules take {taken} of {limit} tokens and leave no room for a "
            f"question; shorten the MUST rules, of which {longest.id!r} is the longest, or raise "
            "model.num_ctx"
        )

    def check(self, budget: Budget) -> None:
        """Raises PromptError, with file and line, when the rules leave no room for a question."""
        nobody = Session(address=Address(channel="", conversation="", user=""))
        self._begun(nobody, budget, Situation())

    def ahead(
        self, session: Session, budget: Budget, situation: Situation
    ) -> tuple[dict[str, Any], ...]:
        """What the next prompt will begin with, to be read before there is a question.

        Its window has moved if another message like the last one will move it; a long one may move
        it all the same. It ends with the rules for what lasts of `situation`, or if there are none
        with a message of one character, as a chat does not end with the assistant.
        """
        composed = self._begun(session, budget, situation)
        return (
            *composed.messages[:-1],
            {"role": "user", "content": composed.begins or "…"},
        )

    def _begun(self, session: Session, budget: Budget, situation: Situation) -> Composed:
        return self.compose(
            situation=situation,
            session=session,
            question=session.window[-1].customer if session.window else "",
            passages=(),
            now=datetime.now(UTC),
            budget=budget,
        )

    def digest(self, session: Session, budget: Budget) -> tuple[dict[str, Any], ...]:
        """What to ask the model for a summary of the conversation; empty while there is no need.

        It begins as the prompt of the last turn did and as that of the next one will, so the model
        has read nearly all of it, and reads the next turn no slower for having written a summary.
        """
        summary = self._summary(session, budget)
        history = [
            message for exchange in session.window for message in self._exchange(exchange, budget)
        ]
        room = budget.history - _cost(summary, budget)
        ask = self._parts.frame.digest
        if not ask or session.digest or _cost(history, budget) < room * NEARLY_FULL:
            return ()
        system = {"role": "system", "content": self._system.at(budget).text}
        messages = _alternating((system, *summary, *history, {"role": "user", "content": ask}))
        return messages if _cost(messages, budget) <= budget.limit else ()

    def _history(
        self, session: Session, budget: Budget, free: int
    ) -> tuple[list[dict[str, str]], list[dict[str, str]], Session, list[str]]:
        """Messages of the summary and of the window within `free`, the session, what was lost."""
        before = _cost(self._summary(session, budget), budget)
        capacity = max(0, min(budget.history, free - budget.knowledge // 2) - before)
        session = session.fit(
            capacity, lambda exchange: _cost(self._exchange(exchange, budget), budget)
        )
        summary = self._summary(session, budget)
        history = [
            message for exchange in session.window for message in self._exchange(exchange, budget)
        ]
        lost: list[str] = []
        if _cost(history, budget) + _cost(summary, budget) > free:
            history, lost = [], ["P1 history"]
        if summary and summary[0]["content"].count("\n") < len(session.marks) + len(
            session.summary.splitlines()
        ):
            lost.append("P1 summary:shorter")
        if _cost(summary, budget) > free:
            summary, lost = [], ["P1 history", "P1 summary"]
        return summary, history, session, lost

    def _exchange(self, exchange: Exchange, budget: Budget) -> list[dict[str, str]]:
        """The messages of one turn; each takes at most a quarter of the history."""
        return [
            {
                "role": role,
                "content": budget.shorten(
                    self._defuse(text), budget.history // 4 - PER_MESSAGE, self._parts.frame.omitted
                ),
            }
            for role, text in (("user", exchange.customer), ("assistant", exchange.assistant))
            if text.strip()
        ]

    def _summary(self, session: Session, budget: Budget) -> list[dict[str, str]]:
        """What left the window, marked facts first, in at most a quarter of the history.

        It quotes the customer, so it is a message of the customer's and never of the system.
        """
        left = budget.history // 4 - budget.count(self._parts.frame.summary) - PER_MESSAGE
        lines: list[str] = []
        for wanted in (session.marks, session.summary.splitlines()):
            kept: list[str] = []
            for text in reversed(wanted):
                line = self._defuse(text)
                cost = budget.count(f"- {line}") + 1
                if cost <= left:
                    left -= cost
                    kept.append(f"- {line}")
            lines += reversed(kept)
        if not lines:
            return []
        return [{"role": "user", "content": "\n".join([self._parts.frame.summary, *lines])}]


def _cost(messages: Sequence[Mapping[str, str]], budget: Budget) -> int:
    return budget.count_messages(messages)


def _alternating(messages: Sequence[dict[str, str]]) -> tuple[dict[str, str], ...]:
    """`messages` with neighbours of one role joined: chat templates expect roles to alternate.

    Two of the customer's meet after a failed turn, which left no reply, and after the summary.
    """
    joined: list[dict[str, str]] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"]:
            content = f"{joined[-1]['content']}\n\n{message['content']}"
            joined[-1] = {"role": message["role"], "content": content}
        else:
            joined.append(message)
    return tuple(joined)
