"""What the brain asks of whoever decides how many use the model at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from brain.messages import Address


class Admission(Protocol):
    """Decides how many answers are generated at a time, and who is next."""

    @property
    def waiting(self) -> int:
        """How many wait for the model."""
        ...

    def slot(self, address: Address) -> AbstractAsyncContextManager[None]:
        """Holds the model for one answer. Raises Busy when too many wait already."""
        ...


class Unlimited:
    """Everybody at once."""

    waiting = 0

    def slot(self, address: Address) -> AbstractAsyncContextManager[None]:
        """See `Admission.slot`."""
        return nullcontext()
