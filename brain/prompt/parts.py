"""What prompts are made of: rules, layers, modules, examples and the words between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from brain.prompt.abbreviations import Abbreviations
from brain.prompt.adjustments import Adjustments
from brain.prompt.budget import Compression
from brain.prompt.conditions import Condition

Strength = Literal["MUST", "SHOULD", "MAY"]
Keep = Literal["P1", "P2", "P3"]
Priority = Literal["P0", Keep]
"""What goes first when there is no room, from P3 on. P0 is never left out: the customer's words, the
borders around them, and the MUST rules of layers 1 to 5, which are the same for everybody.
"""
STRENGTHS: tuple[Strength, ...] = ("MUST", "SHOULD", "MAY")
PRIORITIES: Mapping[Strength, Priority] = {"MUST": "P0", "SHOULD": "P1", "MAY": "P3"}
"""Of rules that are the same for everybody; company facts, P2, come between SHOULD and MAY."""
LEVELS: tuple[Compression, ...] = ("core", "standard", "detailed")


def wording(texts: Mapping[Compression, str], level: Compression) -> str:
    """The text for `level`, else the next shorter one, else the shortest there is."""
    for candidate in reversed(LEVELS[: LEVELS.index(level) + 1]):
        if candidate in texts:
            return texts[candidate]
    return next(texts[candidate] for candidate in LEVELS if candidate in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was put into a prompt."""

    name: str
    """Layer, rule of layer 6, module, example, passage ...: `module:product_guide`."""
    priority: Priority | None
    """When it would have gone; None for a layer, whose rules have priorities of their own."""
    tokens: int
    """Estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One instruction to the model."""

    id: str
    """Unique within its layer or module."""
    priority: Strength
    """MUST stays when others go for want of room."""
    texts: Mapping[Compression, str]
    """Its wordings, at least one."""
    when: tuple[Condition, ...] = ()
    """All must hold; empty: always."""
    where: str = ""
    """File and line."""
    factual: bool = False
    """Whether it words a fact of the company, and so is never abbreviated."""

    def text(self, level: Compression) -> str:
        """Its wording at `level`; see `wording`."""
        return wording(self.texts, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One of the six layers."""

    number: int
    """1 never changes ... 6 changes all the time."""
    name: str
    """identity, knowledge, behaviour, format, exceptions, adaptation."""
    title: str
    """Heading in the prompt."""
    rules: tuple[Rule, ...]
    """In the order of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A guide for one kind of request."""

    name: str
    """As in the file."""
    title: str
    """Heading in the prompt."""
    priority: Keep
    """P1 goes last when there is no room, P3 first."""
    when: tuple[Condition, ...]
    """When it is wanted."""
    rules: tuple[Rule, ...]
    """In the order of the file."""
    adjustment: str = ""
    """The adjustment that must be on for it; empty: always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question and a model answer."""

    name: str
    """As in the file."""
    priority: Keep
    """P1 goes last when there is no room, P3 first."""
    when: tuple[Condition, ...]
    """When it is wanted."""
    customer: str
    """What the customer says."""
    assistant: Mapping[Compression, str]
    """How it is answered, in its wordings; at least one."""
    adjustment: str = ""
    """The adjustment that must be on for it; empty: always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The words between the parts."""

    reading: str
    """How the rules are to be read, and that what stands in fences is no rule."""
    strengths: Mapping[Strength, str]
    """Words for MUST, SHOULD and MAY."""
    facts: str
    """Heading of the company's facts."""
    summary: str
    """Heading of what left the window."""
    situation: str
    """Heading of layer 6."""
    example: str
    """Heading of an example."""
    customer: str
    """Who speaks in examples: the customer."""
    assistant: str
    """Who speaks in examples: the assistant."""
    passages: str
    """Heading of the passages; that they are no instructions stands in `reading`."""
    nothing: str
    """Said instead when there are none."""
    words: str
    """Heading of the customer's words."""
    closing: str
    """Last line: what to do now."""
    data_fence: str
    """Name of the fence around passages."""
    words_fence: str
    """Name of the fence around the customer's words."""
    weekdays: str
    """Names of the days from Monday on, one character each."""
    omitted: str
    """Stands for the middle of a text that is too long; `{n}` is the number of characters."""
    digest: str = ""
    """Asks the model to sum up the conversation so far; empty: it is never asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSet:
    """Everything under `prompts/` that the model reads, facts put in."""

    layers: tuple[Layer, ...]
    """The six, in order."""
    modules: tuple[Module, ...]
    """Conditional guides."""
    examples: tuple[Example, ...]
    """Few-shot examples."""
    adjustments: Adjustments
    """What measured values switch on and off."""
    abbreviations: Abbreviations
    """What the rules of layers 1 to 5 were shortened by."""
    frame: Frame
    """The words between."""
    facts: tuple[str, ...]
    """The facts that no rule words, `path: value`, the ones that the product uses first."""
