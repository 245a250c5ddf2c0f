"""What became of conversations, counted from the store as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as Alembic
from sqlalchemy import create_engine, text

from bot.prompts.adjusting import Adjuster
from bot.store.outcomes import Outcome, outcomes
from bot.store.prompt_history import PromptHistory
from bot.store.records import dump
from bot.store.store import Store
from brain.memory import Session
from brain.messages import Action, Address, Message, Reply, Situation, Turn
from brain.prompt.adjustments import Adjustment, Adjustments, Rate

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MORNING = NOW - timedelta(hours=12)
MIGRATIONS = Path(__file__).parents[2] / "bot" / "store" / "migrations"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "sangdam.db")
    yield opened
    await opened.close()


def turn(number: int, user: str, minutes: float, **changes: Any) -> Turn:
    address = Address(channel="web", conversation="c", user=user)
    at = MORNING + timedelta(minutes=minutes)
    said = Message(id=f"m{number}", address=address, text="질문", sent_at=at)
    kind = changes.pop("kind", "answer")
    situation = Situation(repeats=changes.pop("repeats", 0))
    return Turn(
        **{
            "id": f"t{number}",
            "address": address,
            "messages": (said,),
            "reply": Reply(id=f"t{number}", in_reply_to=said.id, text="답", kind=kind),
            "started_at": at,
            "situation": situation,
            "variant": "v1",
            "timings": {"total": 100.0 + number},
            **changes,
        }
    )


async def keep(store: Store, *made: Turn, down: str = "", up: str = "") -> None:
    for each in made:
        await store.commit(each, Session(address=each.address))
    for value, about in (("down", down), ("up", up)):
        for name in about.split():
            address = next(each.address for each in made if each.id == name)
            await store.feedback(
                Action(
                    id=f"{value}{name}",
                    address=address,
                    kind="feedback",
                    value=value,
                    sent_at=NOW,
                    about=name,
                )
            )


async def only(store: Store, **given: Any) -> Outcome:
    (found,) = await outcomes(store.database, now=NOW, **given)
    return found


async def test_conversations_are_told_apart_by_pauses_and_judged_as_a_whole(store: Store) -> None:
    await keep(
        store,
        turn(1, "calm", 0),
        turn(2, "calm", 119),
        turn(3, "calm", 300),  # after the pause: another conversation
        turn(4, "again", 0),
        turn(5, "again", 5, repeats=1),
        turn(6, "cross", 0),
        turn(7, "cross", 3, kind="quoted"),
        turn(8, "person", 0, handoff="waiting"),
        turn(9, "person2", 0, kind="handoff"),
        turn(12, "person3", 0, escalation="repeated_failure"),
        turn(10, "running", 11 * 60),  # an hour ago: it may go on
        turn(11, "calm", 1, kind="command"),
        down="t7",
        up="t6 t1",
    )
    found = await only(store)
    assert found.answers == 11
    assert sorted(found.response_ms) == [*(101.0 + number for number in range(10)), 112.0]
    assert found.resolved == Rate(hits=2, n=7)
    assert found.completed == Rate(hits=3, n=7)
    assert found.handed_over == Rate(hits=3, n=7)
    assert found.satisfied == Rate(hits=1, n=2)
    assert found.liked == Rate(hits=2, n=3)


async def test_only_votes_on_what_documents_say_count_as_accuracy(store: Store) -> None:
    await keep(
        store, turn(1, "a", 0), turn(2, "b", 0, kind="abstained"), turn(3, "c", 0), down="t2 t3"
    )
    await keep(store, turn(4, "d", 0), up="t4")
    found = await only(store)
    assert (found.right, found.liked) == (Rate(hits=1, n=2), Rate(hits=1, n=3))


async def test_variants_and_times_are_kept_apart(store: Store) -> None:
    await keep(
        store,
        turn(1, "a", 0, variant="v1:tone.control"),
        turn(2, "b", 0, variant="v1:tone.warm", repeats=2),
        turn(3, "c", 0, variant="v1:other_tone.warm"),
        turn(4, "d", 0, variant=""),
        turn(5, "e", -600, variant="v1:tone.warm"),
    )
    found = await outcomes(store.database, now=NOW, variant=":tone.", since=MORNING)
    assert [(each.variant, each.resolved) for each in found] == [
        ("v1:tone.control", Rate(hits=1, n=1)),
        ("v1:tone.warm", Rate(hits=0, n=1)),
    ]
    assert len(await outcomes(store.database, now=NOW)) == 3


async def test_a_rule_goes_on_and_off_by_what_was_said_since(store: Store) -> None:
    rule = Adjustment(name="empathy", measure="satisfaction", below=0.8, until=0.85)
    rules = Adjustments(window_days=14, minimum=3, rules=(rule,))
    clock = [NOW]
    adjuster = Adjuster(
        database=store.database, history=PromptHistory(store.database), now=lambda: clock[0]
    )
    await keep(store, turn(1, "a", 0), turn(2, "b", 0), down="t1 t2")
    assert await adjuster.adjust(rules) == []
    await keep(store, turn(3, "c", 0), up="t3")
    (switched,) = await adjuster.adjust(rules)
    assert (switched.kind, switched.what) == ("on", "empathy")
    assert switched.note == "satisfaction 0.333 < 0.8, n 3"
    assert await adjuster.adjust(rules) == []
    (standing,) = await adjuster.standings(rules)
    assert (standing.on, standing.measured.n) == (True, 0)  # what was before counts no more
    later = [turn(10 + number, f"n{number}", 13 * 60) for number in range(3)]
    await keep(store, *later, up="t10 t11 t12")
    clock[0] = NOW + timedelta(days=1)
    (switched,) = await adjuster.adjust(rules)
    assert (switched.kind, switched.note) == ("off", "satisfaction 1.000 >= 0.85, n 3")


async def test_turns_from_before_the_columns_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "sangdam.db"
    config = Alembic()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    old = turn(1, "a", 0, repeats=2, handoff="person")
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0001")
        db.execute(
            text(
                "INSERT INTO turns (id, channel, conversation, user, at, kind, failure, messages, "
                "response_ms, remembered, document) "
                "VALUES ('t1', 'web', 'c', 'a', :at, 'answer', '', 1, 5.0, 1, :document)"
            ),
            {"at": int(MORNING.timestamp()) * 1_000_000, "document": dump(old)},
        )
    engine.dispose()
    store = await Store.open(path)
    try:
        found = await only(store)
    finally:
        await store.close()
    assert (found.variant, found.completed) == ("v1", Rate(hits=0, n=1))
