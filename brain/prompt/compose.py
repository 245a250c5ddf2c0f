"""The prompt of one turn, composed so that the model's server reads each token once.

A static system message, the summary of what left the window, the window's turns, and last the
customer's message with everything chosen for it: what stands before the last message only grows.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brain.errors import PromptError
from brain.memory import Exchange, Session
from brain.messages import Passage, Situation
from brain.prompt.budget import PER_MESSAGE, Budget, Compression, compression, weigh
from brain.prompt.last_message import Defuser, LastMessage, Room
from brain.prompt.parts import PRIORITIES, STRENGTHS, Layer, PromptSet, Rule, Strength

NEARLY_FULL = 0.7
"""Share of its room from which a window is summed up, so that the summary is there when it moves."""
WORDINESS: tuple[tuple[Compression, Compression], ...] = (
    ("detailed", "detailed"),
    ("standard", "standard"),
    ("standard", "core"),
    ("core", "core"),
)
"""Wordings of the static part, the fullest first: of its MUST rules and of the others."""
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
    parts: Mapping[str, int]
    """Estimated tokens of every part that was used, by its name."""
    dropped: tuple[str, ...]
    """What was left out or, with `:shorter`, shortened for want of room: `P3 format.emoji`."""
    tokens: Mapping[str, int]
    """Estimated tokens by kind of part, and `estimated` for the whole."""
    levels: Mapping[str, Compression]
    """Wordings used: of MUST and of other rules for everybody, and of what was chosen for the turn."""
    passages: tuple[Passage, ...]
    """Those that the model sees."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the parts that were used."""
        return tuple(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Static:
    blocks: Mapping[str, str]
    dropped: tuple[str, ...]
    levels: tuple[Compression, Compression]
    complete: bool

    @property
    def text(self) -> str:
        return "\n\n".join(self.blocks.values())


class Composer:
    """Composes prompts from one prompt set; keeps the static part of each budget."""

    def __init__(self, parts: PromptSet) -> None:
        self._parts = parts
        self._static: dict[int, _Static] = {}
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
        static = self.static(budget)
        text = static.text
        system = budget.count(text) + PER_MESSAGE
        least = min(budget.reserve, LEAST_REPLY)
        for reserve, bare in ((budget.reserve, False), (least, False), (least, True)):
            last = LastMessage(
                self._parts,
                self._defuse,
                situation=situation,
                now=now,
                marker=marker or secrets.token_hex(4),
                level=compression(budget.knowledge),
                adjusted=adjusted,
                bare=bare,
            )
            fixed = budget.count(last.text("")) + PER_MESSAGE
            free = budget.num_ctx - reserve - system - fixed
            if free >= SHORTEST_WORDS * max(1.0, budget.factor):
                break
        else:
            raise PromptError(
                f"the static rules take {system + fixed} of {budget.num_ctx - least} tokens and "
                "leave no room for a question; shorten prompts/layers or raise model.num_ctx"
            )
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
        parts = {name: budget.count(block) for name, block in static.blocks.items()}
        parts |= {kind: spent[kind] for kind in ("summary", "history") if spent[kind]}
        return Composed(
            messages=messages,
            session=session,
            parts={**parts, **ruled, **room.parts, "question": spent["question"]},
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
        system = {"role": "system", "content": self.static(budget).text}
        messages = _alternating((system, *summary, *history, {"role": "user", "content": ask}))
        return messages if _cost(messages, budget) <= budget.limit else ()

    def static(self, budget: Budget) -> _Static:
        """The system message: the wordiest version whose rules fit its share, alike for everybody.

        It depends on the window alone, not on the model's correction, so that it never changes.
        """
        share = budget.system
        if share not in self._static:
            for musts, others in WORDINESS:
                static = self._static_at(musts, others, share)
                if static.complete:
                    break
            self._static[share] = static
        return self._static[share]

    def _static_at(self, musts: Compression, others: Compression, share: int) -> _Static:
        """All MUST rules; then SHOULD rules, facts and MAY rules as long as they fit `share`."""
        rules = [(layer, rule) for layer in self._parts.layers[:-1] for rule in layer.rules]
        chosen = {
            f"{layer.name}.{rule.id}": rule.text(musts)
            for layer, rule in rules
            if rule.priority == "MUST"
        }
        should, may = (self._named(rules, strength, others) for strength in ("SHOULD", "MAY"))
        facts = [("P2", f"fact:{line.partition(':')[0]}", line) for line in self._parts.facts]
        optional = [*should, *facts, *may]
        every = [*chosen.values(), *(line for _, _, line in (*should, *may))]
        legend = self._parts.abbreviations.explained("\n".join(every))
        left = share - PER_MESSAGE - weigh("\n\n".join(self._blocks(chosen).values()) + legend)
        for _, name, line in optional:
            cost = weigh(f"- {line}\n")
            if cost <= left:
                left -= cost
                chosen[name] = line
        said = [line for name, line in chosen.items() if not name.startswith("fact:")]
        legend = self._parts.abbreviations.explained("\n".join(said))
        return _Static(
            blocks=self._blocks(chosen, legend),
            dropped=tuple(f"{keep} {name}" for keep, name, _ in optional if name not in chosen),
            levels=(musts, others),
            complete=left >= 0 and all(name in chosen for _, name, _ in should),
        )

    @staticmethod
    def _named(
        rules: Sequence[tuple[Layer, Rule]], strength: Strength, level: Compression
    ) -> list[tuple[str, str, str]]:
        return [
            (PRIORITIES[strength], f"{layer.name}.{rule.id}", rule.text(level))
            for layer, rule in rules
            if rule.priority == strength
        ]

    def _blocks(self, chosen: Mapping[str, str], legend: str = "") -> dict[str, str]:
        """The system message with the rules and facts of `chosen`, in the order of the files."""
        frame = self._parts.frame
        blocks = {"frame": "\n".join(filter(None, (frame.reading, legend)))}
        for layer in self._parts.layers[:-1]:
            lines = [f"# {layer.number}. {layer.title}"]
            for strength in STRENGTHS:
                names = [
                    f"{layer.name}.{rule.id}" for rule in layer.rules if rule.priority == strength
                ]
                said = [f"- {chosen[name]}" for name in names if name in chosen]
                if said:
                    lines += [f"{frame.strengths[strength]}:", *said]
            if len(lines) > 1:
                blocks[layer.name] = "\n".join(lines)
        facts = [f"- {line}" for name, line in chosen.items() if name.startswith("fact:")]
        if facts:
            blocks["facts"] = "\n".join([f"# {frame.facts}", *facts])
        return blocks

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
