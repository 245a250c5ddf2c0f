"""The one path of a message: accepted durably, answered in turn, delivered until the channel says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from adapters.base import Adapter
from bot.commands import Commands
from bot.store.store import Store
from bot.turns import Turns
from brain.core import Brain
from brain.messages import Action, Address, Draft, Event, Message, Receipt, Reply, Turn
from brain.redaction import redact

log = structlog.get_logger(__name__)

Observer = Callable[[Turn], None]
Show = Callable[[Address, Draft], Awaitable[None]]


class Gateway:
    """Between the channels and the brain: durability, order, delivery."""

    def __init__(
        self,
        *,
        store: Store,
        brain: Brain,
        commands: Commands,
        adapters: Mapping[str, Adapter],
        observers: Sequence[Observer] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._brain = brain
        self._commands = commands
        self._adapters = adapters
        self._observers = tuple(observers)
        self._now = now
        self._turns = Turns(self._run)

    async def accept(self, event: Event) -> None:
        """Make `event` durable, personal data masked; when this returns, the channel may acknowledge.

        A duplicate ends here. Raises StoreError when the event could not be kept.
        """
        if isinstance(event, Action):
            kept: Event = replace(event, value=redact(event.value).text)
        else:
            kept = replace(event, text=redact(event.text).text)
        if not await self._store.receive(kept, at=self._now()):
            log.info("duplicate", channel=event.address.channel, event_id=event.id)
            return
        if isinstance(kept, Message):
            self._turns.put(kept)
        else:
            await self._act(kept)

    async def _act(self, action: Action) -> None:
        """Actions need no turn and bypass the conversation's order."""
        if action.kind == "feedback":
            await self._store.feedback(action)
        else:
            await self._store.settle([action])

    async def resume(self) -> None:
        """Send what an earlier run left undelivered, answer what it left unanswered."""
        for address, reply in await self._store.undelivered():
            await self._deliver(address, reply)
        for event in await self._store.unanswered():
            if isinstance(event, Message):
                self._turns.put(event)
            else:
                await self._act(event)

    async def drain(self, seconds: float) -> None:
        """Let the turns under way finish, at most `seconds`; the rest waits in the inbox."""
        await self._turns.drain(seconds)

    async def _run(self, messages: Sequence[Message]) -> None:
        """One turn of a conversation; nothing it meets may stop the next one."""
        try:
            await self.turn(messages)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception(
                "turn_failed", channel=messages[-1].address.channel, event_id=messages[-1].id
            )

    async def turn(self, messages: Sequence[Message]) -> Turn:
        """Answer `messages`, commit, deliver."""
        last = messages[-1]
        address = last.address
        session = await self._store.session(address)
        if self._commands.meant(last.text):
            turn = self._command_turn(messages, await self._commands.run(last))
        else:
            began = session.exchanges[0].at if session.exchanges else self._now()
            returning = await self._store.known(address, before=began)
            drafts = Drafts(self._adapters.get(address.channel), address)
            try:
                turn, session = await self._brain.answer(
                    messages, session, now=self._now(), returning=returning, show=drafts.put
                )
            except Exception as bug:
                log.exception("turn_failed", channel=address.channel, event_id=last.id)
                turn = self._failed_turn(messages, bug)
            finally:
                await drafts.close()
        await self._store.commit(turn, session.after(turn))
        if turn.reply.kind != "silent":
            await self._deliver(address, turn.reply)
        for observe in self._observers:
            observe(turn)
        return turn

    def _command_turn(self, messages: Sequence[Message], text: str) -> Turn:
        identity = uuid4().hex
        reply = Reply(id=identity, in_reply_to=messages[-1].id, text=text, kind="command")
        return Turn(
            id=identity,
            address=messages[-1].address,
            messages=tuple(messages),
            reply=reply,
            started_at=self._now(),
            remember=False,
        )

    def _failed_turn(self, messages: Sequence[Message], failed: Exception) -> Turn:
        identity = uuid4().hex
        text = self._brain.prompts.phrase("exceptions.system_error")
        reply = Reply(id=identity, in_reply_to=messages[-1].id, text=text, kind="exception")
        return Turn(
            id=identity,
            address=messages[-1].address,
            messages=tuple(messages),
            reply=reply,
            started_at=self._now(),
            exceptions=("system_error",),
            failure=type(failed).__name__,
        )

    async def _deliver(self, address: Address, reply: Reply) -> None:
        adapter = self._adapters.get(address.channel)
        if adapter is None:
            receipt = Receipt(
                outcome="refused", reason=f"no channel {address.channel!r} is running"
            )
        else:
            receipt = await adapter.deliver(address, reply)
        await self._store.receipt(reply.id, receipt, at=self._now())
        log.info("delivered", channel=address.channel, reply=reply.id, outcome=receipt.outcome)


class Drafts:
    """Shows the latest draft of one reply and never more than one at a time."""

    def __init__(self, adapter: Adapter | None, address: Address) -> None:
        self._adapter = adapter
        self._address = address
        self._latest: Draft | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, draft: Draft) -> None:
        """Show `draft` as soon as the one being shown is through; what it overtakes is skipped."""
        self._latest = draft
        if self._adapter and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._show(self._adapter))

    async def _show(self, adapter: Adapter) -> None:
        while self._latest is not None:
            draft, self._latest = self._latest, None
            try:
                await adapter.show(self._address, draft)
            except Exception:
                log.warning("draft_failed", channel=self._address.channel, exc_info=True)
                return

    async def close(self) -> None:
        """Stop showing: the finished reply comes next."""
        self._latest = None
        if self._task is not None:
            await self._task
