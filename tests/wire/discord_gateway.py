"""Discord's gateway v10 on loopback, and the people who write there; see `discord_server`."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
from aiohttp import WSMsgType, web

TOKEN = "MTAx.fake.token-that-nobody-may-log"
BOT, APPLICATION, GUILD, CHANNEL, DM, ALICE, BOB = (
    str(1_000_000_000_000_000 + n) for n in range(7)
)
MESSAGE_CONTENT = 1 << 15
EPOCH_MS = 1_420_070_400_000


@dataclass(slots=True)
class Session:
    """A gateway session: lives through dropped connections, until it is closed or invalidated."""

    id: str
    intents: int
    sent: list[tuple[str, Any]] = field(default_factory=list)
    pipe: Pipe | None = None

    async def dispatch(self, name: str, data: Any) -> None:
        self.sent.append((name, data))
        if self.pipe is not None:
            await self.pipe.send({"op": 0, "t": name, "s": len(self.sent), "d": data})


class Pipe:
    """One gateway connection, compressed if the client asked for it."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.transport = request.transport
        zipped = request.query.get("compress") == "zlib-stream"
        self._zip = zlib.compressobj() if zipped else None

    async def send(self, frame: Mapping[str, Any]) -> None:
        data = orjson.dumps(frame)
        try:
            if self._zip is None:
                await self.socket.send_str(data.decode())
            else:
                packed = self._zip.compress(data) + self._zip.flush(zlib.Z_SYNC_FLUSH)
                await self.socket.send_bytes(packed)
        except ConnectionError:
            return

    def cut(self) -> None:
        """The network fails."""
        assert self.transport is not None
        self.transport.abort()


