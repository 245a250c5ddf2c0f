"""Web chat: browser sessions over a WebSocket, any number of tabs each, resumed from the durable history."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from adapters.base import Accept, Capabilities, clean, document
from brain.messages import Action, Address, Draft, Event, Message, Receipt, Reply

History = Callable[[Address], Awaitable[Sequence[tuple[str, Reply]]]]
"""The finished turns of a session as (customer's words, reply), oldest first, from the durable store."""

SOCKET_PATH: Final = "/channels/web/socket"
TEXTS: Final = (
    "web.error_bad_frame",
    "web.error_too_long",
    "web.error_slow_down",
    "web.error_not_accepted",
    "web.error_no_history",
    "web.error_too_many",
)
"""Phrases that error frames carry; `{longest}` in one becomes the number of characters allowed."""

HELLO_SECONDS = 3.0
SEND_SECONDS = 5.0
DRAFT_SECONDS = 0.05
HEARTBEAT_SECONDS = 30.0
EVENTS_PER_WINDOW, WINDOW_SECONDS = 10, 5.0
TABS_PER_SESSION, MOST_TABS = 10, 2000
FRAME_CHARACTERS = 64 * 1024
# A frame this long is read and answered with an error; only beyond it is the connection closed.
READ_BYTES = 1024 * 1024
# A tab with this much unread output gets no drafts until it catches up: the next one holds it all.
BEHIND_BYTES = 32 * 1024

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ORIGIN = re.compile(r"(https?)://([^\s/?#@\\]+)")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
# Approving, editing, taking over and returning are for staff, who do not work in this chat.
_CUSTOMER_ACTIONS = ("feedback", "choice")

_log = logging.getLogger(__name__)


class WebChat:
    """The web channel. Frames are JSON objects, one to a text message.

    From the client: `hello {session}` first (a token it was given, or null; a client that speaks
    without it, or says nothing for three seconds, gets a new session), `message {id, text}`,
    `action {id, kind: feedback or choice, value, about}`.

    To the client: `hello {session}`, then `history {items: [{text, reply}]}`; `ack {id}` once the
    event is durable; `said {id, text}`, what the same customer wrote in another tab; `typing`;
    `draft {text}`, everything written so far; `silent`, there will be no reply; `reply {id, in_reply_to, text, kind, sources,
    choices, author}`, the same id again if it is delivered again; `error {code, text, id?}`. After
    an error or without an ack the client sends again with the same id; duplicates are recognised.
    """

    name = "web"
    capabilities = Capabilities(edits=True, typing=True, choices=True, markup=True, idempotent=True)
    heard = None

    def __init__(
        self,
        *,
        history: History,
        texts: Mapping[str, str],
        allowed_origins: Sequence[str] = (),
        longest: int = 4000,
    ) -> None:
        """`texts` holds the phrases named in `TEXTS` (looked up at each use, so a live view works);
        `allowed_origins` are further sites (`https://shop.example`) whose pages may connect."""
        self.longest = longest
        self._history = history
        self._texts = texts
        self._allowed = {origin.lower().rstrip("/") for origin in allowed_origins}
        # An escaped character outside the basic plane takes twelve.
        self._longest_frame = max(FRAME_CHARACTERS, longest * 12 + 1024)
        self._accept: Accept | None = None
        self._tabs: set[_Tab] = set()
        self._sessions: dict[str, _Session] = {}

    @property
    def open_sessions(self) -> int:
        """Sessions with at least one page open."""
        return len(self._sessions)

    def routes(self) -> list[web.RouteDef]:
        """What the server has to serve for this channel."""
        return [web.get(SOCKET_PATH, self._connect)]

    async def run(self, accept: Accept) -> None:
        """Let browsers in until cancelled; then every page is told to come back later."""
        self._accept = accept
        try:
            await asyncio.Event().wait()
        finally:
            self._accept = None
            await asyncio.gather(
                *(tab.socket.close(code=WSCloseCode.GOING_AWAY) for tab in self._tabs),
                return_exceptions=True,
            )

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Send to every open tab; without one the reply is parked, and the next connect shows it."""
        session = self._sessions.get(address.conversation)
        if session is None:
            return Receipt(outcome="parked", reason="no page is open")
        session.answered()
        if await session.send(_reply_frame(reply, session)):
            return Receipt(outcome="delivered", native_ids=(reply.id,))
        return Receipt(outcome="parked", reason="no open page took it")

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Show the reply so far in every open tab, at most twenty times a second."""
        session = self._sessions.get(address.conversation)
        if session is None:
            return
        if draft is not None:
            session.show(draft.text)
        else:
            session.stop_drawing()
            await session.send({"type": "silent"})

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        if not self._from_allowed_page(request):
            raise web.HTTPForbidden(text="This page may not connect: its origin is not allowed.\n")
        if self._accept is None or len(self._tabs) >= MOST_TABS:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, max_msg_size=READ_BYTES, compress=False, timeout=2.0
        )
        await socket.prepare(request)
        tab = _Tab(request, socket)
        self._tabs.add(tab)
        try:
            await self._converse(tab)
        finally:
            self._tabs.discard(tab)
            self._leave(tab)
        return socket

    def _from_allowed_page(self, request: web.Request) -> bool:
        """Browsers let any page open a socket anywhere, and say in `Origin` which page it is."""
        origins = request.headers.getall("Origin", [])
        match = _ORIGIN.fullmatch(origins[0].lower()) if len(origins) == 1 else None
        if match is None:
            return False
        scheme, site = match.groups()
        # The scheme may differ: a proxy in front of us ends TLS.
        port = ":443" if scheme == "https" else ":80"
        own = site.removesuffix(port) == request.host.lower().removesuffix(port)
        return own or match.group() in self._allowed

    async def _converse(self, tab: _Tab) -> None:
        while True:
            try:
                incoming = await tab.socket.receive(None if tab.session else HELLO_SECONDS)
            except TimeoutError:
                await self._enter(tab, None)
                continue
            if incoming.type is WSMsgType.TEXT:
                await self._receive(tab, incoming.data)
            elif incoming.type is WSMsgType.BINARY:
                await self._error(tab, "bad_frame")
            else:
                return

    async def _receive(self, tab: _Tab, data: str) -> None:
        too_long = len(data) > self._longest_frame
        frame = None if too_long else _parsed(data)
        if not tab.may_speak():
            return await self._error(tab, "slow_down", _id_of(frame or {}))
        if frame is None:
            return await self._error(tab, "too_long" if too_long else "bad_frame")
        if frame.get("type") == "hello":
            await self._enter(tab, frame.get("session"))
            return None
        session = tab.session or await self._enter(tab, None)
        if session is None:
            return None
        event = self._event(tab, session, frame)
        if isinstance(event, str):
            return await self._error(tab, event, _id_of(frame))
        return await self._hand_over(tab, session, event, frame["id"])

    async def _enter(self, tab: _Tab, token: object) -> _Session | None:
        """Put the tab into the session that the token names, or into a new one; replay its history."""
        self._leave(tab)
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            token = secrets.token_urlsafe(16)
        session = _Session(token)
        session = self._sessions.setdefault(session.address.conversation, session)
        if len(session.tabs) >= TABS_PER_SESSION:
            await self._error(tab, "too_many")
            await tab.socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return None
        session.tabs.append(tab)
        tab.session = session
        # What is said meanwhile waits for the lock, so that it comes after the history, never before.
        async with tab.lock:
            await tab.write({"type": "hello", "session": token})
            try:
                turns = await self._history(session.address)
            except Exception as error:  # noqa: BLE001 the conversation goes on without its past
                _log.error("history of a web session could not be read: %s", type(error).__name__)
                await tab.write(self._error_frame("no_history"))
                return session
            items = [{"text": t, "reply": _reply_frame(reply, session)} for t, reply in turns]
            await tab.write({"type": "history", "items": items})
        return session

    def _leave(self, tab: _Tab) -> None:
        session, tab.session = tab.session, None
        if session is None:
            return
        session.tabs.remove(tab)
        if not session.tabs:
            session.stop_drawing()
            self._sessions.pop(session.address.conversation, None)

    def _event(self, tab: _Tab, session: _Session, frame: Mapping[str, Any]) -> Event | str:
        """The event that a frame means, or the code of what is wrong with it."""
        client_id, kind = _id_of(frame), frame.get("type")
        text = frame.get("text" if kind == "message" else "value")
        if client_id is None or kind not in ("message", "action") or not isinstance(text, str):
            return "bad_frame"
        text = clean(text).strip()
        if len(text) > self.longest:
            return "too_long"
        event_id, now = session.prefix + client_id, datetime.now(UTC)
        if kind == "message":
            if not text:
                return "bad_frame"
            return Message(
                id=event_id, address=session.address, text=text, sent_at=now, locale=tab.locale
            )
        action, about = frame.get("kind"), frame.get("about") or ""
        if action not in _CUSTOMER_ACTIONS or not isinstance(about, str) or len(about) > 100:
            return "bad_frame"
        about = clean(about)
        return Action(
            id=event_id, address=session.address, kind=action, value=text, sent_at=now, about=about
        )

    async def _hand_over(self, tab: _Tab, session: _Session, event: Event, client_id: str) -> None:
        accept, replies_before = self._accept, session.replies
        try:
            if accept is None:
                raise ConnectionError("the channel is stopping")
            await accept(event)
        except Exception as error:  # noqa: BLE001 whatever it was, the customer must know
            # Its text may quote the message.
            _log.error("event %s was not accepted: %s", event.id, type(error).__name__)
            return await self._error(tab, "not_accepted", client_id)
        await tab.send({"type": "ack", "id": client_id})
        if isinstance(event, Message):
            said = {"type": "said", "id": client_id, "text": event.text}
            await session.send(said, but=tab)
            if session.replies == replies_before:
                await session.send({"type": "typing"})
        return None

    async def _error(self, tab: _Tab, code: str, client_id: str | None = None) -> None:
        await tab.send(self._error_frame(code, client_id))

    def _error_frame(self, code: str, client_id: str | None = None) -> dict[str, str]:
        text = self._texts[f"web.error_{code}"].replace("{longest}", f"{self.longest:,}")
        frame = {"type": "error", "code": code, "text": text}
        return frame if client_id is None else frame | {"id": client_id}


