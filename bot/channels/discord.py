"""The Discord channel as the configuration has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from adapters.discord import TEXTS, Discord, SlashCommand
from bot.channels.connect import LiveTexts
from bot.commands import COMMANDS
from bot.store.places import places

if TYPE_CHECKING:
    from bot.app import App


def discord(app: App) -> Discord:
    """The channel, not running yet."""
    channel = app.config.channels.discord
    return Discord(
        token=channel.token,
        texts=LiveTexts(app.brain, frozenset(TEXTS), app.config.language),
        api_base=channel.api_base,
        gateway=channel.gateway,
        mentions_only=channel.mentions_only,
        threads=channel.threads,
        commands=tuple(slash_commands(app.brain.prompts.phrase)),
        known=partial(places, app.store.database, Discord.name),
        keep=app.files.keep,
    )


def slash_commands(phrase: Callable[[str, str], str]) -> Iterator[SlashCommand]:
    """What Discord is told of every command; `phrase` gives its words by name and language.

    Admin commands are shown to who manages a server; who may use one is decided when it is used.
    """
    words = phrase("discord.argument", "en"), phrase("discord.argument", "ko")
    for command in COMMANDS:
        yield SlashCommand(
            name=command.name,
            korean_name=command.korean,
            description=phrase(f"commands.help_{command.name}", "en"),
            korean_description=phrase(f"commands.help_{command.name}", "ko"),
            admin=command.admin,
            argument=words if command.words else None,
        )
