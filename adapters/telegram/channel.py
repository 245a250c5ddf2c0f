"""Telegram: long polling that confirms what is durable and nothing else, or a webhook; private chats, groups, topics."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from telegram import BotCommand, BotCommandScopeChat, BotCommandScopeDefault

from adapters.base import Accept, Capabilities
from adapters.files import Files, Keep, forget
from adapters.presentation import Labels
from adapters.telegram.line import Failed, Line
from adapters.telegram.replies import LONGEST, Replies
from adapters.telegram.updates import WANTED, Me, event, moved, native_id, place
from brain.errors import ChannelDown, ConfigError, StoreError
from brain.messages import Action, Address, Draft, Event, Message, Receipt, Reply

PATH: Final = "/channels/telegram"
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - its name
POLL_SECONDS = 30.0
"""How long Telegram keeps a question for updates open when there are none."""
MOST_FAILURES = 3
"""Questions without an answer, one after the other, after which the line counts as down."""
STORE_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts at an update that could not be kept."""
REST_SECONDS = 0.5
"""For edits under way when the channel stops."""
MOST_ASKED = 10_000

_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """The commands that Telegram offers while somebody types."""

    commands: Sequence[tuple[str, str]]
    """Names, of small Latin letters, and what they do."""
    language: str = ""
    """For whom: a language, empty for all others."""
    person: int | None = None
    """For whom: one person; None for everybody."""