class _Session:
    """The open tabs of one customer and the draft they are being shown."""

    def __init__(self, token: str) -> None:
        # The token opens the conversation: it is a secret and stays out of addresses and ids.
        visitor = hashlib.sha256(token.encode()).hexdigest()[:24]
        self.address = Address(channel="web", conversation=visitor, user=visitor)
        # Clients number their events as they like.
        self.prefix = visitor[:16] + ":"
        self.tabs: list[_Tab] = []
        self.replies = 0
        self._draft: str | None = None
        self._drawing: asyncio.Task[None] | None = None

    async def send(self, frame: Mapping[str, Any], *, but: _Tab | None = None) -> bool:
        """Send to every tab at once; whether any took it."""
        taken = await asyncio.gather(*(tab.send(frame) for tab in self.tabs if tab is not but))
        return any(taken)

    def show(self, text: str) -> None:
        """Remember the latest draft; a task sends it as often as the eye can follow."""
        self._draft = text
        if self._drawing is None or self._drawing.done():
            self._drawing = asyncio.create_task(self._draw())

    def answered(self) -> None:
        """A reply is on its way: nothing of its draft may come after it."""
        self.replies += 1
        self.stop_drawing()

    def stop_drawing(self) -> None:
        self._draft = None
        if self._drawing is not None:
            self._drawing.cancel()
            self._drawing = None

    async def _draw(self) -> None:
        while self._draft is not None:
            text, self._draft = self._draft, None
            frame = {"type": "draft", "text": text} if text else {"type": "typing"}
            await asyncio.gather(*(tab.send(frame) for tab in self.tabs if not tab.is_behind()))
            await asyncio.sleep(DRAFT_SECONDS)


