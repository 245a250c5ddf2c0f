"""Calls to Discord and what became of them; a reply's parts sent once each; drafts that grow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import aiohttp
import discord
from discord.http import Route

from adapters.discord.connection import Rest
from adapters.discord.outgoing import CURSOR, EPHEMERAL, Payload, draft, nonce
from adapters.presentation import Sketch
from brain.errors import ChannelDown

EDIT_SECONDS = 1.2
"""Between two edits: about five in five seconds are allowed in a channel."""
TYPING_SECONDS: Final = 8.0
"""Discord shows ten seconds of typing."""
TYPED: Final = 8
"""How often it is said at most while nothing is written."""

UNKNOWN_MESSAGE: Final = 10008
UNKNOWN_WEBHOOK: Final = 10015
UNKNOWN_INTERACTION: Final = 10062
BAD_TOKEN: Final = 50027
NO_REFERENCE: Final = (160002, 50035)
"""We may not read what we answer, or it is not there; said without pointing at it, the answer arrives."""


class Refused(Exception):
    """Discord will never do it."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(f"Discord refuses: status {status}, code {code}")
        self.code = code


class Unheard(Exception):
    """It may have been done; there was no answer that says so."""


@dataclass(slots=True)
class Progress:
    """How far a reply has come."""

    ids: dict[int, str] = field(default_factory=dict)
    """Message of each part that was sent."""
    draft: str = ""
    """Message that becomes the first part."""
    draft_nonce: str = ""
    """Nonce of a draft that may have been sent."""
    doubt: bool = False
    """Whether something may have been sent that is not in `ids`."""


async def call(rest: Rest, route: Route, body: Payload | None = None) -> Any:
    """Discord's answer. Raises ChannelDown if it certainly did nothing, Refused, or Unheard."""
    try:
        return await (rest.request(route) if body is None else rest.request(route, json=body))
    except discord.HTTPException as error:
        if error.status in (401, 429):
            raise ChannelDown(f"Discord does not listen: status {error.status}") from None
        if error.status >= 500:
            raise Unheard(f"Discord failed: status {error.status}") from None
        raise Refused(error.status, error.code) from None
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ChannelDown(f"Discord cannot be reached: {type(error).__name__}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Unheard(f"no answer from Discord: {type(error).__name__}") from None
    except RuntimeError:  # the client was closed in the meantime
        raise ChannelDown("Discord is not connected") from None


class Sender:
    """Sends into channels and threads, and as answers to interactions."""

    def __init__(self, rest: Rest, *, me: int, application: int) -> None:
        self._rest = rest
        self._me = str(me)
        self._application = application

    async def post(self, channel: str, body: Payload) -> Any:
        """Send a message; one with the same nonce is sent once."""
        body = {**body, "enforce_nonce": True}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel)
        try:
            return await call(self._rest, route, body)
        except Refused as refused:
            if refused.code not in NO_REFERENCE or "message_reference" not in body:
                raise
            del body["message_reference"]
            return await call(self._rest, route, body)

    async def edit(self, channel: str, message: str, body: Payload) -> None:
        """Put `body` in the place of a message."""
        full = {"embeds": [], "components": [], "flags": 0, **body}
        path = "/channels/{channel_id}/messages/{message_id}"
        route = Route("PATCH", path, channel_id=channel, message_id=message)
        await call(self._rest, route, full)

    async def delete(self, channel: str, message: str) -> None:
        """Take a message back."""
        path = "/channels/{channel_id}/messages/{message_id}"
        await call(self._rest, Route("DELETE", path, channel_id=channel, message_id=message))

    async def type(self, channel: str) -> None:
        """Show for a while that somebody is writing."""
        await call(self._rest, Route("POST", "/channels/{channel_id}/typing", channel_id=channel))

    async def thread(self, channel: str, message: str, name: str) -> None:
        """Open a thread from a message; its id is the message's."""
        path = "/channels/{channel_id}/messages/{message_id}/threads"
        route = Route("POST", path, channel_id=channel, message_id=message)
        await call(self._rest, route, {"name": name[:100], "auto_archive_duration": 1440})

    async def acknowledge(self, interaction: str, token: str, body: Payload) -> None:
        """Tell Discord that an interaction was taken, within its three seconds."""
        path = "/interactions/{webhook_id}/{webhook_token}/callback"
        # Named so, every interaction has a limit of its own and none waits for another.
        route = Route("POST", path, webhook_id=interaction, webhook_token=token)
        await call(self._rest, route, body)

    async def follow_up(self, token: str, body: Payload) -> Any:
        """Send one more message to whoever made an interaction."""
        body = {**body, "flags": body.get("flags", 0) | EPHEMERAL}
        return await self._reply_with("POST", "", token, body)

    async def _original(self, token: str, body: Payload) -> Any:
        return await self._reply_with("PATCH", "/messages/@original", token, body)

    async def _reply_with(self, method: str, what: str, token: str, body: Payload) -> Any:
        path = "/webhooks/{webhook_id}/{webhook_token}" + what
        route = Route(method, path, webhook_id=self._application, webhook_token=token)
        return await call(self._rest, route, body)

    async def answer(self, token: str, parts: Sequence[Payload], progress: Progress) -> None:
        """Send the missing parts as the answer to an interaction.

        Only the first is safe to send again after no answer: follow-ups know no nonce.
        """
        for number, part in enumerate(parts):
            if number not in progress.ids:
                send = self._original if number == 0 else self.follow_up
                progress.ids[number] = str((await send(token, part))["id"])

    async def send(
        self,
        channel: str,
        parts: Sequence[Payload],
        progress: Progress,
        *,
        reply: str,
        reference: str = "",
    ) -> None:
        """Send the missing parts of the reply with the id `reply`, each once, in order.

        `reference` is the message that it answers.
        """
        for number, part in enumerate(parts):
            if number in progress.ids:
                continue
            first = number == 0
            if first and progress.draft:
                if await self._edited(channel, progress.draft, part):
                    progress.ids[0] = progress.draft
                    continue
                progress.draft = progress.draft_nonce = ""
            drafted = first and progress.draft_nonce
            numbered = {**part, "nonce": drafted or nonce(reply, number)}
            made = await self.post(channel, addressed(numbered, reference, first))
            if drafted and not _same(made, part):  # the draft had arrived
                await self.edit(channel, made["id"], part)
            progress.ids[number] = str(made["id"])

    async def _edited(self, channel: str, message: str, part: Payload) -> bool:
        try:
            await self.edit(channel, message, part)
        except Refused as refused:
            if refused.code != UNKNOWN_MESSAGE:
                raise
            return False  # somebody removed it
        return True

    async def look(
        self, channel: str, parts: Sequence[Payload], progress: Progress, question: str
    ) -> None:
        """Find what was sent of a reply to the message `question` without our hearing of it.

        Raises ChannelDown if that cannot be found out now. Where the history may not be read, the
        nonces have to do.
        """
        after = f"&after={question}" if question.isdigit() else ""
        route = Route(
            "GET", "/channels/{channel_id}/messages?limit=100" + after, channel_id=channel
        )
        try:
            history = await call(self._rest, route)
        except Refused:
            return
        except Unheard:
            raise ChannelDown("what was sent to Discord before cannot be looked up") from None
        mine = [
            message
            for message in reversed(history)
            if message["author"]["id"] == self._me and _refers(message) in ("", question)
        ]
        for number, part in enumerate(parts):
            known = set(progress.ids.values())
            same = [each for each in mine if each["id"] not in known and _same(each, part)]
            if number not in progress.ids and same:
                progress.ids[number] = str(same[0]["id"])
        drafts = [each["id"] for each in mine if each["content"].endswith(CURSOR.strip())]
        if not progress.draft and drafts:
            progress.draft = str(drafts[-1])


