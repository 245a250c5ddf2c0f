"""LINE's side of the Messaging API on loopback: it signs and posts what people say, and shows what the bot sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections import defaultdict, deque
from itertools import count
from typing import Any, Literal, Self

from aiohttp import ClientSession, web

SECRET, TOKEN = "channel-secret", "channel-access-token"
USER, GROUP = "U" + "1" * 32, "C" + "2" * 32
Fault = Literal["429", "500", "lost"]


class LineServer:
    """`async with` it; `say` is what people do, `shown` what they see."""

    def __init__(self) -> None:
        self.webhook = ""
        """Where the bot is called."""
        self.shown: dict[str, list[str]] = defaultdict(list)
        """Texts of the bot by chat."""
        self.buttons: list[str] = []
        """What the buttons under the last message say."""
        self.calls: list[str] = []
        """`reply` or `push`, each call of the bot."""
        self.statuses: list[int] = []
        """What the webhook answered."""
        self.faults: deque[Fault] = deque()
        self._numbers = count(1)
        self._tokens: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/v2/bot/message/{how}", self._take)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.api_base = "http://127.0.0.1:{1}".format(*self._runner.addresses[0])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def expire(self) -> None:
        """A minute passes: no reply token is good any more."""
        self._tokens.clear()

    async def say(self, text: str, *, group: bool = False, mention: bool = False) -> int:
        """Somebody writes; what the webhook answered. What it does not take is not repeated here."""
        number = next(self._numbers)
        token, source = f"reply-token-{number}", {"type": "user", "userId": USER}
        if group:
            source |= {"type": "group", "groupId": GROUP}
        self._tokens[token] = source.get("groupId", USER)
        message: dict[str, Any] = {"id": str(number), "type": "text", "text": text}
        if mention:
            message["mention"] = {"mentionees": [{"index": 0, "length": 3, "isSelf": True}]}
        event = {
            "type": "message", "mode": "active", "timestamp": int(time.time() * 1000),
            "source": source, "webhookEventId": f"01H{number:023}", "replyToken": token,
            "deliveryContext": {"isRedelivery": False}, "message": message,
        }  # fmt: skip
        return await self.post([event])

    async def post(self, events: list[Any], *, secret: str = SECRET) -> int:
        """Call the webhook, signed with `secret`."""
        body = json.dumps({"destination": "U0", "events": events}).encode()
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        headers = {"X-Line-Signature": base64.b64encode(digest).decode()}
        async with (
            ClientSession() as session,
            session.post(self.webhook, data=body, headers=headers) as answer,
        ):
            self.statuses.append(answer.status)
            return answer.status

    async def _take(self, request: web.Request) -> web.Response:
        how, given = request.match_info["how"], await request.json()
        self.calls.append(how)
        fault = self.faults.popleft() if self.faults else None
        if fault == "lost" and request.transport is not None:
            request.transport.abort()
        if fault is not None:
            return _refusal(int(fault) if fault != "lost" else 500, "trouble")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _refusal(401, "Authentication failed")
        if how == "reply":
            chat = self._tokens.pop(given["replyToken"], "")
            if not chat:
                return _refusal(400, "Invalid reply token")
        else:
            chat = given["to"]
            if chat not in (USER, GROUP):
                return _refusal(400, "The property, 'to', in the request body is invalid")
        messages = given["messages"]
        fit = 1 <= len(messages) <= 5 and all(_fits(each) for each in messages)
        if not fit:
            return _refusal(400, "The request body has 1 error(s)")
        self.shown[chat] += [each["text"] for each in messages]
        items = messages[-1].get("quickReply", {}).get("items", ())
        self.buttons = [each["action"]["label"] for each in items]
        sent = [{"id": str(next(self._numbers)), "quoteToken": "q"} for _ in messages]
        return web.json_response({"sentMessages": sent})


def _fits(message: dict[str, Any]) -> bool:
    items = message.get("quickReply", {"items": [{}]})["items"]
    labels = [each["action"]["label"] for each in items if each]
    return (
        message["type"] == "text"
        and bool(message["text"].strip())
        and len(message["text"].encode("utf-16-le")) // 2 <= 5000
        and 1 <= len(items) <= 13
        and all(1 <= len(each) <= 20 for each in labels)
    )


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
