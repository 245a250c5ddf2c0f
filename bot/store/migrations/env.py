"""What Alembic runs: the revisions, inside the transaction of the connection it was given.

A new revision is a file under `versions` after the newest one, with `tables.HEAD` set to its name.
"""

from __future__ import annotations

from alembic import context

from bot.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
