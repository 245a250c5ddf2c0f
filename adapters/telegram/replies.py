"""Replies on Telegram: drafts that grow in one message, the reply in its place, the rest after it."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    ReplyParameters,
)
from telegram.constants import ChatAction, ParseMode

from adapters.presentation import Labels, Sketch, plain, said, split, telegram_html
from adapters.telegram.line import Failed, Line
from adapters.telegram.updates import Place, native_id, place
from brain.errors import ChannelDown
from brain.messages import Address, Draft, Receipt, Reply

LONGEST: Final = 4096
"""UTF-16 units in one message, markup not counted."""
CALLBACK_BYTES: Final = 64
"""What a button can carry."""
RATED: Final = ("answer", "quoted", "abstained")
"""Kinds of reply that are asked about."""
TYPING_SECONDS, TYPING_TIMES = 4.0, 45
"""Telegram shows it for five; after three minutes nobody believes it."""
PRIVATE_EDIT_SECONDS, GROUP_EDIT_SECONDS = 1.0, 3.0
"""Between two edits of a draft; in groups Telegram takes twenty messages a minute."""
PATIENCE = 60.0
"""Seconds for which a reply waits out a flood before it is put off; once it was begun, five times as many."""
PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between attempts at the rest of a reply while the line is down."""
MOST_DRAFTS, MOST_CHOICES = 1000, 10_000

_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)
_log = logging.getLogger(__name__)


