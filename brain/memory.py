"""The session: what a conversation remembers, as an immutable value, and its sliding window."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from brain.marks import products_in, promised_in, said_in, weight
from brain.messages import Address, Turn

STORED = 60
"""Turns kept word for word at most; older ones live on in the summary and the marks."""
MARKS = 60
"""Facts kept word for word at most."""
SUMMARY_LINES = 12
"""Lines of the summary at most, the latest ones."""
SUMMARY_LINE = 60
"""Characters of a line of the summary at most."""

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
    products: tuple[str, ...] = ()
    """The company's products that the customer named."""


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
    digest: str = ""
    """A better summary, written by the model: takes the place of `summary` when the window moves."""
    digested: str = ""
    """Id of the last turn that `digest` tells of."""
    marks: tuple[str, ...] = ()
    """Facts kept word for word: order numbers, amounts, products, promises, name, preferences."""
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
            products=products_in(said, turn.passages),
        )
        session = replace(self, exchanges=(*self.exchanges, kept))
        surplus = len(session.exchanges) - STORED
        if surplus <= 0:
            return session
        if session.start < surplus:
            session = session._moved(STORED // 2)  # in a block, as `fit` does
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

    def with_digest(self, digest: str, until: str) -> Session:
        """The session with the model's summary of everything up to the turn `until`.

        Unchanged when that turn has left the window meanwhile, or was forgotten.
        """
        if not any(exchange.turn == until for exchange in self.window):
            return self
        return replace(self, digest=digest, digested=until)

    def _moved(self, start: int) -> Session:
        """The session whose window begins at `start`; what leaves goes to summary and marks."""
        if start == self.start:
            return self
        leaving = self.exchanges[self.start : start]
        ids = [exchange.turn for exchange in self.window]
        told = ids.index(self.digested) + 1 if self.digested in ids else 0
        return replace(
            self,
            start=start,
            summary=_summarised(self.digest if told else self.summary, leaving[told:]),
            marks=_marked(self.marks, leaving),
            digest="",
            digested="",
        )

    def dump(self) -> dict[str, Any]:
        """A JSON document that `load` reads back."""
        return {
            "exchanges": [
                [e.turn, e.at.isoformat(), e.customer, e.assistant, e.kind, *e.products]
                for e in self.exchanges
            ],
            "start": self.start,
            "summary": self.summary,
            "digest": self.digest,
            "digested": self.digested,
            "marks": list(self.marks),
            "profile": dict(self.profile),
        }

    @classmethod
    def load(cls, address: Address, document: Mapping[str, Any]) -> Session:
        """The session that `dump` wrote."""
        return cls(
            address=address,
            exchanges=tuple(
                Exchange(
                    turn=t,
                    at=datetime.fromisoformat(at),
                    customer=c,
                    assistant=a,
                    kind=k,
                    products=tuple(products),
                )
                for t, at, c, a, k, *products in document["exchanges"]
            ),
            start=document["start"],
            summary=document["summary"],
            digest=document.get("digest", ""),
            digested=document.get("digested", ""),
            marks=tuple(document["marks"]),
            profile=document["profile"],
        )


def _marked(marks: Sequence[str], leaving: Sequence[Exchange]) -> tuple[str, ...]:
    """`marks` and those of what was said in `leaving`, each once, the dearest and latest last.

    When there are too many, the first ones go.
    """
    kept = list(marks)
    for exchange in leaving:
        said = said_in(exchange.customer)
        for mark in (*said, *exchange.products, *promised_in(exchange.assistant)):
            if not any(known == mark or known.endswith(f" {mark}") for known in kept):
                kept.append(mark)
    return tuple(sorted(kept, key=weight)[-MARKS:])


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
