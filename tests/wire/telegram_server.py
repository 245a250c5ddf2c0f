"""A Telegram Bot API on loopback that keeps Telegram's rules, faults included; its customers are `say` and `press`."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, Self

from aiohttp import ClientError, ClientSession, web

from tests.wire.telegram_rules import Json, Refusal, decoded, entities, parsed, person

Fault = Literal[
    "flood",  # 429: leave the chat alone for `seconds`
    "conflict",  # 409: somebody else polls
    "unparsable",  # 400: can't parse entities
    "blocked",  # 403: the customer blocked the bot
    "dropped",  # it is done, and the connection ends without an answer
    "lost",  # the connection ends, and nothing is done
    "slow",  # it is done, and the answer takes `seconds`
    "error",  # 500
    "migrated",  # 400: the group is `chat` now
]
TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
USERNAME = "sangdam_bot"
BOT: Json = {"id": 110201543, "is_bot": True, "first_name": "상담", "username": USERNAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a method."""

    method: str
    """Its name."""
    given: Mapping[str, Any]
    """Its parameters, decoded."""
    at: float
    """When, by `time.monotonic`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens to one call."""

    fault: Fault
    """What goes wrong."""
    seconds: float = 1.0
    """How long it takes, or has to be waited."""
    chat: int = 0
    """Where the group went."""


@dataclass(slots=True)
class Shown:
    """A message of the bot as customers see it."""

    id: int
    """Its number."""
    chat: int
    """Where it is."""
    text: str
    """What it says now, markup taken out."""
    given: Mapping[str, Any]
    """The parameters it was sent or last edited with."""
    versions: list[str] = field(default_factory=list)
    """What it said, one after the other."""

    @property
    def buttons(self) -> list[Json]:
        """The buttons under it."""
        keyboard = self.given.get("reply_markup") or {}
        return [each for row in keyboard.get("inline_keyboard", ()) for each in row]