class Gateway:
    """Sessions, connections and events; `say`, `slash` and `press` are what people do."""

    def __init__(self, *, content_allowed: bool = True) -> None:
        """`content_allowed`: whether the portal grants the message content intent."""
        self.content_allowed = content_allowed
        self.port = 0
        self.identifies: list[float] = []
        self.resumes: list[float] = []
        self.invalidate_next = 0
        """How many of the next IDENTIFYs and RESUMEs are answered by op 9."""
        self.acknowledges = True
        """Whether heartbeats are."""
        self.heartbeat = 41.25
        self.sessions: dict[str, Session] = {}
        self.pipes: set[Pipe] = set()
        self.channels: dict[str, dict[str, Any]] = {
            CHANNEL: {"id": CHANNEL, "type": 0, "guild_id": GUILD, "name": "문의", "position": 0},
            DM: {"id": DM, "type": 1},
        }
        self.messages: dict[str, list[dict[str, Any]]] = {CHANNEL: [], DM: []}
        self.interactions: dict[str, dict[str, Any]] = {}
        self._numbers = count()

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway/"

    # ---- what people do

    async def say(
        self,
        text: str,
        *,
        channel: str = DM,
        author: str = ALICE,
        mention: bool = False,
        reply_to: Mapping[str, Any] | None = None,
        attachments: Sequence[Mapping[str, Any]] = (),
        bot: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        """Write in a channel; the message."""
        message = self._message(
            channel, author, {"content": text, "attachments": list(attachments)}
        )
        message["author"]["bot"] = bot
        if mention:
            message["content"] = f"<@{BOT}> {text}"
            message["mentions"] = [user(BOT)]
        if reply_to is not None:
            message["type"] = 19
            message["message_reference"] = {"message_id": reply_to["id"], "channel_id": channel}
            message["referenced_message"] = dict(reply_to)
        message.update(more)
        self.messages.setdefault(channel, []).append(message)
        await self.dispatch("MESSAGE_CREATE", message)
        return message

    async def slash(
        self, name: str, options: Mapping[str, str] | None = None, *, channel: str = DM
    ) -> str:
        """Use a slash-command; the interaction's token."""
        given = [{"name": key, "type": 3, "value": text} for key, text in (options or {}).items()]
        data = {"id": self.id(), "name": name, "type": 1, "options": given}
        return await self._interact(2, data, channel)

    async def press(self, custom_id: str, message: Mapping[str, Any]) -> str:
        """Press a button; the interaction's token."""
        data = {"custom_id": custom_id, "component_type": 2}
        return await self._interact(3, data, message["channel_id"], message=dict(message))

    async def _interact(self, kind: int, data: Any, channel: str, **more: Any) -> str:
        number = self.id()
        token = f"interaction-token-{number}"
        event = {
            "id": number, "application_id": APPLICATION, "type": kind, "token": token,
            "version": 1, "data": data, "channel_id": channel, "channel": self.channels[channel],
            "locale": "ko", "app_permissions": "0", "entitlements": [], "context": 0,
            "authorizing_integration_owners": {}, "attachment_size_limit": 10_485_760, **more,
        }  # fmt: skip
        if guild := self.channels[channel].get("guild_id"):
            event |= {"guild_id": guild, "member": {**member(), "user": user(ALICE)}}
        else:
            event["user"] = user(ALICE)
        self.interactions[token] = {"id": number, "at": time.monotonic(), "ack": None}
        await self.dispatch("INTERACTION_CREATE", event)
        return token

    # ---- what the platform does

    async def dispatch(self, name: str, data: Any) -> None:
        """Send an event into every session, kept for a resume where nobody is connected."""
        for session in list(self.sessions.values()):
            seen = data
            if name == "MESSAGE_CREATE" and not self._may_read(session, data):
                seen = {**data, "content": "", "attachments": [], "embeds": [], "components": []}
            await session.dispatch(name, seen)

    @staticmethod
    def _may_read(session: Session, message: Mapping[str, Any]) -> bool:
        mentioned = any(each["id"] == BOT for each in message["mentions"])
        own = message["author"]["id"] == BOT
        return (
            bool(session.intents & MESSAGE_CONTENT) or "guild_id" not in message or mentioned or own
        )

    async def send_all(self, frame: Mapping[str, Any]) -> None:
        """Send a frame on every connection: op 7, op 9."""
        for pipe in list(self.pipes):
            await pipe.send(frame)

    def cut(self) -> None:
        """Break every gateway connection; the sessions can be resumed."""
        for pipe in list(self.pipes):
            pipe.cut()

    def id(self) -> str:
        """A new snowflake of now."""
        return str((int(time.time() * 1000) - EPOCH_MS << 22) | next(self._numbers) % (1 << 22))

    def _message(self, channel: str, author: str, body: Mapping[str, Any]) -> dict[str, Any]:
        message = {
            "id": self.id(), "channel_id": channel, "author": user(author), "timestamp": now(),
            "content": body.get("content", ""), "edited_timestamp": None, "tts": False, "type": 0,
            "mention_everyone": False, "mentions": [], "mention_roles": [], "pinned": False, "flags": 0,
            "attachments": body.get("attachments", []), "embeds": body.get("embeds", []),
            "components": body.get("components", []),
        }  # fmt: skip
        if "nonce" in body:
            message["nonce"] = body["nonce"]
        if "message_reference" in body:
            message["message_reference"] = {**body["message_reference"], "channel_id": channel}
        if guild := self.channels.get(channel, {}).get("guild_id"):
            message |= {"guild_id": guild, "member": member()}
        return message

    # ---- the gateway

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        pipe = Pipe(request, socket)
        self.pipes.add(pipe)
        session: Session | None = None
        try:
            await pipe.send({"op": 10, "d": {"heartbeat_interval": int(self.heartbeat * 1000)}})
            async for incoming in socket:
                if incoming.type is WSMsgType.TEXT:
                    session = await self._frame(pipe, session, orjson.loads(incoming.data))
        finally:
            self.pipes.discard(pipe)
            if session is not None and session.pipe is pipe:
                session.pipe = None
                if socket.close_code in (1000, 1001):
                    self.sessions.pop(session.id, None)
        return socket

    async def _frame(self, pipe: Pipe, session: Session | None, frame: Any) -> Session | None:
        data = frame["d"]
        if frame["op"] == 1:
            if self.acknowledges:
                await pipe.send({"op": 11})
            return session
        if frame["op"] not in (2, 6):
            return session
        (self.identifies if frame["op"] == 2 else self.resumes).append(time.monotonic())
        if data["token"] != TOKEN:
            await pipe.socket.close(code=4004)
        elif self.invalidate_next:
            self.invalidate_next -= 1
            self.sessions.pop(data.get("session_id", ""), None)
            await pipe.send({"op": 9, "d": False})
        elif frame["op"] == 6:
            return await self._resume(pipe, data)
        elif data["intents"] & MESSAGE_CONTENT and not self.content_allowed:
            await pipe.socket.close(code=4014)
        else:
            return await self._identify(pipe, data["intents"])
        return session

    async def _identify(self, pipe: Pipe, intents: int) -> Session:
        session = Session(self.id(), intents, pipe=pipe)
        self.sessions[session.id] = session
        ready = {
            "v": 10, "user": user(BOT), "guilds": [{"id": GUILD, "unavailable": True}],
            "session_id": session.id, "resume_gateway_url": self.gateway,
            "application": {"id": APPLICATION, "flags": 0},
        }  # fmt: skip
        await session.dispatch("READY", ready)
        await session.dispatch("GUILD_CREATE", self._guild())
        return session

    def _guild(self) -> dict[str, Any]:
        mine = [each for each in self.channels.values() if each.get("guild_id") == GUILD]
        return {
            "id": GUILD, "name": "가게", "owner_id": ALICE, "unavailable": False, "member_count": 3,
            "roles": [], "emojis": [], "features": [], "members": [{**member(), "user": user(BOT)}],
            "channels": [each for each in mine if each["type"] == 0],
            "threads": [each for each in mine if each["type"] == 11],
        }  # fmt: skip

    async def _resume(self, pipe: Pipe, data: Mapping[str, Any]) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if session is None:
            await pipe.send({"op": 9, "d": False})
            return None
        session.pipe = pipe
        for number, (name, event) in enumerate(session.sent[data["seq"] :], data["seq"] + 1):
            await pipe.send({"op": 0, "t": name, "s": number, "d": event})
        await session.dispatch("RESUMED", {})
        return session


def user(number: str) -> dict[str, Any]:
    """A person, or the bot."""
    name = {BOT: "sangdam", ALICE: "alice", BOB: "bob"}.get(number, "somebody")
    return {
        "id": number, "username": name, "discriminator": "0", "global_name": None, "avatar": None,
        "bot": number == BOT,
    }  # fmt: skip


def member() -> dict[str, Any]:
    """Somebody's membership of the guild."""
    return {"roles": [], "joined_at": now(), "deaf": False, "mute": False, "flags": 0}


def now() -> str:
    """A timestamp as Discord writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", time.gmtime())
