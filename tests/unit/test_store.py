"""What is kept, through duplicates, failing disks, killed processes and upgrades."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.store import database, tables
from bot.store.records import dump, load
from bot.store.store import Store, Unanswered, Undelivered
from brain.errors import StoreError
from brain.memory import Session
from brain.messages import Action, Address, Message, Passage, Receipt, Reply, Turn

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
ANNA = Address(channel="web", conversation="c1", user="anna")
BORA = Address(channel="web", conversation="c2", user="bora")


def message(number: int | str, address: Address = ANNA, text: str = "배송 언제 와요?") -> Message:
    return Message(id=str(number), address=address, text=text, sent_at=NOW)


def turn(name: str, *messages: Message, kind: str = "answer", **changes) -> Turn:
    said = messages or (message(f"m-{name}"),)
    reply = Reply(id=name, in_reply_to=said[-1].id, text=f"{name}번 답변입니다.", kind=kind)
    made = Turn(id=name, address=said[0].address, messages=said, reply=reply, started_at=NOW)
    return replace(made, **changes)


def vote(number: str, value: str, about: str, address: Address = ANNA) -> Action:
    return Action(
        id=number, address=address, kind="feedback", value=value, sent_at=NOW, about=about
    )


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path / "data" / "sangdam.db")
    yield opened
    await opened.close()


async def keep(store: Store, *made: Turn) -> None:
    for each in made:
        session = await store.session(each.address)
        await store.commit(each, session.after(each))


async def waiting(store: Store) -> list[Message | Action]:
    """The events without an answer."""
    return [each.event for each in await store.unanswered()]


async def unsent(store: Store, *states: str) -> list[str]:
    """Ids of the replies in these states, without any those that were never reported on."""
    return [left.reply.id for left in await store.undelivered(*(states or ("sending",)))]


def child(code: str, path: Path, **options) -> subprocess.Popen:
    """Another process that runs `code` with an open store and a way to make messages."""
    frame = f"""
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from bot.store.store import Store
from brain.messages import Address, Message
NOW = datetime.now(UTC)
ADDRESS = Address(channel="child", conversation="c", user="u")
def message(id): return Message(id=id, address=ADDRESS, text="환불", sent_at=NOW)
async def main():
    store = await Store.open(Path(sys.argv[1]))
{code}
asyncio.run(main())
"""
    return subprocess.Popen(
        [sys.executable, "-c", frame, str(path)], cwd=ROOT, stdout=subprocess.PIPE, **options
    )


# Records


def anything(kind) -> st.SearchStrategy:
    """Values of a type of the vocabulary, every field filled."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: anything(hints[f.name]) for f in fields(kind)})
    if kind is datetime:
        minutes = st.integers(-23 * 60, 23 * 60)
        return st.datetimes(timezones=minutes.map(lambda m: timezone(timedelta(minutes=m))))
    if kind is float:
        return st.floats(allow_nan=False)
    if origin is tuple:
        return st.lists(anything(arguments[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(), anything(arguments[1]), max_size=2)
    if origin is UnionType:
        return st.one_of(anything(each) for each in arguments)
    if kind is object or str(kind) == "typing.Any":
        plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
        return plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(), plain, max_size=2)
    return st.from_type(kind)


@pytest.mark.parametrize("kind", [Message, Action, Reply, Receipt, Turn])
@settings(deadline=None)
@given(data=st.data())
def test_records_survive_json_exactly(kind, data):
    record = data.draw(anything(kind))
    assert load(kind, dump(record)) == record


@settings(deadline=None)
@given(session=anything(Session))
def test_sessions_survive_json_exactly(session):
    assert Session.load(session.address, load(dict, dump(session.dump()))) == session


def test_half_a_surrogate_pair_from_outside_is_stored_and_comes_back():
    half = message(1, text="배송\ud800")
    assert dump(half).encode()
    assert load(Message, dump(half)) == half


def test_a_date_in_front_matter_becomes_text():
    passage = Passage(
        id="p", document="d.md", heading="", text="", score=1.0, metadata={"on": date(2026, 3, 2)}
    )
    kept = load(Turn, dump(turn("t", passages=(passage,))))
    assert kept.passages[0].metadata == {"on": "2026-03-02"}


def test_a_field_added_since_a_record_was_written_has_its_default():
    document = dump(message(1)).replace('"addressed":true', '"gone":1')
    assert load(Message, document) == message(1)


# Inbox


async def test_an_event_is_kept_once_and_waits_in_order_of_arrival(store):
    events = [message(2), vote("v", "up", "t"), message(1, BORA)]
    assert [await store.receive(event, at=NOW) for event in events] == [True] * 3
    assert not await store.receive(message(2, BORA, "다른 말"), at=NOW)
    elsewhere = message(2, replace(ANNA, channel="telegram"))
    assert await store.receive(elsewhere, at=NOW)
    assert await waiting(store) == [*events, elsewhere]


async def test_parallel_duplicates_come_in_once_each_with_few_commits(store):
    ids = [number % 100 for number in range(500)]
    results = await asyncio.gather(*(store.receive(message(i), at=NOW) for i in ids))
    assert sum(results) == 100
    assert [event.id for event in await waiting(store)] == [str(i) for i in range(100)]
    assert store.database.commits < 50


async def test_an_event_that_needs_no_turn_is_settled(store):
    for number in (1, 2):
        await store.receive(message(number), at=NOW)
    await store.settle([message(1)])
    await store.settle([])
    assert await waiting(store) == [message(2)]


async def test_each_start_that_finds_an_event_waiting_counts(store):
    await store.receive(message(1), at=NOW)
    assert await store.unanswered() == [Unanswered(event=message(1), attempts=1)]
    await store.receive(message(2), at=NOW)
    assert await store.unanswered() == [
        Unanswered(event=message(1), attempts=2),
        Unanswered(event=message(2), attempts=1),
    ]
    assert not await store.receive(message(1), at=NOW)
    await store.settle([message(2)])
    assert await store.unanswered() == [Unanswered(event=message(1), attempts=3)]


async def test_attempts_survive_a_restart(tmp_path):
    for attempts in (1, 2, 3):
        store = await Store.open(tmp_path / "a.db")
        await store.receive(message(1), at=NOW)
        assert [each.attempts for each in await store.unanswered()] == [attempts]
        await store.close()


# Turns


async def test_a_turn_is_kept_with_its_session_and_its_reply(store):
    first, second = message(1), message(2, text="제주도예요")
    for event in (first, second, message(3)):
        await store.receive(event, at=NOW)
    done = turn("t1", first, second)
    await keep(store, done)
    assert await waiting(store) == [message(3)]
    assert await store.undelivered("sending") == [
        Undelivered(address=ANNA, reply=done.reply, state="sending")
    ]
    assert await store.session(ANNA) == Session(address=ANNA).after(done)
    assert await store.last_turn(ANNA) == done
    assert await store.history(ANNA) == [("배송 언제 와요?\n제주도예요", done.reply)]
    assert await store.session(BORA) == Session(address=BORA)
    assert await store.last_turn(BORA) is None


async def test_a_command_is_not_remembered_and_silence_is_not_sent(store):
    command = turn("t1", message(1), kind="command", remember=False)
    await keep(store, command, turn("t2", message(2), kind="silent"))
    assert [left.reply for left in await store.undelivered("sending")] == [command.reply]
    assert [e.turn for e in (await store.session(ANNA)).exchanges] == ["t2"]
    assert (await store.last_turn(ANNA)).id == "t2"


async def test_a_turn_that_cannot_be_kept_leaves_nothing(store):
    await keep(store, turn("t1", message(1)))
    await store.receive(message(2), at=NOW)
    before = await store.session(ANNA)
    again = turn("t1", message(2))
    with pytest.raises(sa.exc.IntegrityError) as caught:
        await store.commit(again, before.after(again))
    assert "배송" not in str(caught.value)
    assert await store.session(ANNA) == before
    assert await waiting(store) == [message(2)]


@pytest.mark.parametrize(
    ("outcomes", "state", "attempts"),
    [
        ("delivered", "delivered", 1),
        ("refused", "refused", 1),
        ("parked delivered", "delivered", 2),
        ("unknown unknown delivered", "delivered", 3),
        ("delivered unknown", "delivered", 1),
        ("refused delivered", "refused", 1),
    ],
)
async def test_receipts_are_kept_and_the_first_final_one_stands(store, outcomes, state, attempts):
    await keep(store, turn("t1"), turn("t2"))
    for number, outcome in enumerate(outcomes.split()):
        receipt = Receipt(outcome=outcome, native_ids=(f"n{number}",), reason="왜")
        await store.receipt("t1", receipt, at=NOW)
    await store.receipt("unheard of", Receipt(outcome="delivered"), at=NOW)
    columns = (tables.outbox.c.state, tables.outbox.c.attempts, tables.outbox.c.native_ids)
    query = sa.select(*columns).where(tables.outbox.c.id == "t1")
    row = await store.database.read(lambda db: db.execute(query).one())
    assert row == (state, attempts, f'["n{attempts - 1}"]')
    assert await unsent(store) == ["t2"]


async def test_replies_are_found_by_what_became_of_them(store):
    names = ("sending", "pending", "unknown", "parked", "delivered", "refused", "again")
    await keep(store, *(turn(name) for name in names))
    for name in names[1:-1]:
        await store.receipt(name, Receipt(outcome=name), at=NOW)
    await store.sending_again("again", at=NOW)
    for name in names:
        [left] = await store.undelivered(name)
        assert (left.reply.id, left.state, left.address) == (name, name, ANNA)
    assert await unsent(store, "again", "pending", "sending") == ["sending", "pending", "again"]
    assert await store.undelivered() == []


async def test_a_reply_that_is_sent_again_is_known_to_be(store):
    await keep(store, turn("t1"), turn("t2"))
    await store.sending_again("t1", at=NOW)
    assert await unsent(store, "again") == ["t1"]
    await store.receipt("t1", Receipt(outcome="unknown"), at=NOW)
    await store.sending_again("t1", at=NOW)
    await store.receipt("t1", Receipt(outcome="delivered"), at=NOW)
    await store.sending_again("t1", at=NOW)  # too late: it is known to have arrived
    assert await unsent(store, "delivered") == ["t1"]
    assert await unsent(store) == ["t2"]


async def test_history_is_the_last_remembered_turns_until_a_reset(store):
    await keep(store, *(turn(f"t{n}", message(n)) for n in range(5)), turn("b", message("b", BORA)))
    assert [reply.id for _, reply in await store.history(ANNA, 3)] == ["t2", "t3", "t4"]
    await store.reset(ANNA)
    assert await store.history(ANNA) == []
    assert await store.last_turn(ANNA) is None
    assert await store.session(ANNA) == Session(address=ANNA)
    assert len(await store.history(BORA)) == 1
    await keep(store, turn("t9", message(9)))
    assert [reply.id for _, reply in await store.history(ANNA)] == ["t9"]
    assert (await store.stats()).turns == {"answer": 7}


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (turn("t"), True),
        (turn("t", message(1, replace(ANNA, conversation="older"))), True),
        (turn("t", kind="quoted"), True),
        (turn("t", message(1, BORA)), False),
        (turn("t", message(1, replace(ANNA, channel="telegram"))), False),
        (turn("t", kind="command"), False),
        (turn("t", failure="ModelBusy"), False),
        (turn("t", started_at=NOW + timedelta(hours=1)), False),
    ],
)
async def test_a_person_is_known_by_an_earlier_answer(store, made, known):
    await keep(store, made)
    await store.reset(made.address)
    _, is_known = await store.recall(ANNA, now=NOW + timedelta(minutes=1))
    assert is_known is known


