"""Where a channel was last heard, for one that has to ask what it missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.database import Database
from bot.store.tables import inbox

LATEST: Final = 2000
"""Events that are looked at, which bounds the work however long the past is."""


async def places(database: Database, channel: str) -> Mapping[int, int]:
    """The last event of each of the channel's latest conversations, where both are numbers."""
    latest = (
        sa.select(inbox.c.conversation, inbox.c.event_id)
        .where(inbox.c.channel == channel)
        .order_by(inbox.c.seq.desc())
        .limit(LATEST)
    )

    def work(db: Connection) -> dict[int, int]:
        found: dict[int, int] = {}
        for conversation, event in db.execute(latest):
            if conversation.isdecimal() and event.isdecimal():
                place = int(conversation)
                found[place] = max(int(event), found.get(place, 0))
        return found

    return await database.read(work)
