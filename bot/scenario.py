"""Conversation tests as YAML: what a customer says, what must come back; run through the fake channel."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.base import Capabilities
from adapters.fake import Fake, Fault, VirtualClock
from bot.app import App, build
from bot.config import Config
from brain.errors import ConfigError
from brain.messages import Message, Turn
from brain.strict import Document

ANSWER_SECONDS = 120.0
"""Real seconds in which a reply has to come."""
BETWEEN = 0.5
"""Virtual seconds between the pieces of a burst."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Expect(_Strict):
    """What the reply must be; every key is optional."""

    containing: list[str] = []
    missing: list[str] = []
    kind: str | list[str] | None = None
    sources: list[str] = []
    emotion: str | None = None
    intent: str | None = None
    daypart: str | None = None
    open: bool | None = None
    confidence: str | None = None
    handoff: str | None = None
    exceptions: list[str] | None = None
    replies: int | None = None


class Step(_Strict):
    """Something that happens: words, the time, a fault of the channel."""

    user: str | list[str] | None = None
    who: str = "u1"
    conversation: str = "c1"
    now: datetime | None = None
    wait: float | None = Field(None, ge=0)
    fault: Fault | Literal["duplicate", "reorder", "restart"] | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Step:
        if self.user is None and self.now is None and self.wait is None and self.fault is None:
            raise ValueError("a step needs one of user, now, wait, fault")
        if self.expect is not None and self.user is None:
            raise ValueError("expect goes with user")
        return self


