"""The session: what a conversation remembers, as an immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from brain.messages import Address, Turn


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
        return replace(self, exchanges=(*self.exchanges, kept))

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
