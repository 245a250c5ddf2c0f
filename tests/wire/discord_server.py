"""Discord's REST and gateway on loopback, as documented for v10, for the real discord.py: faults on demand."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import unquote

import orjson
from aiohttp import web

from tests.wire.discord_gateway import ALICE, APPLICATION, BOT, DM, GUILD, TOKEN, Gateway, now, user

Kind = Literal[
    "429",  # with the headers and the body of a bucket's limit
    "429 global",
    "403",  # 50013
    "404",  # 10003
    "400",  # 160002, no permission to read what is answered
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


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message}


class DiscordServer(Gateway):
    """`async with` it; `say`, `slash` and `press` are what people do, `shown` is what they see."""

    def __init__(self, *, content_allowed: bool = True) -> None:
        super().__init__(content_allowed=content_allowed)
        self.calls: list[Call] = []
        self.faults: deque[Fault] = deque()
        self.commands: list[Any] = []
        self.session_starts = 1000
        self.ephemeral: dict[str, list[dict[str, Any]]] = {}
        """Per interaction token what only its user sees."""
        self.files: dict[str, bytes] = {}
        """Contents of attachments by name, at `/attachments/NAME`."""
        self.nonces: dict[tuple[str, str], dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/gateway/", self._gateway)
        application.router.add_get("/attachments/{name}", self._file)
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
    def connections(self) -> int:
        """Sockets that are open, gateway and REST."""
        return len(self.runner.server.connections) if self.runner.server else 0

    def attachment(self, name: str, content: bytes, mime: str = "image/png") -> dict[str, Any]:
        """A file, as messages name it."""
        self.files[name] = content
        url = f"http://127.0.0.1:{self.port}/attachments/{name}?ex=1&is=2&hm=3"
        known = {"id": self.id(), "filename": name, "size": len(content), "content_type": mime}
        return {**known, "url": url, "proxy_url": url}

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["name"]])

    def made(self, what: str) -> list[Call]:
        """The calls that match a pattern."""
        return [call for call in self.calls if re.fullmatch(what, call.what)]

    def shown(self, channel: str = DM) -> list[dict[str, Any]]:
        """The bot's messages of a channel as they stand."""
        return [each for each in self.messages.get(channel, []) if each["author"]["id"] == BOT]

    # ---- REST

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        path = "/" + unquote(request.match_info["path"])
        what = f"{request.method} {path}"
        body = orjson.loads(await request.read() or orjson.dumps(dict(request.query)))
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
            Call(
                at=time.monotonic(),
                what=what,
                body=body,
                headers=dict(request.headers),
                status=status,
            )
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
            case "400":
                return 400, {"code": 160002, "message": "Cannot reply without permission to read"}
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
            if (
                not re.fullmatch(r"[-_\w]{1,32}", each["name"])
                or not 1 <= len(each["description"]) <= 100
            ):
                raise Refused(400, 50035, "Invalid Form Body")
        assert len(set(names)) == len(names)
        self.commands = body
        return [
            {**each, "id": self.id(), "application_id": APPLICATION, "version": "1"}
            for each in body
        ]

    async def _history(self, body: Any, channel: str) -> Any:
        after = int(body.get("after", 0))
        later = [each for each in self._channel(channel) if int(each["id"]) > after]
        return list(
            reversed(later[: int(body["limit"])] if after else later[-int(body["limit"]) :])
        )

    async def _one(self, body: Any, channel: str) -> Any:
        self._channel(channel)
        people = {} if "guild_id" in self.channels[channel] else {"recipients": [user(ALICE)]}
        return {**self.channels[channel], **people}

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
                message.update(
                    {k: v for k, v in body.items() if k not in ("allowed_mentions", "flags")}
                )
                message["edited_timestamp"] = now()
                await self.dispatch("MESSAGE_UPDATE", message)
                return message
        raise Refused(404, 10008, "Unknown Message")

    async def _delete(self, body: Any, channel: str, number: str) -> None:
        kept = [each for each in self._channel(channel) if each["id"] != number]
        if len(kept) == len(self.messages[channel]):
            raise Refused(404, 10008, "Unknown Message")
        self.messages[channel] = kept
        await self.dispatch("MESSAGE_DELETE", {"id": number, "channel_id": channel})

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
        return {**self._message(DM, BOT, seen[0]), **seen[0]}

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

    _routes: dict[str, Callable[..., Awaitable[Any]]] = {  # noqa: RUF012
        r"GET /users/@me": _me,
        r"GET /oauth2/applications/@me": _application,
        r"GET /gateway/bot": _gateway_bot,
        rf"PUT /applications/{APPLICATION}/commands": _put_commands,
        r"GET /channels/(\d+)": _one,
        r"GET /channels/(\d+)/messages": _history,
        r"POST /channels/(\d+)/messages": _post,
        r"PATCH /channels/(\d+)/messages/(\d+)": _patch,
        r"DELETE /channels/(\d+)/messages/(\d+)": _delete,
        r"POST /channels/(\d+)/typing": _typing,
        r"POST /channels/(\d+)/messages/(\d+)/threads": _thread,
        r"POST /interactions/(\d+)/([\w-]+)/callback": _callback,
        r"PATCH /webhooks/(\d+)/([\w-]+)/messages/@original": _original,
        r"POST /webhooks/(\d+)/([\w-]+)": _follow,
    }


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
