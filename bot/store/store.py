"""What the gateway keeps: events until answered, turns, sessions, replies until delivered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.database import Database, Synchronous
from bot.store.records import dump, load
from bot.store.statements import (
    ANSWERED,
    ATTEMPT,
    FINAL,
    KEEP_TURN,
    KEEP_VECTORS,
    KNOWN,
    POST,
    RECEIPT,
    RECEIVE,
    SAVE,
    SESSION,
    UNANSWERED,
    VOTE,
)
from bot.store.stats import Stats, count
from bot.store.tables import inbox, outbox, sessions, turns, vectors
from brain.memory import Session
from brain.messages import Action, Address, Event, Message, Receipt, Reply, Turn

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """An event that waits for its turn."""

    event: Event
    """What came in."""
    attempts: int
    """How often a start found it waiting, this one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A reply that has not reached its end."""

    address: Address
    """Where it goes."""
    reply: Reply
    """What is said."""
    state: str
    """pending: not sent; sending: may have arrived; again: may have arrived twice; unknown, parked."""


_CHUNK = 500
"""Rows in one statement: databases bound the number of variables, and other writes wait meanwhile."""


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
            "attempts": 0,
        }
        return await self.database.write(lambda db: RECEIVE.run(db, row).rowcount == 1)

    async def settle(self, events: Sequence[Event]) -> None:
        """Marks events as answered that need no turn, such as a message not meant for the bot."""
        await self.database.write(lambda db: _answered(db, events, turn=None))

    async def session(self, address: Address) -> Session:
        """What the conversation remembers; empty when it is new or was reset."""

        return await self.database.read(lambda db: _session(db, address))

    async def recall(self, address: Address, *, now: datetime) -> tuple[Session, bool]:
        """The session, and whether this person had a question answered before it began, anywhere."""

        def work(db: Connection) -> tuple[Session, bool]:
            session = _session(db, address)
            began = session.exchanges[0].at if session.exchanges else now
            return session, _known(db, address, began)

        return await self.database.read(work)

    async def commit(self, turn: Turn, session: Session) -> None:
        """Keeps a finished turn, all or nothing: its session, its reply to deliver, its messages done.

        The session only if the turn is to be remembered, the reply unless it is silent. A reply counts
        as being sent from here on: should the process die, it may have arrived.
        """
        where = _columns(turn.address)
        kept = {
            **where,
            "id": turn.id,
            "at": turn.started_at,
            "kind": turn.reply.kind,
            "failure": turn.failure,
            "messages": len(turn.messages),
            "response_ms": turn.timings.get("total"),
            "remembered": turn.remember,
            "variant": turn.variant,
            "repeats": turn.situation.repeats,
            "handoff": turn.handoff,
            "escalation": turn.escalation,
            "document": dump(turn),
        }
        saved = {
            **where,
            "document": dump(session.dump()) if turn.remember else "",
            "updated_at": turn.started_at,
        }
        posted = {
            **where,
            "id": turn.reply.id,
            "document": dump(turn.reply),
            "state": "sending",
            "native_ids": "[]",
            "reason": "",
            "attempts": 0,
            "updated_at": turn.started_at,
        }

        def work(db: Connection) -> None:
            KEEP_TURN.run(db, kept)
            if turn.remember:
                SAVE.run(db, saved)
            if turn.reply.kind != "silent":
                POST.run(db, posted)
            _answered(db, turn.messages, turn=turn.id)

        await self.database.write(work)

    async def receipt(self, reply_id: str, receipt: Receipt, *, at: datetime) -> None:
        """Notes what became of a reply. The first final word (delivered, refused) stands."""
        row = {
            "which": reply_id,
            "outcome": receipt.outcome,
            "native": dump(receipt.native_ids),
            "why": receipt.reason,
            "now": at,
        }
        await self.database.write(lambda db: RECEIPT.run(db, row))

    async def sending_again(self, reply_id: str, *, at: datetime) -> None:
        """Notes that a reply which may have arrived is about to be sent a second time."""
        row = {"which": reply_id, "outcome": "again", "native": "[]", "why": "", "now": at}
        await self.database.write(lambda db: RECEIPT.run(db, row))

    async def unanswered(self) -> list[Unanswered]:
        """Events that wait for their turn, in order of arrival; each call counts as an attempt."""

        def work(db: Connection) -> list[Unanswered]:
            db.execute(ATTEMPT)
            return [
                Unanswered(event=_event(kind, document), attempts=attempts)
                for kind, document, attempts in db.execute(UNANSWERED)
            ]

        return await self.database.write(work)

    async def undelivered(self, *states: str) -> list[Undelivered]:
        """Replies in one of these states, in the order they were made; see `Undelivered.state`."""
        query = (
            sa.select(
                outbox.c.channel,
                outbox.c.conversation,
                outbox.c.user,
                outbox.c.document,
                outbox.c.state,
            )
            .where(outbox.c.state.in_(states))
            .order_by(outbox.c.seq)
        )

        def work(db: Connection) -> list[Undelivered]:
            return [
                Undelivered(
                    address=Address(channel=channel, conversation=conversation, user=user),
                    reply=load(Reply, document),
                    state=state,
                )
                for channel, conversation, user, document, state in db.execute(query)
            ]

        return await self.database.scan(work)

    async def parked(self, address: Address) -> list[Reply]:
        """Replies of this conversation that wait for the customer's next move, in order."""
        query = (
            sa.select(outbox.c.document)
            .where(outbox.c.state == "parked", *_is(outbox, address))
            .order_by(outbox.c.seq)
        )

        def work(db: Connection) -> list[Reply]:
            return [load(Reply, document) for document in db.scalars(query)]

        return await self.database.read(work)

    async def history(self, address: Address, limit: int = 30) -> list[tuple[str, Reply]]:
        """The customer's words and the reply of the last remembered turns, oldest first."""
        recent = await self.database.read(lambda db: _remembered(db, address, limit))
        return [
            ("\n".join(message.text for message in turn.messages), turn.reply)
            for turn in reversed(recent)
        ]

    async def last_turn(self, address: Address) -> Turn | None:
        """The newest remembered turn of the conversation."""
        newest = await self.database.read(lambda db: _remembered(db, address, 1))
        return newest[0] if newest else None

    async def reset(self, address: Address) -> None:
        """Forgets the conversation: no session, no history. Its turns stay for the statistics."""

        def work(db: Connection) -> None:
            db.execute(sessions.delete().where(*_is(sessions, address)))
            db.execute(
                turns.update()
                .where(*_is(turns, address), turns.c.remembered)
                .values(remembered=False)
            )

        await self.database.write(work)

    async def feedback(self, action: Action) -> bool:
        """Counts a vote, the last of each person; the action is answered by it.

        False, and nothing is counted, for a turn that this conversation never had and for a value
        other than `up` and `down`: whatever a client may send.
        """
        address = action.address
        query = sa.select(turns.c.id).where(
            turns.c.id == action.about,
            turns.c.channel == address.channel,
            turns.c.conversation == address.conversation,
        )

        def work(db: Connection) -> bool:
            _answered(db, [action], turn=None)
            if action.value not in ("up", "down") or db.scalar(query) is None:
                return False
            row = {"turn": action.about, "value": action.value, "at": action.sent_at}
            db.execute(VOTE, _columns(address) | row)
            return True

        return await self.database.write(work)

    async def stats(self, *, since: datetime | None = None) -> Stats:
        """What happened, from that time on or ever."""
        return await self.database.scan(lambda db: count(db, since))

    async def vectors(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, bytes]:
        """The vectors kept for this embedder, by hash of the text; those unknown are left out."""

        def work(db: Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for chunk in _chunks(hashes):
                query = sa.select(vectors.c.hash, vectors.c.vector).where(
                    vectors.c.fingerprint == fingerprint, vectors.c.hash.in_(chunk)
                )
                found.update((row.hash, row.vector) for row in db.execute(query))
            return found

        return await self.database.scan(work)

    async def keep_vectors(self, fingerprint: str, vectors: Mapping[str, bytes]) -> None:
        """Keeps vectors of this embedder by hash of the text; one that is there already stays."""
        for chunk in _chunks(vectors.items()):
            rows: list[dict[str, str | bytes]] = [
                {"fingerprint": fingerprint, "hash": key, "vector": vector} for key, vector in chunk
            ]
            await self.database.write(partial(_keep, rows))

    async def prune(self, *, settled: datetime, everything: datetime) -> int:
        """Removes what is over; how many rows.

        Events answered and replies delivered or refused before `settled`: an event that is gone can
        come in anew, so keep them longer than any channel redelivers. Turns, sessions and whatever
        else is older than `everything`: that is the retention of what customers said.
        """
        removed = 0
        for table, key, where in (
            (inbox, inbox.c.seq, (inbox.c.state == "answered") & (inbox.c.received_at < settled)),
            (outbox, outbox.c.seq, outbox.c.state.in_(FINAL) & (outbox.c.updated_at < settled)),
            (outbox, outbox.c.seq, outbox.c.updated_at < everything),
            (turns, turns.c.seq, turns.c.at < everything),
        ):
            removed += await self._remove(table, sa.select(key).where(where))
        old = sessions.delete().where(sessions.c.updated_at < everything)
        return removed + await self.database.write(lambda db: db.execute(old).rowcount)

    async def asked_since(self, moment: datetime) -> dict[str, int]:
        """Messages answered by person (`channel:user`) since then."""
        query = (
            sa.select(turns.c.channel, turns.c.user, sa.func.sum(turns.c.messages))
            .where(turns.c.at >= moment, turns.c.kind != "command")
            .group_by(turns.c.channel, turns.c.user)
        )

        def work(db: Connection) -> dict[str, int]:
            return {f"{channel}:{user}": count for channel, user, count in db.execute(query)}

        return await self.database.scan(work)

    async def _remove(self, table: sa.Table, query: sa.Select[tuple[int]]) -> int:
        """Deletes the rows that the query names, some at a time, so that customers do not wait."""
        old = await self.database.scan(lambda db: [row.seq for row in db.execute(query)])
        for chunk in _chunks(old):
            await self.database.write(partial(_delete, table, chunk))
        return len(old)


def _event(kind: str, document: str) -> Event:
    return load(Message, document) if kind == "message" else load(Action, document)


def _columns(address: Address) -> dict[str, str]:
    return {"channel": address.channel, "conversation": address.conversation, "user": address.user}


def _is(table: sa.Table, address: Address) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in _columns(address).items()]


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _keep(rows: list[dict[str, str | bytes]], db: Connection) -> None:
    db.execute(KEEP_VECTORS, rows)


def _delete(table: sa.Table, keys: list[int], db: Connection) -> None:
    db.execute(table.delete().where(table.c.seq.in_(keys)))


def _answered(db: Connection, events: Sequence[Event], *, turn: str | None) -> None:
    for event in events:
        ANSWERED.run(db, {"of": event.address.channel, "which": event.id, "by": turn})


def _session(db: Connection, address: Address) -> Session:
    found = SESSION.run(db, _columns(address)).fetchone()
    return Session.load(address, json.loads(found[0])) if found else Session(address=address)


def _known(db: Connection, address: Address, before: datetime) -> bool:
    row = {"channel": address.channel, "user": address.user, "before": before}
    found = KNOWN.run(db, row).fetchone()
    return bool(found and found[0])


def _remembered(db: Connection, address: Address, limit: int) -> list[Turn]:
    """The last remembered turns, newest first."""
    query = (
        sa.select(turns.c.document)
        .where(*_is(turns, address), turns.c.remembered)
        .order_by(turns.c.seq.desc())
        .limit(limit)
    )
    return [load(Turn, document) for document in db.scalars(query)]
