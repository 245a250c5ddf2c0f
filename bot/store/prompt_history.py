"""The prompt sets that were ever in use, whole, and the log of what was switched when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.database import Database
from bot.store.records import dump, load
from bot.store.tables import insert, prompt_log, prompt_sets
from brain.errors import PromptError
from brain.facts import suggest
from brain.prompt.variants import PromptFiles

Kind = Literal["found", "chosen", "back", "on", "off"]
"""found: the folder's set, as it was at a start or reload; chosen, back: a person's choice of a set,
of an earlier one; on, off: an adjustment."""
SHORTEST_ID = 4
"""Characters of an id that name a set, if no other begins with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log."""

    kind: Kind
    """What happened."""
    at: datetime
    """Aware time."""
    what: str
    """Id of the set from then on in use, or name of the adjustment."""
    pinned: bool = False
    """Whether the set stays in use whatever becomes of the folder."""
    changes: tuple[str, ...] = ()
    """Files that differ from the set before: `+` added, `-` removed, `~` changed."""
    note: str = ""
    """Why, in words; of an adjustment what was measured."""
    seq: int = 0
    """Its place in the log, given by the store."""

    @property
    def is_set(self) -> bool:
        """Whether it is about a set rather than an adjustment."""
        return self.kind in ("found", "chosen", "back")


class PromptHistory:
    """Kept sets and the log, in the store's database."""

    def __init__(self, database: Database) -> None:
        """Over an open database."""
        self._database = database

    async def add(self, entry: Entry, files: PromptFiles | None = None) -> None:
        """Writes a line of the log, together with the set that it is about."""
        row = {"at": entry.at, "kind": entry.kind, "document": dump(entry)}

        def work(db: Connection) -> None:
            if files is not None:
                kept = {"id": files.id, "document": dump(files)}
                db.execute(insert(prompt_sets).on_conflict_do_nothing(), kept)
            db.execute(prompt_log.insert(), row)

        await self._database.write(work)

    async def entries(self) -> list[Entry]:
        """The whole log, oldest first."""
        query = sa.select(prompt_log.c.seq, prompt_log.c.document).order_by(prompt_log.c.seq)

        def work(db: Connection) -> list[Entry]:
            return [replace(load(Entry, text), seq=seq) for seq, text in db.execute(query)]

        return await self._database.read(work)

    async def length(self) -> int:
        """Changes with every line that is added, by whatever process."""
        query = sa.select(sa.func.coalesce(sa.func.max(prompt_log.c.seq), 0))
        return int(await self._database.read(lambda db: db.scalar(query) or 0))

    async def files(self, name: str) -> PromptFiles:
        """The kept set whose id is `name` or begins with it. Raises PromptError."""
        query = sa.select(prompt_sets.c.id, prompt_sets.c.document)

        def work(db: Connection) -> Mapping[str, str]:
            return {row.id: row.document for row in db.execute(query)}

        kept = await self._database.scan(work)
        found = [each for each in kept if each.startswith(name)]
        if len(found) != 1 or len(name) < SHORTEST_ID:
            what = "more than one" if len(found) > 1 and name else "no"
            raise PromptError(f"{what} prompt set {name!r} is kept; {suggest(name, list(kept))}")
        return load(PromptFiles, kept[found[0]])
