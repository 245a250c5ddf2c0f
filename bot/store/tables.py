"""The tables as the newest revision leaves them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

# The one place that names a database for its own SQL: PostgreSQL's insert has the same methods.
from sqlalchemy.dialects.sqlite import insert as insert
from sqlalchemy.types import TypeDecorator

HEAD = "0003"
"""Revision that these tables are; the newest file under `migrations/versions` has the same."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware time, stored as whole microseconds since 1970 UTC, read back in UTC."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Microseconds since 1970; ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time needs a zone: {value}")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """The time in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _sequence() -> sa.Column[int]:
    """Order of arrival, given by the database. SQLite counts rows only in a plain INTEGER key."""
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _address(*, key: bool = False) -> list[sa.Column[str]]:
    """The three parts of an address; joined into one text they could be taken for another's."""
    return [
        sa.Column(name, sa.Text, primary_key=key, nullable=False)
        for name in ("channel", "conversation", "user")
    ]


inbox = sa.Table(
    "inbox",
    metadata,
    _sequence(),
    *_address(),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # message, action
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # waiting, answered
    sa.Column("attempts", sa.Integer, nullable=False),  # starts at which it was still waiting
    sa.Column("turn", sa.Text),
    sa.UniqueConstraint("channel", "event_id"),
    sa.Index(None, "state", "seq"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    *_address(key=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
)

turns = sa.Table(
    "turns",
    metadata,
    _sequence(),
    sa.Column("id", sa.Text, nullable=False),
    *_address(),
    sa.Column("at", Moment, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("failure", sa.Text, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("response_ms", sa.Float),
    sa.Column("remembered", sa.Boolean, nullable=False),  # false too after a reset
    sa.Column("variant", sa.Text, nullable=False, server_default=""),
    sa.Column("repeats", sa.Integer, nullable=False, server_default="0"),
    sa.Column("handoff", sa.Text, nullable=False, server_default="bot"),
    sa.Column("escalation", sa.Text, nullable=False, server_default=""),
    sa.Column("document", sa.Text, nullable=False),
    sa.UniqueConstraint("id"),
    # Finds a person's turns and a conversation's, and holds what `outcomes` reads: without the
    # documents. Each further index is a page to write for every message.
    sa.Index(
        "ix_turns_outcome",
        *("channel", "user", "conversation", "seq", "id", "at", "kind", "variant"),
        *("repeats", "handoff", "escalation", "response_ms"),
    ),
    sa.Index(None, "at"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    _sequence(),
    sa.Column("id", sa.Text, nullable=False),
    *_address(),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column(
        "state", sa.Text, nullable=False
    ),  # sending, again, or the outcome of the last receipt
    sa.Column("native_ids", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.UniqueConstraint("id"),
    sa.Index(None, "state", "seq"),
)

vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("turn", sa.ForeignKey(turns.c.id, ondelete="CASCADE"), primary_key=True),
    *_address(key=True),
    sa.Column("value", sa.Text, nullable=False),  # up, down
    sa.Column("at", Moment, nullable=False),
    sa.Index(None, "at"),
)

prompt_sets = sa.Table(
    "prompt_sets",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)

prompt_log = sa.Table(
    "prompt_log",
    metadata,
    _sequence(),
    sa.Column("at", Moment, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # see `prompt_history.Kind`
    sa.Column("document", sa.Text, nullable=False),
)
