"""Questions that were not answered, or not to the customer's liking."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.database import Database
from bot.store.records import load
from bot.store.tables import feedback, turns
from brain.knowledge.gaps import Asked
from brain.messages import Turn

MOST = 500
"""Questions that are looked at, the newest."""


async def unmet(database: Database, *, since: datetime, most: int = MOST) -> list[Asked]:
    """The newest of them since then, oldest first."""
    disliked = (
        sa.exists()
        .where(feedback.c.turn == turns.c.id, feedback.c.value == "down")
        .correlate(turns)
    )
    query = (
        sa.select(turns.c.document, disliked)
        .where(turns.c.at >= since, sa.or_(turns.c.kind == "abstained", disliked))
        .order_by(turns.c.seq.desc())
        .limit(most)
    )

    def work(db: Connection) -> list[Asked]:
        rows = [(load(Turn, document), bad) for document, bad in db.execute(query)]
        return [_asked(turn, bool(bad)) for turn, bad in reversed(rows) if _question(turn)]

    return await database.scan(work)


def _question(turn: Turn) -> str:
    return " ".join("\n".join(message.text for message in turn.messages).split())


def _asked(turn: Turn, disliked: bool) -> Asked:
    return Asked(
        id=turn.id,
        text=_question(turn),
        at=turn.started_at,
        kind="disliked" if disliked and turn.reply.kind != "abstained" else "abstained",
    )