class TelegramServer:
    """`async with TelegramServer() as server`: one bot, any number of customers."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        """Every call but `getUpdates`, in order."""
        self.polls: list[Call] = []
        """Every `getUpdates`."""
        self.polling = 0
        """How many wait for updates now."""
        self.confirmed = 0
        """Updates below this number are forgotten."""
        self.shown: dict[int, list[Shown]] = defaultdict(list)
        """The bot's messages by chat, in order; deleted ones are gone."""
        self.scripts: dict[str, deque[Script]] = defaultdict(deque)
        """What happens to the next calls of a method, one each."""
        self.takes_drafts = False
        """Whether there are drafts that are no messages; a server of one's own may be too old for them."""
        self.drafts: dict[int, tuple[int, str]] = {}
        """The draft that a private chat shows, with its number; a message ends it."""
        self.files: dict[str, bytes] = {}
        """Contents of files by their id."""
        self.webhook: Json = {}
        self.pushed: list[int] = []
        """The status of each call of the webhook."""
        self._queue: list[Json] = []
        self._update_ids = count(100_001)
        self._message_ids = count(1)
        self._news = asyncio.Event()
        self._poll: asyncio.Future[None] | None = None
        self._pushing: asyncio.Task[None] | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = "http://{}:{}".format(*self._socket.getsockname())

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/file/bot{token}/files/{name}", self._file)
        app.router.add_route("*", "/bot{token}/{method}", self._answer)
        # Addresses hold the token, and tests look for it in what was logged.
        self._runner = web.AppRunner(
            app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True
        )
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pushing:
            self._pushing.cancel()
            await asyncio.wait({self._pushing})
        await self._runner.cleanup()

    # ---- customers

    def update(self, **content: Any) -> int:
        """Something happened; the number of the update."""
        number = next(self._update_ids)
        self._queue.append({"update_id": number, **content})
        self._news.set()
        return number

    def message(self, text: str = "", *, chat: int = 111, user: int = 111, **more: Any) -> Json:
        """A message of `user`, in a group if `chat` is negative, with its commands and mentions found."""
        where = {"id": chat, "type": "private" if chat > 0 else "supergroup"}
        said: Json = {
            "message_id": next(self._message_ids),
            "date": int(time.time()),
            "from": person(user),
            "chat": where | ({"title": "방"} if chat < 0 else {"first_name": "지민"}),
        }
        if text:
            said["text"] = text
            if found := entities(text):
                said["entities"] = found
        return said | more

    def say(self, text: str = "", **where: Any) -> int:
        """A customer writes; the number of the update."""
        return self.update(message=self.message(text, **where))

    def press(self, message: Shown, label: str, *, user: int = 111) -> int:
        """A customer presses the button that says `label`."""
        [data] = [each["callback_data"] for each in message.buttons if label in each["text"]]
        kind = "private" if message.chat > 0 else "supergroup"
        own = {
            "message_id": message.id,
            "date": int(time.time()),
            "from": BOT,
            "text": message.text,
        }
        own |= {"chat": {"id": message.chat, "type": kind}}
        own |= {"reply_markup": message.given["reply_markup"]}
        query = {"id": f"q{message.id}", "from": person(user), "chat_instance": "1", "data": data}
        return self.update(callback_query=query | {"message": own})

    def called(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [each for each in self.calls if each.method == method]

    def calls_in(self, chat: int) -> list[Call]:
        """The calls that concern one chat."""
        return [each for each in self.calls if each.given.get("chat_id") == chat]

    def script(self, method: str, *faults: Fault | Script) -> None:
        """What happens to the next calls of `method`."""
        self.scripts[method] += [
            each if isinstance(each, Script) else Script(fault=each) for each in faults
        ]

    @property
    def waiting(self) -> list[int]:
        """Updates that were not confirmed yet."""
        return [each["update_id"] for each in self._queue]

    # ---- the protocol

    async def _answer(self, request: web.Request) -> web.Response:
        given = {**request.query, **await request.post()}
        if request.content_type == "application/json":
            given |= await request.json()
        call = Call(
            method=request.match_info["method"],
            given={
                name: value if name == "text" else decoded(value) for name, value in given.items()
            },
            at=time.monotonic(),
        )
        (self.polls if call.method == "getUpdates" else self.calls).append(call)
        script = self.scripts[call.method].popleft() if self.scripts[call.method] else None
        self.polling += call.method == "getUpdates"
        try:
            if request.match_info["token"] != TOKEN:
                raise Refusal(401, "Unauthorized")
            if script and script.fault not in ("dropped", "slow"):
                self._fail(script)
            method: Callable[[Mapping[str, Any]], Awaitable[Any]] | None
            method = getattr(self, f"_do_{call.method}", None)
            if method is None:
                raise Refusal(404, "Not Found: method not found")
            result = await method(call.given)
        except Refusal as refused:
            return web.json_response(refused.body, status=refused.code)
        except ConnectionAbortedError:
            return self._cut(request)
        finally:
            self.polling -= call.method == "getUpdates"
        if script and script.fault == "slow":
            await asyncio.sleep(script.seconds)
        if script and script.fault == "dropped":
            return self._cut(request)
        return web.json_response({"ok": True, "result": result})

    @staticmethod
    def _cut(request: web.Request) -> web.Response:
        if request.transport:
            request.transport.abort()
        return web.Response()

    @staticmethod
    def _fail(script: Script) -> None:
        wait = max(1, round(script.seconds))
        match script.fault:
            case "flood":
                raise Refusal(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
            case "conflict":
                raise Refusal(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                )
            case "unparsable":
                raise Refusal(400, "Bad Request: can't parse entities: unsupported start tag")
            case "blocked":
                raise Refusal(403, "Forbidden: bot was blocked by the user")
            case "error":
                raise Refusal(500, "Internal Server Error")
            case "migrated":
                raise Refusal(
                    400,
                    "Bad Request: group chat was upgraded to a supergroup chat",
                    migrate_to_chat_id=script.chat,
                )
            case "lost":
                raise ConnectionAbortedError

    async def _do_getMe(self, _: Mapping[str, Any]) -> Json:  # noqa: N802 - Telegram's name
        return BOT | {"can_join_groups": True, "can_read_all_group_messages": False}

    async def _do_getUpdates(self, given: Mapping[str, Any]) -> list[Json]:  # noqa: N802
        if self.webhook:
            raise Refusal(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
            )
        if self._poll and not self._poll.done():  # the newer one wins
            self._poll.set_exception(
                Refusal(409, "Conflict: terminated by other getUpdates request")
            )
        mine = self._poll = asyncio.get_running_loop().create_future()
        offset = int(given.get("offset") or 0)
        self.confirmed = max(self.confirmed, offset)
        self._queue = [each for each in self._queue if each["update_id"] >= offset]
        end = time.monotonic() + min(50, int(given.get("timeout") or 0))
        try:
            while not self._queue and (left := end - time.monotonic()) > 0:
                self._news.clear()
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({news, mine}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if mine.done():
                    mine.result()
        finally:
            mine.cancel()
        return self._queue[: int(given.get("limit") or 100)]

    async def _do_sendMessage(self, given: Mapping[str, Any]) -> Json:  # noqa: N802
        text = parsed(given)
        message = Shown(
            id=next(self._message_ids),
            chat=given["chat_id"],
            text=text,
            given=given,
            versions=[text],
        )
        self.shown[message.chat].append(message)
        self.drafts.pop(message.chat, None)
        return self._native(message)

    async def _do_sendMessageDraft(self, given: Mapping[str, Any]) -> bool:  # noqa: N802
        if not self.takes_drafts:
            raise Refusal(404, "Not Found: method not found")
        chat, number = given["chat_id"], given["draft_id"]
        if chat < 0 or number == 0:
            raise Refusal(400, "Bad Request: PEER_ID_INVALID")
        self.drafts[chat] = number, parsed(given)
        return True

    async def _do_editMessageText(self, given: Mapping[str, Any]) -> Json:  # noqa: N802
        message = self._own(given, "edit")
        text = parsed(given)
        if text == message.text and given.get("reply_markup") == message.given.get("reply_markup"):
            raise Refusal(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
            )
        message.text, message.given = text, given
        message.versions.append(text)
        return self._native(message)

    async def _do_deleteMessage(self, given: Mapping[str, Any]) -> bool:  # noqa: N802
        self.shown[given["chat_id"]].remove(self._own(given, "delete"))
        return True

    def _own(self, given: Mapping[str, Any], what: str) -> Shown:
        for message in self.shown[given["chat_id"]]:
            if message.id == given["message_id"]:
                return message
        raise Refusal(400, f"Bad Request: message to {what} not found")

    @staticmethod
    def _native(message: Shown) -> Json:
        kind = "private" if message.chat > 0 else "supergroup"
        chat = {"id": message.chat, "type": kind}
        return {
            "message_id": message.id,
            "date": int(time.time()),
            "chat": chat,
            "from": BOT,
            "text": message.text,
        }

    async def _do_getFile(self, given: Mapping[str, Any]) -> Json:  # noqa: N802
        number = given["file_id"]
        if number not in self.files:
            raise Refusal(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        return {"file_id": number, "file_unique_id": number, "file_path": f"files/{number}"}

    async def _file(self, request: web.Request) -> web.Response:
        if request.match_info["token"] != TOKEN:
            raise web.HTTPUnauthorized
        return web.Response(body=self.files[request.match_info["name"]])

    async def _done(self, _: Mapping[str, Any]) -> bool:
        return True

    _do_sendChatAction = _do_answerCallbackQuery = _do_setMyCommands = _done  # noqa: N815

    async def _do_setWebhook(self, given: Mapping[str, Any]) -> bool:  # noqa: N802
        self.webhook = dict(given)
        if self._pushing is None:
            self._pushing = asyncio.create_task(self._push())
        return True

    async def _do_deleteWebhook(self, _: Mapping[str, Any]) -> bool:  # noqa: N802
        self.webhook = {}
        return True

    async def _push(self) -> None:
        """Call the webhook with each update until it takes it."""
        async with ClientSession() as session:
            while True:
                if not self._queue or not self.webhook:
                    self._news.clear()
                    await self._news.wait()
                    continue
                secret = self.webhook.get("secret_token", "")
                headers = {"X-Telegram-Bot-Api-Secret-Token": secret} if secret else {}
                with suppress(ClientError):
                    async with session.post(
                        self.webhook["url"], json=self._queue[0], headers=headers
                    ) as answer:
                        self.pushed.append(answer.status)
                        if answer.ok:
                            self._queue.pop(0)
                            continue
                await asyncio.sleep(0.05)
