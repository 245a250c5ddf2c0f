"""The session: what a conversation remembers, as an immutable value, and its sliding window."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from brain.messages import Address, Turn

STORED = 60
"""Turns kept word for word at most; older ones live on in the summary and the marks."""
MARKS = 40
"""Facts kept word for word at most."""
SUMMARY_LINES = 12
"""Lines of the summary at most, the latest ones."""
SUMMARY_LINE = 60
"""Characters of a line of the summary at most."""

_NAMED = re.compile(
    r"(?:주문|예약|접수|송장|운송장|문의|order|tracking)\s{0,2}(?:번호|no\.?|number|#)?\s{0,2}"
    r"(?:은|는|이|가|:|#|is)?\s{0,2}(?=[A-Z-]{0,30}\d)[A-Z0-9][A-Z0-9-]{4,30}(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![A-Za-z0-9-])\d{6,8}-\d{3,10}(?![A-Za-z0-9-])")
_MODEL = re.compile(
    r"(?<![A-Za-z0-9-])(?=[A-Za-z0-9-]{3})(?=[A-Za-z-]{0,20}\d)(?=[0-9-]{0,20}[A-Za-z])"
    r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,4}(?![A-Za-z0-9-])"
)
_AMOUNT = re.compile(
    r"(?<![\d,.])(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\s?만(?:\s?\d{1,4})?)?\s?천?\s?원"
)
_SENTENCE = re.compile(r"[^.!?…\n]+[.!?…]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One remembered turn: what the customer said and what was answered."""

    turn: str
    """Id of the turn."""
    at: datetime
    """Aware time of the turn."""
    customer: str
    """The customer's words, personal data masked."""
    assistant: str
    """The reply; empty when the turn failed."""
    kind: str
    """Kind of the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything a conversation remembers; `after` gives the next one, saving it is the commit."""

    address: Address
    """Whose conversation."""
    exchanges: tuple[Exchange, ...] = ()
    """Remembered turns, oldest first; those before `start` have left the window."""
    start: int = 0
    """Index into `exchanges` of the first one that the model sees."""
    summary: str = ""
    """What left the window, in short."""
    marks: tuple[str, ...] = ()
    """Facts kept word for word: order numbers, products, promises."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    """Customer kind, style, language."""

    @property
    def window(self) -> tuple[Exchange, ...]:
        """The turns that the model sees."""
        return self.exchanges[self.start :]

    def after(self, turn: Turn) -> Session:
        """The session once `turn` is over. A failed turn leaves the customer's words and no reply."""
        if not turn.remember:
            return self
        said = "\n".join(message.text for message in turn.messages)
        answered = "" if turn.failure else turn.reply.text
        kept = Exchange(
            turn=turn.id,
            at=turn.started_at,
            customer=said,
            assistant=answered,
            kind=turn.reply.kind,
        )
        session = replace(self, exchanges=(*self.exchanges, kept))
        surplus = len(session.exchanges) - STORED
        if surplus <= 0:
            return session
        session = session._moved(max(session.start, surplus))
        return replace(
            session, exchanges=session.exchanges[surplus:], start=session.start - surplus
        )

    def fit(self, capacity: int, cost: Callable[[Exchange], int]) -> Session:
        """The session whose window costs at most `capacity`; the last turn stays in any case.

        A window that costs more is cut back to half of `capacity` in one block, so that the prompt
        keeps the same beginning over many turns: the model's server has read it already.
        """
        costs = [cost(exchange) for exchange in self.window]
        if sum(costs) <= capacity:
            return self
        kept = costs.pop()
        start = len(self.exchanges) - 1
        while costs and kept + costs[-1] <= capacity // 2:
            kept += costs.pop()
            start -= 1
        return self._moved(start)

    def _moved(self, start: int) -> Session:
        """The session whose window begins at `start`; what leaves goes to summary and marks."""
        leaving = self.exchanges[self.start : start]
        return replace(
            self,
            start=start,
            summary=_summarised(self.summary, leaving),
            marks=_marked(self.marks, leaving),
        )

    def dump(self) -> dict[str, Any]:
        """A JSON document that `load` reads back."""
        return {
            "exchanges": [
                [e.turn, e.at.isoformat(), e.customer, e.assistant, e.kind] for e in self.exchanges
            ],
            "start": self.start,
            "summary": self.summary,
            "marks": list(self.marks),
            "profile": dict(self.profile),
        }

    @classmethod
    def load(cls, address: Address, document: Mapping[str, Any]) -> Session:
        """The session that `dump` wrote."""
        return cls(
            address=address,
            exchanges=tuple(
                Exchange(turn=t, at=datetime.fromisoformat(at), customer=c, assistant=a, kind=k)
                for t, at, c, a, k in document["exchanges"]
            ),
            start=document["start"],
            summary=document["summary"],
            marks=tuple(document["marks"]),
            profile=document["profile"],
        )


def marks_in(text: str) -> list[str]:
    """Order numbers, product models and amounts in `text`, word for word, in order."""
    found: dict[int, str] = {}
    taken: list[tuple[int, int]] = []
    for kind in (_NAMED, _CODE, _AMOUNT, _MODEL):
        for match in kind.finditer(text):
            begin, end = match.span()
            if all(end <= b or begin >= e for b, e in taken):
                taken.append((begin, end))
                found[begin] = " ".join(match[0].split())
    return [found[begin] for begin in sorted(found)]


def _marked(marks: Sequence[str], leaving: Sequence[Exchange]) -> tuple[str, ...]:
    """`marks` and those of the customer's words in `leaving`, each once; the oldest go first."""
    kept = list(marks)
    for exchange in leaving:
        for mark in marks_in(exchange.customer):
            if not any(known == mark or known.endswith(f" {mark}") for known in kept):
                kept.append(mark)
    return tuple(kept[-MARKS:])


def _summarised(summary: str, leaving: Sequence[Exchange]) -> str:
    """`summary` and what the customer opened each turn of `leaving` with; repeats are dropped."""
    lines = summary.splitlines()
    for exchange in leaving:
        opening = _SENTENCE.search(exchange.customer)
        if opening is None:
            continue
        line = opening[0].strip()
        if len(line) > SUMMARY_LINE:
            line = line[: SUMMARY_LINE - 1] + "…"
        if line and line not in lines:
            lines.append(line)
    return "\n".join(lines[-SUMMARY_LINES:])
