"""One index of turns finds both a conversation's and a person's: each costs a page for every message."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Put the person before the conversation, and drop the index that was for persons alone."""
    op.drop_index("ix_turns_outcome", "turns")
    op.drop_index("ix_turns_channel_user_at", "turns")
    address = ["channel", "user", "conversation", "seq"]
    outcome = ["id", "at", "kind", "variant", "repeats", "handoff", "escalation", "response_ms"]
    op.create_index("ix_turns_outcome", "turns", [*address, *outcome])
