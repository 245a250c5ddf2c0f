"""Files that customers send: had at once, for their addresses expire, and within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Final

import aiohttp

from brain.messages import Attachment, Event, Message

Keep = Callable[[Attachment, bytes], Awaitable[Attachment]]
"""Keeps the content of a file; the attachment that says where."""
Get = Callable[[Attachment], AsyncIterator[bytes]]
"""The content of a file, piece by piece. Raises anything when it cannot be had, or may not."""

MOST: Final = 4
"""Files of one message that are looked at; the others are only named."""
LARGEST: Final = 10 * 1024 * 1024
"""Bytes of one file."""
SECONDS = 5.0
"""For all files of a message, which waits for them."""

_log = logging.getLogger(__name__)


async def forget(attachment: Attachment, content: bytes) -> Attachment:
    """Keeps nothing."""
    return attachment


class Files:
    """The files of one channel."""

    def __init__(self, keep: Keep, get: Get, *, seconds: float | None = None) -> None:
        """`seconds` as in `SECONDS`, where the channel has less."""
        self._keep, self._get = keep, get
        self._seconds = seconds

    async def kept(self, event: Event) -> Event:
        """The event with what could be had of its files; those that could not stay named. Never raises."""
        if not isinstance(event, Message) or not event.attachments or self._keep is forget:
            return event
        attachments = list(event.attachments)
        try:
            async with asyncio.timeout(SECONDS if self._seconds is None else self._seconds):
                for at, attachment in enumerate(attachments[:MOST]):
                    attachments[at] = await self._one(attachment)
        except TimeoutError:
            _log.warning("the files of a message took too long")
        return replace(event, attachments=tuple(attachments))

    async def _one(self, attachment: Attachment) -> Attachment:
        if not attachment.url or (attachment.size or 0) > LARGEST:
            return _without_key(attachment)
        content = bytearray()
        try:
            async for piece in self._get(attachment):
                content += piece
                if len(content) > LARGEST:
                    raise ValueError("too large")
            return replace(await self._keep(attachment, bytes(content)), url="")
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 a file is no reason to lose the words with it
            # Its text may hold an address that opens the file.
            _log.warning("a file was not kept: %s", type(error).__name__)
            return _without_key(attachment)


def _without_key(attachment: Attachment) -> Attachment:
    """What follows the address opens it to anybody, for a while."""
    return replace(attachment, url=attachment.url.partition("?")[0])


async def over_http(url: str) -> AsyncIterator[bytes]:
    """What is at an address that the caller has found harmless; leads nowhere else."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30.0)) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        async for piece in answer.content.iter_any():
            yield piece
