"""What customers attach, kept in the data folder for the turn that needs it and a while longer."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from brain.messages import Attachment

KEPT_SECONDS: Final = 24 * 3600.0
"""An answer may be written anew after a restart; nobody looks at a file after that."""
MOST_BYTES: Final = 1024**3
"""Of all files; what comes beyond that is only named."""

_NAME = re.compile(r"[0-9a-f]{64}")


class Files:
    """Contents by their hash, so that what a channel delivers again is kept once."""

    def __init__(
        self, folder: Path, *, most: int = MOST_BYTES, seconds: float = KEPT_SECONDS
    ) -> None:
        """`most` bytes are kept, each for `seconds`."""
        self._folder = folder
        self._most, self._seconds = most, seconds
        self._bytes: int | None = None

    async def keep(self, attachment: Attachment, content: bytes) -> Attachment:
        """Keep its content. Raises OSError when there is no room for it."""
        name = await asyncio.to_thread(self._write, content)
        return replace(attachment, content=name, size=len(content))

    async def read(self, attachment: Attachment) -> bytes | None:
        """Its content, if it is still kept."""
        if not _NAME.fullmatch(attachment.content):
            return None
        try:
            return await asyncio.to_thread((self._folder / attachment.content).read_bytes)
        except OSError:
            return None

    async def prune(self) -> None:
        """Remove what was kept for long enough."""
        await asyncio.to_thread(self._prune)

    def _write(self, content: bytes) -> str:
        if self._bytes is None or self._bytes + len(content) > self._most:
            self._prune()
        assert self._bytes is not None  # noqa: S101 - counted by `_prune`
        if self._bytes + len(content) > self._most:
            raise OSError("the folder of attachments is full")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = hashlib.sha256(content).hexdigest()
        half = self._folder / f"{name}.half"
        half.write_bytes(content)
        half.replace(self._folder / name)
        self._bytes += len(content)
        return name

    def _prune(self) -> None:
        oldest, kept = time.time() - self._seconds, 0
        for path in self._folder.glob("*"):
            about = path.stat()
            if about.st_mtime < oldest:
                path.unlink(missing_ok=True)
            else:
                kept += about.st_size
        self._bytes = kept