def units(text: str) -> int:
    """The length of `text` as Telegram counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def parts_of(text: str) -> list[str]:
    """`text` in parts that fit, whatever a part grows to when it is rendered."""
    fitting: list[str] = []
    for part in split(text, LONGEST, measure=units):
        smaller = (
            [part] if units(plain(part)) <= LONGEST else split(part, LONGEST // 2, measure=units)
        )
        fitting += [each for each in smaller if plain(each).strip()]
    return fitting


@dataclass(slots=True)
class _Drawn:
    """A draft and the message that shows it."""

    sketch: Sketch
    typing: asyncio.Task[None]
    number: int
    """Of the draft, where Telegram shows such; never 0."""
    message: int | None = None
    shown: str = ""
    """What it says."""
    given_up: bool = False
    """Whether the message of the draft cannot be known any more."""

    async def close(self) -> None:
        """Nothing of the draft is shown from now on."""
        self.typing.cancel()
        await self.sketch.close()


class Replies:
    """What the bot says."""

    def __init__(self, line: Line, labels: Callable[[], Labels]) -> None:
        """`labels` is asked at each use."""
        self._line = line
        self._labels = labels
        self._drafts: OrderedDict[Address, _Drawn] = OrderedDict()
        self._numbers = count(1)
        self._previews = True
        """Whether Telegram shows drafts that are no messages: it does in private chats, since 2025."""
        self.asked: OrderedDict[Address, int] = OrderedDict()
        """The latest message of a customer in a group, which the draft answers."""
        self.choices: OrderedDict[str, str] = OrderedDict()
        """Answers too long for a button, by what it carries."""

    # ---- drafts

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Show `draft` soon; an empty one begins anew, none ends it."""
        where = place(address)
        if where is None:
            return
        drawn = self._drafts.get(address)
        number = drawn.number if drawn else next(self._numbers)
        if drawn and not (draft and draft.text):
            # An answer was given up for another: what was seen of it would stand above the question.
            del self._drafts[address]
            await self._withdraw(where, drawn)
            drawn = None  # its number goes on: a preview cannot be taken back, but replaced
        if draft is None:
            return
        if drawn is None:
            drawn = self._drafts[address] = self._begun(address, where, number)
            if len(self._drafts) > MOST_DRAFTS:
                await self._drafts.popitem(last=False)[1].close()
        if draft.text.strip():
            drawn.sketch.put(draft.text)

    def _begun(self, address: Address, where: Place, number: int) -> _Drawn:
        async def edit(text: str) -> None:
            # Of a long draft the first message is shown; the others come with the reply.
            first = next(iter(parts_of(text)), "")
            if first not in ("", drawn.shown) and not drawn.given_up:
                await self._draw(address, where, drawn, first)

        every = GROUP_EDIT_SECONDS if where.group else PRIVATE_EDIT_SECONDS
        typing = asyncio.create_task(self._type(where))
        drawn = _Drawn(sketch=Sketch(edit, seconds=every), typing=typing, number=number)
        return drawn

    async def _type(self, where: Place) -> None:
        async def act(bot: Bot, chat: int) -> bool:
            return await bot.send_chat_action(
                chat, ChatAction.TYPING, message_thread_id=where.thread
            )

        for _ in range(TYPING_TIMES):
            try:
                await self._line.call(where.chat, act)
            except Failed as failed:
                if failed.how in ("refused", "blocked"):
                    return
            await asyncio.sleep(TYPING_SECONDS)

    async def _draw(self, address: Address, where: Place, drawn: _Drawn, text: str) -> None:
        try:
            if drawn.message is not None:
                await self._edit(where, drawn.message, text)
            elif not await self._preview(where, drawn.number, text):
                drawn.message = await self._send(where, text, quote=self.asked.get(address))
            drawn.typing.cancel()
            drawn.shown = text
        except Failed as failed:
            if failed.how == "flooded":
                drawn.sketch.pause(failed.seconds)
            elif failed.how == "gone":
                # People can delete our messages; the next draft is a new one.
                drawn.message, drawn.shown = None, ""
            elif failed.how in ("lost", "refused", "blocked") and drawn.message is None:
                drawn.given_up = True

    async def _preview(self, where: Place, number: int, text: str) -> bool:
        """Show a draft that is no message; False where there is no such thing."""
        if where.group or not self._previews:
            return False

        def show(words: str, mode: str | None) -> Callable[[Bot, int], Awaitable[Any]]:
            return lambda bot, chat: bot.send_message_draft(
                chat, number, words, message_thread_id=where.thread, parse_mode=mode
            )

        try:
            await self._readable(where, text, show, 0.0)
        except Failed as failed:
            if failed.how in ("refused", "token"):  # the latter for a method that is not known
                self._previews = False
                return False
            if failed.how != "lost":  # the next one shows the same and more
                raise
        return True

    async def _withdraw(self, where: Place, drawn: _Drawn) -> None:
        await drawn.close()
        message = drawn.message
        if message is None:
            return

        async def delete(bot: Bot, chat: int) -> bool:
            return await bot.delete_message(chat, message)

        try:
            await self._line.call(where.chat, delete)
        except Failed as failed:
            _log.info("a draft could not be taken back: %s", failed.how)

    async def rest(self, seconds: float) -> None:
        """Show no drafts until there are new ones; waits at most `seconds` for edits under way."""
        closing = [asyncio.create_task(drawn.close()) for drawn in self._drafts.values()]
        if closing:
            await asyncio.wait(closing, timeout=seconds)

    # ---- replies

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Show `reply`, in the place of its draft if there is one. Raises ChannelDown."""
        where = place(address)
        if where is None:
            return Receipt(outcome="refused", reason="no address of Telegram")
        # A command is answered beside the answer being written.
        drawn = None if reply.kind == "command" else self._drafts.pop(address, None)
        if drawn:
            await drawn.close()
        text = said(reply, choices=False, sources=reply.kind == "answer", labels=self._labels())
        parts = parts_of(text)
        if not parts:
            return Receipt(outcome="refused", reason="nothing to say")
        quote = native_id(reply.in_reply_to) if where.group else None
        try:
            return await self._show(where, parts, drawn, quote, self._buttons(reply))
        except ChannelDown:
            if drawn:
                self._drafts.setdefault(address, drawn)
            raise

    async def _show(
        self,
        where: Place,
        parts: list[str],
        drawn: _Drawn | None,
        quote: int | None,
        buttons: InlineKeyboardMarkup | None,
    ) -> Receipt:
        shown: list[str] = []
        draft = drawn.message if drawn else None
        for at, part in enumerate(parts):
            under = buttons if at == len(parts) - 1 else None
            patience = 5 * PATIENCE if shown else PATIENCE
            try:
                if draft is not None and at == 0:
                    number = await self._replace(where, draft, part, quote, under)
                else:
                    first = quote if at == 0 else None
                    number = await self._sent(
                        where, part, first, under, patience, PAUSES if shown else ()
                    )
            except Failed as failed:
                if not shown and failed.how in ("down", "flooded", "token"):
                    raise ChannelDown(f"Telegram: {failed.how}") from None
                return Receipt(
                    outcome="refused" if failed.how in ("refused", "blocked") else "unknown",
                    native_ids=tuple(shown),
                    reason=f"{failed.how}, after {len(shown)} of {len(parts)} messages",
                )
            shown.append(str(number))
        return Receipt(outcome="delivered", native_ids=tuple(shown))

    async def _replace(
        self,
        where: Place,
        draft: int,
        text: str,
        quote: int | None,
        buttons: InlineKeyboardMarkup | None,
    ) -> int:
        """Put the reply where its draft is. An edit can be repeated: it is lost only if all are."""
        for pause in (*PAUSES[:2], None):
            try:
                await self._edit(where, draft, text, buttons, patience=PATIENCE)
            except Failed as failed:
                if failed.how in ("gone", "refused"):
                    return await self._send(where, text, quote, buttons, patience=PATIENCE)
                if failed.how != "lost" or pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                break
        return draft

    async def _sent(
        self,
        where: Place,
        text: str,
        quote: int | None,
        buttons: InlineKeyboardMarkup | None,
        patience: float,
        pauses: tuple[float, ...],
    ) -> int:
        """Send a part, again while the line is down, after each of `pauses`."""
        for pause in (*pauses, None):
            try:
                return await self._send(where, text, quote, buttons, patience=patience)
            except Failed as failed:
                if failed.how != "down" or pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last pause is None")

    async def _send(
        self,
        where: Place,
        text: str,
        quote: int | None = None,
        buttons: InlineKeyboardMarkup | None = None,
        *,
        patience: float = 0.0,
    ) -> int:
        answers = (
            ReplyParameters(message_id=quote, allow_sending_without_reply=True) if quote else None
        )

        def send(words: str, mode: str | None) -> Callable[[Bot, int], Awaitable[Any]]:
            return lambda bot, chat: bot.send_message(
                chat,
                words,
                parse_mode=mode,
                message_thread_id=where.thread,
                reply_parameters=answers,
                reply_markup=buttons,
                link_preview_options=_NO_PREVIEW,
            )

        message = await self._readable(where, text, send, patience)
        return int(message.message_id)

    async def _edit(
        self,
        where: Place,
        message: int,
        text: str,
        buttons: InlineKeyboardMarkup | None = None,
        *,
        patience: float = 0.0,
    ) -> None:
        def edit(words: str, mode: str | None) -> Callable[[Bot, int], Awaitable[Any]]:
            return lambda bot, chat: bot.edit_message_text(
                words,
                chat,
                message,
                parse_mode=mode,
                reply_markup=buttons,
                link_preview_options=_NO_PREVIEW,
            )

        try:
            await self._readable(where, text, edit, patience)
        except Failed as failed:
            if failed.how != "same":
                raise

    async def _readable(
        self,
        where: Place,
        text: str,
        call: Callable[[str, str | None], Callable[[Bot, int], Awaitable[Any]]],
        patience: float,
    ) -> Any:
        """Do it with markup; without, if Telegram cannot read that."""
        try:
            marked = call(telegram_html(text), ParseMode.HTML)
            return await self._line.call(where.chat, marked, patience=patience)
        except Failed as failed:
            if failed.how != "unreadable":
                raise
        _log.warning("Telegram could not read our markup; sent without")
        return await self._line.call(where.chat, call(plain(text), None), patience=patience)

    def _buttons(self, reply: Reply) -> InlineKeyboardMarkup | None:
        """Suggested answers, and what the customer thinks of this one."""
        rows = []
        for number, choice in enumerate(reply.choices):
            data = f"c:{choice.text}"
            if len(data.encode("utf-8", "replace")) > CALLBACK_BYTES:
                data = f"n:{reply.id}:{number}"
                self.choices[data] = choice.text
            rows.append([(choice.label, data)])
        if reply.kind in RATED:
            rows.append([("👍", f"f:u:{reply.id}"), ("👎", f"f:d:{reply.id}")])
        while len(self.choices) > MOST_CHOICES:
            self.choices.popitem(last=False)
        keyboard = [
            [InlineKeyboardButton(label, callback_data=data) for label, data in row]
            for row in rows
            if all(len(data.encode("utf-8", "replace")) <= CALLBACK_BYTES for _, data in row)
        ]
        return InlineKeyboardMarkup(keyboard) if keyboard else None
