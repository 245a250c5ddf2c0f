"""What the YAML files of a prompt set hold, before it is checked against facts and other files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from brain.prompt.budget import Compression
from brain.prompt.parts import LEVELS, Keep, Strength

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Texts(_Strict):
    """The wordings of one text."""

    core: str | None = None
    standard: str | None = None
    detailed: str | None = None

    @model_validator(mode="after")
    def _some(self) -> Texts:
        if not (self.core or self.standard or self.detailed):
            raise ValueError("write a text, or one of core, standard, detailed")
        return self

    def written(self) -> dict[Compression, str]:
        """Those that are there."""
        return {level: text for level in LEVELS if (text := getattr(self, level))}


def _levels(value: Any) -> Any:
    return {"standard": value} if isinstance(value, str) else value


def _kept(value: Any) -> Any:
    if value == "P0":
        raise ValueError(
            "P0, never left out, are the customer's words and the MUST rules; write P1 for what is "
            "left out last, P2, or P3 for what is left out first"
        )
    return value


Wording = Annotated[Texts, BeforeValidator(_levels)]
Kept = Annotated[Keep, BeforeValidator(_kept)]


class RuleEntry(_Strict):
    """A rule."""

    id: Id
    priority: Strength
    text: Wording
    when: dict[str, Any] = {}


class LayerFile(_Strict):
    """`layers/1_identity.yaml` and so on."""

    layer: int
    name: Literal["identity", "knowledge", "behaviour", "format", "exceptions", "adaptation"]
    title: str
    rules: list[RuleEntry]


class Change(_Strict):
    """What a persona changes in a rule, or a rule of its own."""

    id: Id
    layer: int | None = None
    priority: Strength | None = None
    text: Wording | None = None
    when: dict[str, Any] | None = None


class PersonaFile(_Strict):
    """`personas/*.yaml`."""

    persona: Id
    extends: str | None = None
    rules: list[Change] = []


class ModuleFile(_Strict):
    """`modules/*.yaml`."""

    module: Id
    title: str
    priority: Kept = "P1"
    when: dict[str, Any]
    adjustment: Id | None = None
    rules: list[RuleEntry]


class ExampleFile(_Strict):
    """`examples/*.yaml`."""

    example: Id
    priority: Kept = "P2"
    when: dict[str, Any]
    adjustment: Id | None = None
    customer: str
    assistant: Wording


class Strengths(_Strict):
    """Words for the strengths of rules."""

    MUST: str
    SHOULD: str
    MAY: str


class FrameFile(_Strict):
    """`frame.yaml`."""

    reading: str
    strengths: Strengths
    facts: str
    summary: str
    situation: str
    example: str
    customer: str
    assistant: str
    passages: str
    nothing: str
    words: str
    closing: str
    data_fence: str
    words_fence: str
    omitted: str
    weekdays: Annotated[str, Field(min_length=7, max_length=7)]
    digest: str = ""
