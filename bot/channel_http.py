"""The HTTP channel as the configuration has it, its past in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.http.channel import Http
from bot.clock import Clock, SystemClock
from bot.store.answered import answered
from bot.store.store import Store
from brain.messages import Address, Receipt, Reply

if TYPE_CHECKING:
    from bot.app import App


class Kept:
    """What the store keeps of the channel; see `adapters.http_parked.Past`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """`clock` dates the receipts."""
        self._store = store
        self._clock = clock

    async def answered(self, event_id: str) -> tuple[bool, Reply | None]:
        """Whether the event was answered, and the reply if there is one and it is still kept."""
        return await answered(self._store.database, Http.name, event_id)

    async def waiting(self, address: Address) -> Sequence[Reply]:
        """The parked replies of this conversation, oldest first."""
        return await self._store.parked(address)

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        """A parked reply has arrived."""
        await self._store.receipt(reply_id, receipt, at=self._clock.now())


def http(app: App) -> Http:
    """The channel that `app.config` describes. Raises ConfigError for a host that is none."""
    channel = app.config.channels.http
    return Http(
        secret=channel.secret,
        past=Kept(app.store, SystemClock()),
        callback_hosts=channel.callback_hosts,
        longest=app.config.limits.longest_message,
    )
