"""One database file: opened, migrated, written by one thread and read beside it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from bot.store.checkpoints import LONGEST, Checkpoints
from bot.store.faults import NOT_OURS, code, explained
from bot.store.lane import Lane
from bot.store.tables import HEAD
from brain.errors import StoreError

T = TypeVar("T")
Synchronous = Literal["NORMAL", "FULL"]

_PATIENCE = 5.0
"""Seconds to wait for another process that is writing."""
_SWITCH = 0.0002
"""Seconds after which a busy thread makes way. The loop and the lanes hand over to one another several
times for each message; at Python's 5 ms the waiting, not the work, would limit what passes."""
_GATHER = 0.002
"""Seconds in which the busy writer lets more work come: every transaction, and every hand-over between
the threads, costs more time than the few rows in it."""
_LONGEST_LOG = 4 * LONGEST
"""Pages of the write-ahead log at which the writer itself moves them into the file: for the day when
`Checkpoints` cannot keep up, as everybody waits for it."""
_WRITES = "sangdam_writes"
"""Execution option of the writer's connection."""


class Database:
    """An open database; belongs to the event loop it was opened in."""

    def __init__(
        self,
        path: Path,
        writer: Connection,
        reader: Connection,
        scanner: Connection,
        checkpointer: Connection,
    ) -> None:
        """For `open` alone, which makes the connections."""
        self.path = path
        """The file."""
        self._writer = Lane("store-writer", writer, path, gather=_GATHER)
        self._reader = Lane("store-reader", reader, path)
        self._scanner = Lane("store-scanner", scanner, path)
        self._checkpoints = Checkpoints(checkpointer, lambda: self.commits)

    @classmethod
    async def open(cls, path: Path, *, synchronous: Synchronous) -> Database:
        """Opens the file, creating it and bringing its tables up to date; StoreError if it cannot."""
        sys.setswitchinterval(min(_SWITCH, sys.getswitchinterval()))
        return cls(path, *await asyncio.to_thread(_connect, path, synchronous))

    async def close(self) -> None:
        """Finishes what waits, then lets go of the file."""
        await asyncio.to_thread(self._checkpoints.close)
        for lane in (self._writer, self._reader, self._scanner):
            await lane.close()

    @property
    def commits(self) -> int:
        """Transactions written so far; fewer than the writes when they came together."""
        return self._writer.commits

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in the writer, all of it or nothing; durable when this returns."""
        return await self._writer.do(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` on one snapshot, beside the writer; a customer waits for it."""
        return await self._reader.do(work)

    async def scan(self, work: Callable[[Connection], T]) -> T:
        """Reads through many rows where no customer waits behind it."""
        return await self._scanner.do(work)


def _connect(path: Path, synchronous: Synchronous) -> tuple[Connection, ...]:
    """The connections of `Database.__init__`, to a database that is up to date."""
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
        connections += [engine.connect(), engine.connect(), engine.connect()]
        return tuple(connections)
    except Exception as error:
        for connection in connections:
            connection.close()
        if told := explained(error, path):
            raise told from error
        raise


def _engine(path: Path, synchronous: Synchronous) -> Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _PATIENCE, "check_same_thread": False},
        poolclass=sa.NullPool,  # the writer and the readers keep theirs
        hide_parameters=True,  # errors are logged, customers' words are not
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # Python's driver would begin transactions at its own discretion; `begin` below does it.
        connection.isolation_level = None
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={_LONGEST_LOG}")

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
            if code(error) != "SQLITE_BUSY" or time.monotonic() > deadline:
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
        raise StoreError(NOT_OURS.format(path=path))
    return None
