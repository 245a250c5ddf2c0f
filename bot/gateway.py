"""The one path of a message: accepted durably, answered in turn, delivered until the channel says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from adapters.base import Adapter
from bot.clock import Clock
from bot.commands import Commands
from bot.delivery import Delivery
from bot.drafts import Drafts
from bot.gate import Gate
from bot.maintenance import Maintenance
from bot.store.digests import keep_digest
from bot.store.store import Store, Undelivered
from bot.turns import DEFAULT_PATIENCE, Floor, Patience, Turns
from brain.core import Show
from brain.memory import Session
from brain.messages import Action, Address, Draft, Event, Message, Reply, ReplyKind, Turn, new_id
from brain.prompt.prompts import Prompts
from brain.redaction import redact

if TYPE_CHECKING:
    from bot.limits import Limits
    from brain.summary import Background

log = structlog.get_logger(__name__)

Observer = Callable[[Turn], None]
Milestone = Callable[[str], None]
"""Hears how far a message has come: received, started, answered, committed, sent, settled."""

CHEAP: tuple[ReplyKind, ...] = ("quoted", "abstained")
"""Kinds of reply that cost next to nothing, so that waiting for more words loses nothing."""
MOST_ATTEMPTS = 3
"""Starts after which a message that was never answered, maybe because it kills us, gets an apology."""
ANSWER_WITHIN = timedelta(hours=1)
"""Age from which a message that was left unanswered is apologised for instead."""


class Answerer(Protocol):
    """What the gateway needs of the brain."""

    prompts: Prompts

    async def answer(
        self,
        messages: Sequence[Message],
        session: Session,
        *,
        now: datetime,
        returning: bool = False,
        show: Show = ...,
    ) -> tuple[Turn, Session]:
        """See `Brain.answer`."""
        ...


class Gateway:
    """Between the channels and the brain: durability, order, delivery."""

    def __init__(
        self,
        *,
        store: Store,
        brain: Answerer,
        commands: Commands,
        adapters: Mapping[str, Adapter],
        clock: Clock,
        patience: Patience = DEFAULT_PATIENCE,
        limits: Callable[[], Limits] | None = None,
        maintenance: Maintenance | None = None,
        background: Background | None = None,
        answer_within: timedelta = ANSWER_WITHIN,
        observers: Sequence[Observer] = (),
        milestone: Milestone = lambda name: None,
    ) -> None:
        self._store = store
        self._brain = brain
        self._commands = commands
        self._adapters = adapters
        self._clock = clock
        self._gate = Gate(
            matrix=lambda: brain.prompts.matrix, limits=limits, maintenance=maintenance
        )
        self._background = background
        self._answer_within = answer_within
        self._observers = tuple(observers)
        self._milestone = milestone
        self._early: set[str] | None = set()
        """Events and replies of this run, until `resume` has told them from those of earlier ones."""
        self._delivery = Delivery(
            store=store,
            adapters=adapters,
            clock=clock,
            label=lambda: brain.prompts.phrase("delivery.again"),
        )
        self._keeping: set[asyncio.Task[None]] = set()
        self._turns = Turns(
            self.turn,
            clock=clock,
            patience=patience,
            collects=self._collects,
            joined=self._tell_joined,
        )

    @property
    def busy(self) -> int:
        """Conversations with something to say."""
        return self._turns.busy

    # ---- in

    async def accept(self, event: Event) -> None:
        """Make `event` durable, personal data masked; when this returns, the channel may acknowledge.

        A duplicate ends here. Raises StoreError when the event could not be kept.
        """
        if isinstance(event, Action):
            kept: Event = replace(event, value=redact(event.value).text)
        else:
            named = tuple(replace(each, name=redact(each.name).text) for each in event.attachments)
            kept = replace(event, text=redact(event.text).text, attachments=named)
        # A channel that is stopped meanwhile must not leave an event that is stored and forgotten.
        keeping = asyncio.create_task(self._keep(kept))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)
        await asyncio.shield(keeping)

    async def _keep(self, event: Event) -> None:
        if not await self._store.receive(event, at=self._clock.now()):
            log.info("duplicate", channel=event.address.channel, event_id=event.id)
            return
        self._milestone("received")
        if self._early is not None:
            self._early.add(_key(event))
        await self._take_up(event)

    async def _take_up(self, event: Event) -> None:
        if isinstance(event, Action):
            await self._act(event)
        elif not event.addressed:
            await self._store.settle([event])
        elif not self._commands.meant(event.text):
            self._turns.put(event)
        elif self._commands.keeps_order(event.text):
            self._turns.do(event.address, partial(self._command, event))
        else:
            self._turns.aside(partial(self._command, event))

    async def _act(self, action: Action) -> None:
        """Actions need no turn and bypass the conversation's order."""
        if action.kind == "feedback":
            await self._store.feedback(action)
        else:
            await self._store.settle([action])

    def _collects(self, address: Address) -> bool:
        adapter = self._adapters.get(address.channel)
        return adapter is not None and adapter.capabilities.collects

    def _tell_joined(self, messages: Sequence[Message]) -> None:
        """A channel that must answer every request says in the earlier ones that the last one will."""
        for message in messages:
            self._turns.aside(partial(self._answer_request, message, "delivery.joined"))

    async def _answer_request(self, message: Message, phrase: str, *, over: bool = False) -> None:
        """No reply is made for `message`: say so where every request must be answered.

        With `over` none comes at all, so that what is shown of one ends too.
        """
        adapter = self._adapters.get(message.address.channel)
        try:
            if adapter and over:
                await adapter.show(message.address, None)
            if adapter and adapter.capabilities.deadline is not None:
                reply = _reply(message, self._brain.prompts.phrase(phrase), "silent")
                await adapter.deliver(message.address, reply)
        except Exception:
            log.exception("request_unanswered", channel=message.address.channel)

    # ---- after a start, and while running

    async def resume(self) -> None:
        """Send what an earlier run left undelivered, answer what it left unanswered."""
        undelivered = await self._store.undelivered("pending", "sending", "again")
        unanswered = await self._store.unanswered()
        early, self._early = self._early or set(), None
        for left in undelivered:
            if left.reply.id not in early:
                self._deliver_later(left)
        late: dict[Address, list[Message]] = {}
        oldest = self._clock.now() - self._answer_within
        for waiting in unanswered:
            event = waiting.event
            given_up = waiting.attempts > MOST_ATTEMPTS
            if _key(event) in early:
                continue
            if (
                isinstance(event, Message)
                and event.addressed
                and (event.sent_at < oldest or given_up)
            ):
                late.setdefault(event.address, []).append(event)
            else:
                await self._take_up(event)
        for address, messages in late.items():
            self._turns.do(address, partial(self._apologise, messages))

    async def sweep(self) -> None:
        """Try the replies again that a channel could not send."""
        begun = set(self._delivery.under_way)  # its state may be an older one than theirs
        for left in await self._store.undelivered("pending", "again"):
            known = left.state == "pending" or left.reply.id in self._delivery.put_off
            if known and left.reply.id not in begun and left.address.channel in self._adapters:
                self._deliver_later(left)

    def _deliver_later(self, left: Undelivered) -> None:
        """In the order of its conversation, and once, however often a sweep finds it meanwhile."""
        if left.reply.id not in self._delivery.under_way:
            self._delivery.under_way.add(left.reply.id)
            self._turns.do(left.address, partial(self._deliver_left, left))

    async def _deliver_left(self, left: Undelivered) -> None:
        try:
            if left.state == "pending":
                await self._delivery.send(left.address, left.reply)
            elif left.state == "sending" or left.reply.id in self._delivery.put_off:
                await self._delivery.send_again(left.address, left.reply)
            else:
                await self._delivery.give_up(left.address, left.reply)
        except Exception:
            log.exception("delivery_failed", channel=left.address.channel, reply=left.reply.id)
        finally:
            self._delivery.under_way.discard(left.reply.id)

    async def _apologise(self, messages: Sequence[Message]) -> None:
        text = self._brain.prompts.phrase("delivery.late")
        await self._finish(self._turn(messages, text, "exception", failure="Late"))

    async def drain(self, seconds: float) -> None:
        """Let the turns under way finish, at most `seconds`; the rest waits in the inbox."""
        await self._turns.drain(seconds)

    # ---- one turn

    async def turn(self, messages: Sequence[Message], floor: Floor) -> None:
        """Answer `messages`, commit, deliver. Until the floor is taken, more words end it."""
        self._milestone("started")
        try:
            turn = await self._limited(messages, floor.new)
            session = None
            if turn is None:
                turn, session = await self._answer(messages)
            self._milestone("answered")
            await floor.take(cheap=turn.reply.kind in CHEAP)
            await self._finish(turn, session)
        except Exception:
            await self._answer_request(messages[-1], "exceptions.system_error", over=True)
            raise

    async def _limited(self, messages: Sequence[Message], new: int) -> Turn | None:
        """The reply to somebody whom the gate holds back; None for everybody else.

        Each message counts once: `new` of them were not in an interrupted start of the turn.
        """
        address = messages[-1].address
        adapter = self._adapters.get(address.channel)
        refused = await self._gate.refusal(
            address,
            _words(messages),
            messages=new,
            limited=adapter is None or adapter.capabilities.limited,
            now=self._clock.now(),
        )
        if refused is None:
            return None
        why, verdict = refused
        text = verdict.text if verdict else self._brain.prompts.phrase("busy.slow_down")
        turn = self._turn(messages, text, "busy", failure=why, remember=False)
        return verdict.on(turn) if verdict else turn

    async def _answer(self, messages: Sequence[Message]) -> tuple[Turn, Session]:
        address = messages[-1].address
        now = self._clock.now()
        session, returning = await self._store.recall(address, now=now)
        drafts = Drafts(self._adapters.get(address.channel), address)
        drafts.put(Draft(text=""))
        try:
            answered = await self._brain.answer(
                messages, session, now=now, returning=returning, show=drafts.put
            )
        except asyncio.CancelledError:
            drafts.stop()
            raise
        except Exception as bug:
            log.exception("turn_failed", channel=address.channel, event_id=messages[-1].id)
            verdict = self._brain.prompts.matrix.stand_in("system_error", _words(messages))
            name = type(bug).__name__
            failed = self._turn(messages, verdict.text, "exception", failure=name)
            answered = verdict.on(failed), session
        await drafts.close()
        return answered

    async def _command(self, message: Message) -> None:
        drafts = Drafts(self._adapters.get(message.address.channel), message.address)
        failure = ""
        try:
            text = await self._commands.run(message, show=drafts.put)
        except Exception as bug:
            log.exception("command_failed", event_id=message.id)
            text = self._brain.prompts.phrase("exceptions.system_error")
            failure = type(bug).__name__
        await drafts.close()
        await self._finish(self._turn([message], text, "command", failure=failure, remember=False))

    async def _finish(self, turn: Turn, session: Session | None = None) -> None:
        """Commit a turn with its session, deliver its reply, tell the observers."""
        if session is None:
            session = Session(address=turn.address)
            if turn.remember:
                session = await self._store.session(turn.address)
        if self._early is not None:
            self._early.add(turn.reply.id)
        session = session.after(turn)
        await self._store.commit(turn, session)
        self._milestone("committed")
        if turn.reply.kind == "silent":
            await self._answer_request(turn.messages[-1], "delivery.silent", over=True)
        else:
            await self._delivery.send(turn.address, turn.reply, milestone=self._milestone)
        self._milestone("settled")
        for observe in self._observers:
            try:
                observe(turn)
            except Exception:
                log.exception("observer_failed", turn=turn.id)
        if self._background and turn.remember:
            self._background.turn_over(session, turn, self._keep_digest)

    def _keep_digest(self, address: Address, digest: str, until: str) -> None:
        """Between two turns: one under way has read the session already."""
        self._turns.do(address, partial(keep_digest, self._store.database, address, digest, until))

    def _turn(
        self,
        messages: Sequence[Message],
        text: str,
        kind: ReplyKind,
        *,
        failure: str = "",
        remember: bool = True,
    ) -> Turn:
        """A turn that the brain had no part in."""
        reply = _reply(messages[-1], text, kind)
        return Turn(
            id=reply.id,
            address=messages[-1].address,
            messages=tuple(messages),
            reply=reply,
            started_at=self._clock.now(),
            failure=failure,
            remember=remember,
        )


def _key(event: Event) -> str:
    """What tells an event from all others."""
    return f"{event.address.channel}:{event.id}"


def _words(messages: Sequence[Message]) -> str:
    return "\n".join(message.text for message in messages)


def _reply(message: Message, text: str, kind: ReplyKind) -> Reply:
    return Reply(id=new_id(), in_reply_to=message.id, text=text, kind=kind)