class _Tab:
    """One open socket. A tab that does not read is cut off, and never holds up the others."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.session: _Session | None = None
        self.lock = asyncio.Lock()
        locale = _LOCALE.match(request.headers.get("Accept-Language", ""))
        self.locale = locale.group() if locale else ""
        self._transport = request.transport
        self._spoke: deque[float] = deque(maxlen=EVENTS_PER_WINDOW)

    def may_speak(self) -> bool:
        """Whether the customer is within the rate; counts the frame if so."""
        now = asyncio.get_running_loop().time()
        if len(self._spoke) == EVENTS_PER_WINDOW and now - self._spoke[0] < WINDOW_SECONDS:
            return False
        self._spoke.append(now)
        return True

    def is_behind(self) -> bool:
        transport = self._transport
        return transport is None or transport.get_write_buffer_size() > BEHIND_BYTES

    async def send(self, frame: Mapping[str, Any]) -> bool:
        """Send one frame after those already waiting; whether the socket took it."""
        try:
            async with asyncio.timeout(SEND_SECONDS), self.lock:
                return await self.write(frame)
        except TimeoutError:
            self._cut()
            return False

    async def write(self, frame: Mapping[str, Any]) -> bool:
        """Send one frame now; the caller holds the lock."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.socket.send_str(clean(json.dumps(frame, ensure_ascii=False)))
        except (ConnectionError, TimeoutError):
            self._cut()
            return False
        return True

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _reply_frame(reply: Reply, session: _Session) -> dict[str, Any]:
    asked = reply.in_reply_to.removeprefix(session.prefix)
    return {"type": "reply", **document(reply), "in_reply_to": asked}


def _parsed(data: str) -> dict[str, Any] | None:
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None


def _id_of(frame: Mapping[str, Any]) -> str | None:
    client_id = frame.get("id")
    return client_id if isinstance(client_id, str) and _ID.fullmatch(client_id) else None
