"""KakaoTalk's side of a skill: it calls, hangs up after five seconds, owns callbacks and shows bubbles.

Made from the fact sheet alone, with its own reading of the limits: it shares no code with the adapter.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

SKILL_SECONDS, CALLBACK_SECONDS = 5.0, 60.0
Fault = Literal["error", "broken", "silent", "seen", "html"]
"""What happens to a callback: `error` refused with status ERROR; `broken` the connection closes before
anything is read; `silent` nothing is shown and no answer comes; `seen` it is shown and no answer comes;
`html` a gateway in between answers."""


@dataclass
class Answer:
    """What a skill call was answered with."""

    status: int
    """HTTP status; 0 when KakaoTalk hung up."""
    body: Any
    seconds: float
    wrong: list[str]
    """What KakaoTalk would not have taken."""

    @property
    def promised(self) -> bool:
        """Whether the answer comes by callback."""
        return isinstance(self.body, dict) and self.body.get("useCallback") is True

    @property
    def texts(self) -> list[str]:
        """What is read in its bubbles."""
        return texts_of(self.body)

    @property
    def quick(self) -> list[dict[str, Any]]:
        """Its quick replies."""
        return self.body.get("template", {}).get("quickReplies", [])


@dataclass
class Token:
    """One callback address."""

    user: str
    issued: float
    promised: bool = False
    posts: list[float] = field(default_factory=list)
    """Seconds after its call at which something was posted."""
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Platform:
    """Customers with their phones."""

    def __init__(self, url: str, *, secret: str = "s3cret", bot: str = "bot1!", scale: float = 1.0):
        self.url = url
        self.secret = secret
        self.bot = bot
        self.scale = scale
        self.screens: dict[str, list[str]] = defaultdict(list)
        """By customer, every bubble that was shown."""
        self.quick: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By customer, the quick replies under the last bubble."""
        self.answers: list[Answer] = []
        self.tokens: dict[str, Token] = {}
        self.faults: deque[Fault | None] = deque()
        self.wrong: list[str] = []
        """What was wrong with anything that came."""
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None
        self.port = 0

    async def __aenter__(self) -> Platform:
        application = web.Application()
        application.router.add_post("/v1/bots/{bot}/callback/{token}", self._callback)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self._session = ClientSession(
            timeout=ClientTimeout(total=SKILL_SECONDS * self.scale),
            connector=TCPConnector(limit=0),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        assert self._runner is not None
        await self._session.close()
        await self._runner.cleanup()

    @property
    def host(self) -> str:
        """What has to be in the adapter's list."""
        return f"127.0.0.1:{self.port}"

    def payload(
        self, text: str, *, user: str = "u1", callback: str = "", extra: Any = None, **more: Any
    ) -> dict[str, Any]:
        """A skill call as it was recorded."""
        asked: dict[str, Any] = {
            "timezone": "Asia/Seoul",
            "params": {"surface": "Kakaotalk.plusfriend", "ignoreMe": "true"},
            "block": {"id": "5f" * 12, "name": "폴백 블록"},
            "utterance": f"{text}\n",
            "lang": "ko",
            "user": {
                "id": user,
                "type": "botUserKey",
                "properties": {"botUserKey": user, "bot_user_key": user, "isFriend": True},
            },
        }
        if callback:
            asked["callbackUrl"] = callback
        whole = {
            "bot": {"id": self.bot, "name": "우리 CS봇"},
            "intent": {"id": "5f" * 12, "name": "폴백 블록", "extra": {"reason": {"code": 1}}},
            "action": {
                "id": "sk1",
                "name": "cs-skill",
                "params": {},
                "detailParams": {},
                "clientExtra": extra,
            },
            "userRequest": asked,
            "contexts": [],
            "flow": {"trigger": {"type": "TEXT_INPUT"}},
        }
        for name, value in more.items():
            whole[name] = {**whole.get(name, {}), **value}
        return whole

    async def say(
        self,
        text: str,
        *,
        user: str = "u1",
        callback: bool = False,
        extra: Any = None,
        request_id: str | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """Call the skill, as when the customer writes or presses something."""
        assert self._session is not None
        token = uuid4().hex if callback else ""
        address = f"http://{self.host}/v1/bots/{self.bot}/callback/{token}" if token else ""
        began = time.monotonic()
        if token:
            self.tokens[token] = Token(user, began)
        whole = self.payload(text, user=user, callback=address, extra=extra, **more)
        if headers is None:
            headers = {"X-Sangdam-Secret": self.secret}
            headers["X-Request-Id"] = request_id or f"chp-{uuid4().hex}"
        data = body if body is not None else json.dumps(whole).encode()
        headers = {"Content-Type": "application/json", **headers}
        try:
            async with self._session.post(self.url, data=data, headers=headers) as response:
                raw, status = await response.read(), response.status
                kind = response.headers.get("Content-Type", "")
        except (TimeoutError, ClientError) as error:
            answer = Answer(0, {}, time.monotonic() - began, [type(error).__name__])
        else:
            answer = self._judge(raw, status, kind, time.monotonic() - began)
        self.answers.append(answer)
        self.wrong += answer.wrong
        if answer.promised:
            if token:
                self.tokens[token].promised = True
        elif not answer.wrong and status == 200:
            self._display(user, answer.body)
        return answer

    async def press(self, user: str, label: str, **options: Any) -> Answer:
        """Press the quick reply with that label."""
        button = next(each for each in self.quick[user] if each["label"] == label)
        text, extra = button.get("messageText", label), button.get("extra")
        return await self.say(text, user=user, extra=extra, **options)

    def can_press(self, user: str, *labels: str) -> str:
        """The first of these labels that is there."""
        shown = [each["label"] for each in self.quick[user]]
        return next((label for label in labels if label in shown), "")

    def _judge(self, raw: bytes, status: int, kind: str, seconds: float) -> Answer:
        wrong: list[str] = []
        body: Any = {}
        if status == 200:
            wrong = [] if kind.replace(" ", "") == "application/json;charset=utf-8" else [kind]
            try:
                body = json.loads(raw.decode())
            except ValueError:
                wrong.append("no JSON")
            else:
                wrong += refused(body, len(raw))
        return Answer(status, body, seconds, wrong)

    def _display(self, user: str, body: dict[str, Any]) -> None:
        self.screens[user] += texts_of(body)
        self.quick[user] = body["template"].get("quickReplies", [])

    async def _callback(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else None
        token = self.tokens.get(request.match_info["token"])
        if token is None:
            return _status("FAIL", "Invalid callback token. Check your callback token.")
        token.posts.append(time.monotonic() - token.issued)
        token.done.set()
        if fault == "broken":
            return await self._hang_up(request, 0)
        raw = await request.read()
        refusal = await self._refusal(token, raw)
        if refusal:
            return _status("FAIL", refusal)
        if fault in (None, "seen"):
            self._display(token.user, json.loads(raw))
        if fault in ("silent", "seen"):
            return await self._hang_up(request, 10 * self.scale)
        if fault == "html":
            return web.Response(status=502, text="<html></html>", content_type="text/html")
        return _status("ERROR", "internal 999") if fault else _status("SUCCESS", "SUCCESS")

    async def _refusal(self, token: Token, raw: bytes) -> str:
        """Why the post shows nothing."""
        if len(token.posts) > 1 or token.posts[0] > CALLBACK_SECONDS * self.scale:
            return "Invalid callback token. Check your callback token."
        for _ in range(100):  # the answer that promises it may still be on its way
            if token.promised:
                break
            await asyncio.sleep(0.01)
        else:
            return "The skill server settings are incorrect. Use callback true setting required."
        try:
            body = json.loads(raw.decode())
            wrong = refused(body, len(raw)) + (["promise"] if "useCallback" in body else [])
        except ValueError:
            wrong = ["no JSON"]
        self.wrong += wrong
        return "Invalid skill-json format" if wrong else ""

    @staticmethod
    async def _hang_up(request: web.Request, seconds: float) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def _status(status: str, message: str) -> web.Response:
    """With 200 even for a failure, as the fact sheet warns."""
    body = {"taskId": uuid4().hex, "status": status, "message": message, "timestamp": 1795314542937}
    return web.json_response(body)


def texts_of(body: Any) -> list[str]:
    """What can be read in the bubbles of a response."""
    read: list[str] = []
    for output in body.get("template", {}).get("outputs", []):
        for kind, card in output.items():
            if kind == "simpleText":
                read.append(card["text"])
            elif kind == "listCard":
                read.append(
                    "\n".join([card["header"]["title"], *(i["title"] for i in card["items"])])
                )
            else:
                read.append("\n".join(filter(None, [card.get("title"), card.get("description")])))
    return read


def refused(body: Any, size: int) -> list[str]:
    """What a phone would refuse of the few components that are used here."""
    if body.get("version") != "2.0":
        return ["version"]
    if "useCallback" in body:
        good = body["useCallback"] is True and isinstance(body.get("data", {}), dict)
        return [] if good and "template" not in body else ["useCallback"]
    wrong = ["size"] if size > 30 * 1024 else []
    template = body["template"]
    if set(template) - {"outputs", "quickReplies"}:
        wrong.append(f"template {set(template)}")
    outputs, quick = template["outputs"], template.get("quickReplies", [])
    if not 1 <= len(outputs) <= 3 or len(quick) > 10:
        wrong.append(f"{len(outputs)} outputs, {len(quick)} quick replies")
    for output in outputs:
        [(kind, card)] = output.items()
        wrong += {"simpleText": _text, "textCard": _text_card, "listCard": _list_card}[kind](card)
    for each in quick:
        wrong += _button(each)
        if each["action"] not in ("message", "block"):
            wrong.append("quick reply action")
    return wrong


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _text(card: dict[str, Any]) -> list[str]:
    return [] if card["text"].strip() and _units(card["text"]) <= 1000 else ["simpleText"]


def _text_card(card: dict[str, Any]) -> list[str]:
    title, description = card.get("title", ""), card.get("description", "")
    wrong = [] if (title or description).strip() else ["empty card"]
    if _units(title) > 50 or _units(title + description) > 400:
        wrong.append("long card")
    buttons = card.get("buttons", [])
    if len(buttons) > 3:
        wrong.append("buttons")
    return wrong + [each for button in buttons for each in _button(button)]


def _list_card(card: dict[str, Any]) -> list[str]:
    wrong = [] if card["header"]["title"].strip() else ["header"]
    if not 1 <= len(card["items"]) <= 5 or len(card.get("buttons", [])) > 2:
        wrong.append("list")
    if not all(item["title"].strip() for item in card["items"]):
        wrong.append("item")
    return wrong


def _button(button: dict[str, Any]) -> list[str]:
    wrong = [] if 1 <= _units(button["label"]) <= 14 else [f"label {button['label']!r}"]
    needed = {"message": (), "operator": (), "block": ("blockId",), "webLink": ("webLinkUrl",)}
    action = button.get("action")
    if action not in needed or any(not button.get(name) for name in needed[action]):
        wrong.append(f"action {action}")
    return wrong
