"""A reply's way to the customer: sent until the channel says what became of it, never twice unsaid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from adapters.base import Adapter
from bot.clock import Clock, sleep
from bot.store.store import Store
from brain.errors import ChannelDown
from brain.messages import Address, Receipt, Reply

log = structlog.get_logger(__name__)

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts while the channel is down; afterwards the reply waits for `Gateway.sweep`."""

AGAIN_SECONDS = 2.0
"""Before a reply that may have arrived is sent again: what swallowed the first answer may be over then."""

Label = Callable[[], str]
"""What is said before a reply that may have arrived already."""


class Delivery:
    """Sends replies of the outbox and keeps their receipts."""

    def __init__(
        self, *, store: Store, adapters: Mapping[str, Adapter], clock: Clock, label: Label
    ) -> None:
        self._store = store
        self._adapters = adapters
        self._clock = clock
        self._label = label
        self.under_way: set[str] = set()
        """Ids of replies that are being sent, or in line for it."""
        self.put_off: set[str] = set()
        """Ids of replies whose second sending has to wait for their channel."""

    async def send(
        self, address: Address, reply: Reply, *, milestone: Callable[[str], None] | None = None
    ) -> Receipt:
        """Send a reply that was certainly not sent yet.

        One that may have arrived is sent again once, with a note that says so.
        """
        self.under_way.add(reply.id)
        try:
            receipt = await self._attempt(address, reply)
            if milestone:
                milestone("sent")
            if receipt.outcome == "unknown":
                await sleep(self._clock, AGAIN_SECONDS)
                receipt = await self.send_again(address, reply)
            else:
                await self._store.receipt(reply.id, receipt, at=self._clock.now())
        finally:
            self.under_way.discard(reply.id)
        if receipt.outcome != "delivered":
            log.info(
                "not_delivered", channel=address.channel, reply=reply.id, outcome=receipt.outcome
            )
        return receipt

    async def send_again(self, address: Address, reply: Reply) -> Receipt:
        """Send a reply that may have arrived; the store remembers that this was the second time.

        While the channel is down it is put off, and stays a second time: never `pending`, which
        would be sent without a note.
        """
        await self._store.sending_again(reply.id, at=self._clock.now())
        adapter = self._adapters.get(address.channel)
        if not (adapter and adapter.capabilities.idempotent):
            note = self._label()
            reply = replace(reply, notice=f"{note}\n{reply.notice}" if reply.notice else note)
        receipt = await self._attempt(address, reply)
        if receipt.outcome == "pending":
            self.put_off.add(reply.id)
        else:
            self.put_off.discard(reply.id)
            await self._store.receipt(reply.id, receipt, at=self._clock.now())
        log.warning("sent_again", channel=address.channel, reply=reply.id, outcome=receipt.outcome)
        return receipt

    async def give_up(self, address: Address, reply: Reply) -> None:
        """Leave it at that: it may have arrived twice already."""
        receipt = Receipt(outcome="unknown", reason="sent twice, and nothing was heard of either")
        await self._store.receipt(reply.id, receipt, at=self._clock.now())
        log.warning("delivery_unknown", channel=address.channel, reply=reply.id)

    async def _attempt(self, address: Address, reply: Reply) -> Receipt:
        """One sending, with patience while nothing can be sent; `pending` receipts wait for later."""
        for pause in (*PAUSES, None):
            adapter = self._adapters.get(address.channel)
            if adapter is None:
                return Receipt(outcome="pending", reason=f"no channel {address.channel!r} runs")
            try:
                return await adapter.deliver(address, reply)
            except ChannelDown as down:
                if pause is None:
                    return Receipt(outcome="pending", reason=str(down))
                await sleep(self._clock, pause)
            except Exception as bug:
                # Whether it was sent nobody knows.
                log.exception("delivery_failed", channel=address.channel, reply=reply.id)
                return Receipt(outcome="unknown", reason=type(bug).__name__)
        raise AssertionError("the last pause is None")
