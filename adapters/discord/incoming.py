"""What comes from Discord: messages and interactions as our events."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any, Final
from urllib.parse import urlsplit

import discord

from adapters.discord.outgoing import choice_of, vote_of
from adapters.files import over_http
from brain.messages import Action, Address, Attachment, AttachmentKind, Event, Message

CHANNEL: Final = "discord"
_FILES: Final = ("cdn.discordapp.com", "media.discordapp.net")
_SAID: Final = (discord.MessageType.default, discord.MessageType.reply)


def meant(message: discord.Message, me: int) -> bool:
    """Whether a person says something to us: in private, by mention, in reply, in a thread of ours."""
    if message.author.bot or message.webhook_id is not None or message.type not in _SAID:
        return False
    if message.guild is None or any(user.id == me for user in message.mentions):
        return True
    # Without the message content intent nothing is to be read here.
    if not message.content and not message.attachments:
        return False
    reference = message.reference
    answered = reference.resolved if reference else None
    if isinstance(answered, discord.Message):
        return answered.author.id == me
    channel = message.channel
    in_our_thread = isinstance(channel, discord.Thread) and channel.owner_id == me
    return in_our_thread and reference is None and not message.mentions


def said(message: discord.Message, me: int, conversation: int) -> Message:
    """What a message says."""
    return Message(
        id=str(message.id),
        address=Address(
            channel=CHANNEL, conversation=str(conversation), user=str(message.author.id)
        ),
        text=re.sub(rf"<@!?{me}>", "", message.content).strip(),
        sent_at=message.created_at,
        name=message.author.display_name,
        attachments=tuple(map(_attachment, message.attachments)),
        reply_to=str(message.reference.message_id or "") if message.reference else "",
    )


def done(interaction: discord.Interaction[Any]) -> Event | None:
    """What a slash-command or a button means; None for what is not ours."""
    data: Any = interaction.data or {}
    if interaction.channel_id is None:
        return None
    if interaction.type is discord.InteractionType.application_command:
        words = [str(option.get("value", "")) for option in data.get("options", ())]
        return _words(interaction, " ".join(["/" + data["name"], *filter(None, words)]))
    if interaction.type is not discord.InteractionType.component:
        return None
    custom_id = str(data.get("custom_id", ""))
    if (vote := vote_of(custom_id)) is not None:
        value, turn = vote
        return Action(
            id=str(interaction.id),
            address=_address(interaction),
            kind="feedback",
            value=value,
            about=turn,
            sent_at=interaction.created_at,
        )
    # A choice is what the customer says next, as on the chat page.
    text = choice_of(custom_id)
    return None if text is None else _words(interaction, text)


def _words(interaction: discord.Interaction[Any], text: str) -> Message:
    return Message(
        id=str(interaction.id),
        address=_address(interaction),
        text=text,
        sent_at=interaction.created_at.astimezone(UTC),
        locale=interaction.locale.value,
        name=interaction.user.display_name,
    )


def _address(interaction: discord.Interaction[Any]) -> Address:
    return Address(
        channel=CHANNEL,
        conversation=str(interaction.channel_id),
        user=str(interaction.user.id),
    )


async def content(api_base: str, attachment: Attachment) -> AsyncIterator[bytes]:
    """The content of a file. Raises ValueError for one that is not where Discord keeps them."""
    there, ours = urlsplit(attachment.url), urlsplit(api_base)
    known = there.scheme == "https" and there.netloc in _FILES
    if not known and (there.scheme, there.netloc) != (ours.scheme, ours.netloc):
        raise ValueError("not a place where Discord keeps files")
    async for piece in over_http(attachment.url):
        yield piece


def _attachment(attachment: discord.Attachment) -> Attachment:
    mime = attachment.content_type or ""
    kinds: dict[str, AttachmentKind] = {"image": "image", "audio": "voice"}
    return Attachment(
        kind=kinds.get(mime.partition("/")[0], "file"),
        name=attachment.filename,
        mime=mime,
        size=attachment.size,
        url=attachment.url,
    )
