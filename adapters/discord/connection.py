"""discord.py with addresses of its own, reconnects that are no storm, and an ear for signs of life."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import discord
from discord.gateway import DiscordWebSocket
from discord.http import HTTPClient, Route

from brain.errors import ChannelDown

_log = logging.getLogger(__name__)
logging.getLogger("discord").setLevel(logging.WARNING)
# Its warnings quote addresses, and the tokens of interactions are part of theirs.
logging.getLogger("discord.http").setLevel(logging.ERROR)
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # we do not speak

TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)
IDENTIFY_SECONDS = 5.0
"""Between two IDENTIFYs, as Discord asks."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 40.0
"""Seconds before a reconnect when the connections before it did not last; less than discord.py's own
limit of a minute for a connect."""
STEADY = 20.0
"""Seconds after which a connection has lasted."""
AT_ONCE: Final = 2
"""Reconnects in a row that need no pause."""
MOST_REFUSALS: Final = 2000
REFUSALS_SECONDS: Final = 600.0
"""Discord shuts out an address with ten thousand refused requests in ten minutes; we stop far earlier."""
MANAGE_GUILD: Final = str(1 << 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashCommand:
    """A command as it is announced to Discord."""

    name: str
    """In English, as it comes back."""
    korean_name: str
    description: str
    korean_description: str
    admin: bool = False
    """Whether only those who manage the server see it; who may use it is decided elsewhere."""
    argument: tuple[str, str] | None = None
    """What may follow it, in English and Korean; None for nothing."""

    def payload(self) -> dict[str, Any]:
        """As Discord takes it."""
        made: dict[str, Any] = {
            "type": 1,
            "name": self.name,
            "name_localizations": {"ko": self.korean_name},
            "description": self.description[:100],
            "description_localizations": {"ko": self.korean_description[:100]},
            "contexts": [0, 1],
            "default_member_permissions": MANAGE_GUILD if self.admin else None,
        }
        if self.argument:
            english, korean = self.argument
            option = {"type": 3, "name": "text", "description": english[:100], "required": False}
            korean_option = {"description_localizations": {"ko": korean[:100]}}
            made["options"] = [{**option, **korean_option}]
        return made


class Budget:
    """IDENTIFYs: beyond a thousand a day Discord takes the token away, whoever restarts us how often."""

    def __init__(self, *, most: int = 200, seconds_each: float = 120.0) -> None:
        """`most` at once, and one more every `seconds_each`: at most 920 in any day."""
        self._most, self._seconds_each = most, seconds_each
        self._left, self._at = float(most), time.monotonic()

    def take(self) -> None:
        """Use one. Raises ChannelDown when there is none."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) / self._seconds_each)
        self._at = now
        if self._left < 1:
            raise ChannelDown("too many sessions were begun; Discord would revoke the token")
        self._left -= 1


class Rest(HTTPClient):
    """The library's REST client, and the door to the gateway, at servers of our choice."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, base: str, gateway: str) -> None:
        super().__init__(loop)
        self.gateway = gateway
        self._base = base.rstrip("/")
        self._opened = -STEADY
        self._short_lived = 0
        self._refused: deque[float] = deque(maxlen=MOST_REFUSALS)

    async def request(self, route: Route, **options: Any) -> Any:
        """As the library, at our server; no single try outlasts `TIMEOUT`, a wait for a limit may.

        Raises ChannelDown when too much was refused lately.
        """
        refused = self._refused
        if len(refused) == MOST_REFUSALS and time.monotonic() - refused[0] < REFUSALS_SECONDS:
            raise ChannelDown("Discord refused too much; more would shut us out")
        if route.url.startswith(Route.BASE):
            route.url = self._base + route.url.removeprefix(Route.BASE)
        try:
            return await super().request(route, timeout=TIMEOUT, **options)
        except discord.HTTPException as error:
            if error.status in (401, 403, 429):
                refused.append(time.monotonic())
            raise

    async def ws_connect(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        """As the library, at our gateway; after connections that did not last, not at once."""
        lasted = time.monotonic() - self._opened > STEADY
        self._short_lived = 0 if lasted else self._short_lived + 1
        if self._short_lived > AT_ONCE:
            pause = FIRST_PAUSE * 2 ** min(self._short_lived - AT_ONCE - 1, 10)
            await asyncio.sleep(min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._opened = time.monotonic()
        default = str(DiscordWebSocket.DEFAULT_GATEWAY)
        if url.startswith(default):
            url = self.gateway.rstrip("/") + "/" + url.removeprefix(default)
        return await super().ws_connect(url, compress=compress)


class Connection(discord.Client):
    """One life of the client, from login to close."""

    def __init__(
        self,
        *,
        api_base: str,
        gateway: str,
        read_all: bool,
        budget: Budget,
        commands: Sequence[SlashCommand],
        hears: Callable[[], None],
        on_message: Callable[[discord.Message], Awaitable[None]],
        on_interaction: Callable[[discord.Interaction[Any]], Awaitable[None]],
        on_begin: Callable[[], None],
        on_ready: Callable[[], Awaitable[None]],
    ) -> None:
        """`read_all` asks for the content of messages that do not mention us, which is privileged.

        `on_begin` hears of a new session before anything that happens in it, `on_ready` once its
        places are known.
        """
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = True
        intents.message_content = read_all
        super().__init__(
            intents=intents,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=0.2,
            enable_debug_events=True,  # they tell of every frame
        )
        self.rest = Rest(self.loop, base=api_base, gateway=gateway)
        self.http = self._connection.http = self.rest
        self._budget = budget
        self._commands = [command.payload() for command in commands]
        self.announced = not commands
        """Whether Discord knows the commands."""
        self._hears = hears
        self._on_message = on_message
        self._on_interaction = on_interaction
        self._on_begin = on_begin
        self._on_ready = on_ready

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """As the library; frames are signs of life and no more."""
        if event == "socket_raw_receive":
            self._hears()
        elif event == "connect":
            self._on_begin()
        elif event != "socket_raw_send" and not self.is_closed():
            super().dispatch(event, *args, **kwargs)

    async def setup_hook(self) -> None:
        """Find the gateway, and whether it takes us; announce the commands."""
        known = await self.rest.request(Route("GET", "/gateway/bot"))
        if known["session_start_limit"]["remaining"] < 1:
            raise ChannelDown("Discord takes no more new sessions today")
        self.rest.gateway = self.rest.gateway or known["url"]
        if self.announced:
            return
        route = Route("PUT", f"/applications/{self.application_id}/commands")
        try:
            await self.rest.request(route, json=self._commands)
            self.announced = True
        except discord.HTTPException as refused:
            _log.warning(
                "the slash-commands were not taken: %s, code %s", refused.status, refused.code
            )

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Stay within the budget. Raises ChannelDown."""
        self._budget.take()
        if not initial:
            await asyncio.sleep(IDENTIFY_SECONDS)

    async def on_ready(self) -> None:
        await self._on_ready()

    async def on_message(self, message: discord.Message) -> None:
        await self._on_message(message)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        await self._on_interaction(interaction)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Say what failed; the error itself may quote the message."""
        _log.error("%s failed: %s", event_method, type(sys.exception()).__name__)

    async def end(self, within: float) -> None:
        """Close everything, politely if the other side plays along `within` seconds."""
        closing = asyncio.create_task(self.close())
        await asyncio.wait({closing}, timeout=within)
        if not closing.done():
            if self.rest.connector:
                await self.rest.connector.close()
            await asyncio.wait({closing}, timeout=within)
        if not closing.done():
            closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
