"""The Discord channel as the configuration has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from adapters.discord import TEXTS, Discord, SlashCommand

if TYPE_CHECKING:
    from bot.app import App

COMMANDS: Final = {
    "help": "도움말",
    "reset": "초기화",
    "whoami": "내정보",
    "reload": "새로고침",
    "rollback": "되돌리기",
    "status": "상태",
    "search": "검색",
    "why": "왜",
    "stats": "통계",
}
"""Commands that Discord offers, with their Korean names."""
FOR_ADMINS: Final = ("reload", "rollback", "status", "search", "why", "stats")
"""Those shown to who manages a server; who may use one is decided when it is used."""
WITH_WORDS: Final = ("reload", "search")
"""Those that words may follow."""


def discord(app: App) -> Discord:
    """The channel, not running yet."""
    from bot.serve import LiveTexts

    channel = app.config.channels.discord
    return Discord(
        token=channel.token,
        texts=LiveTexts(app.brain, frozenset(TEXTS), app.config.language),
        api_base=channel.api_base,
        gateway=channel.gateway,
        mentions_only=channel.mentions_only,
        threads=channel.threads,
        commands=tuple(_commands(app)),
    )


def _commands(app: App) -> Iterator[SlashCommand]:
    phrase = app.brain.prompts.phrase
    words = phrase("discord.argument", "en"), phrase("discord.argument", "ko")
    for name, korean_name in COMMANDS.items():
        yield SlashCommand(
            name=name,
            korean_name=korean_name,
            description=phrase(f"commands.help_{name}", "en"),
            korean_description=phrase(f"commands.help_{name}", "ko"),
            admin=name in FOR_ADMINS,
            argument=words if name in WITH_WORDS else None,
        )