def addressed(body: Payload, reference: str, first: bool) -> Payload:
    """`body` as an answer to the message `reference`, if there is one."""
    if not (first and reference):
        return body
    return {**body, "message_reference": {"message_id": reference, "fail_if_not_exists": False}}


def _refers(message: Mapping[str, Any]) -> str:
    return str((message.get("message_reference") or {}).get("message_id", ""))


def _same(message: Mapping[str, Any], part: Payload) -> bool:
    same_text = message["content"].strip() == part["content"].strip()
    return bool(same_text) and _ids(message) == _ids(part)


def _ids(message: Mapping[str, Any]) -> list[str]:
    rows = message.get("components") or ()
    return [button.get("custom_id", "") for row in rows for button in row.get("components", ())]


class Drafting:
    """A reply that is being written: typing, then a message that grows."""

    def __init__(
        self, sender: Callable[[], Sender | None], channel: str, *, reference: str = ""
    ) -> None:
        self.progress = Progress()
        self.touched = asyncio.get_running_loop().time()
        self._sender = sender
        self._channel = channel
        self._reference = reference
        self._nonce = nonce(uuid4().hex)
        self._content = ""
        self._sketch = Sketch(self._edit, seconds=EDIT_SECONDS)
        self._typing: asyncio.Task[None] | None = None

    def put(self, text: str) -> None:
        """Show `text`, or that somebody is writing when there is none yet."""
        self.touched = asyncio.get_running_loop().time()
        if text:
            self._sketch.put(text)
        elif self._typing is None:
            self._typing = asyncio.create_task(self._type())

    async def close(self) -> None:
        """Show nothing more; `progress` then says what became of it."""
        self._stop_typing()
        await self._sketch.close()

    async def withdraw(self) -> None:
        """Show nothing more, and nothing of what was shown."""
        await self.close()
        sender = self._sender()
        if sender is not None and self.progress.draft:
            with suppress(Refused, Unheard, ChannelDown):  # somebody else may have removed it
                await sender.delete(self._channel, self.progress.draft)

    def _stop_typing(self) -> None:
        if self._typing is not None:
            self._typing.cancel()

    async def _type(self) -> None:
        for _ in range(TYPED):
            sender = self._sender()
            with suppress(Refused, Unheard, ChannelDown):
                if sender is not None:
                    await sender.type(self._channel)
            await asyncio.sleep(TYPING_SECONDS)

    async def _edit(self, text: str) -> None:
        sender, body = self._sender(), draft(text)
        if sender is None or body["content"] == self._content:
            return
        self._stop_typing()
        if self.progress.draft:
            await sender.edit(self._channel, self.progress.draft, body)
        else:
            # The same nonce at each try, so that one that was not heard of is found again.
            self.progress.draft_nonce = self._nonce
            numbered = addressed({**body, "nonce": self._nonce}, self._reference, True)
            self.progress.draft = str((await sender.post(self._channel, numbered))["id"])
        self._content = body["content"]