# Feedback and statistics


async def test_the_last_vote_of_each_person_counts(store):
    await keep(store, turn("t1"))
    colleague = replace(ANNA, user="chul")
    for action in (vote("1", "down", "t1"), vote("2", "up", "t1")):
        await store.receive(action, at=NOW)
        assert await store.feedback(action)
    assert await store.feedback(vote("3", "down", "t1", colleague))
    assert await waiting(store) == []
    stats = await store.stats()
    assert (stats.up, stats.down) == (1, 1)


@pytest.mark.parametrize(
    "action",
    [vote("1", "up", "t9"), vote("1", "sideways", "t1"), vote("1", "up", "t1", BORA)],
    ids=["no such turn", "no such value", "another conversation"],
)
async def test_a_vote_that_cannot_be_is_settled_and_not_counted(store, action):
    await keep(store, turn("t1"))
    await store.receive(action, at=NOW)
    assert not await store.feedback(action)
    assert await waiting(store) == []
    assert (await store.stats()).up == 0


async def test_stats_count_what_happened(store):
    late = NOW + timedelta(days=1)
    assert (await store.stats()).response_ms is None
    await keep(
        store,
        turn("t1", message(1), message(2), timings={"total": 100.0}),
        turn("t2", timings={"total": 300.0}),
        turn("t3", message(3, BORA), timings={"total": 200.0}, failure="ModelBusy"),
        turn("t4", kind="command", timings={"total": 1.0}, remember=False),
        turn("t5", kind="quoted", timings={"total": 900.0}, started_at=late),
    )
    await store.receive(message("waiting"), at=NOW)
    await store.feedback(vote("1", "up", "t1"))
    ever = await store.stats()
    assert ever.messages == 7
    assert ever.turns == {"answer": 3, "command": 1, "quoted": 1}
    assert ever.failures == {"ModelBusy": 1}
    assert (ever.up, ever.down, ever.conversations) == (1, 0, 2)
    assert ever.response_ms == 250.0
    recent = await store.stats(since=late)
    assert (recent.messages, recent.turns, recent.up) == (1, {"quoted": 1}, 0)
    assert recent.response_ms == 900.0


