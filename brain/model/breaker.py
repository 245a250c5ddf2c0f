"""A circuit breaker: spares a server that keeps failing, and its callers the wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from brain.errors import ModelUnavailable

FAILURES = 3
"""Failures in a row after which there is a rest."""
REST = 10.0
"""Seconds of it; then one call at a time may try."""


class Breaker:
    """Guards the calls to one server or one model."""

    def __init__(self, *counted: type[Exception]) -> None:
        self._counted = counted
        self._failures = 0
        self._failed_at = 0.0
        self._trying = False

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Runs a call and counts how it ends; while resting raises `ModelUnavailable` instead."""
        resting = self._failures >= FAILURES
        if resting and (self._trying or time.monotonic() < self._failed_at + REST):
            raise ModelUnavailable(f"{what} failed {self._failures} times in a row: left alone")
        self._trying |= resting
        try:
            yield
        except self._counted:
            self._failures += 1
            self._failed_at = time.monotonic()
            raise
        else:
            self._failures = 0
        finally:
            if resting:
                self._trying = False

    @property
    def doubtful(self) -> bool:
        """Whether the last call failed."""
        return self._failures > 0

    def speaks(self) -> None:
        """It answers: others need not wait until this call has ended. One more failure is a rest again."""
        self._failures = min(self._failures, FAILURES - 1)
