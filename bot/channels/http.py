"""The HTTP channel as the configuration has it, its past in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.http.channel import Http
from bot.channels.connect import ParkedReplies
from bot.clock import SystemClock
from bot.store.answered import answered
from brain.messages import Reply

if TYPE_CHECKING:
    from bot.app import App


class Past(ParkedReplies):
    """What the store knows of the channel; see `adapters.http.parked.Past`."""

    async def answered(self, event_id: str) -> tuple[bool, Reply | None]:
        """Whether the event was answered, and the reply if there is one and it is still kept."""
        return await answered(self.store.database, Http.name, event_id)


def http(app: App) -> Http:
    """The channel that `app.config` describes. Raises ConfigError for a host that is none."""
    channel = app.config.channels.http
    return Http(
        secret=channel.secret,
        past=Past(app.store, SystemClock()),
        callback_hosts=channel.callback_hosts,
        longest=app.config.limits.longest_message,
    )