# Vectors and pruning


async def test_vectors_are_kept_by_embedder_in_any_number(store):
    made = {f"h{n}": n.to_bytes(4, "big") for n in range(2500)}
    await store.keep_vectors("e5", made)
    await store.keep_vectors("e5", {"h1": b"other", "new": b"new"})
    assert await store.vectors("e5", [*made, "unknown"]) == made
    assert await store.vectors("e5", ["new"]) == {"new": b"new"}
    assert await store.vectors("bge", list(made)) == {}
    assert await store.vectors("e5", []) == {}


async def test_what_is_over_goes_first_and_everything_in_the_end(store):
    old, soon = NOW - timedelta(days=3), NOW - timedelta(days=2)
    for number, at in (("answered", old), ("waiting", old), ("recent", NOW)):
        await store.receive(message(number), at=at)
    await keep(store, turn("t1", message("answered")), turn("t2", message("recent")), turn("t3"))
    await store.receipt("t1", Receipt(outcome="delivered"), at=old)
    await store.receipt("t2", Receipt(outcome="delivered"), at=NOW)
    keeps = {"settled": soon, "everything": NOW - timedelta(days=365)}
    assert await store.prune(**keeps) == 2
    assert await store.prune(**keeps) == 0
    assert await waiting(store) == [message("waiting")]
    assert await unsent(store) == ["t3"]
    assert not await store.receive(message("recent"), at=NOW)
    assert await store.receive(message("answered"), at=NOW)
    assert len(await store.history(ANNA)) == 3


