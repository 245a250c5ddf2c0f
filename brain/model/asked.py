"""What a model is asked, and what it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form of an answer that a program reads: JSON, and the same for the same question."""

    schema: dict[str, Any]
    """JSON schema that the server keeps the model to."""
    longest: int
    """Tokens of the answer at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    messages: Sequence[Mapping[str, Any]]
    """`role` and `content`, and `images` if any."""
    options: Mapping[str, Any]
    """num_ctx, num_predict, temperature."""
    schema: dict[str, Any] | None = None
    """Of the answer; None: words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model wrote."""

    text: str
    """The answer, without thoughts; the truth even where the written pieces said more."""
    model: str
    """Name of the model that wrote it."""
    prompt_tokens: int | None
    """Tokens of the prompt as the server read it: less than expected means that it was cut."""
    reply_tokens: int | None
    """Tokens that were written."""
    cut: bool
    """Whether it stops before its end: out of tokens, or stopped in a loop."""
    load_ms: float
    """Milliseconds until the model was in memory; a few when it was there."""
    first_token_ms: float
    """Milliseconds from the request to the first token."""
