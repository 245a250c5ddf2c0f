"""What became of one event, for a channel that is asked again."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.database import Database
from bot.store.records import load
from bot.store.tables import inbox, turns
from brain.messages import Reply, Turn


async def answered(database: Database, channel: str, event_id: str) -> tuple[bool, Reply | None]:
    """Whether the event was answered, and the reply to it if there is one and it is still kept."""
    query = (
        sa.select(inbox.c.state, turns.c.document)
        .select_from(inbox.outerjoin(turns, turns.c.id == inbox.c.turn))
        .where(inbox.c.channel == channel, inbox.c.event_id == event_id)
    )

    def work(db: Connection) -> tuple[bool, Reply | None]:
        row = db.execute(query).one_or_none()
        if row is None or row.state != "answered":
            return False, None
        reply = load(Turn, row.document).reply if row.document else None
        return True, None if reply is None or reply.kind == "silent" else reply

    return await database.read(work)
