"""The Discord channel: what people say and press there is handed in, replies and drafts are shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Generic, TypeVar

import aiohttp
import discord
from discord.utils import snowflake_time

from adapters.base import Accept, Capabilities
from adapters.discord import incoming, outgoing
from adapters.discord.connection import Budget, Connection, SlashCommand
from adapters.discord.missed import Known, Missed, nowhere
from adapters.discord.sending import (
    BAD_TOKEN,
    UNKNOWN_INTERACTION,
    UNKNOWN_WEBHOOK,
    Drafting,
    Progress,
    Refused,
    Sender,
    Unheard,
)
from adapters.files import Files, Keep, forget
from brain.errors import ChannelDown, ConfigError, StoreError
from brain.messages import Address, Draft, Event, Message, Receipt, Reply

TEXTS: Final = (
    "web.sources",
    "web.choices",
    "web.feedback_up",
    "web.feedback_down",
    "web.thanks",
    "discord.thread",
)
"""Phrases that the channel shows."""

THREAD_EXISTS: Final = 160004
TOKEN_SECONDS: Final = 14 * 60.0
"""An interaction can be answered for fifteen minutes."""
CLOSES_WITHIN = 0.4
"""Seconds given to each of the two ways of closing the connection."""
STALE_SECONDS: Final = 180.0
"""A draft that did not grow for so long belonged to a reply that never came."""
RETRIES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before an event that could not be kept is handed in again."""
REMEMBERED: Final = 5000

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """The latest entries; older ones are forgotten."""

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > REMEMBERED:
            self.popitem(last=False)


