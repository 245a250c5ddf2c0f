"""Who speaks when: one turn at a time per conversation, pieces of a message joined into one turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from bot.clock import Clock
from brain.messages import Address, Message
from brain.utterance import reads_as

log = structlog.get_logger(__name__)

Policy = Literal["interrupt", "collect", "queue"]
"""What becomes of a message that arrives while an earlier one is being answered: `interrupt` gives the
answer up and answers both, `collect` answers it afterwards with what else has come, `queue` alone."""
Job = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the rest of what somebody is saying, in seconds."""

    fragment: float = 1.5
    """After a message that reads as unfinished."""
    most: float = 6.0
    """From the first piece on, whatever follows."""
    follow_on: float = 1.0
    """Before an answer that cost nothing is shown for a message that may go on."""
    restarts: int = 3
    """How often an answer is given up for what came meanwhile; then that has to wait."""
    policy: Policy = "interrupt"
    """See `Policy`."""


DEFAULT_PATIENCE = Patience()


@dataclass(slots=True)
class _Line:
    """A conversation that has something to say."""

    began: float
    waiting: deque[Message | Job] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    floor: Floor | None = None
    restarts: int = 0
    interrupted: bool = False

    @property
    def has_job(self) -> bool:
        """Whether a job waits, after which another turn begins."""
        return any(not isinstance(item, Message) for item in self.waiting)

    def taken_back(self) -> bool:
        """Takes an interruption back, if there was one; False where the task is cancelled for good."""
        if self.interrupted and self.task is not None:
            self.task.uncancel()
        over, self.interrupted = self.interrupted, False
        return over and self.task is not None and not self.task.cancelling()


class Floor:
    """One turn's right to speak. Until it is taken, further words of the customer end the turn."""

    def __init__(self, line: _Line, clock: Clock, patience: float, new: int) -> None:
        self._line = line
        self._clock = clock
        self._patience = patience
        self.taken = False
        self.new = new
        """How many messages, the last ones of the turn, no given-up start of it had yet."""

    async def take(self, *, cheap: bool) -> None:
        """The answer stands: what comes from here on is the next turn's.

        A `cheap` answer to words that may go on waits a moment first, in which more of them still
        ends the turn.
        """
        if cheap and self._patience > 0 and not self._line.waiting:
            self._line.arrived.clear()
            await self._clock.wait(self._line.arrived, self._patience)
        self.taken = True


Run = Callable[[Sequence[Message], Floor], Awaitable[None]]


class Turns:
    """Starts the turns. A conversation with nothing to say leaves no trace here."""

    def __init__(
        self,
        run: Run,
        *,
        clock: Clock,
        patience: Patience = DEFAULT_PATIENCE,
        collects: Callable[[Address], bool] = lambda address: False,
        joined: Callable[[Sequence[Message]], None] = lambda messages: None,
    ) -> None:
        """`run` answers the messages of one turn. What it or a job raises ends only that one.

        `collects` tells where a piece may wait for the next one. `joined` hears of messages that
        a later one's turn answers too.
        """
        self._run = run
        self._clock = clock
        self._patience = patience
        self._collects = collects
        self._joined = joined
        self._lines: dict[Address, _Line] = {}
        self._asides: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def busy(self) -> int:
        """Conversations with something to say, and jobs beside them."""
        return len(self._lines) + len(self._asides)

    def put(self, message: Message) -> None:
        """Take a message; see `Patience` for when its turn starts."""
        self._enter(message.address, message)

    def do(self, address: Address, job: Job) -> None:
        """Run `job` within the conversation: after what came before it, before what comes later."""
        self._enter(address, job)

    def aside(self, job: Job) -> None:
        """Run `job` at once, beside whatever its conversation is doing."""
        if not self._closing:
            task = asyncio.create_task(_safely(job()))
            self._asides.add(task)
            task.add_done_callback(self._asides.discard)

    def _enter(self, address: Address, item: Message | Job) -> None:
        if self._closing:  # it waits in the inbox for the next start
            return
        line = self._lines.get(address)
        if line is None:
            line = self._lines[address] = _Line(began=self._clock.monotonic())
            line.task = asyncio.create_task(self._converse(address, line))
        line.waiting.append(item)
        line.arrived.set()
        if isinstance(item, Message):
            self._interrupt(line)

    def _interrupt(self, line: _Line) -> None:
        floor = line.floor
        if (
            self._patience.policy == "interrupt"
            and floor is not None
            and not floor.taken
            and not line.interrupted
            and not line.has_job  # what comes after a job is not this turn's
            and line.restarts < self._patience.restarts
            and line.task is not None
        ):
            line.interrupted = True
            line.task.cancel()

    async def _converse(self, address: Address, line: _Line) -> None:
        """The turns of one conversation, until it has nothing more to say."""
        try:
            while line.waiting and not self._closing:
                item = line.waiting[0]
                if isinstance(item, Message):
                    await self._turn(address, line)
                else:
                    line.waiting.popleft()
                    await _safely(item())
        finally:
            del self._lines[address]

    async def _turn(self, address: Address, line: _Line) -> None:
        """One turn, begun anew for what comes before it is over."""
        collects = self._collects(address)
        line.began, line.restarts = self._clock.monotonic(), 0
        batch: list[Message] = []
        while True:
            if collects and self._patience.policy != "queue":
                await self._collect(line)
            new = self._taken(line, bool(batch))
            self._joined([*batch[-1:], *new][:-1])
            batch = [*batch, *new]
            pause = self._patience.follow_on if collects and _may_go_on(batch) else 0.0
            pause = 0.0 if self._closing else pause
            line.floor = floor = Floor(line, self._clock, pause, len(new))
            try:
                await _safely(self._run(batch, floor), batch[-1].id)
            except asyncio.CancelledError:
                if not line.taken_back():
                    raise
                line.restarts += 1
            else:
                line.taken_back()  # the answer was through before it could be given up
                return
            finally:
                line.floor = None

    def _taken(self, line: _Line, more: bool) -> list[Message]:
        """The messages of the next turn: up to the next job, one only where they queue."""
        batch: list[Message] = []
        alone = self._patience.policy == "queue"
        while line.waiting and isinstance(line.waiting[0], Message):
            if alone and (batch or more):
                break
            batch.append(line.waiting.popleft())  # type: ignore[arg-type] # checked above
        return batch

    async def _collect(self, line: _Line) -> None:
        """Wait until what was said reads as finished, or for as long as is bearable."""
        while not self._closing and not line.has_job:
            last = line.waiting[-1]
            if not isinstance(last, Message) or reads_as(last.text) != "fragment":
                return
            left = line.began + self._patience.most - self._clock.monotonic()
            line.arrived.clear()
            patience = min(self._patience.fragment, left)
            if patience <= 0 or not await self._clock.wait(line.arrived, patience):
                return

    async def drain(self, seconds: float) -> None:
        """Wait for the turns under way, at most `seconds`; the rest is cancelled."""
        self._closing = True
        for line in self._lines.values():
            line.arrived.set()
        tasks = {line.task for line in self._lines.values() if line.task} | self._asides
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _safely(work: Awaitable[None], event_id: str = "") -> None:
    """Whatever fails, the conversation goes on; only who is really cancelled hears of it."""
    try:
        await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        log.error("work_lost", event_id=event_id, reason="something cancelled itself")
    except Exception:
        log.exception("work_lost", event_id=event_id)


def _may_go_on(batch: Sequence[Message]) -> bool:
    return reads_as(batch[-1].text) != "finished"
