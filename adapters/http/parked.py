"""Answers of the HTTP channel that found nobody waiting: kept until their conversation's next request."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from adapters import base
from brain.messages import Address, Receipt, Reply

CONVERSATIONS, REPLIES = 1000, 200
"""How many conversations wait here at most, and how many replies of each."""
KEPT_IDS: Final = 20_000

_log = logging.getLogger(__name__)


class Past(base.Parked, Protocol):
    """What the store knows of this channel, earlier runs included."""

    async def answered(self, event_id: str) -> tuple[bool, Reply | None]:
        """Whether the event was answered, and the reply if there is one and it is still kept."""
        ...


class Parked:
    """Replies that wait, here and in the store, and which were handed out.

    Here are those that the store does not have yet; both know a reply by its id, so that nobody is
    handed it twice.
    """

    def __init__(self, past: Past) -> None:
        """`past` keeps them beyond this run."""
        self._past = past
        self._replies: OrderedDict[Address, dict[str, Reply]] = OrderedDict()
        self._handed_out: OrderedDict[str, None] = OrderedDict()

    def is_handed_out(self, reply_id: str) -> bool:
        """Whether somebody got this reply, as far as is known."""
        return reply_id in self._handed_out

    def hand_out(self, reply_id: str) -> None:
        """Note that somebody gets this reply."""
        self._handed_out[reply_id] = None
        if len(self._handed_out) > KEPT_IDS:
            self._handed_out.popitem(last=False)

    def put(self, address: Address, reply: Reply) -> None:
        """Keep a reply for the next request; the oldest go when there are too many."""
        waiting = self._replies.setdefault(address, {})
        waiting[reply.id] = reply
        self._replies.move_to_end(address)
        if len(waiting) > REPLIES:
            del waiting[next(iter(waiting))]
        if len(self._replies) > CONVERSATIONS:
            self._replies.popitem(last=False)

    async def take(self, address: Address) -> dict[str, Reply]:
        """All that waits for this conversation, by id, oldest first; from now on handed out."""
        try:
            stored = await self._past.waiting(address)
        except Exception as error:  # noqa: BLE001 they will be there next time
            _log.error("parked replies could not be read: %s", type(error).__name__)
            stored = ()
        waiting = {reply.id: reply for reply in stored} | self._replies.pop(address, {})
        taken = {key: reply for key, reply in waiting.items() if key not in self._handed_out}
        for key in taken:
            self.hand_out(key)
        return taken

    def put_back(self, address: Address, taken: Mapping[str, Reply]) -> None:
        """What was taken did not arrive."""
        for key, reply in taken.items():
            self._handed_out.pop(key, None)
            self.put(address, reply)

    async def arrived(self, reply_ids: Iterable[str]) -> None:
        """What was taken has arrived: the store need not keep it for anybody."""
        for reply_id in reply_ids:
            receipt = Receipt(outcome="delivered", native_ids=(reply_id,))
            try:
                await self._past.delivered(reply_id, receipt)
            except Exception as error:  # noqa: BLE001 at worst it comes again, with the same id
                _log.error("parked reply %s arrived, not noted: %s", reply_id, type(error).__name__)
