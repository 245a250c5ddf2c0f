"""Which channels the configuration opens, each imported only when it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

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
        from bot.channel_discord import discord

        made.append(discord(app))
    if app.config.channels.http.secret:
        from bot.channel_http import http

        made.append(http(app))
    if app.config.channels.kakao.secret:
        from bot.channel_kakao import kakao

        made.append(kakao(app))
    if app.config.channels.telegram.token:
        from bot.channel_telegram import telegram

        made.append(telegram(app))
    return made
