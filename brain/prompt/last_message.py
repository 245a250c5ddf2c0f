"""The last message of a prompt: what was chosen for this turn, the passages, the customer's words."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from string import ascii_lowercase

from brain.messages import Level, Passage, Situation
from brain.prompt.budget import Budget, Compression, compression
from brain.prompt.conditions import LASTING, holds
from brain.prompt.parts import (
    PRIORITIES,
    Example,
    Frame,
    Keep,
    Module,
    Part,
    Priority,
    PromptSet,
    Rule,
    Strength,
    wording,
)

EXAMPLES: Mapping[Compression, int] = {"core": 1, "standard": 2, "detailed": 3}
"""Few-shot examples in one prompt at most."""
WHOLE: Mapping[Level, int] = {"high": 2, "medium": 3, "low": 3}
"""Passages that are given whole, by how sure retrieval is of the first; of the others what matched
best. In the sample company's questions the answer stands behind the third passage in 2 of 100."""
SHORTEST_PASSAGE = 80
"""Tokens below which a passage is not worth cutting down to."""

TEMPLATE_TOKENS = (
    r"<[|｜][^<>\n]{0,40}[|｜]>|\[\|[^\[\]\n]{0,40}\|\]|\[/?INST\]|</?SYS>|\[gMASK\]"
    r"|</?(?:start_of_turn|end_of_turn|im_start|im_end|bos|eos|pad|unk|sop|eop|s|unused\d{1,4}"
    r"|system|user|assistant|think|thinking|tool_call|tool_response)\s{0,3}/?>"
)
_HARMLESS = str.maketrans("<>[]|｜", "‹›［］¦¦")


class Defuser:
    """Takes out of texts what a chat template or our fences would take for a border."""

    def __init__(self, frame: Frame) -> None:
        fences = "|".join(re.escape(name) for name in (frame.data_fence, frame.words_fence))
        self._forged = re.compile(
            rf"{TEMPLATE_TOKENS}|</?\s{{0,3}}(?:{fences})[^<>\n]{{0,40}}>?", re.IGNORECASE
        )

    def __call__(self, text: str) -> str:
        """`text` with the brackets of every such border replaced by look-alikes."""
        return self._forged.sub(lambda found: found[0].translate(_HARMLESS), text)


def new_marker() -> str:
    """What nobody who writes to us can guess, to close a fence with: new for every request.

    Of letters, as each digit is a token of its own.
    """
    return "".join(secrets.choice(ascii_lowercase) for _ in range(6))


class Room:
    """What is left of the budget while the last message is filled."""

    def __init__(self, budget: Budget, left: int, *, used: Mapping[str, int]) -> None:
        self.budget = budget
        self.left = left
        """Tokens."""
        self.used = dict(used)
        """Tokens by kind of part."""
        self.parts: list[Part] = []
        """What was placed."""
        self.dropped: list[str] = []
        """What did not fit, or only `:shorter`, with its priority."""

    def place(
        self,
        kind: str,
        priority: Priority,
        name: str,
        *wordings: str,
        extra: int = 0,
        most: int | None = None,
    ) -> str:
        """The first of `wordings` that fits with `extra` tokens around it; empty if none does.

        Together they take `most` tokens; None: as many as there are.
        """
        room = self.left if most is None else min(self.left, most)
        for text in wordings:
            cost = self.budget.count(f"{text}\n\n") + extra
            if cost <= room:
                self.left -= cost
                self.used[kind] = self.used.get(kind, 0) + cost
                self.parts.append(Part(name=name, priority=priority, tokens=cost))
                if text != wordings[0]:
                    self.dropped.append(f"{priority} {name}:shorter")
                return text
        self.dropped.append(f"{priority} {name}")
        return ""


