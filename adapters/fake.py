"""A channel for tests and scripts: the same path as production, without a network, with scripted faults."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal
from uuid import uuid4

from adapters.base import Accept, Capabilities
from brain.errors import ChannelDown
from brain.messages import Action, Address, Attachment, Draft, Event, Message, Receipt, Reply

Fault = Literal["down", "flood", "ambiguous", "lost", "refused", "parked", "bug"]
"""What happens to a sending: `down` nothing is sent; `flood` the platform asks to wait first;
`ambiguous` it arrives, but the platform's answer does not; `lost` neither arrives; `refused` the
customer blocked us; `parked` it waits for the customer; `bug` the adapter itself fails."""

FLOOD_SECONDS = 30.0
"""How long a flooded platform asks to wait."""
SETTLE_SECONDS = 0.002
"""Real time given to threads between two steps of the virtual clock."""


class VirtualClock:
    """Time that passes only when told to."""

    def __init__(self, start: datetime) -> None:
        """`start` is an aware time."""
        self._start = self._now = start
        self._numbers = count()
        self._timers: list[tuple[datetime, int, asyncio.Event]] = []

    def now(self) -> datetime:
        """The time it is."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait until `event` is set or `seconds` have been made to pass; whether it is set."""
        if event.is_set():
            return True
        over = asyncio.Event()
        heapq.heappush(
            self._timers, (self._now + timedelta(seconds=seconds), next(self._numbers), over)
        )
        tasks = [asyncio.create_task(each.wait()) for each in (event, over)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return event.is_set()

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; whoever waits for a moment within them goes on at that moment."""
        await self.settle()
        end = self._now + timedelta(seconds=seconds)
        while self._timers and self._timers[0][0] <= end:
            moment, _, over = heapq.heappop(self._timers)
            if over.is_set():  # whoever waited has gone
                continue
            self._now = max(self._now, moment)
            over.set()
            await self.settle()
        self._now = end
        await self.settle()

    async def set(self, now: datetime) -> None:
        """Let time pass until `now`."""
        await self.advance(max(0.0, (now - self._now).total_seconds()))

    @staticmethod
    async def settle() -> None:
        """Let everything that can go on without time passing do so."""
        for _ in range(5):
            for _ in range(20):
                await asyncio.sleep(0)
            await asyncio.sleep(SETTLE_SECONDS)


@dataclass(slots=True)
class Line:
    """One line of a transcript."""

    at: datetime
    """When."""
    who: str
    """The customer's id, or empty for us."""
    text: str
    """What was said."""
    kind: str = ""
    """Kind of a reply."""
    sources: tuple[str, ...] = field(default_factory=tuple)
    """Documents of a reply."""


class Fake:
    """Say something with `say`, get the reply; `replies`, `drafts` and `transcript` keep what was shown."""

    def __init__(
        self,
        *,
        name: str = "fake",
        capabilities: Capabilities | None = None,
        now: Callable[[], datetime] | None = None,
        clock: VirtualClock | None = None,
    ) -> None:
        """Without `capabilities` every message is answered at once, as scripts expect.

        Its time is that of `clock`, else what `now` says, else the machine's.
        """
        self.name = name
        self.capabilities = capabilities or Capabilities(
            edits=True, typing=True, collects=False, limited=False
        )
        self.heard = None
        self.replies: list[tuple[Address, Reply]] = []
        """Replies that became visible, in order."""
        self.drafts: list[tuple[Address, Draft]] = []
        self.given_up: list[Address] = []
        """Where no reply came."""
        self.lines: list[Line] = []
        self.faults: deque[Fault] = deque()
        """What happens to the next sendings, one each."""
        self._now = clock.now if clock else (now or (lambda: datetime.now(UTC)))
        self._clock = clock
        self._accept: asyncio.Future[Accept] | None = None
        self._waiting: dict[str, tuple[Address, asyncio.Future[Reply]]] = {}

    # ---- the customer's side

    async def say(
        self,
        text: str,
        *,
        user: str = "u1",
        conversation: str = "c1",
        event_id: str = "",
        locale: str = "",
        attachments: tuple[Attachment, ...] = (),
        times: int = 1,
    ) -> Reply:
        """Say `text` as a customer and wait for the reply to it; `times` delivers it repeatedly."""
        message = self.message(
            text,
            user=user,
            conversation=conversation,
            event_id=event_id,
            locale=locale,
            attachments=attachments,
        )
        with self._expecting(message) as reply:
            await asyncio.gather(*(self.hand_in(message) for _ in range(times)))
            return await reply

    def message(
        self,
        text: str,
        *,
        user: str = "u1",
        conversation: str = "c1",
        event_id: str = "",
        locale: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> Message:
        """What a customer would send now, not sent yet."""
        return Message(
            id=event_id or uuid4().hex,
            address=Address(channel=self.name, conversation=conversation, user=user),
            text=text,
            sent_at=self._now(),
            locale=locale,
            attachments=attachments,
        )

    async def hand_in(self, event: Event) -> None:
        """Deliver an event to the gateway, as often and in whatever order one likes."""
        accept = await asyncio.shield(self._door())
        if isinstance(event, Message):
            self.lines.append(Line(event.sent_at, event.address.user, event.text))
        await accept(event)

    async def vote(self, reply: Reply, value: str, *, user: str = "u1") -> None:
        """Press `up` or `down` under a reply."""
        address = next(where for where, shown in self.replies if shown.id == reply.id)
        voter = Address(channel=self.name, conversation=address.conversation, user=user)
        await self.hand_in(
            Action(
                id=uuid4().hex,
                address=voter,
                kind="feedback",
                value=value,
                about=reply.id,
                sent_at=self._now(),
            )
        )

    @contextmanager
    def _expecting(self, message: Message) -> Iterator[asyncio.Future[Reply]]:
        """`with` this, a future of the reply to that message."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[message.id] = message.address, reply
        try:
            yield reply
        finally:
            self._waiting.pop(message.id, None)

    def transcript(self) -> str:
        """The conversation as text that people read and golden files keep."""
        return "\n".join(self._told()) + "\n"

    def _told(self) -> Iterator[str]:
        for line in self.lines:
            clock = f"[{line.at:%H:%M:%S}]"
            if line.who:
                yield f"{clock} {line.who}: {line.text}"
                continue
            text = line.text.replace("\n", "\n           ").replace("           \n", "\n")
            yield f"{clock} 상담 ({line.kind}): {text}"
            for source in line.sources:
                yield f"           ↳ {source}"

    # ---- the gateway's side

    def _door(self) -> asyncio.Future[Accept]:
        if self._accept is None:
            self._accept = asyncio.get_running_loop().create_future()
        return self._accept

    async def run(self, accept: Accept) -> None:
        """Open the channel until cancelled."""
        self._door().set_result(accept)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._accept = None

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Hand the reply to whoever waits in `say`; the next of `faults` happens to it."""
        fault = self.faults.popleft() if self.faults else None
        match fault:
            case "down":
                raise ChannelDown("the fake channel is down")
            case "flood":
                await self._sleep(FLOOD_SECONDS)
            case "lost":
                return Receipt(outcome="unknown", reason="no answer from the platform")
            case "refused":
                return Receipt(outcome="refused", reason="blocked by the customer")
            case "parked":
                return Receipt(outcome="parked", reason="nobody is there")
            case "bug":
                raise RuntimeError("a bug in the adapter")
        once = self.capabilities.idempotent
        if not (once and any(shown.id == reply.id for _, shown in self.replies)):
            self._display(address, reply)
        if fault == "ambiguous":
            return Receipt(outcome="unknown", reason="no answer from the platform")
        return Receipt(outcome="delivered", native_ids=(reply.id,))

    def _display(self, address: Address, reply: Reply) -> None:
        self.replies.append((address, reply))
        text = f"{reply.notice}\n{reply.text}" if reply.notice else reply.text
        sources = tuple(source.document for source in reply.sources)
        self.lines.append(Line(self._now(), "", text, reply.kind, sources))
        _, waiting = self._waiting.get(reply.in_reply_to, (address, None))
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    async def _sleep(self, seconds: float) -> None:
        if self._clock:
            await self._clock.wait(asyncio.Event(), seconds)
        else:
            await asyncio.sleep(seconds)

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Keep the draft; without one whoever waits in `say` gets a reply that says nothing."""
        if draft is not None:
            self.drafts.append((address, draft))
            return
        self.given_up.append(address)
        for message_id, (where, waiting) in self._waiting.items():
            if where == address and not waiting.done():
                nothing = Reply(id=uuid4().hex, in_reply_to=message_id, text="", kind="silent")
                waiting.set_result(nothing)
