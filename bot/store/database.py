"""One database file: one thread that writes, with group commit, and connections that read beside it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from bot.store.tables import HEAD
from brain.errors import StoreError

T = TypeVar("T")
Synchronous = Literal["NORMAL", "FULL"]

_PATIENCE = 5.0
"""Seconds to wait for another process that is writing."""
_READERS = 2
_WRITES = "sangdam_writes"
"""Execution option of the writer's connection."""
_NOT_OURS = (
    "{path} is not a Sangdam database, or is damaged: "
    "restore a backup, or move it away and start with an empty one"
)
_FAULTS = {
    "SQLITE_NOTADB": _NOT_OURS,
    "SQLITE_CORRUPT": _NOT_OURS,
    "SQLITE_FULL": "no room left for {path}: free space on its disk",
    "SQLITE_BUSY": "{path} is locked by another program: stop it, or try again when it is done",
    "SQLITE_READONLY": "{path} may not be written: check the owner of the file and of its folder",
    "SQLITE_CANTOPEN": "{path} cannot be opened: check the owner of the file and of its folder",
    "SQLITE_PERM": "{path} may not be read: check the owner of the file and of its folder",
    "SQLITE_IOERR": "the disk fails under {path}: check it, then restore a backup if need be",
}


@dataclass(frozen=True, slots=True)
class _Job:
    """A write that waits, and who waits for it."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a job: its result, or the error that only its caller sees."""

    job: _Job
    result: Any = None
    error: Exception | None = None


class Database:
    """An open database; belongs to the event loop it was opened in."""

    def __init__(self, path: Path, writer: Connection, *readers: Connection) -> None:
        """For `open` alone, which makes the connections."""
        self.commits = 0
        """Transactions written so far; fewer than the writes when they came together."""
        self.path = path
        """The file."""
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._waiting: list[_Job] = []
        self._closing = False
        self._idle = list(readers)
        # A pool of its own, since the loop's default one may be full of embedding.
        self._readers = ThreadPoolExecutor(len(readers), thread_name_prefix="store-reader")
        self._thread = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path, *, synchronous: Synchronous) -> Database:
        """Opens the file, creating it and bringing its tables up to date; StoreError if it cannot."""
        return cls(path, *await asyncio.to_thread(_connect, path, synchronous))

    async def close(self) -> None:
        """Writes what waits, then lets go of the file."""
        if self._closing:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._finish)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in the writer; what it did is durable when this returns.

        If it raises, nothing of it stays and only this caller sees it. A caller that is cancelled
        does not take its write back. StoreError when the database cannot be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        with self._wake:
            self._refuse_if_closed()
            self._waiting.append(_Job(work, future))
            self._wake.notify()
        return await future

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on one snapshot, beside the writer; StoreError when it cannot be read."""
        self._refuse_if_closed()
        return await self._loop.run_in_executor(self._readers, self._read, work)

    def _refuse_if_closed(self) -> None:
        if self._closing:
            raise StoreError(f"{self.path} is closed")

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            connection = self._idle.pop()  # there are as many as threads that come here
            try:
                with connection.begin():
                    return work(connection)
            finally:
                self._idle.append(connection)
        except Exception as error:
            if told := _explained(error, self.path):
                raise told from error
            raise

    def _finish(self) -> None:
        self._thread.join()
        self._readers.shutdown()
        for connection in (*self._idle, self._writer):
            connection.close()

    def _write_all(self) -> None:
        """The writer thread: everything that waits goes into one transaction, until closed."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing)
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            done = self._commit(batch)
            try:
                self._loop.call_soon_threadsafe(_resolve, done)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _commit(self, batch: Sequence[_Job]) -> list[_Done]:
        try:
            with self._writer.begin():
                # Savepoints go to the driver directly: through the engine they cost as much as a write.
                cursor = self._writer.connection.cursor()
                done = [self._attempt(job, cursor) for job in batch]
        except Exception as error:  # noqa: BLE001 - whatever it is, its callers are told
            # Nothing of the batch is stored. An error of its own for each, as each adds a traceback.
            told = str(_explained(error, self.path) or f"{self.path} was not written: {error}")
            return [_Done(job, error=StoreError(told)) for job in batch]
        self.commits += 1
        return done

    def _attempt(self, job: _Job, cursor: DBAPICursor) -> _Done:
        """One job in a savepoint. Raises if the whole transaction is lost, as on a full disk."""
        cursor.execute("SAVEPOINT job")
        try:
            result = job.work(self._writer)
        except Exception as error:  # noqa: BLE001 - it belongs to the job's caller
            try:
                cursor.execute("ROLLBACK TO SAVEPOINT job")
            except Exception:  # noqa: BLE001 - SQLite has rolled back everything, `error` says why
                raise error from None
            return _Done(job, error=_explained(error, self.path) or error)
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


def _connect(path: Path, synchronous: Synchronous) -> list[Connection]:
    """The writer's connection and the readers' ones, to a database that is up to date."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # With its final rights from the first moment; SQLite gives its side files the same.
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreError(f"{path} cannot be created: {error.strerror}") from error
    engine = _engine(path, synchronous)
    connections: list[Connection] = []
    try:
        writer = engine.connect().execution_options(**{_WRITES: True})
        connections.append(writer)
        _use_wal(writer)
        _migrate(writer, path)
        connections += [engine.connect() for _ in range(_READERS)]
    except Exception as error:
        for connection in connections:
            connection.close()
        if told := _explained(error, path):
            raise told from error
        raise
    return connections


def _engine(path: Path, synchronous: Synchronous) -> Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _PATIENCE, "check_same_thread": False},
        poolclass=sa.NullPool,  # the writer and every reader keep theirs
        hide_parameters=True,  # errors are logged, customers' words are not
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # Python's driver would begin transactions at its own discretion; `begin` below does it.
        connection.isolation_level = None
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer asks for the lock at once: one that upgrades midway is refused without waiting.
        writes = connection.get_execution_options().get(_WRITES)
        connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(writer: Connection) -> None:
    """Readers beside the writer. While two processes do this at once, SQLite refuses unasked."""
    cursor = writer.connection.cursor()
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except Exception as error:
            if _code(error) != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _migrate(writer: Connection, path: Path) -> None:
    """Brings the tables to `HEAD` in one transaction; alembic is imported only if they are not."""
    with writer.begin():
        found = _revision(writer, path)
        if found == HEAD:
            return
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        config = Config()
        folder = Path(__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = writer
        try:
            ScriptDirectory.from_config(config).get_revision(found or HEAD)
        except CommandError as error:
            raise StoreError(
                f"{path} was written by a newer Sangdam (its revision {found}, ours {HEAD}): "
                "install that version again, or restore the backup made before it"
            ) from error
        command.upgrade(config, HEAD)


def _revision(connection: Connection, path: Path) -> str | None:
    """Revision of the tables; None for an empty database."""
    names = sa.inspect(connection).get_table_names()
    if "alembic_version" in names:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return None if found is None else str(found)
    if names:
        raise StoreError(_NOT_OURS.format(path=path))
    return None


def _explained(error: Exception, path: Path) -> StoreError | None:
    """What an operator can do about it; None for a bug."""
    fault = _FAULTS.get(_code(error))
    return None if fault is None else StoreError(fault.format(path=path))


def _code(error: Exception) -> str:
    """SQLite's primary name of what went wrong, such as `SQLITE_IOERR`; empty if it was not SQLite."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])
