"""What the model does while no customer needs it: it reads ahead what the next prompt begins with, and sums up."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from brain.aide import NOBODY
from brain.core import Brain
from brain.errors import ModelError
from brain.memory import Session
from brain.messages import Address, Situation, Turn

log = logging.getLogger(__name__)

LINES, LINE = 6, 120
"""Lines of a summary at most, and characters of a line."""
WISHES = 50
"""Conversations at most that wait for a summary; the latest come first, the oldest are let go."""
BREATH = 0.2
"""Seconds of idleness before anything begins: a turn that asks the model twice is not over between."""
VAIN = 1000
"""Windows remembered at most of which the model could not make a summary."""

_BULLET = re.compile(r"^[\s\-•*·#]*(?:\d{1,2}[.)]\s)?")
_NUMBER = re.compile(r"\d+")
_HANGUL = re.compile(r"[가-힣]")

T = TypeVar("T")
Keep = Callable[[Address, str, str], None]
"""Takes the summary of a conversation and the id of the last turn that it tells of."""


class Idle(Protocol):
    """Knows when no customer needs the model."""

    async def spare(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """See `Admission.spare`."""
        ...


class _Enough(Exception):
    """Stops the model: what it writes on would be cut off anyway."""


class Background:
    """One thing at a time, given up as soon as a customer needs the model."""

    def __init__(self, *, brain: Brain, idle: Idle) -> None:
        self._brain = brain
        self._idle = idle
        self._wishes: dict[Address, tuple[Session, Keep]] = {}
        self._vain: set[str] = set()
        self._spoken: tuple[Session, Turn] | None = None  # the conversation that is to be read on
        self._task: asyncio.Task[None] | None = None

    async def read_ahead(self) -> None:
        """Let the model read the rules before the first customer comes, and learn how it counts."""
        try:
            await self._idle.spare(self._greet)
        except ModelError as failed:
            log.info("rules not read ahead: %s", type(failed).__name__)

    def turn_over(self, session: Session, turn: Turn, keep: Keep) -> None:
        """Have the conversation that `turn` ended in `session` summed up soon if it has grown long, and
        read up to its last reply.

        What no summary can be had for keeps the extractive one. Does nothing for a turn that no model
        answered: there may be none.
        """
        window = session.window
        if not window or not turn.model or window[-1].kind != "answer":
            return
        self._spoken = session, turn
        if not session.digest and window[0].turn not in self._vain:
            self._wishes.pop(session.address, None)
            self._wishes[session.address] = session, keep
            if len(self._wishes) > WISHES:
                del self._wishes[next(iter(self._wishes))]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Give up what is under way; nothing is kept from here on."""
        self._wishes.clear()
        self._spoken = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while self._wishes or self._spoken:
            try:
                await self._idle.spare(self._next)
            except ModelError as failed:
                log.info("given up: %s", type(failed).__name__)
            except Exception:
                log.exception("background_failed")

    async def _next(self) -> None:
        """What concerns the conversation that spoke last: the model still remembers how its prompt began."""
        await asyncio.sleep(BREATH)
        spoken = self._spoken
        if self._wishes and (spoken is None or spoken[0].address == next(reversed(self._wishes))):
            await self._sum_up(*self._wishes.popitem()[1])
        elif spoken is not None:
            self._spoken = None
            await self._read_on(*spoken)

    async def _read_on(self, session: Session, turn: Turn) -> None:
        """Let the model read what the next prompt will begin with, its window moved if it is full:
        the next message finds only itself and what is chosen for it unread.
        """
        brain = self._brain
        name = await brain.model.find()
        if name == turn.model:  # else it failed, and another one answered in its place
            budget = brain.budget_of(name)
            await brain.model.read(brain.prompts.ahead(session, budget, turn.situation))

    async def _sum_up(self, session: Session, keep: Keep) -> None:
        brain = self._brain
        name = await brain.model.find()
        messages = brain.prompts.digest(session, brain.budget_of(name))
        if not messages:
            return
        if digest := summary_in(await self._written(messages), messages):
            until = session.window[-1].turn
            keep(session.address, digest, until)
            if self._spoken is not None and self._spoken[0].address == session.address:
                spoken, turn = self._spoken
                self._spoken = spoken.with_digest(digest, until), turn
            return
        if len(self._vain) >= VAIN:
            self._vain.clear()
        self._vain.add(session.window[0].turn)

    async def _written(self, messages: Sequence[Mapping[str, Any]]) -> str:
        written = ""

        def write(piece: str) -> None:
            nonlocal written
            written += piece
            if len(written) > LINES * LINE or written.lstrip().count("\n") >= 2 * LINES:
                raise _Enough

        with suppress(_Enough):
            return (await self._brain.model.generate(messages, write=write)).text
        return written

    async def _greet(self) -> None:
        brain = self._brain
        name = await brain.model.find()
        messages = brain.prompts.ahead(Session(address=NOBODY), brain.budget_of(name), Situation())
        completion = await brain.model.read(messages)
        if completion.prompt_tokens:
            brain.calibration.observe(name, messages, completion.prompt_tokens)


def summary_in(written: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """The lines of a summary that may be kept of what the model wrote about `messages`.

    A line with a number that nobody said is left out, as answers may rest on what is kept here; so
    is one in another script than a Korean conversation's.
    """
    said = "\n".join(message["content"] for message in messages[1:-1])
    numbers, korean = set(_NUMBER.findall(said)), bool(_HANGUL.search(said))
    kept: list[str] = []
    for row in written.splitlines():
        line = _BULLET.sub("", row.replace("**", "")).strip()
        known = set(_NUMBER.findall(line)) <= numbers
        if line and known and not line.endswith(":") and (_HANGUL.search(line) or not korean):
            kept.append(line if len(line) <= LINE else f"{line[: LINE - 1]}…")
    return "\n".join(list(dict.fromkeys(kept))[:LINES])