class Telegram:
    """A bot. An update is confirmed once its event is durable; one that nobody can read is skipped.

    A conversation is a chat or a topic of one. In groups the bot listens to who mentions it, replies
    to it or gives a command. Edited messages are ignored.
    """

    name = "telegram"
    capabilities = Capabilities(
        longest_text=LONGEST, edits=True, typing=True, choices=True, markup=True
    )

    def __init__(
        self,
        *,
        token: str,
        labels: Callable[[], Labels],
        thanks: Callable[[], str] = lambda: "",
        menus: Sequence[Menu] = (),
        base_url: str = "https://api.telegram.org",
        webhook_url: str = "",
        webhook_secret: str = "",
        overhears: bool = False,
        keep: Keep = forget,
        timeout: float = 20.0,
        poll: float = POLL_SECONDS,
    ) -> None:
        """`labels` and `thanks` (for a vote) are asked at each use. With `webhook_url` Telegram calls
        us there; without a path it is that of our route. With `overhears` group messages that do not
        mean the bot are handed in too. `keep` keeps files. `timeout` is how long Telegram may take to answer.

        Raises ConfigError for a webhook without a usable secret.
        """
        if webhook_url and not _SECRET.fullmatch(webhook_secret):
            raise ConfigError(
                "channels.telegram.webhook_secret: write 1 to 256 of A-Z, a-z, 0-9, _ and -"
            )
        self.heard: float | None = None
        self._line = Line(token=token, base_url=base_url, timeout=timeout)
        self._replies = Replies(self._line, labels)
        self._files = Files(keep, self._line.content)
        self._thanks = thanks
        self._menus = menus
        path = "" if urlsplit(webhook_url).path.strip("/") else PATH
        self._webhook = webhook_url and webhook_url.rstrip("/") + path
        self._secret = webhook_secret.encode()
        self._overhears = overhears
        self._poll = poll
        self._me: Me | None = None
        self._accept: Accept | None = None
        self._aside: set[asyncio.Task[None]] = set()

    # ---- in

    def routes(self) -> list[web.RouteDef]:
        """What the server has to serve: nothing while we poll."""
        return [web.post(PATH, self._called)] if self._webhook else []

    async def run(self, accept: Accept) -> None:
        """Receive until cancelled. Raises ConfigError for what Telegram does not take, ChannelDown when
        it does not answer or somebody else polls, StoreError when events cannot be kept."""
        async with self._line.open():
            try:
                me = await self._asked("getMe", lambda bot: bot.get_me())
                self._me = Me(id=me.id, username=me.username or "")
                self._later(self._offer_menus())
                if self._webhook:
                    await self._be_called(accept)
                else:
                    await self._ask(accept)
            finally:
                self._accept = self._me = None
                for task in self._aside:
                    task.cancel()
                await self._replies.rest(REST_SECONDS)

    async def _asked(self, what: str, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """A call at the beginning, without which nothing works."""
        try:
            return await self._line.do(call)
        except Failed as failed:
            if failed.how == "token":
                raise ConfigError("channels.telegram.token: Telegram does not know it") from None
            if failed.how in ("refused", "blocked"):
                raise ConfigError(f"channels.telegram: Telegram refuses {what}") from None
            raise ChannelDown(f"Telegram: {what} {failed.how}") from None

    async def _be_called(self, accept: Accept) -> None:
        self._accept = accept
        await self._asked(
            "setWebhook",
            lambda bot: bot.set_webhook(
                self._webhook, allowed_updates=WANTED, secret_token=self._secret.decode()
            ),
        )
        await asyncio.Event().wait()

    async def _called(self, request: web.Request) -> web.Response:
        given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._secret):
            raise web.HTTPForbidden(text="This is for Telegram.\n")
        if self._accept is None:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        try:
            update = await request.json()
        except (ValueError, RecursionError):
            raise web.HTTPBadRequest(text="An update is a JSON object.\n") from None
        try:
            await self._take(update, self._accept)
        except StoreError:
            # Telegram calls again, less and less often.
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}) from None
        return web.Response()

    async def _ask(self, accept: Accept) -> None:
        await self._asked("deleteWebhook", lambda bot: bot.delete_webhook())
        offset: int | None = None
        failures = 0
        while True:
            try:
                updates = await self._line.do(
                    lambda bot, offset=offset: bot.updates(offset, self._poll, WANTED)  # type: ignore[misc]
                )
            except Failed as failed:
                failures += 1
                await self._endure(failed, failures)
                continue
            failures = 0
            self.heard = time.monotonic()
            for update in updates:
                await self._keep(update, accept)
                # The next question confirms it.
                offset = update["update_id"] + 1

    async def _endure(self, failed: Failed, failures: int) -> None:
        """A question for updates failed; raises when that is no passing thing."""
        match failed.how:
            case "conflict":
                raise ChannelDown("another program receives this bot's messages") from None
            case "token":
                raise ConfigError("channels.telegram.token: Telegram does not know it") from None
            case "flooded":
                self.heard = time.monotonic()
                await asyncio.sleep(failed.seconds)
            case _ if failures >= MOST_FAILURES:
                raise ChannelDown(f"Telegram: getUpdates {failed.how}") from None
            case _:
                await asyncio.sleep(failures)

    async def _keep(self, update: Mapping[str, Any], accept: Accept) -> None:
        """Hand an update in, again while the store fails. Raises StoreError if it goes on failing."""
        for pause in STORE_PAUSES:
            try:
                return await self._take(update, accept)
            except StoreError:
                await asyncio.sleep(pause)
        return await self._take(update, accept)

    async def _take(self, update: Mapping[str, Any], accept: Accept) -> None:
        """Hand an update in. Raises StoreError; what is wrong with this update alone is logged."""
        number: Any = None
        try:
            number = update["update_id"]
            if ways := moved(update):
                self._line.follow(*ways)
            happened = self._meaning(update)
            if isinstance(happened, Message):
                self._remember(happened)
            if happened:
                if where := place(happened.address):
                    self._line.welcome(where.chat)
                await accept(await self._files.kept(happened))
            if query := update.get("callback_query"):
                voted = isinstance(happened, Action)
                self._later(self._stop_waiting(query["id"], self._thanks() if voted else ""))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the next one may be well
            # Its text may quote the message.
            _log.error("update %s was skipped: %s", number, type(error).__name__)

    def _meaning(self, update: Mapping[str, Any]) -> Event | None:
        assert self._me is not None  # noqa: S101 - `run` asked for it first
        return event(
            update,
            self._me,
            now=datetime.now(UTC),
            choices=self._replies.choices,
            overhears=self._overhears,
        )

    def _remember(self, message: Message) -> None:
        """In a group the draft is to say whom it answers."""
        asked, number = self._replies.asked, native_id(message.id)
        if number is not None and message.address.conversation.startswith("-"):
            asked[message.address] = number
            asked.move_to_end(message.address)
            while len(asked) > MOST_ASKED:
                asked.popitem(last=False)

    # ---- beside it

    def _later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _stop_waiting(self, query: str, text: str) -> None:
        """Whoever pressed a button sees that it was."""
        try:
            await self._line.do(lambda bot: bot.answer_callback_query(query, text=text or None))
        except Failed as failed:
            _log.info("a button press was not answered: %s", failed.how)

    async def _offer_menus(self) -> None:
        for menu in self._menus:
            commands = [BotCommand(name, what) for name, what in menu.commands]
            scope = (
                BotCommandScopeDefault()
                if menu.person is None
                else BotCommandScopeChat(menu.person)
            )
            try:
                await self._line.do(
                    lambda bot, commands=commands, scope=scope, menu=menu: bot.set_my_commands(  # type: ignore[misc]
                        commands, scope=scope, language_code=menu.language or None
                    )
                )
            except Failed as failed:
                # An admin who never wrote to the bot has no chat to offer anything in.
                _log.info("commands were not offered: %s", failed.how)

    # ---- out

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """See `Replies.deliver`; works after `run` too, while the last turns end."""
        try:
            return await self._replies.deliver(address, reply)
        except ChannelDown:
            raise
        except Exception as error:  # noqa: BLE001 - it may hold words and our token
            _log.error("a reply was not shown as it should be: %s", type(error).__name__)
            return Receipt(outcome="unknown", reason=type(error).__name__)

    async def show(self, address: Address, draft: Draft | None) -> None:
        """See `Replies.show`; nothing while the channel does not run."""
        if self._me is None:
            return
        try:
            await self._replies.show(address, draft)
        except Exception as error:  # noqa: BLE001 - as above
            _log.error("a draft was not shown: %s", type(error).__name__)
