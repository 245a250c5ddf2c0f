"""Counts over everything that is kept, for `/stats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, func

from bot.store.tables import feedback, inbox, turns

NO_ANSWER = ("command", "busy", "silent")
"""Kinds of reply that answered no question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Counts for `/stats`."""

    messages: int
    """Customers' messages, answered or waiting."""
    turns: Mapping[str, int]
    """Turns by kind of reply."""
    failures: Mapping[str, int]
    """Failed turns by name of the error."""
    up: int
    """Votes that a reply helped."""
    down: int
    """Votes that it did not."""
    conversations: int
    """Conversations that had a turn."""
    response_ms: float | None
    """Median time of a turn that answered; None without any."""


def count(db: Connection, since: datetime | None) -> Stats:
    """What happened from that time on; ever, if None."""

    def after(column: sa.Column[datetime]) -> sa.ColumnElement[bool]:
        return sa.true() if since is None else column >= since

    def counts(column: sa.Column[str], *where: sa.ColumnElement[bool]) -> dict[str, int]:
        query = sa.select(column, func.count()).where(*where).group_by(column).order_by(column)
        return {row[0]: row[1] for row in db.execute(query)}

    recent = after(turns.c.at)
    answered = db.scalar(sa.select(func.coalesce(func.sum(turns.c.messages), 0)).where(recent))
    waiting = counts(inbox.c.kind, inbox.c.state == "waiting", after(inbox.c.received_at))
    conversations = (
        sa.select(turns.c.channel, turns.c.conversation, turns.c.user).where(recent).distinct()
    )
    votes = counts(feedback.c.value, after(feedback.c.at))
    return Stats(
        messages=(answered or 0) + waiting.get("message", 0),
        turns=counts(turns.c.kind, recent),
        failures=counts(turns.c.failure, recent, turns.c.failure != ""),
        up=votes.get("up", 0),
        down=votes.get("down", 0),
        conversations=db.scalar(sa.select(func.count()).select_from(conversations.subquery())) or 0,
        response_ms=_median(db, turns.c.response_ms, recent, turns.c.kind.not_in(NO_ANSWER)),
    )


def _median(
    db: Connection, column: sa.Column[float], *where: sa.ColumnElement[bool]
) -> float | None:
    """The middle value, or the mean of the two; SQLite has no function for it."""
    filled = (*where, column.is_not(None))
    total = db.scalar(sa.select(func.count()).where(*filled).select_from(column.table)) or 0
    if not total:
        return None
    middle = sa.select(column).where(*filled).order_by(column).offset((total - 1) // 2)
    values = db.scalars(middle.limit(2 - total % 2)).all()
    return sum(values) / len(values)
