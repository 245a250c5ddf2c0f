"""The Telegram channel as the configuration has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from adapters.telegram.channel import Menu, Telegram
from bot.channels.connect import labels
from bot.commands import COMMANDS

if TYPE_CHECKING:
    from bot.app import App


def telegram(app: App) -> Telegram:
    """The channel, not running yet. Raises ConfigError."""
    channel = app.config.channels.telegram
    return Telegram(
        token=channel.token,
        base_url=channel.base_url,
        webhook_url=channel.webhook_url,
        webhook_secret=channel.webhook_secret,
        labels=lambda: labels(app),
        thanks=lambda: app.brain.prompts.phrase("web.thanks", app.config.language),
        menus=tuple(_menus(app)),
        keep=app.files.keep,
    )


def _menus(app: App) -> Iterator[Menu]:
    """What is offered to everybody, and to each admin in the chat with the bot, in both languages.

    Who may use a command is decided when it is used.
    """
    ours = app.config.language
    people = [admin.partition(":") for admin in app.config.admins]
    admins = [int(user) for channel, _, user in people if channel == "telegram" and user.isdigit()]
    for person in (None, *admins):
        names = [each.name for each in COMMANDS if person is not None or not each.admin]
        for language in ("ko", "en"):
            commands = [
                (name, app.brain.prompts.phrase(f"commands.help_{name}", language))
                for name in names
            ]
            if language == ours:  # what everybody sees whose language has no list of its own
                yield Menu(commands=commands, person=person)
            else:
                yield Menu(commands=commands, language=language, person=person)
