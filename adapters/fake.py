"""A channel for tests and scripts: the same path as production, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from adapters.base import Accept, Capabilities
from brain.messages import Address, Attachment, Draft, Message, Receipt, Reply


class Fake:
    """Say something with `say`, get the reply; `replies` and `drafts` keep what was shown."""

    def __init__(
        self,
        *,
        name: str = "fake",
        capabilities: Capabilities | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self.capabilities = capabilities or Capabilities(edits=True, typing=True, collects=False)
        self.replies: list[tuple[Address, Reply]] = []
        self.drafts: list[tuple[Address, Draft]] = []
        self._now = now
        self._accept: asyncio.Future[Accept] | None = None
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

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

    async def say(
        self,
        text: str,
        *,
        user: str = "u1",
        conversation: str = "c1",
        event_id: str = "",
        locale: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> Reply:
        """Say `text` as a customer and wait for the reply."""
        message = Message(
            id=event_id or uuid4().hex,
            address=Address(channel=self.name, conversation=conversation, user=user),
            text=text,
            sent_at=self._now(),
            locale=locale,
            attachments=attachments,
        )
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[message.id] = reply
        try:
            accept = await self._door()
            await accept(message)
            return await reply
        finally:
            self._waiting.pop(message.id, None)

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Hand the reply to whoever waits in `say`."""
        self.replies.append((address, reply))
        waiting = self._waiting.get(reply.in_reply_to)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)
        return Receipt(outcome="delivered", native_ids=(reply.id,))

    async def show(self, address: Address, draft: Draft) -> None:
        """Keep the draft."""
        self.drafts.append((address, draft))
