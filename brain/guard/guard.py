"""The output guard: every sentence of the model is put right, or refused, before anybody sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from brain.guard.grounds import Grounds, letters
from brain.guard.leak import RUN, Secrets
from brain.guard.politeness import polite
from brain.guard.terms import Terms

Kind = Literal["figures", "polite", "script", "language", "leak"]
FOREIGN_WORDS: Final = 6
"""Latin words that make a sentence without Hangul one of another language."""
FOREIGN_SYLLABLES: Final = 10
"""Hangul syllables that make a sentence almost without Latin words one of another language."""

_CLOSERS: Final = r"\"'”’」』）)\]*_"
_BREAK: Final = re.compile(
    rf"\n|[.!?…]+[{_CLOSERS}]*(?=[^\S\n])|[。！？]+[{_CLOSERS}]*(?=[^\n.!?…。！？{_CLOSERS}])"
)
_LONGEST_END: Final = 8
"""Marks at the end of a sentence that are looked at again when the next piece comes."""
_ONLY_NUMBER: Final = re.compile(r"\s*[*_]*\d{1,2}\.")
_WHOLE_LINE: Final = re.compile(r"\s*(?:```|\|)")
_QUOTES: Final = (("“", "”"), ("‘", "’"), ("「", "」"), ("『", "』"))
# Left as they are: code, links, addresses, quotations.
_KEPT: Final = (
    r"`[^`\n]*`|\[[^\]\n]*\]\([^)\n]*\)|https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+"
    r"|\"[^\"\n]*\"|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|(?<![\w가-힣])'[^'\n]{1,200}'"
)
_FOREIGN: Final = (
    r"\u0400-\u052f\u0590-\u05ff\u0600-\u06ff\u0750-\u077f\u0900-\u0dff\u0e00-\u0eff\u3040-\u30ff"
    r"\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0002fa1f"
)
_FOREIGN_RUN: Final = re.compile(rf"[{_FOREIGN}]+")
_GLOSS: Final = re.compile(rf"(?<=[가-힣])\s?[(（][{_FOREIGN}\s·,]+[)）]")
_WIDE_MARKS: Final = {"，": ",", "。": ".", "！": "!", "？": "?", "：": ":", "；": ";"}
_WIDE: Final = re.compile(r"([，。！？：；])(?P<joined>(?=[가-힣A-Za-z]))?")
_HANGUL: Final = re.compile(r"[가-힣]")
_LATIN_WORD: Final = re.compile(r"(?<![\w+/])[A-Za-z]{2,}(?![\w+/])", re.ASCII)

_DIGITS: Final = r"\d(?:[\d,]{0,13}\d)?"
_ALONE: Final = r"(?<![A-Za-z\d.,-])"
_WON: Final = re.compile(
    rf"(?:[₩￦]|(?<![A-Za-z])KRW)\s?(?P<marked>{_DIGITS})(?:\s?원)?"
    rf"|{_ALONE}(?P<named>{_DIGITS})\s?(?:KRW|[Ww]on)(?![A-Za-z])"
    rf"|{_ALONE}(?P<myriads>\d{{1,4}})만\s?(?P<rest>\d{{4}})\s?원"
    rf"|{_ALONE}(?P<low>{_DIGITS})(?P<to>\s?[~∼～–-]\s?)(?P<high>{_DIGITS})(?P<bold>\**\s?)원"
    rf"|{_ALONE}(?P<plain>{_DIGITS})(?P<end>\**\s?)원"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What no rule can put right."""

    kind: Kind
    """Which rule of language or truth it breaks."""
    found: str
    """The words that break it."""


