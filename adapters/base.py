"""What every channel is: the adapter protocol and the capabilities it declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from brain.messages import Address, Draft, Event, Receipt, Reply

Accept = Callable[[Event], Awaitable[None]]
"""Hands an event to the gateway; returns once the event is durable, so that the channel may acknowledge it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can show and how it behaves."""

    longest_text: int | None = None
    """Characters in one message; None for no limit."""
    edits: bool = False
    """Whether a shown draft can grow."""
    typing: bool = False
    """Whether it can show that somebody is writing."""
    choices: bool = False
    """Whether it has buttons; otherwise choices are listed as text."""
    deadline: float | None = None
    """Seconds in which a request must be answered; None for no limit."""
    collects: bool = True
    """Whether a fragment may wait for its continuation."""
    idempotent: bool = False
    """Whether sending a reply with the same id again shows it once."""
    limited: bool = True
    """Whether rate limits and the daily quota hold for its customers."""
    markup: bool = False
    """Whether it renders our Markdown subset."""
    attachments: bool = False
    """Whether it can carry files."""


class Adapter(Protocol):
    """A channel. A webhook channel's `run` waits; its routes call `accept`."""

    name: str
    """Name in the configuration and in addresses."""
    capabilities: Capabilities
    """What it can do."""

    @property
    def heard(self) -> float | None:
        """`time.monotonic()` of the platform's last sign of life; None where silence means nothing."""

    async def run(self, accept: Accept) -> None:
        """Receive until cancelled, or until there is nothing more to receive."""

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Send a finished reply and say what became of it.

        Raises ChannelDown when it certainly sent nothing and should be asked again.
        """

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Show a reply being written; a channel that cannot does nothing. May be called often, latest wins.

        None: nothing more will come. What is seen of it is taken back, and nobody types any more.
        """


class Parked(Protocol):
    """The replies that wait in the store for their customer's next move, earlier runs included."""

    async def waiting(self, address: Address) -> Sequence[Reply]:
        """Those of this conversation, oldest first."""
        ...

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        """One has arrived. May be called for one that is not there."""
        ...


def clean(text: str) -> str:
    """`text` that can be stored and sent: JSON can spell half a surrogate pair, and a zero."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def document(reply: Reply) -> dict[str, Any]:
    """A reply as programs read it, in JSON."""
    return {
        "id": reply.id,
        "in_reply_to": reply.in_reply_to,
        "text": reply.text,
        "kind": reply.kind,
        "sources": [
            {"document": source.document, "heading": source.heading, "score": source.score}
            for source in reply.sources
        ],
        "choices": [{"label": choice.label, "text": choice.text} for choice in reply.choices],
        "author": reply.author,
    }
