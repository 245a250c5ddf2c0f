"""Who speaks when: one turn at a time per conversation, all conversations side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from brain.messages import Address, Message

Run = Callable[[Sequence[Message]], Awaitable[None]]


class Turns:
    """Starts the turns. A conversation with nothing to say leaves no trace here."""

    def __init__(self, run: Run) -> None:
        """`run` answers the messages of one turn; what it raises is its own affair to report."""
        self._run = run
        self._waiting: dict[Address, deque[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, message: Message) -> None:
        """Take a message; its turn starts when the conversation's earlier ones are over."""
        line = self._waiting.get(message.address)
        if line is not None:
            line.append(message)
            return
        self._waiting[message.address] = deque([message])
        task = asyncio.create_task(self._converse(message.address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, address: Address) -> None:
        line = self._waiting[address]
        try:
            while line:
                await self._run((line.popleft(),))
        finally:
            del self._waiting[address]

    async def drain(self, seconds: float) -> None:
        """Wait for the turns under way, at most `seconds`; the rest is cancelled."""
        tasks = set(self._tasks)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
