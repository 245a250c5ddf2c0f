"""Who is answered without the brain: during maintenance, and beyond the limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from bot.maintenance import Maintenance
from brain.exceptions.matrix import Matrix, Verdict
from brain.messages import Address

if TYPE_CHECKING:
    from bot.limits import Limits


class Gate:
    """Asked before every turn. Somebody in danger always gets through."""

    def __init__(
        self,
        *,
        matrix: Callable[[], Matrix],
        limits: Callable[[], Limits] | None,
        maintenance: Maintenance | None,
    ) -> None:
        self._matrix = matrix
        self._limits = limits
        self._maintenance = maintenance

    async def refusal(
        self, address: Address, words: str, *, messages: int, limited: bool, now: datetime
    ) -> tuple[str, Verdict | None] | None:
        """Why `words` are not answered, and what is said instead; None when they are.

        Without a verdict the customer was only too fast. `messages` are counted unless the channel
        is not `limited`.
        """
        refused = await self._refused(address, words, messages, limited, now)
        # Looked for only here: it costs as much as everything else before the brain.
        if refused is not None and self._matrix().critical(words):
            return None
        return refused

    async def _refused(
        self, address: Address, words: str, messages: int, limited: bool, now: datetime
    ) -> tuple[str, Verdict | None] | None:
        matrix = self._matrix()
        if self._maintenance and (period := self._maintenance.period) is not None:
            name = "maintenance_mode.timed" if period else "maintenance_mode"
            return "maintenance", matrix.stand_in(name, words, period=period)
        if self._limits is None or not limited:
            return None
        exceeded = await self._limits().exceeded(address, messages, now)
        if exceeded == "quota":
            return exceeded, matrix.stand_in("quota_exceeded", words)
        return (exceeded, None) if exceeded else None