async def test_what_customers_said_is_kept_no_longer_than_told(store):
    old, limit = NOW - timedelta(days=366), NOW - timedelta(days=365)
    old_turn = turn("t1", message(1, BORA), started_at=old)
    await store.receive(message(1, BORA), at=old)
    await store.receive(message("waiting"), at=old)
    await keep(store, old_turn, turn("t2", message(2)))
    await store.feedback(vote("v", "up", "t1", BORA))
    # event, reply never delivered, turn and session; the vote goes with its turn
    assert await store.prune(settled=limit, everything=limit) == 4
    assert await store.history(BORA) == []
    assert await store.session(BORA) == Session(address=BORA)
    assert (await store.stats()).up == 0
    assert await unsent(store) == ["t2"]
    assert len(await store.history(ANNA)) == 1
    assert await waiting(store) == [message("waiting")]  # whoever waits is still answered


async def test_a_conversation_that_goes_on_keeps_its_session(store):
    old, limit = NOW - timedelta(days=400), NOW - timedelta(days=365)
    await keep(store, turn("t1", started_at=old), turn("t2"))
    await store.prune(settled=limit, everything=limit)
    assert [each.turn for each in (await store.session(ANNA)).exchanges] == ["t1", "t2"]
    assert [reply.id for _, reply in await store.history(ANNA)] == ["t2"]


