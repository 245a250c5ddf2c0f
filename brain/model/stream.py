"""What a model writes, made fit to show while it arrives: thoughts and template marks left out, endless repetition noticed."""

from __future__ import annotations

import re
from collections import Counter

BLANK_FLOOD = 100
"""So many blank characters in a row are no layout any more."""
LOOP_SPAN = 120
"""Characters over which the end must repeat itself, at least three rounds, to count as a loop."""
LONGEST_ROUND = 200
"""Characters of the longest round of a loop that is looked for."""
SAME_LINES = 5
"""Equal lines, list numbers aside, that make a loop even when other lines stand between."""
CHECK_EVERY = 24
"""Characters between two looks for a loop."""
USEFUL = 20
"""Characters that must stand before a loop for the text to be worth keeping."""

_THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
}
_TEMPLATE = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>"),  # Qwen, SmolLM and other ChatML models
    *("<|eot_id|>", "<|end_of_text|>", "<|start_header_id|>", "<|begin_of_text|>"),  # Llama, Kanana
    *("<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>"),  # Gemma
    *("[|endofturn|]", "[|user|]", "[|assistant|]", "[|system|]"),  # EXAONE
    *("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),  # Phi, GLM
    *("[INST]", "[/INST]", "<s>", "</s>"),  # Mistral, Solar
)
_MARKS = (*_THOUGHTS, *_THOUGHTS.values(), *_TEMPLATE)
_MARK = re.compile("|".join(map(re.escape, _MARKS)))
_PREFIXES = frozenset(mark[:size] for mark in _MARKS for size in range(1, len(mark)))
_LIST_NUMBER = re.compile(r"^[\s\d.)*•-]+")


class Writing:
    """A text under way. Feed it pieces as they come; `text` is what may be kept of them."""

    def __init__(self) -> None:
        self.text = ""
        """Everything so far that belongs to the answer."""
        self.ended = False
        """Whether the rest is to be ignored: a template mark was met, or the text runs away."""
        self.ran_away = False
        """Whether it ended because it repeated itself or wrote only blanks."""
        self._held = ""
        self._closing = ""
        self._blank = 0
        self._checked = 0

    def add(self, piece: str) -> str:
        """Takes the next piece and returns what can be shown of it now, perhaps nothing.

        A closing mark of a thought that never began means that everything before it was one: `text`
        starts over, so at the end `text` counts, not the sum of what was shown.
        """
        if self.ended:
            return ""
        self._held += piece
        fresh = ""
        while mark := self._next_mark():
            before, self._held = self._held[: mark.start()], self._held[mark.end() :]
            fresh += "" if self._closing else before
            fresh = self._pass(mark.group(), fresh)
            if self.ended:
                self._held = ""
        free = len(self._held) - _begun(self._held)
        if not self._closing:
            fresh += self._held[:free]
        self._held = self._held[free:]
        return self._keep(fresh)

    def finish(self) -> str:
        """The pieces are over: what was held back as a possible mark was none."""
        held, self._held = self._held, ""
        return "" if self._closing or self.ended else self._keep(held)

    def _next_mark(self) -> re.Match[str] | None:
        if self._closing:
            return re.search(re.escape(self._closing), self._held)
        return _MARK.search(self._held)

    def _pass(self, mark: str, fresh: str) -> str:
        """Goes past a mark; returns what still stands of the fresh text before it."""
        if self._closing:
            self._closing = ""
        elif mark in _THOUGHTS:
            self._closing = _THOUGHTS[mark]
        elif mark not in _TEMPLATE:
            self.text = ""
            return ""
        else:
            # Before the first word it is a stray opening; after it the model talks to itself.
            self.ended = bool((self.text + fresh).strip())
        return fresh

    def _keep(self, fresh: str) -> str:
        words = fresh.rstrip()
        self._blank = len(fresh) - len(words) + (0 if words else self._blank)
        if not self.text:
            fresh = fresh.lstrip()
        self.text += fresh
        if self._blank >= BLANK_FLOOD:
            self.ended = self.ran_away = True
        elif len(self.text) - self._checked >= CHECK_EVERY:
            self._checked = len(self.text)
            self._cut_loop()
        return fresh

    def _cut_loop(self) -> None:
        loop = _loop(self.text) or _same_lines(self.text)
        if loop is None:
            return
        begin, end = loop
        self.ended = self.ran_away = True
        self.text = self.text[:end].rstrip() if len(self.text[:begin].strip()) >= USEFUL else ""


def _begun(text: str) -> int:
    """Length of the end of `text` that may be the beginning of a mark."""
    longest = max(map(len, _MARKS)) - 1
    sizes = range(min(len(text), longest), 0, -1)
    return next((size for size in sizes if text[-size:] in _PREFIXES), 0)


def _loop(text: str) -> tuple[int, int] | None:
    """Begin and end of the first round when the end of `text` goes round and round."""
    for period in range(1, LONGEST_ROUND + 1):
        span = max(LOOP_SPAN, 3 * period)
        if span > len(text):
            return None
        if text[-span + period :] != text[-span:-period]:
            continue
        begin = len(text) - span
        while begin and text[begin - 1] == text[begin - 1 + period]:
            begin -= 1
        return begin, begin + period
    return None


def _same_lines(text: str) -> tuple[int, int] | None:
    """Begin and end of the first of many equal lines, such as a list that counts on and on."""
    bodies = [_LIST_NUMBER.sub("", line).strip() for line in text.split("\n")[:-1]]
    common = Counter(body for body in bodies if len(body) > 5).most_common(1)
    if not common or common[0][1] < SAME_LINES:
        return None
    begin = text.index(common[0][0])
    return begin, begin + len(common[0][0])
