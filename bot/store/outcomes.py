"""How conversations ended, by the prompt variant that they had."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, func

from bot.store.database import Database
from bot.store.stats import NO_ANSWER
from bot.store.tables import feedback, turns
from brain.prompt.adjustments import Rate

PAUSE = timedelta(hours=2)
"""Silence after which a conversation is over; what comes later is another one."""
DOCUMENTED = ("answer", "quoted")
"""Kinds of reply that say what the documents say, so that a vote is about whether it is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the conversations with one variant."""

    variant: str
    """As on the turn."""
    answers: int
    """Replies that answered."""
    response_ms: Sequence[float]
    """How long they took."""
    liked: Rate
    """Of the rated replies those that helped."""
    right: Rate
    """Of the rated replies that rest on documents those that helped."""
    resolved: Rate
    """Of the conversations that are over those without repeat, dislike and person."""
    completed: Rate
    """Of the conversations that are over those without repeat and person."""
    satisfied: Rate
    """Of the rated conversations that are over those without a dislike."""
    handed_over: Rate
    """Of the conversations that are over those that needed a person."""


async def outcomes(
    database: Database,
    *,
    now: datetime,
    since: datetime | None = None,
    variant: str = "",
    timed: bool = True,
) -> list[Outcome]:
    """Every variant's, or those that hold `variant` in their name, in the order of the names.

    Conversations that went on within the last `PAUSE` may not be over and are not counted. Without
    `timed` there are no response times.
    """
    where = [turns.c.kind.not_in(NO_ANSWER), turns.c.variant != ""]
    if since is not None:
        where.append(turns.c.at >= since)
    if variant:
        where.append(turns.c.variant.contains(variant, autoescape=True))
    return await database.scan(lambda db: _outcomes(db, where, now - PAUSE, timed))


def _outcomes(
    db: Connection, where: list[ColumnElement[bool]], over: datetime, timed: bool
) -> list[Outcome]:
    said = _turns(where)
    times = _times(db, where) if timed else {}
    ended = {row.variant: row for row in db.execute(_ended(said, over))}
    found = []
    for row in db.execute(_answers(said)):
        end = ended.get(row.variant)
        n = end.n if end else 0
        found.append(
            Outcome(
                variant=row.variant,
                answers=row.answers,
                response_ms=times.get(row.variant, ()),
                liked=Rate(hits=row.liked, n=row.rated),
                right=Rate(hits=row.right, n=row.rated_right),
                resolved=Rate(hits=end.resolved if end else 0, n=n),
                completed=Rate(hits=end.completed if end else 0, n=n),
                satisfied=Rate(hits=end.satisfied if end else 0, n=end.rated if end else 0),
                handed_over=Rate(hits=end.persons if end else 0, n=n),
            )
        )
    return found


def _turns(where: list[ColumnElement[bool]]) -> sa.CTE:
    """The turns that count, each with the vote on it: 0, 1 or none."""
    # One dislike outweighs the likes of others in a group.
    votes = (
        sa.select(feedback.c.turn, func.min(_flag(feedback.c.value == "up")).label("vote"))
        .group_by(feedback.c.turn)
        .subquery()
    )
    person = (turns.c.handoff != "bot") | (turns.c.escalation != "") | (turns.c.kind == "handoff")
    return (
        sa.select(
            *(turns.c[name] for name in ("channel", "conversation", "user", "seq", "variant")),
            turns.c.kind,
            sa.type_coerce(turns.c.at, sa.BigInteger).label("at"),
            _flag(turns.c.repeats > 0).label("repeated"),
            _flag(person).label("person"),
            votes.c.vote,
        )
        .select_from(turns.outerjoin(votes, votes.c.turn == turns.c.id))
        .where(*where)
        .cte("said")
    )


def _answers(said: sa.CTE) -> sa.Select[Any]:
    """Replies and votes by variant."""
    documented = sa.case((said.c.kind.in_(DOCUMENTED), said.c.vote))
    return (
        sa.select(
            said.c.variant,
            func.count().label("answers"),
            func.count(said.c.vote).label("rated"),
            _sum(said.c.vote).label("liked"),
            func.count(documented).label("rated_right"),
            _sum(documented).label("right"),
        )
        .group_by(said.c.variant)
        .order_by(said.c.variant)
    )


def _ended(said: sa.CTE, over: datetime) -> sa.Select[Any]:
    """Conversations that are over, by variant."""
    address = (said.c.channel, said.c.user, said.c.conversation)

    def before(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lag(column).over(partition_by=address, order_by=said.c.seq)

    pause = PAUSE // timedelta(microseconds=1)
    begins = sa.case(
        (before(said.c.at).is_(None), 1),
        (said.c.at - before(said.c.at) > pause, 1),
        (before(said.c.variant) != said.c.variant, 1),
        else_=0,
    )
    marked = sa.select(said, begins.label("begins")).cte("marked")
    which = func.sum(marked.c.begins).over(
        partition_by=(marked.c.channel, marked.c.user, marked.c.conversation),
        order_by=marked.c.seq,
    )
    numbered = sa.select(marked, which.label("which")).cte("numbered")
    whole = (
        sa.select(
            numbered.c.variant,
            func.max(numbered.c.at).label("last"),
            func.max(numbered.c.repeated).label("repeated"),
            func.max(numbered.c.person).label("person"),
            func.min(numbered.c.vote).label("vote"),
        )
        .group_by(
            *(numbered.c[name] for name in ("channel", "user", "conversation", "which", "variant"))
        )
        .cte("whole")
    )
    alone = (whole.c.repeated == 0) & (whole.c.person == 0)
    return (
        sa.select(
            whole.c.variant,
            func.count().label("n"),
            func.count(whole.c.vote).label("rated"),
            _sum(whole.c.vote).label("satisfied"),
            _sum(_flag(alone)).label("completed"),
            _sum(_flag(alone & (func.coalesce(whole.c.vote, 1) == 1))).label("resolved"),
            _sum(whole.c.person).label("persons"),
        )
        .where(sa.type_coerce(whole.c.last, turns.c.at.type) < over)
        .group_by(whole.c.variant)
    )


def _times(db: Connection, where: list[ColumnElement[bool]]) -> dict[str, array[float]]:
    query = sa.select(turns.c.variant, turns.c.response_ms).where(
        *where, turns.c.response_ms.is_not(None)
    )
    times: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
    for variant, milliseconds in db.execute(query):
        times[variant].append(milliseconds)
    return times


def _flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return sa.case((condition, 1), else_=0)


def _sum(column: ColumnElement[Any]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)
