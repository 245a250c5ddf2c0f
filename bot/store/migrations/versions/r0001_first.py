"""Inbox, sessions, turns, outbox, vectors, feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _sequence() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("seq", kind, nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "inbox",
        _sequence(),
        *_texts("channel", "conversation", "user", "event_id", "kind", "document"),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        *_texts("state"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("turn", sa.Text),
        sa.PrimaryKeyConstraint("seq", name="pk_inbox"),
        sa.UniqueConstraint("channel", "event_id", name="uq_inbox_channel_event_id"),
    )
    op.create_index("ix_inbox_state_seq", "inbox", ["state", "seq"])
    op.create_table(
        "sessions",
        *_texts("channel", "conversation", "user", "document"),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", "conversation", "user", name="pk_sessions"),
    )
    op.create_table(
        "turns",
        _sequence(),
        *_texts("id", "channel", "conversation", "user"),
        sa.Column("at", sa.BigInteger, nullable=False),
        *_texts("kind", "failure"),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("response_ms", sa.Float),
        sa.Column("remembered", sa.Boolean, nullable=False),
        *_texts("document"),
        sa.PrimaryKeyConstraint("seq", name="pk_turns"),
        sa.UniqueConstraint("id", name="uq_turns_id"),
    )
    address = ["channel", "conversation", "user"]
    op.create_index("ix_turns_channel_conversation_user_seq", "turns", [*address, "seq"])
    op.create_index("ix_turns_channel_user_at", "turns", ["channel", "user", "at"])
    op.create_index("ix_turns_at", "turns", ["at"])
    op.create_table(
        "outbox",
        _sequence(),
        *_texts("id", "channel", "conversation", "user", "document", "state"),
        *_texts("native_ids", "reason"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
    )
    op.create_index("ix_outbox_state_seq", "outbox", ["state", "seq"])
    op.create_table(
        "vectors",
        *_texts("fingerprint", "hash"),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "hash", name="pk_vectors"),
    )
    op.create_table(
        "feedback",
        *_texts("turn", "channel", "conversation", "user", "value"),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("turn", "channel", "conversation", "user", name="pk_feedback"),
        sa.ForeignKeyConstraint(
            ["turn"], ["turns.id"], name="fk_feedback_turn", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_feedback_at", "feedback", ["at"])