class LastMessage:
    """The last message: what was chosen for this turn, then passages and words, both fenced.

    What lasts stands first: the next message of the conversation is likely to begin with it too.
    """

    def __init__(
        self,
        parts: PromptSet,
        defuse: Defuser,
        *,
        situation: Situation,
        now: datetime,
        marker: str,
        level: Compression,
        adjusted: Collection[str] = (),
        bare: bool = False,
    ) -> None:
        """`level` is that of the MUST rules of layer 6; `marker` closes the fences.

        A `bare` message does without layer 6.
        """
        self.level = level
        """That of what was chosen last."""
        self._parts = parts
        self._adjusted = ("", *adjusted)
        self._defuse = defuse
        self._situation = situation
        self._marker = marker
        self._now = f"{now:%Y-%m-%d}({parts.frame.weekdays[now.weekday()]}) {now:%H:%M}"
        rules = [rule for rule in parts.layers[-1].rules if holds(rule.when, situation)]
        self._rules = [] if bare else rules
        self.dropped = [f"P1 adaptation.{rule.id}" for rule in rules] if bare else []
        """Names of the rules that a bare message does without."""
        self._texts = {
            rule.id: self._render(rule.text(level))
            for rule in self._rules
            if rule.priority == "MUST"
        }
        self._modules: list[str] = []
        self._examples: list[str] = []
        self._passages: list[str] = []
        self.musts = {f"adaptation.{name}": text for name, text in self._texts.items()}
        """The MUST rules of layer 6 by the names of their parts."""

    def fill(self, room: Room, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """Add what fits, the most important first; gives the passages that did."""
        self.level = level = compression(room.left)
        included = self._place_passages(room, "P1", passages[:1])
        self._place_guides(room, level, ("P1",))
        self._place_rules(room, level, "SHOULD")
        included += self._place_passages(room, "P2", passages[1:])
        self._place_guides(room, level, ("P2", "P3"))
        self._place_rules(room, level, "MAY")
        return tuple(included)

    def text(self, words: str) -> str:
        """The message around `words`."""
        frame = self._parts.frame
        blocks = [
            self._situated(sorted(self._rules, key=_lasts, reverse=True)),
            *self._modules,
            *self._examples,
            self._fenced(frame.passages, frame.data_fence, "\n\n".join(self._passages))
            if self._passages
            else frame.nothing,
            self._fenced(frame.words, frame.words_fence, words),
            frame.closing,
        ]
        return "\n\n".join(block for block in blocks if block)

    def begins(self) -> str:
        """What the message after this one will begin with, unless the situation changes."""
        return self._situated([rule for rule in self._rules if _lasts(rule)])

    def _situated(self, rules: Sequence[Rule]) -> str:
        lines = [f"- {self._texts[rule.id]}" for rule in rules if rule.id in self._texts]
        return "\n".join([f"[{self._parts.frame.situation}]", *lines]) if lines else ""

    def _fenced(self, heading: str, name: str, inside: str) -> str:
        return f"{heading}\n<{name} {self._marker}>\n{inside}\n</{name} {self._marker}>"

    def _render(self, text: str) -> str:
        return text.format_map({"now": self._now})

    def _place_rules(self, room: Room, level: Compression, strength: Strength) -> None:
        for rule in self._rules:
            if rule.priority != strength:
                continue
            name = f"adaptation.{rule.id}"
            wordings = (f"- {self._render(rule.text(at))}" for at in _levels(level))
            if text := room.place("situation", PRIORITIES[strength], name, *wordings):
                self._texts[rule.id] = text.removeprefix("- ")

    def _place_guides(self, room: Room, level: Compression, keeps: Sequence[Keep]) -> None:
        for keep in keeps:
            for module in self._parts.modules:
                if module.priority == keep and self._wanted(module):
                    name = f"module:{module.name}"
                    wordings = (self._module(module, at) for at in _levels(level))
                    if text := room.place("modules", keep, name, *wordings):
                        self._modules.append(text)
            for example in self._parts.examples:
                if example.priority == keep and self._wanted(example):
                    name = f"example:{example.name}"
                    enough = len(self._examples) == EXAMPLES[level]
                    wordings = (self._example(example, at) for at in _levels(level))
                    if text := room.place("examples", keep, name, *(() if enough else wordings)):
                        self._examples.append(text)

    def _wanted(self, part: Module | Example) -> bool:
        return part.adjustment in self._adjusted and holds(part.when, self._situation)

    def _module(self, module: Module, level: Compression) -> str:
        lines = [
            f"- {self._render(rule.text(level))}"
            for rule in module.rules
            if holds(rule.when, self._situation)
        ]
        return "\n".join([f"[{module.title}]", *lines])

    def _example(self, example: Example, level: Compression) -> str:
        frame = self._parts.frame
        return (
            f"[{frame.example}]\n{frame.customer}: {self._render(example.customer)}\n"
            f"{frame.assistant}: {self._render(wording(example.assistant, level))}"
        )

    def _place_passages(
        self, room: Room, priority: Priority, passages: Sequence[Passage]
    ) -> list[Passage]:
        whole = WHOLE[self._situation.confidence] - len(self._passages)
        return [
            passage
            for at, passage in enumerate(passages)
            if self._place_passage(room, priority, passage, whole=at < whole)
        ]

    def _place_passage(
        self, room: Room, priority: Priority, passage: Passage, *, whole: bool
    ) -> bool:
        """Whether it fits whole, or at least what matched best, or as the first one, cut."""
        frame, budget = self._parts.frame, room.budget
        heading = f"({passage.document} · {passage.heading})"
        wordings = [
            self._defuse(f"{heading}\n{text.strip()}")
            for text in (passage.text if whole or not passage.best else "", passage.best)
            if text
        ]
        # The heading of the passages and their fence come with the first one.
        fence = self._fenced(frame.passages, frame.data_fence, "\n\n")
        extra = 0 if self._passages else budget.count(fence)
        most = budget.knowledge - room.used.get("passages", 0)
        share = min(room.left, most) - extra
        if not self._passages and share >= SHORTEST_PASSAGE:
            wordings.append(budget.shorten(f"{wordings[0]}\n\n", share, frame.omitted).rstrip())
        name = f"passage:{passage.document}"
        text = room.place("passages", priority, name, *wordings, extra=extra, most=most)
        if text:
            self._passages.append(text)
        return bool(text)


def _lasts(rule: Rule) -> bool:
    names = {condition.name for condition in rule.when}
    return names <= LASTING and not any("{now}" in text for text in rule.texts.values())


def _levels(level: Compression) -> tuple[Compression, ...]:
    """The wordings to try: that of `level`, and the shortest."""
    return tuple(dict.fromkeys((level, "core")))