async def test_what_each_person_asked_is_counted(store):
    earlier = NOW - timedelta(hours=1)
    await keep(
        store,
        turn("t1", message(1), message(2)),
        turn("t2", message(3, replace(ANNA, conversation="other"))),
        turn("t3", message(4, BORA), kind="busy", remember=False),
        turn("t4", message(5, BORA), kind="command", remember=False),
        turn("t5", message(6, replace(BORA, channel="telegram"))),
        turn("t6", message(7), started_at=earlier),
    )
    today = await store.asked_since(NOW)
    assert today == {"web:anna": 3, "web:bora": 1, "telegram:bora": 1}
    assert (await store.asked_since(earlier))["web:anna"] == 4
    assert await store.asked_since(NOW + timedelta(seconds=1)) == {}


# The writer


async def test_a_write_that_fails_is_undone_alone(store):
    async def put(number: int) -> None:
        def work(db: sa.Connection) -> None:
            row = {"fingerprint": "f", "hash": str(number), "vector": b""}
            db.execute(tables.vectors.insert(), row)
            if number % 7 == 0:
                raise ValueError(number)

        await store.database.write(work)

    results = await asyncio.gather(*(put(n) for n in range(100)), return_exceptions=True)
    failed = {n for n in range(100) if n % 7 == 0}
    assert {n for n, result in enumerate(results) if isinstance(result, ValueError)} == failed
    assert sum(result is None for result in results) == 100 - len(failed)
    kept = await store.vectors("f", [str(n) for n in range(100)])
    assert kept.keys() == {str(n) for n in range(100) if n not in failed}


async def test_a_full_disk_fails_writes_clearly_and_passes_when_there_is_room(store):
    def limit(pages: int):
        return lambda db: db.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()

    used = await store.database.write(lambda db: db.exec_driver_sql("PRAGMA page_count").scalar())
    await store.database.write(limit(used + 3))
    texts = (message(n, text="가" * 2000) for n in range(20))
    results = await asyncio.gather(
        *(store.receive(each, at=NOW) for each in texts), return_exceptions=True
    )
    assert {str(result) for result in results if isinstance(result, StoreError)} == {
        f"no room left for {store.database.path}: free space on its disk"
    }
    stored = [str(n) for n, result in enumerate(results) if result is True]
    await store.database.write(limit(100_000))  # counting the attempts takes room too
    assert [event.id for event in await waiting(store)] == stored
    assert await store.receive(message("later"), at=NOW)


async def test_a_cancelled_caller_harms_nobody(store):
    cancelled = asyncio.create_task(store.receive(message(1), at=NOW))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await store.receive(message(2), at=NOW)
    assert {event.id for event in await waiting(store)} == {"1", "2"}


async def test_closing_writes_what_waits_and_then_refuses(tmp_path):
    path = tmp_path / "a.db"
    store = await Store.open(path, synchronous="FULL")
    waiting = [asyncio.create_task(store.receive(message(n), at=NOW)) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert all(await asyncio.gather(*waiting))
    with pytest.raises(StoreError, match=r"a\.db is closed"):
        await store.receive(message("late"), at=NOW)
    with pytest.raises(StoreError, match=r"a\.db is closed"):
        await store.unanswered()
    again = await Store.open(path)
    assert len(await again.unanswered()) == 50
    await again.close()


async def test_several_stores_live_side_by_side(tmp_path):
    one, two, same = [await Store.open(tmp_path / name) for name in ("1.db", "2.db", "1.db")]
    await asyncio.gather(*(s.receive(message(n), at=NOW) for n in range(20) for s in (one, two)))
    assert len(await same.unanswered()) == len(await two.unanswered()) == 20
    for store in (one, two, same):
        await store.close()


async def test_a_database_locked_by_another_program_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    store = await Store.open(tmp_path / "a.db")
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"a\.db is locked by another program"):
        await store.receive(message(1), at=NOW)
    assert await store.history(ANNA) == []  # reading goes on
    other.execute("COMMIT")
    other.close()
    assert await store.receive(message(1), at=NOW)
    await store.close()


