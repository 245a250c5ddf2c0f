"""The model's summary of a conversation, kept in its session between two turns."""

from __future__ import annotations

import json

from sqlalchemy import Connection

from bot.store.database import Database
from bot.store.records import dump
from bot.store.statements import ADDRESS, SESSION
from bot.store.tables import sessions
from brain.memory import Session
from brain.messages import Address


async def keep_digest(database: Database, address: Address, digest: str, until: str) -> None:
    """Gives the session the summary of its turns up to `until`; nothing if it was forgotten.

    Only from within the conversation's line: a turn under way would overwrite it.
    """
    where = {name: getattr(address, name) for name in ADDRESS}

    def work(db: Connection) -> None:
        found = SESSION.run(db, where).fetchone()
        if found is None:
            return
        session = Session.load(address, json.loads(found[0]))
        document = dump(session.with_digest(digest, until).dump())
        mine = [sessions.c[name] == value for name, value in where.items()]
        # Its age stays: that is when the customer last said something.
        db.execute(sessions.update().where(*mine).values(document=document))

    await database.write(work)