class Discord:
    """The channel `discord`. A conversation is a channel or thread; its id is the channel's."""

    name = incoming.CHANNEL
    # Nonces make one message of two sendings within minutes; later ones look at the history first.
    capabilities = Capabilities(
        longest_text=outgoing.LONGEST,
        edits=True,
        typing=True,
        choices=True,
        idempotent=True,
        markup=True,
    )

    def __init__(
        self,
        *,
        token: str,
        texts: Mapping[str, str],
        api_base: str = "https://discord.com/api/v10",
        gateway: str = "",
        mentions_only: bool = False,
        threads: bool = False,
        commands: Sequence[SlashCommand] = (),
        known: Known = nowhere,
        keep: Keep = forget,
    ) -> None:
        """`texts` holds the phrases in `TEXTS`, looked up at each use. Without a `gateway` the REST
        server is asked for it. `mentions_only` needs no privileged intent, and reads only direct
        messages and what mentions us. `threads` opens one for each question in a channel. `known` are
        the places where something may have been missed since an earlier run. `keep` keeps files."""
        self._token = token
        self._texts = texts
        self._api_base, self._gateway = api_base, gateway
        self._mentions_only, self._threads = mentions_only, threads
        self._commands = commands
        self._announced = False
        self._missed = Missed(known)
        self._budget = Budget()
        self._connection: Connection | None = None
        self._heard: float | None = None
        # What was asked before may have been answered by an earlier run; clocks differ a little.
        self._since = datetime.now(UTC) + timedelta(seconds=10)
        self._files = Files(keep, partial(incoming.content, api_base))
        self._inbox: deque[tuple[asyncio.Task[Event], str]] = deque()
        self._arrived = asyncio.Event()
        self._thanking: set[asyncio.Task[None]] = set()
        self._tokens: Recent[str, tuple[str, float]] = Recent()
        self._asked: Recent[Address, str] = Recent()
        self._progress: Recent[str, Progress] = Recent()
        self._drafts: dict[Address, Drafting] = {}

    @property
    def heard(self) -> float | None:
        """When the gateway last sent anything; heartbeats are answered, so silence means something."""
        return self._heard

    # ---- in

    async def run(self, accept: Accept) -> None:
        """Stay connected until cancelled. Raises ConfigError or ChannelDown when Discord shuts us out."""
        connection = Connection(
            api_base=self._api_base,
            gateway=self._gateway,
            read_all=not self._mentions_only,
            budget=self._budget,
            commands=() if self._announced else self._commands,
            hears=self._hear,
            on_message=self._message,
            on_interaction=self._interaction,
            on_begin=self._missed.begin,
            on_ready=self._ready,
        )
        self._connection = connection
        self._hear()
        handing_in = asyncio.create_task(self._hand_in(accept))
        try:
            await connection.start(self._token)
        except discord.LoginFailure:
            raise ConfigError("Discord refuses the token in channels.discord.token") from None
        except discord.PrivilegedIntentsRequired:
            raise ConfigError(
                "Discord does not let this bot read messages: switch on its Message Content Intent, "
                "or set channels.discord.mentions_only"
            ) from None
        except discord.ConnectionClosed as closed:
            raise ChannelDown(f"Discord closed the connection: code {closed.code}") from None
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            raise ChannelDown(f"Discord cannot be reached: {type(error).__name__}") from None
        except AttributeError:
            if connection.ws is not None:
                raise
            # The library stumbles over a gateway that it never reached.
            raise ChannelDown("Discord's gateway cannot be reached") from None
        finally:
            self._connection = None
            self._announced |= connection.announced
            handing_in.cancel()
            await self._missed.stop()
            drafts, self._drafts = list(self._drafts.values()), {}
            closing = [asyncio.create_task(each.close()) for each in drafts]
            await connection.end(CLOSES_WITHIN)
            await asyncio.gather(handing_in, *closing, *self._thanking, return_exceptions=True)

    def _hear(self) -> None:
        self._heard = time.monotonic()

    async def _ready(self) -> None:
        if self._connection is not None:
            await self._missed.ready(self._connection, self._take_in)

    async def _message(self, message: discord.Message) -> None:
        if not await self._missed.over(message.id):
            await self._take_in(message)

    async def _take_in(self, message: discord.Message) -> None:
        sender, me = self._sender(), self._me()
        ours = incoming.meant(message, me)
        self._missed.saw(message.channel.id, message.id, ours=ours)
        if sender is None or not ours:
            return
        conversation = message.channel.id
        if self._threads and isinstance(message.channel, discord.TextChannel):
            conversation = await self._open_thread(sender, message)
        event = incoming.said(message, me, conversation)
        self._asked[event.address] = event.id
        self._take(event)

    async def _open_thread(self, sender: Sender, message: discord.Message) -> int:
        """The thread of a question, or its channel if there can be none."""
        name = f"{self._texts['discord.thread']} · {message.author.display_name}"
        try:
            await sender.thread(str(message.channel.id), str(message.id), name)
        except (Refused, Unheard, ChannelDown) as failed:
            if not (isinstance(failed, Refused) and failed.code == THREAD_EXISTS):
                _log.warning("no thread for a question: %s", failed)
                return message.channel.id
        return message.id

    async def _interaction(self, interaction: discord.Interaction[Any]) -> None:
        sender, event = self._sender(), incoming.done(interaction)
        if sender is None or event is None:
            return
        command = interaction.type is discord.InteractionType.application_command
        deferred = {"type": 5, "data": {"flags": outgoing.EPHEMERAL}} if command else {"type": 6}
        number, token = str(interaction.id), interaction.token
        try:
            await sender.acknowledge(number, token, deferred)
        except (Refused, Unheard, ChannelDown) as failed:
            # Seen before, or too late: it counts all the same, and its answer finds a way.
            _log.warning("interaction %s was not acknowledged: %s", number, failed)
        if command:
            self._tokens[number] = token, time.monotonic() + TOKEN_SECONDS
        if isinstance(event, Message):
            self._asked[event.address] = ""  # there is no message to point at
            token = ""
        self._take(event, token)

    def _take(self, event: Event, token: str = "") -> None:
        # Its files are had now, for their addresses expire, whatever is handed in before it.
        self._inbox.append((asyncio.create_task(self._files.kept(event)), token))
        self._arrived.set()

    async def _hand_in(self, accept: Accept) -> None:
        """Hand in what came, in order; Discord does not send it again, so that we have to insist."""
        while True:
            self._arrived.clear()
            while self._inbox:
                whole, token = self._inbox[0]
                if await self._accepted(accept, await asyncio.shield(whole)) and token:
                    thanking = asyncio.create_task(self._thank(token))
                    self._thanking.add(thanking)
                    thanking.add_done_callback(self._thanking.discard)
                self._inbox.popleft()
            await self._arrived.wait()

    @staticmethod
    async def _accepted(accept: Accept, event: Event) -> bool:
        for pause in (*RETRIES, None):
            try:
                await accept(event)
            except StoreError:
                if pause is not None:
                    await asyncio.sleep(pause)
                    continue
                _log.error("event %s could not be kept", event.id)
            except Exception as error:  # noqa: BLE001 the next event must not suffer for it
                # Its text may quote the message.
                _log.error("event %s was not accepted: %s", event.id, type(error).__name__)
            else:
                return True
            return False
        raise AssertionError("the last pause is None")

    async def _thank(self, token: str) -> None:
        sender = self._sender()
        try:
            if sender is not None:
                await sender.follow_up(token, outgoing.whisper(self._texts["web.thanks"]))
        except (Refused, Unheard, ChannelDown) as failed:
            _log.warning("a vote was not thanked for: %s", failed)

    # ---- out

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Send the reply, in the place of its draft if there is one; again means once."""
        # A command is answered beside the answer being written.
        drafting = None if reply.kind == "command" else self._drafts.pop(address, None)
        if drafting is not None:
            await drafting.close()
        parts = outgoing.parts(reply, self._texts)
        if not parts:
            return Receipt(outcome="refused", reason="there is nothing to say")
        if not address.conversation.isdecimal():
            return Receipt(outcome="refused", reason="no such channel")
        sender = self._sender()
        progress = self._progress.get(reply.id)
        if progress is None:
            progress = drafting.progress if drafting else Progress()
            progress.doubt = self._is_from_before(reply)
            self._progress[reply.id] = progress
        if sender is None:
            raise ChannelDown("Discord is not connected")
        try:
            await self._send(sender, address, reply, parts, progress)
        except Refused as refused:
            return Receipt(outcome="refused", reason=str(refused), native_ids=_ids(progress))
        except Unheard as unheard:
            progress.doubt = True
            return Receipt(outcome="unknown", reason=str(unheard), native_ids=_ids(progress))
        return Receipt(outcome="delivered", native_ids=_ids(progress))

    async def _send(
        self,
        sender: Sender,
        address: Address,
        reply: Reply,
        parts: Sequence[outgoing.Payload],
        progress: Progress,
    ) -> None:
        token, until = self._tokens.get(reply.in_reply_to, ("", 0.0))
        if token and time.monotonic() < until:
            try:
                return await sender.answer(token, parts, progress)
            except Refused as refused:
                if refused.code not in (UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION, BAD_TOKEN):
                    raise
                del self._tokens[reply.in_reply_to]
        channel = address.conversation
        if progress.doubt and len(progress.ids) < len(parts):
            await sender.look(channel, parts, progress, reply.in_reply_to)
            progress.doubt = False
        reference = self._reference(channel, "" if token else reply.in_reply_to)
        await sender.send(channel, parts, progress, reply=reply.id, reference=reference)
        return None

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Show the reply so far in a message that grows, edited at most every 1.2 seconds."""
        if draft is None:
            if drafting := self._drafts.pop(address, None):
                await drafting.withdraw()
            return
        if self._sender() is None or not address.conversation.isdecimal():
            return
        drafting = self._drafts.get(address)
        if drafting is None or drafting.touched < _now() - STALE_SECONDS:
            fresh = _now() - STALE_SECONDS
            self._drafts = {at: each for at, each in self._drafts.items() if each.touched >= fresh}
            reference = self._reference(address.conversation, self._asked.get(address, ""))
            drafting = Drafting(self._sender, address.conversation, reference=reference)
            self._drafts[address] = drafting
        drafting.put(draft.text)

    def _sender(self) -> Sender | None:
        """The way out, once logged in."""
        connection = self._connection
        if connection is None or connection.is_closed() or connection.application_id is None:
            return None
        return Sender(connection.rest, me=self._me(), application=connection.application_id)

    def _me(self) -> int:
        user = self._connection.user if self._connection else None
        return user.id if user else 0

    def _reference(self, channel: str, question: str) -> str:
        """The message to answer visibly: where several people talk, and it stands in the same channel."""
        place = self._connection.get_channel(int(channel)) if self._connection else None
        several = getattr(place, "guild", None) is not None
        return question if several and question.isdecimal() and question != channel else ""

    def _is_from_before(self, reply: Reply) -> bool:
        """Whether the reply answers what was asked before this run, and may have been sent by an earlier."""
        question = reply.in_reply_to
        return question.isdecimal() and snowflake_time(int(question)) < self._since


def _now() -> float:
    return asyncio.get_running_loop().time()


def _ids(progress: Progress) -> tuple[str, ...]:
    return tuple(progress.ids[number] for number in sorted(progress.ids))
