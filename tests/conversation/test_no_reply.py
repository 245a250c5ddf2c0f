"""Turns that end without a reply: nobody is left waiting, and nobody seems to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.base import Capabilities
from brain.errors import StoreError
from brain.memory import Session
from brain.messages import Message, Turn
from tests.conversation.conftest import Run, Sangdam

OPEN_REQUESTS = Capabilities(collects=False, deadline=5.0)


def owned_by_a_person(sangdam: Sangdam) -> None:
    """The brain says nothing, as where a person has the conversation."""
    answer = sangdam.app.brain.answer

    async def silent(messages: Sequence[Message], *rest: Any, **more: Any) -> tuple[Turn, Session]:
        turn, session = await answer(messages, *rest, **more)
        return replace(turn, reply=replace(turn.reply, kind="silent", text="")), session

    sangdam.app.brain.answer = silent  # type: ignore[method-assign]


def without_a_disk(sangdam: Sangdam) -> None:
    """Nothing that was answered can be kept."""

    async def fails(*_: Any) -> None:
        raise StoreError("the disk is full")

    sangdam.app.store.commit = fails  # type: ignore[method-assign]


@pytest.mark.parametrize("ends", [owned_by_a_person, without_a_disk])
async def test_what_was_shown_of_the_reply_ends(run: Run, ends: Any) -> None:
    async with run() as sangdam:
        ends(sangdam)
        reply = await sangdam.fake.say("배송비 얼마예요?")
        assert (reply.kind, reply.text) == ("silent", "")
        assert len(sangdam.fake.drafts) >= 1
        assert len(sangdam.fake.given_up) == 1
        assert sangdam.fake.replies == []


@pytest.mark.parametrize(
    ("ends", "phrase"),
    [(owned_by_a_person, "delivery.silent"), (without_a_disk, "exceptions.system_error")],
)
async def test_an_open_request_is_answered_all_the_same(run: Run, ends: Any, phrase: str) -> None:
    async with run(capabilities=OPEN_REQUESTS) as sangdam:
        ends(sangdam)
        await sangdam.hand_in("배송비 얼마예요?")
        await sangdam.quiet()
        assert sangdam.shown == [("", sangdam.phrase(phrase))]