# Other processes


async def test_what_was_received_survives_kill_9(tmp_path):
    code = """
    async def one(number):
        await store.receive(message(str(number)), at=NOW)
        print(number, flush=True)
    for start in range(0, 10**6, 50):
        await asyncio.gather(*(one(start + n) for n in range(50)))
"""
    with child(code, tmp_path / "a.db") as process:
        acknowledged = [process.stdout.readline() for _ in range(275)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    store = await Store.open(tmp_path / "a.db")
    kept = {event.id for event in await waiting(store)}
    await store.close()
    # The last line may be cut short by the kill.
    assert {line.decode().strip() for line in acknowledged if line.endswith(b"\n")} <= kept


async def test_another_process_writes_beside(store):
    code = """
    for number in range(100):
        await store.receive(message(str(number)), at=NOW)
    await store.close()
"""
    process = child(code, store.database.path)
    for number in range(200):
        await store.receive(message(number), at=NOW)
        await asyncio.sleep(0.002)
    await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
    assert len(await store.unanswered()) == 300


async def test_processes_may_all_be_the_first_to_open(tmp_path):
    code = """
    print(await store.receive(message("1"), at=NOW))
    await store.close()
"""
    processes = [child(code, tmp_path / "new" / "a.db") for _ in range(3)]
    said = [process.communicate()[0].strip() for process in processes]
    assert sorted(said) == [b"False", b"False", b"True"]


def test_a_database_that_is_up_to_date_opens_without_alembic(tmp_path):
    code = """
    print("alembic" in sys.modules)
    await store.close()
"""
    said = [child(code, tmp_path / "a.db").communicate()[0].strip() for _ in range(2)]
    assert said == [b"True", b"False"]


# Files and migrations


async def test_only_the_owner_can_read_what_is_stored(store):
    await store.receive(message(1), at=NOW)
    folder = store.database.path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == dict.fromkeys(("sangdam.db", "sangdam.db-wal", "sangdam.db-shm"), 0o600)


def not_a_database(path: Path) -> None:
    path.write_text("고객 목록\n" * 1000)


def anothers_database(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()


def from_the_future(path: Path) -> None:
    asyncio.run(_open_and_close(path))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()


async def _open_and_close(path: Path) -> None:
    await (await Store.open(path)).close()


def under_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


def read_only_folder(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    path.parent.chmod(0o500)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (not_a_database, "is not a Sangdam database, or is damaged: restore a backup, or move"),
        (anothers_database, "is not a Sangdam database"),
        (from_the_future, "was written by a newer Sangdam (its revision 9999, ours 0003): install"),
        (Path.mkdir, "cannot be opened: check the owner"),
        (under_a_file, "cannot be created: "),
        (read_only_folder, "cannot be created: Permission denied"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_clear_line(tmp_path, spoil, complaint):
    path = tmp_path / "data" / "sangdam.db"
    path.parent.mkdir()
    spoil(path)
    with pytest.raises(StoreError) as caught:
        asyncio.run(Store.open(path))
    assert str(caught.value).startswith(f"{path} {complaint}")
    assert "\n" not in str(caught.value)


async def test_the_migrations_make_the_tables(store):
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(ROOT / "bot" / "store" / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.HEAD]
    changes = await store.database.read(
        lambda db: compare_metadata(
            MigrationContext.configure(db, opts={"compare_type": True}), tables.metadata
        )
    )
    assert changes == []


async def test_times_need_a_zone_and_come_back_in_utc(store):
    with pytest.raises(sa.exc.StatementError, match="needs a zone"):
        await store.receive(message(1), at=NOW.replace(tzinfo=None))
    await store.receive(message(1), at=NOW)
    query = sa.select(tables.inbox.c.received_at)
    found = await store.database.read(lambda db: db.scalar(query))
    assert found == NOW
    assert found.tzinfo is UTC
