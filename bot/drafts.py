"""What is shown of a reply while it is being written."""

from __future__ import annotations

import asyncio

import structlog

from adapters.base import Adapter
from brain.messages import Address, Draft

log = structlog.get_logger(__name__)


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

    def stop(self) -> None:
        """Stop showing at once: the answer was given up."""
        self._latest = None
        if self._task is not None:
            self._task.cancel()
