"""Discord: direct messages, mentions, threads, slash-commands, buttons. Importing this imports discord.py."""

from __future__ import annotations

from adapters.discord.channel import TEXTS, Discord
from adapters.discord.connection import SlashCommand

__all__ = ["TEXTS", "Discord", "SlashCommand"]
