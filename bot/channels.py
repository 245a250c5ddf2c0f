"""Which channels the configuration opens, each imported only when it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.base import Adapter
    from bot.app import App


@runtime_checkable
class Webhook(Protocol):
    """A channel that the one web server hears."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What the server has to serve for it."""
        ...


def configured(app: App) -> Sequence[Adapter]:
    """The channels that have their secrets, beside the web chat. Raises ConfigError."""
    made: list[Adapter] = []
    return made
