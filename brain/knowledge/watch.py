"""Keeps a serving library up with its folder, with other processes' reloads, and sound."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from brain.errors import IndexBusy, KnowledgeError
from brain.knowledge.library import Library

REST = 20
"""Looks between two attempts at a repair that failed."""

Snapshot = Mapping[str, tuple[int, int]]


class Watch:
    """Looks now and then, as often as `look` is called."""

    def __init__(
        self, library: Library, *, reload: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """`reload` is called when the documents have changed; without it they are not looked at."""
        self._library = library
        self._reload = reload
        self._before: Snapshot = {}
        self._done: Snapshot | None = None
        self._resting = 0

    async def look(self) -> None:
        """Follow, repair, reload, whatever is called for.

        Documents are reloaded once they look as they did at the look before, so that nobody's
        half-copied folder is. Raises `SangdamError` once for what fails; a refused reload is tried
        again when the folder changes.
        """
        await self._library.open()
        self._resting = max(0, self._resting - 1)
        if self._library.damage and not self._resting:
            await self._repair()
        if self._reload is not None:
            await self._follow_folder(self._reload)

    async def _repair(self) -> None:
        try:
            await self._library.repair()
        except IndexBusy:
            return
        except KnowledgeError:
            self._resting = REST
            raise

    async def _follow_folder(self, reload: Callable[[], Awaitable[object]]) -> None:
        now = await asyncio.to_thread(snapshot, self._library.folder)
        quiet, self._before = now == self._before, now
        if not quiet or now == self._done:
            return
        done, self._done = self._done, now
        try:
            await reload()
        except IndexBusy:
            self._done = done


def snapshot(folder: Path) -> Snapshot:
    """When every file below `folder` changed, and its size; hidden files and editors' copies aside."""
    found = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if name.startswith(".") or name.endswith("~"):
                continue
            try:
                about = path.stat()
            except OSError:
                continue  # gone since it was listed
            found[str(path)] = (about.st_mtime_ns, about.st_size)
    return found