class Scenario(_Strict):
    """A file: the steps of one conversation, from an empty memory."""

    name: str = ""
    now: datetime | None = None
    collects: bool = False
    steps: list[Step] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An expectation that was not met."""

    file: str
    """The scenario."""
    step: int
    """Which step, from 1."""
    said: str
    """What the customer said."""
    expected: str
    """What should have been."""
    got: str
    """What was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of all scenarios."""

    passed: int
    """Scenarios without a failure."""
    failed: int
    """Scenarios with one."""
    failures: tuple[Failure, ...]
    """Every expectation that was not met."""
    seconds: float
    """How long it took."""


def read(path: Path) -> Scenario:
    """The scenario in `path`. Raises ConfigError with file, line and the nearest valid key."""
    return Document(path, error=ConfigError).parse(Scenario)


async def run_all(config: Config, paths: Sequence[Path]) -> Outcome:
    """Every scenario in turn, each with a memory of its own beside the index of `config`."""
    began = time.monotonic()
    scenarios = [(path, read(path)) for path in paths]
    failures: list[Failure] = []
    failed = 0
    for path, scenario in scenarios:
        with tempfile.TemporaryDirectory(prefix="sangdam-test-") as folder:
            stage = _Stage(config, scenario, Path(folder) / "conversations.db")
            found = [
                Failure(file=str(path), step=step, said=said, expected=expected, got=got)
                async for step, said, expected, got in stage.play()
            ]
        failures += found
        failed += bool(found)
    return Outcome(
        passed=len(scenarios) - failed,
        failed=failed,
        failures=tuple(failures),
        seconds=round(time.monotonic() - began, 2),
    )


class _Stage:
    """One scenario being played."""

    def __init__(self, config: Config, scenario: Scenario, database: Path) -> None:
        self._config = config
        self._scenario = scenario
        self._database = database
        self._turns: list[Turn] = []
        self._duplicate = self._reorder = False
        self._clock = VirtualClock(self._at(scenario.now or datetime(2026, 1, 5, 10, 0)))  # noqa: DTZ001 - given the company's zone next
        self._app: App
        self._fake: Fake

    async def play(self) -> AsyncIterator[tuple[int, str, str, str]]:
        await self._open()
        try:
            for number, step in enumerate(self._scenario.steps, 1):
                for said, expected, got in await self._step(step):
                    yield number, said, expected, got
        finally:
            await self._app.close()

    async def _open(self) -> None:
        self._app = await build(
            self._config,
            clock=self._clock,
            database=self._database,
            observers=[self._turns.append],
        )
        await self._app.index()
        self._fake = Fake(
            capabilities=Capabilities(
                edits=True, typing=True, collects=self._scenario.collects, limited=False
            ),
            clock=self._clock,
        )
        self._app.connect(self._fake)
        await self._app.gateway.resume()

    async def _step(self, step: Step) -> list[tuple[str, str, str]]:
        if step.now is not None:
            await self._clock.set(self._at(step.now))
        if step.wait is not None:
            await self._clock.advance(step.wait)
        if step.fault == "restart":
            await self._app.close()
            await self._open()
        elif step.fault == "duplicate":
            self._duplicate = True
        elif step.fault == "reorder":
            self._reorder = True
        elif step.fault is not None:
            self._fake.faults.append(step.fault)
        if step.user is None:
            return []
        said = [step.user] if isinstance(step.user, str) else step.user
        shown, turns = len(self._fake.replies), len(self._turns)
        await self._say(said, step)
        if step.expect is None:
            return []
        visible = [reply for _, reply in self._fake.replies[shown:]]
        made = self._turns[turns:]
        wrong = _compared(step.expect, made[-1] if made else None, len(visible))
        return [(" / ".join(said), *each) for each in wrong]

    async def _say(self, said: Sequence[str], step: Step) -> None:
        messages = []
        for at, text in enumerate(said):
            if at:
                await self._clock.advance(BETWEEN)
            messages.append(self._fake.message(text, user=step.who, conversation=step.conversation))
            if not self._reorder:
                await self._hand_in(messages[-1])
        if self._reorder:
            for message in reversed(messages):
                await self._hand_in(message)
        self._duplicate = self._reorder = False
        await self._quiet()

    async def _hand_in(self, message: Message) -> None:
        for _ in range(3 if self._duplicate else 1):
            await self._fake.hand_in(message)

    async def _quiet(self) -> None:
        """Let virtual time pass until nothing is left to say."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._app.gateway.busy and time.monotonic() < deadline:
            await self._clock.advance(0.25)
        if self._app.gateway.busy:
            raise ConfigError(f"no reply within {ANSWER_SECONDS:.0f} s")
        await asyncio.sleep(0)

    def _at(self, moment: datetime) -> datetime:
        zone = ZoneInfo(self._config.company.timezone)
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _compared(expect: Expect, turn: Turn | None, replies: int) -> Iterator[tuple[str, str]]:
    """Each expectation that is not met, and what was instead."""
    if expect.replies is not None and expect.replies != replies:
        yield f"{expect.replies} replies", f"{replies}"
    if turn is None:
        yield "a reply", "none"
        return
    yield from _text_compared(expect, turn)
    situation = turn.situation
    pairs: tuple[tuple[str, object, object], ...] = (
        ("emotion", expect.emotion, situation.emotion),
        ("intent", expect.intent, situation.intent),
        ("daypart", expect.daypart, situation.daypart),
        ("open", expect.open, situation.open),
        ("confidence", expect.confidence, situation.confidence),
        ("handoff", expect.handoff, turn.handoff),
        ("exceptions", expect.exceptions, list(turn.exceptions)),
    )
    for name, wanted, got in pairs:
        if wanted is not None and got != wanted:
            yield f"{name} {wanted}", str(got)


def _text_compared(expect: Expect, turn: Turn) -> Iterator[tuple[str, str]]:
    text = turn.reply.text
    for part in expect.containing:
        if part not in text:
            yield f"containing {part!r}", text
    for part in expect.missing:
        if part in text:
            yield f"not containing {part!r}", text
    documents = [source.document for source in turn.reply.sources]
    for document in expect.sources:
        if document not in documents:
            yield f"source {document}", ", ".join(documents) or "none"
    kinds = [expect.kind] if isinstance(expect.kind, str) else expect.kind
    if kinds and turn.reply.kind not in kinds:
        yield f"kind {' or '.join(kinds)}", turn.reply.kind
