"""The line to Telegram's Bot API: one client, errors as outcomes, flood control obeyed, moved groups followed."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar

# The library's own way to ask for the type that its next version has, without a warning at each use.
os.environ.setdefault("PTB_TIMEDELTA", "1")

from telegram import Bot
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest

from brain.messages import Attachment

T = TypeVar("T")
How = Literal[
    "refused",
    "blocked",
    "lost",
    "down",
    "flooded",
    "conflict",
    "token",
    "unreadable",
    "same",
    "gone",
]
"""What became of a call: `refused` it never will be done; `blocked` nothing will in this chat; `lost` it may have been; `down` it certainly
was not, and may be tried again; `flooded` the same, later; `conflict` somebody else polls; `token` is
not valid; `unreadable` the markup is; `same` the message says so already; `gone` it cannot be edited."""

CONNECTIONS: Final = 64
REMEMBERED: Final = 10_000
"""Chats of which it is remembered where they went, or how long they have to be left alone."""

# What was not sent, by httpx's names: everything else may have arrived.
_NOT_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)
_WORDS: Final[tuple[tuple[str, How], ...]] = (
    ("can't parse entities", "unreadable"),
    ("not modified", "same"),
    ("message to edit not found", "gone"),
    ("message can't be edited", "gone"),
)


class Failed(Exception):
    """A call that did not do what it should; holds no word of Telegram's, which may quote ours."""

    def __init__(self, how: How, seconds: float = 0.0) -> None:
        super().__init__(how)
        self.how = how
        """What became of it."""
        self.seconds = seconds
        """How long a flooded chat has to be left alone."""


class _Bot(Bot):
    """The library's bot, with the updates as they came, and without its token in what is printed."""

    def __repr__(self) -> str:
        return "Bot"

    async def updates(self, offset: int | None, seconds: float, kinds: tuple[str, ...]) -> Any:
        # `get_updates` makes objects of them all, fails for one that it cannot read, and logs it.
        asked = {"offset": offset, "timeout": int(seconds), "allowed_updates": list(kinds)}
        return await self._post("getUpdates", asked, read_timeout=seconds + 10)

    async def hang_up(self) -> None:
        # `shutdown` closes nothing unless `initialize` was called, which asks who we are.
        await asyncio.gather(*(request.shutdown() for request in self._request))


class Line:
    """Calls of one bot. The client lives while somebody uses it."""

    def __init__(self, *, token: str, base_url: str, timeout: float) -> None:
        """`timeout` is how long Telegram may take to answer."""
        for name in ("httpx", "httpcore"):  # they write addresses, which hold the token
            logging.getLogger(name).setLevel(logging.WARNING)
        # Its errors reach us as exceptions; in its words they may quote a message.
        logging.getLogger("telegram").setLevel(logging.CRITICAL + 1)
        self._token = token
        self._base_url = f"{base_url.rstrip('/')}/bot"
        self._file_url = f"{base_url.rstrip('/')}/file/bot"
        self._timeout = timeout
        self._client: _Bot | None = None
        self._users = 0
        self._moved: OrderedDict[int, int] = OrderedDict()
        self._flooded: OrderedDict[int, float] = OrderedDict()
        self._blocked: OrderedDict[int, bool] = OrderedDict()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[_Bot]:
        """The client. Whoever runs the channel keeps it open; afterwards each delivery has its own."""
        if self._client is None:
            self._client = self._made()
        client = self._client
        self._users += 1
        try:
            yield client
        finally:
            self._users -= 1
            if not self._users:
                self._client = None
                await client.hang_up()

    def _made(self) -> _Bot:
        def request(connections: int) -> HTTPXRequest:
            return HTTPXRequest(
                connection_pool_size=connections,
                read_timeout=self._timeout,
                write_timeout=self._timeout,
                connect_timeout=min(5.0, self._timeout),
                pool_timeout=self._timeout,
                httpx_kwargs={"trust_env": False},  # no proxy that nobody wrote down for us
            )

        return _Bot(
            self._token,
            base_url=self._base_url,
            base_file_url=self._file_url,
            request=request(CONNECTIONS),
            get_updates_request=request(1),
        )

    def follow(self, old: int, new: int) -> None:
        """From now on what is meant for `old` goes to `new`."""
        _remember(self._moved, old, new)

    def welcome(self, chat: int) -> None:
        """Somebody wrote there: it does not block us, or not any more."""
        self._blocked.pop(self._moved.get(chat, chat), None)

    def flooded(self, chat: int) -> float:
        """Seconds for which the chat has to be left alone."""
        return max(0.0, self._flooded.get(self._moved.get(chat, chat), 0.0) - time.monotonic())

    async def call(
        self, chat: int, call: Callable[[Bot, int], Awaitable[T]], *, patience: float = 0.0
    ) -> T:
        """Do `call` in `chat`, or where it moved to, waiting out a flood if that takes no longer than
        `patience`. Whoever blocked us is not asked again. Raises Failed."""
        async with self.open() as bot:
            for _ in range(5):
                there = self._moved.get(chat, chat)
                if there in self._blocked:
                    raise Failed("blocked")
                if wait := self.flooded(there):
                    if wait > patience:
                        raise Failed("flooded", wait)
                    patience -= wait
                    await asyncio.sleep(wait)
                try:
                    return await call(bot, there)
                except ChatMigrated as migrated:
                    self.follow(chat, migrated.new_chat_id)
                except RetryAfter as flood:
                    _remember(self._flooded, there, time.monotonic() + seconds(flood))
                except Exception as error:  # noqa: BLE001 - the library's own faults are of this kind too
                    failed = Failed(how(error))
                    if failed.how == "blocked":
                        _remember(self._blocked, there, True)
                    raise failed from None
            raise Failed("flooded", self.flooded(chat))

    async def content(self, attachment: Attachment) -> AsyncIterator[bytes]:
        """What is in a file that somebody sent. Raises Failed."""
        number = attachment.url.removeprefix("telegram:")

        async def get(bot: Bot) -> bytes:
            file = await bot.get_file(number)
            return bytes(await file.download_as_bytearray())

        yield await self.do(get)

    async def do(self, call: Callable[[_Bot], Awaitable[T]]) -> T:
        """Do a call that is for no chat. Raises Failed."""
        async with self.open() as bot:
            try:
                return await call(bot)
            except RetryAfter as flood:
                raise Failed("flooded", seconds(flood)) from None
            except Exception as error:  # noqa: BLE001 - as above
                raise Failed(how(error)) from None


def seconds(flood: RetryAfter) -> float:
    """How long Telegram wants us to wait."""
    wait = flood.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)


def how(error: Exception) -> How:
    """What an exception of the library means for the call."""
    match error:
        case Forbidden():
            return "blocked"
        case InvalidToken():
            return "token"
        case Conflict():
            return "conflict"
        case BadRequest():
            said = error.message.lower()
            return next((meaning for words, meaning in _WORDS if words in said), "refused")
        case NetworkError():
            return "down" if type(error.__cause__).__name__ in _NOT_SENT else "lost"
        case TelegramError():
            return "refused"
    return "lost"


def _remember(known: OrderedDict[int, T], chat: int, value: T) -> None:
    known[chat] = value
    known.move_to_end(chat)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
