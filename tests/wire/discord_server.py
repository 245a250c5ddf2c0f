"""Discord's REST and gateway on loopback, as documented for v10, for the real discord.py: faults on demand."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, Self
from urllib.parse import unquote

import orjson
from aiohttp import WSMsgType, web

TOKEN = "MTAx.fake.token-that-nobody-may-log"
BOT, APPLICATION, GUILD, CHANNEL, DM, ALICE, BOB = (str(1_000_000_000_000_000 + n) for n in range(7))
MESSAGE_CONTENT = 1 << 15
EPOCH_MS = 1_420_070_400_000

Kind = Literal[
    "429",  # with the headers and the body of a bucket's limit
    "429 global",
    "403",  # 50013
    "404",  # 10003
    "500",
    "503",
    "lost",  # the connection ends before anything was done
    "done, then lost",  # it was done, and the connection ends before the answer
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the next request whose `METHOD /path` matches."""

    on: str
    kind: Kind
    seconds: float = 0.05
    """How long a 429 asks to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it came."""

    at: float
    what: str
    """`METHOD /path` without the API's prefix."""
    body: Any
    headers: Mapping[str, str]
    status: int


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


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message}


class DiscordServer:
    """`async with` it; `say`, `slash` and `press` are what people do, `shown` is what they see."""

    def __init__(self, *, content_allowed: bool = True) -> None:
        """`content_allowed`: whether the portal grants the message content intent."""
        self.content_allowed = content_allowed
        self.calls: list[Call] = []
        self.faults: deque[Fault] = deque()
        self.commands: list[Any] = []
        self.identifies: list[float] = []
        self.resumes: list[float] = []
        self.invalidate_next = 0
        """How many of the next IDENTIFYs and RESUMEs are answered by op 9."""
        self.acknowledges = True
        """Whether heartbeats are."""
        self.heartbeat = 41.25
        self.session_starts = 1000
        self.sessions: dict[str, Session] = {}
        self.pipes: set[Pipe] = set()
        self.channels: dict[str, dict[str, Any]] = {
            CHANNEL: {"id": CHANNEL, "type": 0, "guild_id": GUILD, "name": "문의", "position": 0},
            DM: {"id": DM, "type": 1},
        }
        self.messages: dict[str, list[dict[str, Any]]] = {CHANNEL: [], DM: []}
        self.ephemeral: dict[str, list[dict[str, Any]]] = {}
        """Per interaction token what only its user sees."""
        self.interactions: dict[str, dict[str, Any]] = {}
        self.nonces: dict[tuple[str, str], dict[str, Any]] = {}
        self._numbers = count()

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/gateway/", self._gateway)
        application.router.add_route("*", "/api/v10/{path:.*}", self._rest)
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.port = self.runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for pipe in list(self.pipes):
            pipe.cut()
        await self.runner.cleanup()

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def gateway(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway/"

    @property
    def connections(self) -> int:
        """Sockets that are open, gateway and REST."""
        return len(self.runner.server.connections) if self.runner.server else 0

    def made(self, what: str) -> list[Call]:
        """The calls that match a pattern."""
        return [call for call in self.calls if re.fullmatch(what, call.what)]

    def shown(self, channel: str = DM) -> list[dict[str, Any]]:
        """The bot's messages of a channel as they stand."""
        return [each for each in self.messages.get(channel, []) if each["author"]["id"] == BOT]

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
        message = self._message(channel, author, {"content": text, "attachments": list(attachments)})
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
        return bool(session.intents & MESSAGE_CONTENT) or "guild_id" not in message or mentioned or own

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

    # ---- REST

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        path = "/" + unquote(request.match_info["path"])
        what = f"{request.method} {path}"
        body = orjson.loads(await request.read() or b"null")
        fault = self._fault(what)
        status, answer, headers = 200, None, {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "999",
                                              "X-RateLimit-Reset-After": "1", "X-RateLimit-Bucket": _bucket(what)}  # fmt: skip
        try:
            if fault is None or fault.kind == "done, then lost":
                self._authorise(request, path)
                answer = await self._answer(request.method, path, body)
                status = 204 if answer is None else 200
            if fault is not None:
                status, answer = self._fail(fault, request, headers)
        except Refused as refused:
            status, answer = refused.status, refused.body
        self.calls.append(
            Call(at=time.monotonic(), what=what, body=body, headers=dict(request.headers), status=status)
        )
        if answer is None:
            return web.Response(status=status, headers=headers)
        # Exactly this type: with a charset discord.py does not parse it.
        headers["Content-Type"] = "application/json"
        return web.Response(body=orjson.dumps(answer), status=status, headers=headers)

    def _fault(self, what: str) -> Fault | None:
        for fault in self.faults:
            if re.fullmatch(fault.on, what):
                self.faults.remove(fault)
                return fault
        return None

    def _fail(self, fault: Fault, request: web.Request, headers: dict[str, str]) -> tuple[int, Any]:
        match fault.kind:
            case "429" | "429 global":
                everywhere = fault.kind == "429 global"
                headers |= {
                    "Via": "1.1 fake", "Retry-After": str(fault.seconds), "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Scope": "global" if everywhere else "user",
                }  # fmt: skip
                body = {"message": "You are being rate limited.", "retry_after": fault.seconds}
                return 429, {**body, "global": everywhere}
            case "403":
                return 403, {"code": 50013, "message": "Missing Permissions"}
            case "404":
                return 404, {"code": 10003, "message": "Unknown Channel"}
            case "500" | "503":
                return int(fault.kind), {"code": 0, "message": "Internal Server Error"}
            case _:
                assert request.transport is not None
                request.transport.abort()
                return 0, None

    @staticmethod
    def _authorise(request: web.Request, path: str) -> None:
        by_token = path.startswith(("/interactions/", "/webhooks/"))
        if not by_token and request.headers.get("Authorization") != f"Bot {TOKEN}":
            raise Refused(401, 0, "401: Unauthorized")

    async def _answer(self, method: str, path: str, body: Any) -> Any:
        for pattern, handler in self._routes.items():
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return await handler(self, body, *found.groups())
        raise Refused(404, 0, "404: Not Found")

    async def _me(self, body: Any) -> Any:
        return user(BOT)

    async def _application(self, body: Any) -> Any:
        return {
            "id": APPLICATION, "name": "상담", "icon": None, "description": "", "bot_public": True,
            "bot_require_code_grant": False, "verify_key": "", "flags": 0, "summary": "", "team": None,
            "owner": user(ALICE), "rpc_origins": [], "hook": False,
        }  # fmt: skip

    async def _gateway_bot(self, body: Any) -> Any:
        limit = {"total": 1000, "remaining": self.session_starts, "reset_after": 60_000}
        return {
            "url": self.gateway, "shards": 1,
            "session_start_limit": {**limit, "max_concurrency": 1},
        }  # fmt: skip

    async def _put_commands(self, body: Any) -> Any:
        names = [each["name"] for each in body]
        for each in body:
            if not re.fullmatch(r"[-_\w]{1,32}", each["name"]) or not 1 <= len(each["description"]) <= 100:
                raise Refused(400, 50035, "Invalid Form Body")
        assert len(set(names)) == len(names)
        self.commands = body
        return [{**each, "id": self.id(), "application_id": APPLICATION, "version": "1"} for each in body]

    async def _history(self, body: Any, channel: str) -> Any:
        return list(reversed(self._channel(channel)))[:100]

    async def _post(self, body: Any, channel: str) -> Any:
        self._channel(channel)
        valid(body)
        nonce = (channel, str(body.get("nonce", "")))
        if body.get("enforce_nonce") and nonce in self.nonces:
            return self.nonces[nonce]
        message = self.nonces[nonce] = self._message(channel, BOT, body)
        self.messages[channel].append(message)
        await self.dispatch("MESSAGE_CREATE", message)
        return message

    async def _patch(self, body: Any, channel: str, number: str) -> Any:
        valid(body)
        for message in self._channel(channel):
            if message["id"] == number:
                message.update({k: v for k, v in body.items() if k not in ("allowed_mentions", "flags")})
                message["edited_timestamp"] = now()
                await self.dispatch("MESSAGE_UPDATE", message)
                return message
        raise Refused(404, 10008, "Unknown Message")

    async def _typing(self, body: Any, channel: str) -> None:
        self._channel(channel)

    async def _thread(self, body: Any, channel: str, number: str) -> Any:
        if number in self.channels:
            raise Refused(400, 160004, "A thread has already been created for this message")
        thread = {
            "id": number, "type": 11, "guild_id": GUILD, "parent_id": channel, "owner_id": BOT,
            "name": body["name"], "message_count": 0, "member_count": 1,
            "thread_metadata": {"archived": False, "auto_archive_duration": 1440, "locked": False,
                                "archive_timestamp": now()},
        }  # fmt: skip
        self.channels[number] = thread
        self.messages[number] = []
        await self.dispatch("THREAD_CREATE", {**thread, "newly_created": True})
        return thread

    async def _callback(self, body: Any, number: str, token: str) -> None:
        pending = self.interactions.get(token)
        if pending is None or time.monotonic() - pending["at"] > 3:
            raise Refused(404, 10062, "Unknown interaction")
        if pending["ack"] is not None:
            raise Refused(400, 40060, "Interaction has already been acknowledged.")
        pending |= {"ack": body, "took": time.monotonic() - pending["at"]}

    async def _original(self, body: Any, application: str, token: str) -> Any:
        valid(body)
        seen = self._acknowledged(token)
        if not seen:
            seen.append({})
        seen[0].update({"id": seen[0].get("id") or self.id(), **body})
        return self._message(DM, BOT, seen[0])

    async def _follow(self, body: Any, application: str, token: str) -> Any:
        valid(body)
        message = self._message(DM, BOT, body)
        self._acknowledged(token).append(message)
        return message

    def _acknowledged(self, token: str) -> list[dict[str, Any]]:
        pending = self.interactions.get(token)
        if pending is None or pending["ack"] is None:
            raise Refused(404, 10015, "Unknown Webhook")
        return self.ephemeral.setdefault(token, [])

    def _channel(self, channel: str) -> list[dict[str, Any]]:
        if channel not in self.channels:
            raise Refused(404, 10003, "Unknown Channel")
        return self.messages.setdefault(channel, [])

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

    _routes: dict[str, Callable[..., Awaitable[Any]]] = {  # noqa: RUF012
        r"GET /users/@me": _me,
        r"GET /oauth2/applications/@me": _application,
        r"GET /gateway/bot": _gateway_bot,
        rf"PUT /applications/{APPLICATION}/commands": _put_commands,
        r"GET /channels/(\d+)/messages": _history,
        r"POST /channels/(\d+)/messages": _post,
        r"PATCH /channels/(\d+)/messages/(\d+)": _patch,
        r"POST /channels/(\d+)/typing": _typing,
        r"POST /channels/(\d+)/messages/(\d+)/threads": _thread,
        r"POST /interactions/(\d+)/([\w-]+)/callback": _callback,
        r"PATCH /webhooks/(\d+)/([\w-]+)/messages/@original": _original,
        r"POST /webhooks/(\d+)/([\w-]+)": _follow,
    }


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


def _bucket(what: str) -> str:
    return re.sub(r"\d{6,}|interaction-token-\S+", "_", what).replace("/", "-").replace(" ", "-")


def valid(body: Mapping[str, Any]) -> None:
    """Refuse what Discord refuses."""
    embeds, rows = body.get("embeds", []), body.get("components", [])
    buttons = [button for row in rows for button in row["components"]]
    ids = [button["custom_id"] for button in buttons]
    if not body.get("content", "").strip() and not embeds:
        raise Refused(400, 50006, "Cannot send an empty message")
    wrong = (
        len(body.get("content", "")) > 2000
        or len(str(body.get("nonce", ""))) > 25
        or sum(len(each.get("title", "") + each.get("description", "")) for each in embeds) > 6000
        or any(len(each.get("description", "")) > 4096 for each in embeds)
        or len(rows) > 5
        or any(not 1 <= len(row["components"]) <= 5 for row in rows)
        or any(not 1 <= len(each) <= 100 for each in ids)
        or len(set(ids)) < len(ids)
        or any(len(button.get("label", "")) > 80 for button in buttons)
    )
    if wrong:
        raise Refused(400, 50035, "Invalid Form Body")
