"""What the gateway keeps: events until answered, turns, sessions, replies until delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, func

from bot.store.database import Database, Synchronous
from bot.store.records import dump, load
from bot.store.tables import feedback, inbox, insert, outbox, sessions, turns, vectors
from brain.memory import Session
from brain.messages import Action, Address, Event, Message, Receipt, Reply, Turn

T = TypeVar("T")

_CHUNK = 500
"""Rows in one statement: databases bound the number of variables, and other writes wait meanwhile."""
_FINAL = ("delivered", "refused")
_NO_ANSWER = ("command", "busy", "silent")
"""Kinds of reply that answered no question."""

_RECEIVE = insert(inbox).on_conflict_do_nothing()
_KEEP_VECTORS = insert(vectors).on_conflict_do_nothing()


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


class Store:
    """The durable state of one gateway. Every method raises StoreError when the disk fails it."""

    def __init__(self, database: Database) -> None:
        """Over an open database, which `close` closes."""
        self.database = database
        """What runs the statements."""

    @classmethod
    async def open(cls, path: Path, *, synchronous: Synchronous = "NORMAL") -> Store:
        """Opens the file, creating or upgrading it; StoreError says what is wrong with it.

        NORMAL survives a killed process; FULL a power cut too, at a multiple of the time.
        """
        return cls(await Database.open(path, synchronous=synchronous))

    async def close(self) -> None:
        """Writes what waits and lets go of the file; the store is of no use afterwards."""
        await self.database.close()

    async def receive(self, event: Event, *, at: datetime) -> bool:
        """Keeps an event until it is answered; durable on return. False: it was there already."""
        row = {
            **_columns(event.address),
            "event_id": event.id,
            "kind": "message" if isinstance(event, Message) else "action",
            "document": dump(event),
            "received_at": at,
            "state": "waiting",
        }
        return await self.database.write(lambda db: db.execute(_RECEIVE, row).rowcount == 1)

    async def settle(self, events: Sequence[Event]) -> None:
        """Marks events as answered that need no turn, such as a message not meant for the bot."""
        await self.database.write(lambda db: _answered(db, events, turn=None))

    async def session(self, address: Address) -> Session:
        """What the conversation remembers; empty when it is new or was reset."""
        query = sa.select(sessions.c.document).where(*_is(sessions, address))

        def work(db: Connection) -> Session:
            document = db.scalar(query)
            if document is None:
                return Session(address=address)
            return Session.load(address, load(dict, document))

        return await self.database.read(work)

    async def commit(self, turn: Turn, session: Session) -> None:
        """Keeps a finished turn, all or nothing: its session, its reply to deliver, its messages done.

        The session only if the turn is to be remembered, the reply unless it is silent.
        """

        def work(db: Connection) -> None:
            where = _columns(turn.address)
            db.execute(
                turns.insert(),
                {
                    **where,
                    "id": turn.id,
                    "at": turn.started_at,
                    "kind": turn.reply.kind,
                    "failure": turn.failure,
                    "messages": len(turn.messages),
                    "response_ms": turn.timings.get("total"),
                    "remembered": turn.remember,
                    "document": dump(turn),
                },
            )
            if turn.remember:
                row = {"document": dump(session.dump()), "updated_at": turn.started_at}
                save = insert(sessions).on_conflict_do_update(
                    index_elements=sessions.primary_key.columns, set_=row
                )
                db.execute(save, where | row)
            if turn.reply.kind != "silent":
                db.execute(
                    outbox.insert(),
                    {
                        **where,
                        "id": turn.reply.id,
                        "document": dump(turn.reply),
                        "state": "pending",
                        "native_ids": "[]",
                        "reason": "",
                        "attempts": 0,
                        "updated_at": turn.started_at,
                    },
                )
            _answered(db, turn.messages, turn=turn.id)

        await self.database.write(work)

    async def receipt(self, reply_id: str, receipt: Receipt, *, at: datetime) -> None:
        """Notes what became of a reply. The first final word (delivered, refused) stands."""
        update = (
            outbox.update()
            .where(outbox.c.id == reply_id, outbox.c.state.not_in(_FINAL))
            .values(
                state=receipt.outcome,
                native_ids=dump(receipt.native_ids),
                reason=receipt.reason,
                attempts=outbox.c.attempts + 1,
                updated_at=at,
            )
        )
        await self.database.write(lambda db: db.execute(update))

    async def unanswered(self) -> list[Event]:
        """Events that wait for their turn, in order of arrival."""
        query = (
            sa.select(inbox.c.kind, inbox.c.document)
            .where(inbox.c.state == "waiting")
            .order_by(inbox.c.seq)
        )

        def work(db: Connection) -> list[Event]:
            return [
                load(Message, document) if kind == "message" else load(Action, document)
                for kind, document in db.execute(query)
            ]

        return await self.database.read(work)

    async def undelivered(self) -> list[tuple[Address, Reply]]:
        """Replies that no channel has spoken about yet, in the order they were made."""
        query = (
            sa.select(
                outbox.c.channel, outbox.c.conversation, outbox.c.user, outbox.c.document
            )
            .where(outbox.c.state == "pending")
            .order_by(outbox.c.seq)
        )

        def work(db: Connection) -> list[tuple[Address, Reply]]:
            return [
                (
                    Address(channel=channel, conversation=conversation, user=user),
                    load(Reply, document),
                )
                for channel, conversation, user, document in db.execute(query)
            ]

        return await self.database.read(work)

    async def history(self, address: Address, limit: int = 30) -> list[tuple[str, Reply]]:
        """The customer's words and the reply of the last remembered turns, oldest first."""
        recent = await self.database.read(lambda db: _remembered(db, address, limit))
        return [(turn.said, turn.reply) for turn in reversed(recent)]

    async def last_turn(self, address: Address) -> Turn | None:
        """The newest remembered turn of the conversation."""
        newest = await self.database.read(lambda db: _remembered(db, address, 1))
        return newest[0] if newest else None
