"""What the model is told and nobody else: recognised when it stands in an answer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final

from brain.guard.grounds import Grounds, letters
from brain.prompt.parts import LEVELS, STRENGTHS, Layer, Module, PromptSet

RUN: Final = 20
"""So many letters in a row of an instruction are no coincidence; spaces and marks do not count."""

SENTENCE: Final = 8
"""So many letters make a sentence that is recognised when it is the whole of one of the answer."""

_ENCODED: Final = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")
_SENTENCE_END: Final = re.compile(r"[.!?\n]")
_DIGIT: Final = re.compile(r"\d")


class Secrets:
    """Every run of letters of the rules, guides and frame; what the company says openly is none."""

    def __init__(self, sets: Sequence[PromptSet], public: Iterable[str] = ()) -> None:
        told = list(_told(sets))
        runs = {run for text in told for run in _runs(letters(text))}
        self._runs = runs.difference(run for text in public for run in _runs(letters(text)))
        sentences = {letters(part) for text in told for part in _SENTENCE_END.split(text)}
        # With a number in it, it is a fact in a few words: anybody would say it like that.
        self._sentences = {
            each for each in sentences if len(each) >= SENTENCE and not _DIGIT.search(each)
        }
        names = {name for each in sets for name in (each.frame.data_fence, each.frame.words_fence)}
        fences = "|".join(map(re.escape, sorted(names)))
        self._fence = re.compile(rf"</?\s{{0,3}}(?:{fences})\s+[^<>\n]{{1,40}}>")

    def leak(self, text: str, before: str, grounds: Grounds) -> str:
        """The first run of an instruction in `text`, empty if there is none.

        `before` are the letters of the answer so far, as a run may begin there; what stands in the
        `grounds` may be said. Reversed and base64 text is looked through as well.
        """
        if fence := self._fence.search(text):
            return fence[0]
        said = letters(text)
        if said in self._sentences and said not in grounds.letters:
            return text.strip()
        looked = [before[-RUN + 1 :] + said, said[::-1], *map(letters, _decoded(text))]
        known = (run for each in looked for run in _runs(each) if run in self._runs)
        return next((run for run in known if run not in grounds.letters), "")


def _told(sets: Sequence[PromptSet]) -> Iterable[str]:
    for each in sets:
        frame = each.frame
        yield from (frame.reading, frame.passages, frame.nothing, frame.words, frame.summary)
        guides: list[Layer | Module] = [*each.layers, *each.modules]
        for level in LEVELS:
            # In the order of the prompt, so that runs across short rules are known too.
            for guide in guides:
                yield "\n".join(
                    rule.text(level)
                    for strength in STRENGTHS
                    for rule in guide.rules
                    if rule.priority == strength
                )


def _runs(text: str) -> Iterable[str]:
    return (text[at : at + RUN] for at in range(len(text) - RUN + 1))


def _decoded(text: str) -> Iterable[str]:
    for match in _ENCODED.finditer(text):
        try:
            yield base64.b64decode(match[0] + "=" * (-len(match[0]) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
