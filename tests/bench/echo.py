"""What the gateway's benches share: a brain that echoes ids, a channel that forgets, their wiring."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog

from adapters.base import Accept, Adapter, Capabilities
from bot.admission import Admission
from bot.clock import SystemClock
from bot.commands import Commands
from bot.config import packaged
from bot.gateway import Gateway
from bot.serve import spare_collector
from bot.store.store import Store
from bot.telemetry import log_turn, set_up_logs
from brain.errors import Busy
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Address, Draft, Message, Receipt, Reply, ReplyKind, Turn, new_id
from brain.prompt.prompts import Prompts

TEXT = "주문한 노트북 배송이 언제 오는지 알 수 있을까요?"
"""A message that reads as finished."""
Delay = Callable[[str], float]
"""Seconds that the model takes, by id of the last message."""


def seeded(seed: int, least: float, most: float) -> Delay:
    """A delay that is random, but always the same for one message."""
    return lambda number: random.Random(f"{seed}:{number}").uniform(least, most)


class EchoBrain:
    """Answers with the ids of what it was asked; `spans` keeps when, if asked to."""

    def __init__(
        self,
        prompts: Prompts,
        *,
        delay: Delay | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.prompts = prompts
        self.running: dict[Address, int] = {}
        """Turns under way by conversation."""
        self.interleaved = 0
        """Turns that began while another of their conversation was under way."""
        self._delay = delay
        self._admission = admission

    async def answer(
        self,
        messages: Sequence[Message],
        session: Session,
        *,
        now: datetime,
        returning: bool = False,
        show: Callable[[Draft], None] = lambda draft: None,
    ) -> tuple[Turn, Session]:
        """The ids of `messages`, after as long as the model takes."""
        began = time.perf_counter()
        address = messages[-1].address
        self.interleaved += address in self.running
        self.running[address] = self.running.get(address, 0) + 1
        kind: ReplyKind = "answer"
        text = " ".join(message.id for message in messages)
        failure = ""
        try:
            async with self._slot(address):
                if self._delay:
                    await asyncio.sleep(self._delay(messages[-1].id))
        except Busy as busy:
            kind, failure = "busy", type(busy).__name__
            text = self.prompts.phrase(busy.phrase, "ko", ahead=busy.ahead)
        finally:
            self.running[address] -= 1
            if not self.running[address]:
                del self.running[address]
        identity = new_id()
        turn = Turn(
            id=identity,
            address=address,
            messages=tuple(messages),
            reply=Reply(id=identity, in_reply_to=messages[-1].id, text=text, kind=kind),
            started_at=now,
            variant=self.prompts.version,
            timings={"total": (time.perf_counter() - began) * 1000},
            failure=failure,
        )
        return turn, session

    def _slot(self, address: Address) -> AbstractAsyncContextManager[None]:
        return self._admission.slot(address) if self._admission else nullcontext()


class Wire:
    """A channel that tells `seen` of every reply and keeps nothing, as `Fake` would."""

    def __init__(
        self,
        seen: Callable[[Address, Reply], None] = lambda *shown: None,
        *,
        collects: bool = False,
    ) -> None:
        self.name = "wire"
        self.capabilities = Capabilities(collects=collects, limited=False)
        self.heard = None
        self.seen = seen

    async def run(self, accept: Accept) -> None:
        """Open until cancelled; benches hand in through the gateway itself."""
        await asyncio.get_running_loop().create_future()

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Shown at once."""
        self.seen(address, reply)
        return Receipt(outcome="delivered", native_ids=(reply.id,))

    async def show(self, address: Address, draft: Draft) -> None:
        """Shows nothing."""


def prompts() -> Prompts:
    """The packaged ones."""
    return Prompts.load(packaged("prompts"), Facts.load(None))


def wire(store: Store, brain: EchoBrain, adapter: Adapter, **options: Any) -> Gateway:
    """A gateway as `App` builds it, without knowledge; `options` are the gateway's own."""
    around: Any = SimpleNamespace(prompts=brain.prompts)

    async def reload(*, dry_run: bool = False, force: bool = False) -> Any:
        raise NotImplementedError

    return Gateway(
        store=store,
        brain=brain,
        commands=Commands(brain=around, store=store, reload=reload, admins=(), language="ko"),
        adapters={adapter.name: adapter},
        **({"clock": SystemClock(), "observers": (log_turn,)} | options),
    )


@asynccontextmanager
async def running(
    path: Path, brain: EchoBrain, adapter: Adapter, **options: Any
) -> AsyncIterator[Gateway]:
    """`wire` over the file at `path`, resumed; drained and closed in the end."""
    store = await Store.open(path)
    try:
        gateway = wire(store, brain, adapter, **options)
        await gateway.resume()
        spare_collector()
        yield gateway
        await gateway.drain(60)
    finally:
        await store.close()


async def idle(gateway: Gateway) -> None:
    """Returns when nobody has anything to say."""
    while gateway.busy:
        await asyncio.sleep(0.001)


def message(number: int | str, conversation: int | str, *, channel: str = "wire") -> Message:
    """A question, sent now."""
    address = Address(channel=channel, conversation=f"c{conversation}", user=f"u{conversation}")
    return Message(id=str(number), address=address, text=TEXT, sent_at=datetime.now(UTC))


def log_to(path: Path) -> None:
    """Production's logs, into a file."""
    import sys

    terminal, sys.stderr = sys.stderr, path.open("a", encoding="utf-8")
    try:
        set_up_logs()
    finally:
        sys.stderr = terminal


def no_logs() -> None:
    """Warnings and worse alone."""
    set_up_logs(quiet=True)
    structlog.get_logger(__name__).debug("quiet")


def rss() -> float:
    """Resident memory of this process in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Verdict:
    """Prints each target with what was measured; `status` is the process's exit code."""

    def __init__(self) -> None:
        self.status = 0

    def check(self, name: str, measured: str, target: str, met: bool) -> None:
        """One line of the verdict."""
        self.status |= not met
        print(f"{name:44} {measured:>16}   {target:14} {'ok' if met else 'MISSED'}")
