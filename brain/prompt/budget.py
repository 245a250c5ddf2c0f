"""Tokens: estimated without a tokenizer, corrected by the model's own counts, divided among the parts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from brain.errors import ConfigError

Compression = Literal["core", "standard", "detailed"]
"""How many words a rule gets: key words, a sentence, everything."""

SMALLEST = 2048
"""Context window below which no conversation fits."""
MARGIN = 1.2
"""The estimate is exceeded by up to a fifth (95th percentile); budgets count that much more."""
PER_MESSAGE = 8
"""Tokens that the chat template puts around one message."""
FACTORS = (0.5, 6.0)
"""Plausible corrections: a tokenizer without Korean takes about four times the estimate."""
FALLING = 0.002
"""Part of the way that the correction goes down at a lower count."""
STEPS = 8
"""Corrections are rounded up to eighths, so that small changes move no border in the prompt."""

_OTHER = 1.5
"""Tokens of a character of no class below: Hanja, kana, Cyrillic, emoji."""
_WEIGHTS = (
    # Fitted on Korean texts against a real tokenizer; Latin from common words of English.
    (re.compile(r"[가-힣]+"), 0.71),
    (re.compile(r"[A-Za-z\u00c0-\u024f]+"), 0.28),
    (re.compile(r"[^\S\n]+"), 0.0),
    (re.compile(r"\n+"), 0.5),
    (re.compile(r"[0-9]+"), 2.04),
    (re.compile(r"[\u1100-\u11ff\u3130-\u318f]+"), 1.0),
    (re.compile(r"[!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u205e\u3000-\u303f\uff01-\uff65]+"), 1.19),
)


def weigh(text: str) -> float:
    """Tokens of `text` as an average model of Korean counts them, without correction or margin."""
    total = 0.0
    for letters, weight in _WEIGHTS:
        rest = letters.sub("", text)
        total += weight * (len(text) - len(rest))
        text = rest
    return total + _OTHER * len(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many tokens each part of a prompt may take.

    Of what the reply leaves, one part in seven goes to the system message, four to the history and
    two to knowledge: of 8,000 that is 1,000, 4,000, 2,000 and 1,000 for the reply.
    """

    num_ctx: int
    """Context window of the model, tokens."""
    reserve: int
    """Kept for the reply, tokens."""
    factor: float = 1.0
    """Correction of the estimate for this model, from `Calibration.factor`."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a window in which nothing fits."""
        if self.num_ctx < SMALLEST:
            raise ConfigError(f"model.num_ctx is {self.num_ctx}; it must be at least {SMALLEST}")
        if not 0 < self.reserve <= self.num_ctx // 2:
            raise ConfigError(
                f"{self.reserve} tokens for the reply do not go with a context window of "
                f"{self.num_ctx}; set model.num_predict to at most {self.num_ctx // 2}"
            )

    @property
    def limit(self) -> int:
        """Tokens for the whole prompt."""
        return self.num_ctx - self.reserve

    @property
    def system(self) -> int:
        """Tokens for the static system message."""
        return self.limit // 7

    @property
    def history(self) -> int:
        """Tokens for the window of earlier turns and the summary of those before."""
        return self.limit * 4 // 7

    @property
    def knowledge(self) -> int:
        """Tokens for passages, modules and examples."""
        return self.limit * 2 // 7

    def count(self, text: str) -> int:
        """Tokens of `text` for this model, margin included."""
        return math.ceil(weigh(text) * self.factor * MARGIN)

    def count_messages(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Tokens of a whole prompt for this model, margin and chat template included."""
        return sum(self.count(message["content"]) + PER_MESSAGE for message in messages)

    def shorten(self, text: str, tokens: int, mark: str) -> str:
        """`text` in at most `tokens`, its middle replaced by `mark`, whose `{n}` says how much.

        The beginning gets two thirds: it names the matter; the end holds the question.
        """
        if self.count(text) <= tokens:
            return text
        low, high = 0, len(text)
        while low < high:
            kept = (low + high + 1) // 2
            if self.count(_halves(text, kept, mark)) <= tokens:
                low = kept
            else:
                high = kept - 1
        return _halves(text, low, mark)


def _halves(text: str, kept: int, mark: str) -> str:
    head = kept * 2 // 3
    tail = text[len(text) - (kept - head) :]
    return f"{text[:head]}{mark.replace('{n}', f'{len(text) - kept:,}')}{tail}"


def compression(remaining: int) -> Compression:
    """How wordy what is chosen for one turn may be when `remaining` tokens are left."""
    if remaining < 1000:
        return "core"
    return "standard" if remaining < 5000 else "detailed"


class Calibration:
    """What the models' own counts say about the estimate: one correction per model."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def factor(self, model: str) -> float:
        """The correction for `model`, in eighths; 1 until it was observed."""
        factor, _ = self._seen.get(model, (1.0, 0))
        return math.ceil(factor * STEPS - 1e-9) / STEPS

    def observe(self, model: str, messages: Sequence[Mapping[str, str]], counted: int) -> None:
        """Learn from the `prompt_eval_count` that came back for `messages`.

        A server may report only what it had not read before: a count below half of the estimate
        is taken for that and ignored. The correction falls much slower than it rises: after much
        English it must still be right for the next long message in Korean.
        """
        overhead = PER_MESSAGE * len(messages)
        estimated = sum(weigh(message["content"]) for message in messages)
        low, high = FACTORS
        if estimated <= 0 or (counted - overhead) / estimated < low:
            return
        ratio = min((counted - overhead) / estimated, high)
        factor, samples = self._seen.get(model, (1.0, 0))
        pace = max(0.1, 1 / (samples + 1)) if ratio > factor else FALLING
        self._seen[model] = (factor + pace * (ratio - factor), samples + 1)
