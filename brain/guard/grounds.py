"""What an answer may rest on: the passages, the company's facts, the customer's words and what was said before."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Final

from brain.guard.figures import ANY, Figure, figures

_ANY_UNIT: Final = "any unit"
_CELL: Final = "cell"
_CELLS: Final = re.compile(r"[|:]\s*(\d[\d,]{0,14}(?:\.\d{1,6})?)\s*(?=$|[|,;·])", re.MULTILINE)
"""Facts and tables hold numbers whose unit stands elsewhere."""
_STRICT: Final = frozenset({"money", "percent", "minutes", "months"})
"""Kinds that a number without unit in running text, such as that of a product, says nothing about."""
_NO_LETTER: Final = re.compile(r"[\W_]+")


class Grounds:
    """The texts that are known in one turn."""

    def __init__(self, known: Iterable[str], said: Iterable[str] = ()) -> None:
        """`known` is the company's, `said` the conversation's."""
        self._company = tuple(dict.fromkeys(known))
        self._said = tuple(dict.fromkeys(said))

    @cached_property
    def text(self) -> str:
        """All of it."""
        return "\n".join((*self._company, *self._said))

    @cached_property
    def letters(self) -> str:
        """All of it without spaces and marks."""
        return letters(self.text)

    @cached_property
    def _known(self) -> Mapping[str, set[object]]:
        known: dict[str, set[object]] = defaultdict(set)
        readings = (*map(_company_figures, self._company), *map(figures, self._said))
        for figure in (figure for reading in readings for figure in reading):
            known[figure.kind] |= figure.values
            if figure.number is not None:
                known[_ANY_UNIT].add(figure.number)
        known[_CELL] |= {Decimal(cell.replace(",", "")) for cell in _CELLS.findall(self.text)}
        if "무료" in self.text or "free" in self.text.casefold():
            known["money"].add(0)
        return known

    def unfounded(self, text: str) -> tuple[str, ...]:
        """The figures of `text` that nothing known holds, as they are written."""
        wrong = (figure.text for figure in figures(text) if not self._holds(figure))
        return tuple(dict.fromkeys(wrong))

    def _holds(self, figure: Figure) -> bool:
        known = self._known
        if figure.kind == "free" or not known[figure.kind].isdisjoint(figure.values):
            return True
        word = str(next(iter(figure.values)))
        if figure.kind == "link":
            return any(str(link).startswith(f"{word}/") for link in known["link"])
        if figure.kind == "phone":
            return any(str(phone).endswith(word) for phone in known["phone"])
        if figure.kind == "code":
            return word in self.letters
        if figure.kind == ANY:
            return figure.number in known[_ANY_UNIT] or (len(word) > 6 and word in self.letters)
        if figure.number is None:
            return False
        bare = known[_CELL] | (set() if figure.kind in _STRICT else known[ANY])
        return figure.number in bare or not bare.isdisjoint(figure.values)


def letters(text: str) -> str:
    """`text` without spaces, marks and case, for comparing what it says."""
    return _NO_LETTER.sub("", text).casefold()


# Passages come again and again; what customers said is not kept.
@lru_cache(256)
def _company_figures(text: str) -> tuple[Figure, ...]:
    return tuple(figures(text))
