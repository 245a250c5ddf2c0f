"""A conversation in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TextIO
from uuid import uuid4

from adapters.base import Accept, Capabilities
from brain.messages import Address, Draft, Message, Receipt, Reply

OPERATOR = Address(channel="console", conversation="terminal", user="operator")
"""Whoever sits at the machine."""
LEAVING = frozenset({"/quit", "/exit", "/종료"})


class Console:
    """Reads lines from a terminal and writes replies as they grow; `run` ends when the person leaves."""

    name = "console"
    capabilities = Capabilities(edits=True, typing=True, collects=False, limited=False)
    heard = None

    def __init__(
        self,
        *,
        prompt: str = "> ",
        read: Callable[[str], str] = input,
        out: TextIO | None = None,
    ) -> None:
        self._prompt = prompt
        self._read = read
        self._out = out or sys.stdout
        self._shown = ""
        self._answered = asyncio.Event()

    async def run(self, accept: Accept) -> None:
        """Converse until `/quit` or the end of input."""
        while True:
            try:
                text = (await asyncio.to_thread(self._read, self._prompt)).strip()
            except (EOFError, KeyboardInterrupt):
                return
            if text.lower() in LEAVING:
                return
            if not text:
                continue
            self._answered.clear()
            await accept(
                Message(id=uuid4().hex, address=OPERATOR, text=text, sent_at=datetime.now(UTC))
            )
            await self._answered.wait()

    async def show(self, address: Address, draft: Draft | None) -> None:
        """Write what is new of the draft; ask for the next line when there will be no reply."""
        if draft is None:
            self._write("\n" if self._shown else "")
            self._shown = ""
            self._answered.set()
        elif draft.text.startswith(self._shown):
            self._write(draft.text[len(self._shown) :])
            self._shown = draft.text

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Write the rest of the reply, its sources and choices."""
        if reply.notice and not self._shown:
            self._write(f"({reply.notice})\n")
        if self._shown and reply.text.startswith(self._shown):
            self._write(reply.text[len(self._shown) :])
        else:
            self._write(("\n" if self._shown else "") + reply.text)
        if reply.notice and self._shown:
            self._write(f"\n({reply.notice})")
        self._write("\n" + "".join(f"  ↳ {line}\n" for line in _footnotes(reply)) + "\n")
        self._shown = ""
        self._answered.set()
        return Receipt(outcome="delivered", native_ids=(reply.id,))

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _footnotes(reply: Reply) -> Sequence[str]:
    named = [f"{source.heading} ({source.document})" for source in reply.sources]
    return [*named, *(f"{choice.label}: {choice.text}" for choice in reply.choices)]
