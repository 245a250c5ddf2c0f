"""How a reply looks on a channel: what is said, split at good places, rendered from one parsed tree, drafted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from adapters.markup import discord_markdown, literal, plain, telegram_html
from adapters.splitting import split
from brain.messages import Reply

__all__ = [
    "Labels",
    "Sketch",
    "discord_markdown",
    "literal",
    "plain",
    "said",
    "split",
    "telegram_html",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The customer-visible words of a channel, from the phrases of the prompt set."""

    source: str
    """One source, with `{document}` (its path) and `{heading}` to be filled in: `출처: {document} · {heading}`."""
    choices: str
    """What stands above a list of choices."""


def said(reply: Reply, *, choices: bool, sources: bool, labels: Labels) -> str:
    """All that `reply` says, in our Markdown subset: its notice, its text and, if so asked, its
    sources and its choices as a numbered list (for a channel without buttons)."""
    parts = [reply.notice, reply.text]
    if sources:
        parts.append("\n".join(_source_lines(reply, labels)))
    if choices and reply.choices:
        numbered = [
            f"{number}. {literal(choice.label)}" for number, choice in enumerate(reply.choices, 1)
        ]
        # Without an empty line between them a renderer takes a list that begins with 2 for words.
        parts.append("\n\n".join(filter(None, [literal(labels.choices), "\n".join(numbered)])))
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _source_lines(reply: Reply, labels: Labels) -> Iterator[str]:
    for source in reply.sources:
        document, heading = literal(source.document), literal(source.heading)
        filled = labels.source.replace("{heading}", heading).replace("{document}", document)
        yield filled if heading else filled.rstrip(" ·")


class Sketch:
    """Drafts of one reply turned into edits: the latest text, not too often, one at a time."""

    def __init__(self, edit: Callable[[str], Awaitable[None]], *, seconds: float) -> None:
        """`edit` shows a text in the place of the last one; it begins at most every `seconds`.

        What it raises is logged without the text, and the next draft is tried.
        """
        self._edit = edit
        self._seconds = seconds
        self._latest: str | None = None
        self._shown: str | None = None
        self._not_before = 0.0
        self._closed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def put(self, text: str) -> None:
        """Show `text` as soon as that is allowed; what it overtakes is skipped. Nothing once closed."""
        self._latest = text
        if not self._closed.is_set() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._draw())

    def pause(self, seconds: float) -> None:
        """Begin no edit for `seconds` from now: the platform asks to wait."""
        until = asyncio.get_running_loop().time() + seconds
        self._not_before = max(self._not_before, until)

    async def close(self) -> None:
        """Begin no edit any more; returns when none is under way. Closing twice is closing once."""
        self._closed.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _draw(self) -> None:
        loop = asyncio.get_running_loop()
        while self._latest is not None and not self._closed.is_set():
            delay = self._not_before - loop.time()
            if delay > 0:
                await self._wait(delay)
                continue
            text, self._latest = self._latest, None
            if text == self._shown:
                continue
            self._not_before = max(self._not_before, loop.time() + self._seconds)
            try:
                await self._edit(text)
            except Exception as error:  # noqa: BLE001 a draft is no promise; the reply comes anyway
                _log.warning("a draft could not be shown: %s", type(error).__name__)
            else:
                self._shown = text

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return
