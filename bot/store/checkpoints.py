"""Moves what was written from the write-ahead log into the database, beside the writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Connection

log = structlog.get_logger(__name__)

TICK = 0.2
"""Seconds between two looks. Under load each moves little, so the disk never has much to write at once:
commits wait while it does."""
MANY = 20
"""Commits that are moved at the next look; fewer wait for `EVERY`, or each would cost two syncs."""
EVERY = 5.0
"""Seconds after which even a single commit is moved."""
LONGEST = 32_000
"""Pages (128 MB) of the log from which on it is begun anew as soon as no one reads in it."""


class Checkpoints:
    """A thread of its own for them.

    SQLite would let the commit that fills the log do it, and everybody behind that commit would wait
    for thousands of pages and the disk. A passive checkpoint from another connection never blocks
    the writer, but as the writer goes on meanwhile, it never empties the log either: that takes the
    writer's lock for the few pages that came since.
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
        moved, at = 0, time.monotonic()
        cursor = self._connection.connection.cursor()
        cursor.execute("PRAGMA busy_timeout=2")  # ms: who is in the way is not waited for
        while not self._closing.wait(TICK):
            commits = self._commits()
            late = time.monotonic() - at > EVERY
            if commits == moved or (commits - moved < MANY and not late):
                continue
            try:
                _busy, pages, _moved = cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if pages > LONGEST:
                    # Once more, as the lock is then held only for what came during this one.
                    cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    cursor.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            except Exception as error:  # noqa: BLE001 - the log only stays longer
                log.warning("checkpoint_failed", reason=str(error))
            moved, at = commits, time.monotonic()
        self._connection.close()
