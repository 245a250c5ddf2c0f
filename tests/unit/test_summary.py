"""What the model writes in the background: what is asked, what is kept of it, and where."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.store.digests import keep_digest
from bot.store.store import Store
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Address, Message, Reply, Situation, Turn
from brain.prompt.budget import Budget
from brain.prompt.prompts import Prompts
from brain.summary import LINE, LINES, summary_in

PROMPTS = Prompts.load(Path(__file__).parents[2] / "prompts", Facts({"name": "가나상점"}))
BUDGET = Budget(num_ctx=2048, reserve=256)
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
ADDRESS = Address(channel="fake", conversation="c", user="u")


def turn(number: int) -> Turn:
    return Turn(
        id=f"t{number}",
        address=ADDRESS,
        messages=(Message(id=f"m{number}", address=ADDRESS, text=f"{number}번이요", sent_at=NOW),),
        reply=Reply(id=f"t{number}", in_reply_to="", text="안내해 드립니다. " * 10, kind="answer"),
        started_at=NOW,
    )


def talked(turns: int) -> Session:
    session = Session(address=ADDRESS)
    for number in range(turns):
        session = session.after(turn(number))
    return session


def test_a_summary_is_asked_for_when_the_window_is_nearly_full_and_once() -> None:
    asked = [number for number in range(12) if PROMPTS.digest(talked(number), BUDGET)]
    assert asked
    first = asked[0]
    assert first > 3
    assert asked == list(range(first, first + len(asked)))
    session = talked(first)
    assert not PROMPTS.digest(session.with_digest("요약입니다.", f"t{first - 1}"), BUDGET)


def test_what_is_asked_begins_as_the_next_prompt_does() -> None:
    session = talked(next(n for n in range(12) if PROMPTS.digest(talked(n), BUDGET)))
    asked = PROMPTS.digest(session, BUDGET)
    following = PROMPTS.compose(
        situation=Situation(),
        session=session,
        question="그럼요?",
        passages=(),
        now=NOW,
        budget=BUDGET,
    )
    assert asked[:-1] == following.messages[:-1]
    assert BUDGET.count_messages(asked) <= BUDGET.limit


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("- 환불을 원하심\n2. **7일** 안에 반품", "환불을 원하심\n7일 안에 반품"),
        ("요약:\n환불을 원하심\n환불을 원하심", "환불을 원하심"),
        ("8일 안에 반품 안내\n환불을 원하심", "환불을 원하심"),
        ("The customer wants a refund.", ""),
        ("", ""),
    ],
)
def test_only_what_was_said_and_can_be_read_is_kept(written: str, kept: str) -> None:
    said = (
        {"content": "규칙 8"},
        {"content": "환불되나요? 7일 안에 됩니다."},
        {"content": "요약 8"},
    )
    assert summary_in(written, said) == kept


def test_a_summary_is_short() -> None:
    said = ({"content": ""}, {"content": "가"}, {"content": ""})
    lines = summary_in("\n".join(f"{'가' * n}" for n in range(200, 300)), said).splitlines()
    assert len(lines) == 1  # all are cut to the same
    assert len(lines[0]) == LINE
    assert len(summary_in("\n".join("가" * n for n in range(1, 99)), said).splitlines()) == LINES


async def test_a_summary_is_kept_between_turns_and_not_after_a_reset(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "s.db")
    try:
        await keep_digest(store.database, ADDRESS, "요약입니다.", "t0")
        assert await store.session(ADDRESS) == Session(address=ADDRESS)
        await store.commit(turn(0), talked(1))
        await keep_digest(store.database, ADDRESS, "요약입니다.", "t0")
        assert (await store.session(ADDRESS)).digest == "요약입니다."
        await keep_digest(store.database, ADDRESS, "다른 요약입니다.", "unknown")
        assert (await store.session(ADDRESS)).digest == "요약입니다."
        await store.reset(ADDRESS)
        await keep_digest(store.database, ADDRESS, "요약입니다.", "t0")
        assert await store.session(ADDRESS) == Session(address=ADDRESS)
    finally:
        await store.close()
