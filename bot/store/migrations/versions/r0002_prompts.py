"""Prompt sets and what became of them; of every turn what experiments compare."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables and the columns, filled from the turns that are kept."""
    op.create_table(
        "prompt_sets",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_sets"),
    )
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "prompt_log",
        sa.Column("seq", sequence, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_prompt_log"),
    )
    op.add_column("turns", sa.Column("variant", sa.Text, nullable=False, server_default=""))
    op.add_column("turns", sa.Column("repeats", sa.Integer, nullable=False, server_default="0"))
    op.add_column("turns", sa.Column("handoff", sa.Text, nullable=False, server_default="bot"))
    op.add_column("turns", sa.Column("escalation", sa.Text, nullable=False, server_default=""))
    op.execute(
        "UPDATE turns SET variant = coalesce(json_extract(document, '$.variant'), ''), "
        "repeats = coalesce(json_extract(document, '$.situation.repeats'), 0), "
        "handoff = coalesce(json_extract(document, '$.handoff'), 'bot'), "
        "escalation = coalesce(json_extract(document, '$.escalation'), '')"
    )
    op.drop_index("ix_turns_channel_conversation_user_seq", "turns")
    address = ["channel", "conversation", "user", "seq"]
    outcome = ["id", "at", "kind", "variant", "repeats", "handoff", "escalation", "response_ms"]
    op.create_index("ix_turns_outcome", "turns", [*address, *outcome])
