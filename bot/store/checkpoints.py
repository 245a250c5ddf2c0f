"""Moves what was written from the write-ahead log into the database, beside the writer."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Connection

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds between two checkpoints while there is something to move. Commits that come while the disk
writes its part wait for it, some 30 ms; so not more often."""


class Checkpoints:
    """A thread of its own for them.

    SQLite would let the commit that fills the log do it, and everybody behind that commit would wait
    for thousands of pages and the disk. A passive checkpoint from another connection never blocks
    the writer, whose own (`PRAGMA wal_autocheckpoint`) is left for the day when this one cannot
    keep up.
    """

    def __init__(self, connection: Connection, commits: Callable[[], int]) -> None:
        """Takes the connection over; `commits` tells how many there were so far."""
        self._connection = connection
        self._commits = commits
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread and closes the connection; blocks for a checkpoint under way."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        moved = 0
        cursor = self._connection.connection.cursor()
        while not self._closing.wait(EVERY):
            commits = self._commits()
            if commits == moved:
                continue
            try:
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except Exception as error:  # noqa: BLE001 - the log only stays longer
                log.warning("checkpoint_failed", reason=str(error))
            moved = commits
        self._connection.close()