class Guard:
    """One answer under way. Feed it pieces as they come; `text` is what may be seen of them.

    The result does not depend on how the answer was cut into pieces. After a violation nothing more
    is taken in.
    """

    def __init__(
        self,
        *,
        terms: Terms,
        secrets: Secrets,
        grounds: Grounds,
        language: str = "ko",
        names: Sequence[str] = (),
        foreign: bool = False,
    ) -> None:
        """`names` are left as they are; `foreign` allows sentences in another language."""
        self.text = ""
        """Everything so far that may be shown, whole sentences only."""
        self.repairs: list[str] = []
        """`rule: before → after` for everything that was put right."""
        self.violation: Violation | None = None
        """The first thing that could not be."""
        self._terms = terms
        self._secrets = secrets
        self._grounds = grounds
        self._language = language
        self._foreign = foreign
        kept = "|".join(re.escape(name) for name in sorted((*terms.keep, *names), key=len)[::-1])
        self._kept = re.compile(f"({kept}|{_KEPT})" if kept else f"({_KEPT})")
        self._held = ""
        self._searched = 0
        self._line_begins = True
        self._in_code = False
        self._ended = False
        self._letters = ""

    def add(self, piece: str) -> None:
        """Takes the next piece."""
        if self.violation or self._ended:
            return
        self._held += piece
        while end := self._end():
            sentence, self._held = self._held[:end], self._held[end:]
            self._searched = 0
            self._take(sentence)
            if self.violation or self._ended:
                return

    def finish(self) -> str:
        """The pieces are over: what is held back is the last sentence. Returns the answer."""
        if self._held and not self.violation and not self._ended:
            held, self._held = self._held, ""
            self._take(held)
        return self.text.rstrip()

    def _end(self) -> int:
        """Where the first sentence of what is held ends; 0 while that is not certain."""
        whole_line = self._in_code or (self._line_begins and _WHOLE_LINE.match(self._held))
        for found in _BREAK.finditer(self._held, self._searched):
            if found[0] == "\n":
                return found.end()
            sentence = self._held[: found.end()]
            if not whole_line and not _quotes(sentence) and not _ONLY_NUMBER.fullmatch(sentence):
                return found.end()
        self._searched = max(0, len(self._held) - _LONGEST_END)
        return 0

    def _take(self, sentence: str) -> None:
        line_begins, self._line_begins = self._line_begins, sentence.endswith("\n")
        fence = line_begins and sentence.lstrip().startswith("```")
        code = fence or self._in_code
        self._in_code ^= fence
        written = sentence
        if not code:
            if not self.text:
                sentence = self._without_speaker(sentence)
            elif line_begins and self._terms.ending.match(sentence):
                self._repair("speaker")
                self._ended = True
                return
            if not self._foreign and self._is_foreign(sentence):
                self._violated("language", sentence.strip())
            sentence = self._repaired(sentence)
        for told in dict.fromkeys((written, sentence)):  # a repair may hide a leak, or make one
            if leaked := self._secrets.leak(told, self._letters, self._grounds):
                self._violated("leak", leaked)
        self._check(sentence)
        if not self.violation:
            self._letters = (self._letters + letters(sentence))[-RUN:]
            self.text += sentence if self.text else sentence.lstrip()

    def _without_speaker(self, sentence: str) -> str:
        while match := self._terms.opening.match(sentence):
            sentence = sentence[match.end() :]
            self._repair("speaker")
        return sentence

    def _repaired(self, sentence: str) -> str:
        """The sentence as it should be, as far as rules can tell."""
        sentence = self._step("template", sentence, self._without_template)
        sentence = self._step("script", sentence, self._without_foreign_marks)
        pieces = self._kept.split(sentence)
        for at in range(0, len(pieces), 2):
            pieces[at] = self._step("terms", pieces[at], self._reworded)
            pieces[at] = self._step("amounts", pieces[at], self._in_won)
        sentence = "".join(pieces)
        if self._language != "ko":
            return sentence
        sentence = self._step("script", sentence, self._in_hangul)
        return self._step("polite", sentence, self._politely)

    def _step(self, rule: str, before: str, repair: Callable[[str], str]) -> str:
        after = repair(before)
        if after != before:
            self._repair(rule)
        return after

    def _repair(self, rule: str) -> None:
        if rule not in self.repairs:
            self.repairs.append(rule)

    def _violated(self, kind: Kind, found: str) -> None:
        self.violation = self.violation or Violation(kind=kind, found=found)

    def _without_template(self, sentence: str) -> str:
        rest = self._terms.removed.sub("", sentence)
        return rest if rest == sentence or letters(rest) else ""

    def _without_foreign_marks(self, sentence: str) -> str:
        if self.text[-1:] in (".", "!", "?") and not sentence[:1].isspace():
            sentence = f" {sentence}"  # a wide full stop needs no blank behind it
        if not _WIDE.search(sentence):
            return sentence
        return _WIDE.sub(self._narrow, sentence)

    def _narrow(self, mark: re.Match[str]) -> str:
        if mark[1] in self._grounds.text:
            return mark[0]
        blank = " " if mark["joined"] is not None else ""
        return _WIDE_MARKS[mark[1]] + blank

    def _reworded(self, piece: str) -> str:
        return self._terms.reworded(piece, self._language)

    def _in_won(self, piece: str) -> str:
        return _WON.sub(self._won, piece) if _WON.search(piece) else piece

    def _won(self, match: re.Match[str]) -> str:
        part = match.groupdict()
        if part["plain"]:
            return f"{_grouped(part['plain'])}{part['end']}원"
        if part["low"]:
            low, high = _grouped(part["low"]), _grouped(part["high"])
            return f"{low}{part['to']}{high}{part['bold']}원"
        unit = "원" if self._language == "ko" else " won"
        return _grouped(part["marked"] or part["named"] or part["myriads"] + part["rest"]) + unit

    def _in_hangul(self, sentence: str) -> str:
        if not _FOREIGN_RUN.search(sentence):
            return sentence
        known = self._grounds.text
        sentence = _GLOSS.sub(lambda found: found[0] if found[0] in known else "", sentence)
        return _FOREIGN_RUN.sub(
            lambda found: (
                found[0] if found[0] in known else self._terms.in_hangul(found[0]) or found[0]
            ),
            sentence,
        )

    def _politely(self, sentence: str) -> str:
        repaired = polite(sentence)
        if repaired is None:
            self._violated("polite", sentence.strip())
        return repaired or sentence

    def _check(self, sentence: str) -> None:
        """What no rule puts right."""
        for found in _FOREIGN_RUN.findall(sentence):
            if found not in self._grounds.text:
                self._violated("script", found)
        if wrong := self._grounds.unfounded(sentence):
            self._violated("figures", ", ".join(wrong))

    def _is_foreign(self, sentence: str) -> bool:
        """Whether it is a whole sentence in another language than the answer's."""
        bare = self._kept.sub("", sentence)
        hangul, words = len(_HANGUL.findall(bare)), len(_LATIN_WORD.findall(bare))
        if self._language == "ko":
            foreign = not hangul and words >= FOREIGN_WORDS
        else:
            foreign = hangul >= FOREIGN_SYLLABLES and words < hangul / 4
        return foreign and letters(sentence) not in self._grounds.letters


def _quotes(text: str) -> bool:
    """Whether a quotation is open at the end of `text`."""
    return text.count('"') % 2 == 1 or any(
        text.count(opening) > text.count(closing) for opening, closing in _QUOTES
    )


def _grouped(digits: str) -> str:
    return f"{int(digits.replace(',', '')):,}"
