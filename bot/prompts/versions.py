"""Which prompt set is in use: the folder's, or an earlier one that a person went back to."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from bot.config import Config
from bot.store.prompt_history import Entry, Kind, PromptHistory
from brain.errors import PromptError
from brain.prompt.prompts import Prompts
from brain.prompt.variants import PromptFiles

FOLDER = "folder"
"""Names the set that lies in the prompt folder now."""


class Versions:
    """Chooses the set and keeps the history of it; changes nothing in the prompt folder."""

    def __init__(
        self,
        *,
        config: Config,
        history: PromptHistory,
        now: Callable[[], datetime],
        read: Callable[[Config], Prompts],
    ) -> None:
        """`read` loads the set that a configuration names and raises PromptError for mistakes."""
        self.history = history
        """The log, and the sets that were ever in use."""
        self._config = config
        self._now = now
        self._read = read

    async def config(self) -> Config:
        """The configuration with the folder and persona of the set that is to be used."""
        current = in_use(await self.history.entries())
        if current is None or not current.pinned:
            return self._config
        return await self._of(await self.history.files(current.what))

    async def load(self) -> tuple[Config, Prompts]:
        """That configuration, and the set itself. Raises PromptError for a mistake in it."""
        config = await self.config()
        try:
            return config, await asyncio.to_thread(self._read, config)
        except PromptError as wrong:
            if config is self._config:
                raise
            raise PromptError(
                f"{wrong}; this set is pinned: `sangdam prompt use {FOLDER}` follows the folder again"
            ) from wrong

    async def config_of(self, name: str) -> Config:
        """The same for the set of this id or its beginning. Raises PromptError."""
        return await self._of(await self.files(name))

    async def found(self, config: Config) -> None:
        """Notes that the set of `config`, which `config()` gave and which loads, is in use."""
        current = in_use(await self.history.entries())
        if current is not None and current.pinned:
            return
        files = await asyncio.to_thread(
            PromptFiles.read, config.prompts_folder, config.prompts.persona
        )
        if current is None or current.what != files.id:
            await self._add("found", files, current, pinned=False)

    async def files(self, name: str) -> PromptFiles:
        """The set of this id or its beginning, or that of the folder. Raises PromptError."""
        if name == FOLDER:
            return await asyncio.to_thread(
                PromptFiles.read, self._config.prompts_folder, self._config.prompts.persona
            )
        return await self.history.files(name)

    async def use(self, name: str, note: str = "") -> Entry:
        """Use the set of this id, or follow the folder again. Raises PromptError if it is broken."""
        return await self._choose("chosen", await self.files(name), note)

    async def rollback(self, note: str = "") -> Entry:
        """Use the set that was in use before this one; again goes back farther."""
        line = _line(await self.history.entries())
        if len(line) < 2:
            raise PromptError("no prompt set was in use before this one")
        return await self._choose("back", await self.history.files(line[-2]), note)

    async def _choose(self, kind: Kind, files: PromptFiles, note: str) -> Entry:
        current = in_use(await self.history.entries())
        config = await self._of(files)
        await asyncio.to_thread(self._read, config)
        pinned = config is not self._config
        return await self._add(kind, files, current, pinned=pinned, note=note)

    async def _add(
        self,
        kind: Kind,
        files: PromptFiles,
        before: Entry | None,
        *,
        pinned: bool,
        note: str = "",
    ) -> Entry:
        changes: tuple[str, ...] = ()
        if before is not None:
            changes = files.changes(await self.history.files(before.what))
        entry = Entry(
            kind=kind,
            at=self._now(),
            what=files.id,
            pinned=pinned,
            changes=changes,
            note=note,
        )
        await self.history.add(entry, files)
        return entry

    async def _of(self, files: PromptFiles) -> Config:
        """The configuration that reads `files`, from the folder or unpacked in the data folder."""
        folder = await self.files(FOLDER)
        if files.id == folder.id:
            return self._config
        unpacked = await asyncio.to_thread(_unpacked, self._config.data / "prompts", files)
        prompts = self._config.prompts.model_copy(
            update={"folder": unpacked, "persona": files.persona}
        )
        return self._config.model_copy(update={"prompts": prompts})


def in_use(entries: Sequence[Entry]) -> Entry | None:
    """The line that says which set is in use; None before the first one."""
    return next((entry for entry in reversed(entries) if entry.is_set), None)


def adjusted(entries: Sequence[Entry]) -> dict[str, Entry]:
    """The adjustments that are on, with the line that switched each on."""
    on: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "on":
            on[entry.what] = entry
        elif entry.kind == "off":
            on.pop(entry.what, None)
    return on


def latest_sets(entries: Sequence[Entry]) -> list[str]:
    """The set in use and the one before it, the earlier first; fewer if there are not two."""
    sets: list[str] = []
    for entry in reversed(entries):
        if entry.is_set and entry.what not in sets:
            sets.append(entry.what)
    return sets[1::-1]


def _line(entries: Sequence[Entry]) -> list[str]:
    """The sets that led to the one in use; going back takes the last one off."""
    line: list[str] = []
    for entry in entries:
        if entry.kind == "back" and len(line) > 1:
            line.pop()
        elif entry.is_set and line[-1:] != [entry.what]:
            line.append(entry.what)
    return line


def _unpacked(folder: Path, files: PromptFiles) -> Path:
    """A folder with `files`, written anew unless it is there as it was written."""
    target = folder / files.id
    if not target.is_dir() or PromptFiles.read(target, files.persona) != files:
        shutil.rmtree(target, ignore_errors=True)
        files.write(target)
    return target
