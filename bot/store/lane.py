"""A thread with a connection of its own, where everything that waits shares one transaction."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor

from bot.store.faults import explained
from brain.errors import StoreError

T = TypeVar("T")

BUSY = 0.003
"""Seconds since the last transaction within which a lane counts as busy."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Work that waits, and who waits for it."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a job: its result, or the error that only its caller sees."""

    job: _Job
    result: Any = None
    error: Exception | None = None


class Lane:
    """Runs work in order; belongs to the event loop it was made in.

    A transaction costs many times what it holds, so the thread takes whatever has come while it
    was busy, and commits once. If one of the jobs fails, all run again with a savepoint each.
    """

    def __init__(
        self, name: str, connection: Connection, path: Path, *, gather: float = 0.0
    ) -> None:
        """Starts the thread, which takes the connection over; `path` is for what errors say.

        `gather`: seconds in which a busy lane lets more work come before it begins.
        """
        self.commits = 0
        """Transactions so far; fewer than the jobs when these came together."""
        self._connection = connection
        self._path = path
        self._gather = gather
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._coming: list[_Job] = []
        self._waiting: list[_Job] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once its transaction is committed.

        If it raises, nothing of it stays and only this caller sees it; `work` may be called again
        after that of others did. A caller that is cancelled does not take it back. StoreError when
        the database fails or is closed.
        """
        if self._closing:
            raise StoreError(f"{self._path} is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._coming:
            self._loop.call_soon(self._hand_over)
        self._coming.append(_Job(work, future))
        return await future

    def _hand_over(self) -> None:
        """Wake the thread once for all that comes in one round of the loop: they share the time."""
        coming, self._coming = self._coming, []
        with self._wake:
            self._waiting += coming
            self._wake.notify()

    async def close(self) -> None:
        """Does what waits, then closes the connection."""
        self._hand_over()
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        committed = 0.0
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing)
            if self._gather and time.monotonic() - committed < BUSY:
                time.sleep(self._gather)
            with self._wake:
                batch, self._waiting = self._waiting, []
            if not batch:
                break
            done = self._commit(batch)
            committed = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(_resolve, done)
            except RuntimeError:  # the loop is closed: nobody waits any more
                break
        self._connection.close()

    def _commit(self, batch: Sequence[_Job]) -> list[_Done]:
        failed = False
        try:
            with self._connection.begin():
                try:
                    done = [_Done(job, result=job.work(self._connection)) for job in batch]
                except Exception:
                    failed = True
                    raise
        except Exception as error:  # noqa: BLE001 - whatever it is, its callers are told
            return self._apart(batch) if failed else self._lost(batch, error)
        self.commits += 1
        return done

    def _apart(self, batch: Sequence[_Job]) -> list[_Done]:
        """The same once more, each job in a savepoint, so that only those stay out that fail."""
        try:
            with self._connection.begin():
                # Savepoints go to the driver: through the engine each costs as much as a write.
                cursor = self._connection.connection.cursor()
                done = [self._attempt(job, cursor) for job in batch]
        except Exception as error:  # noqa: BLE001 - whatever it is, its callers are told
            return self._lost(batch, error)
        self.commits += 1
        return done

    def _lost(self, batch: Sequence[_Job], error: Exception) -> list[_Done]:
        """Nothing of the batch is stored. An error of its own for each, as each adds a traceback."""
        told = str(explained(error, self._path) or f"{self._path} failed: {error}")
        return [_Done(job, error=StoreError(told)) for job in batch]

    def _attempt(self, job: _Job, cursor: DBAPICursor) -> _Done:
        """One job in a savepoint. Raises if the whole transaction is lost, as on a full disk."""
        cursor.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:  # noqa: BLE001 - it belongs to the job's caller
            try:
                cursor.execute("ROLLBACK TO SAVEPOINT job")
            except Exception:  # noqa: BLE001 - SQLite has rolled back everything, `error` says why
                raise error from None
            return _Done(job, error=explained(error, self._path) or error)
        cursor.execute("RELEASE SAVEPOINT job")
        return _Done(job, result=result)


def _resolve(done: Sequence[_Done]) -> None:
    for each in done:
        if each.job.future.done():  # its caller was cancelled
            continue
        if each.error is not None:
            each.job.future.set_exception(each.error)
        else:
            each.job.future.set_result(each.result)
