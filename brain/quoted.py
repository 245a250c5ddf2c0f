"""The reply without a model: the passage that answers, word for word, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from brain.messages import Confidence, Passage, Source
from brain.prompt.prompts import Prompts

NAMED = 3
"""Documents named under a reply at most."""
LONG = 300
"""Letters from which only the section of a passage that matched is quoted."""
RELATED = 0.6
"""Share of the best passage's score from which another document counts as a source."""


def quote(
    passages: Sequence[Passage], confidence: Confidence, prompts: Prompts, language: str
) -> str:
    """The best of `passages` in polite words; with a caveat unless the confidence is high."""
    best = passages[0]
    text = best.section if best.section and len(best.text) >= LONG else best.text
    parts = [prompts.phrase("quoted.answer", language, heading=best.heading, text=text)]
    if confidence.level != "high":
        parts.append(prompts.phrase("quoted.caveat", language))
        others = [
            passage.heading for passage in passages[1:NAMED] if passage.heading != best.heading
        ]
        if others:
            headings = "\n".join(f"• {heading}" for heading in dict.fromkeys(others))
            parts.append(prompts.phrase("quoted.more", language, headings=headings))
    return "\n\n".join(part for part in parts if part)


def headings(passages: Sequence[Passage]) -> tuple[str, ...]:
    """The innermost heading of each passage, each once."""
    return tuple(dict.fromkeys(passage.heading.split(" > ")[-1] for passage in passages))


def sources(passages: Sequence[Passage]) -> tuple[Source, ...]:
    """The documents behind a reply, best first, each document once."""
    named: dict[str, Source] = {}
    for passage in passages:
        if passage.document in named or passage.score < RELATED * passages[0].score:
            continue
        named[passage.document] = Source(
            document=passage.document, heading=passage.heading, score=round(passage.score, 4)
        )
    return tuple(named.values())[:NAMED]
