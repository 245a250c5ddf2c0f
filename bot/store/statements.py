"""The statements that the store runs."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam

from bot.store.prepared import Prepared
from bot.store.stats import NO_ANSWER
from bot.store.tables import feedback, inbox, insert, outbox, sessions, turns, vectors

FINAL = ("delivered", "refused")
"""States of a reply that nothing changes any more."""
ADDRESS = ("channel", "conversation", "user")
"""Columns of an address."""

# What every message runs.
RECEIVE = Prepared(
    insert(inbox).on_conflict_do_nothing(),
    *ADDRESS,
    *("event_id", "kind", "document", "received_at", "state", "attempts"),
)
SAVED = insert(sessions)
SAVE = Prepared(
    SAVED.on_conflict_do_update(
        index_elements=sessions.primary_key.columns,
        set_={"document": SAVED.excluded.document, "updated_at": SAVED.excluded.updated_at},
    ),
    *ADDRESS,
    *("document", "updated_at"),
)
KEEP_TURN = Prepared(
    turns.insert(),
    *ADDRESS,
    *("id", "at", "kind", "failure", "messages", "response_ms", "remembered", "document"),
    *("variant", "repeats", "handoff", "escalation"),
)
POST = Prepared(
    outbox.insert(),
    *ADDRESS,
    *("id", "document", "state", "native_ids", "reason", "attempts", "updated_at"),
)
ANSWERED = Prepared(
    inbox.update()
    .where(inbox.c.channel == bindparam("of"), inbox.c.event_id == bindparam("which"))
    .values(state="answered", turn=bindparam("by"))
)
RECEIPT = Prepared(
    outbox.update()
    .where(outbox.c.id == bindparam("which"), *(outbox.c.state != final for final in FINAL))
    .values(
        state=bindparam("outcome"),
        native_ids=bindparam("native"),
        reason=bindparam("why"),
        attempts=outbox.c.attempts + 1,
        updated_at=bindparam("now"),
    )
)
SESSION = Prepared(
    sa.select(sessions.c.document).where(*(sessions.c[name] == bindparam(name) for name in ADDRESS))
)
KNOWN = Prepared(
    sa.select(
        sa.exists().where(
            turns.c.channel == bindparam("channel"),
            turns.c.user == bindparam("user"),
            turns.c.at < bindparam("before"),
            turns.c.failure == "",
            *(turns.c.kind != kind for kind in NO_ANSWER),
        )
    )
)
VOTE = insert(feedback)
VOTE = VOTE.on_conflict_do_update(
    index_elements=feedback.primary_key.columns,
    set_={"value": VOTE.excluded.value, "at": VOTE.excluded.at},
)
ATTEMPT = inbox.update().where(inbox.c.state == "waiting").values(attempts=inbox.c.attempts + 1)
UNANSWERED = (
    sa.select(inbox.c.kind, inbox.c.document, inbox.c.attempts)
    .where(inbox.c.state == "waiting")
    .order_by(inbox.c.seq)
)
KEEP_VECTORS = insert(vectors).on_conflict_do_nothing()
