"""Which channels the configuration opens, each imported only when it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bot.clock import Clock
from bot.store.store import Store
from brain.core import Brain
from brain.messages import Address, Receipt, Reply

if TYPE_CHECKING:
    from aiohttp import web

    from adapters.base import Adapter
    from adapters.presentation import Labels
    from bot.app import App


@runtime_checkable
class Webhook(Protocol):
    """A channel that the one web server hears."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What the server has to serve for it."""
        ...


class ParkedReplies:
    """What the store keeps until its customer's next move; see `adapters.base.Parked`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """`clock` dates the receipts."""
        self.store = store
        self._clock = clock

    async def waiting(self, address: Address) -> Sequence[Reply]:
        """The parked replies of this conversation, oldest first."""
        return await self.store.parked(address)

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        """A parked reply has arrived."""
        await self.store.receipt(reply_id, receipt, at=self._clock.now())


class LiveTexts(Mapping[str, str]):
    """The phrases of a channel, in the prompt set that is in use at each look."""

    def __init__(self, brain: Brain, names: set[str] | frozenset[str], language: str) -> None:
        self._brain = brain
        self._names = sorted(names)
        self._language = language

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        # The server and the channel fill these two in, for they know them.
        return self._brain.prompts.phrase(
            name, self._language, company="{company}", longest="{longest}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def labels(app: App) -> Labels:
    """The words that channels put around a reply, in the configured language."""
    from adapters.presentation import Labels

    phrase, language = app.brain.prompts.phrase, app.config.language
    return Labels(
        source=phrase("quoted.source", language, document="{document}", heading="{heading}"),
        choices=phrase("web.choices", language),
    )


def configured(app: App) -> Sequence[Adapter]:
    """The channels that have their secrets, beside the web chat. Raises ConfigError."""
    made: list[Adapter] = []
    if app.config.channels.discord.token:
        from bot.channels.discord import discord

        made.append(discord(app))
    if app.config.channels.http.secret:
        from bot.channels.http import http

        made.append(http(app))
    if app.config.channels.kakao.secret:
        from bot.channels.kakao import kakao

        made.append(kakao(app))
    if app.config.channels.telegram.token:
        from bot.channels.telegram import telegram

        made.append(telegram(app))
    return made
