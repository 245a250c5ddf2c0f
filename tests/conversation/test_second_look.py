"""A second look where the first search is unsure: the model helps to find, and may fail or be late at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conversation.conftest import Run
from tests.wire.ollama_server import OllamaServer, Request, Script

ANSWER = "고객님, 안내 문서에 있는 대로 도와드리겠습니다."
HELP = {
    "question에": {"question": "종로점에 주차할 수 있나요?"},
    "questions에": {"questions": ["배송비 얼마예요?"]},
    "numbers에": {"numbers": [2]},
}
"""What the model answers to each small question, known by the key that it is told to fill."""
TASK = "[내부 작업"
COST, QUESTION, SLANG, SURE = (
    "배송비 얼마예요?",
    "보내는 데 돈 들어요?",
    "부치는 값이 얼만가요",
    "절판된 책도 구할 수 있나요?",
)


def helpful(messages: Sequence[Mapping[str, Any]]) -> str:
    told = messages[-1]["content"]
    key = next((key for key in HELP if told.startswith(TASK) and key in told), "")
    return json.dumps(HELP[key], ensure_ascii=False) if key else ANSWER


def tasks(server: OllamaServer) -> list[Request]:
    return [chat for chat in server.chats if TASK in chat.messages[-1]["content"]]


async def test_words_that_no_document_has_are_searched_in_other_words(
    run: Run, tmp_path: Path
) -> None:
    async with OllamaServer(script=Script(reply=helpful)) as server:
        model = {"host": server.host}
        async with run(model=model) as sangdam:
            assert (await sangdam.say(SLANG)).reply.kind == "abstained"
        async with run(model=model, knowledge=knowledge(tmp_path, queries=2)) as sangdam:
            turn = await sangdam.say(SLANG, user="admin")
            why = await sangdam.say("/why", user="admin")
            assert (await sangdam.say(SLANG, user="u2")).reply.kind == "answer"
    assert (turn.reply.kind, turn.reply.text) == ("answer", ANSWER)
    assert turn.reply.sources[0].document == "delivery.md"
    assert turn.situation.confidence == turn.confidence.level == "medium", "never for certain"
    assert turn.lookup["queries"] == "배송비 얼마예요"
    assert {"question", "queries"} <= set(turn.passages[0].scores)
    assert "바꾸어 찾은 말: 배송비 얼마예요" in why.reply.text
    first, answer, again = server.chats
    assert (len(tasks(server)), first.options["temperature"]) == (1, 0.0), "known the second time"
    assert first.messages[:-1] == answer.messages[:-1] == again.messages[:-1], "read only once"


def knowledge(folder: Path, **changes: Any) -> dict[str, Any]:
    return {"folder": folder / "kb", **changes}


@pytest.mark.parametrize("text", [SURE, "안녕하세요", "상담원 연결해 주세요"])
async def test_what_is_certain_costs_nothing(run: Run, tmp_path: Path, text: str) -> None:
    everything = knowledge(tmp_path, queries=4, rerank="model", follow_ups="model")
    async with (
        OllamaServer(script=Script(reply=helpful)) as server,
        run(model={"host": server.host}, knowledge=everything) as sangdam,
    ):
        await sangdam.say(text)
        assert tasks(server) == []


async def test_passages_in_doubt_are_ranked_again(run: Run, tmp_path: Path) -> None:
    async with (
        OllamaServer(script=Script(reply=helpful)) as server,
        run(model={"host": server.host}, knowledge=knowledge(tmp_path, rerank="model")) as sangdam,
    ):
        before = (await sangdam.app.brain.library.search(QUESTION)).passages
        turn = await sangdam.say(QUESTION)
    assert [each.id for each in turn.passages] == [before[n].id for n in (1, 0, 2, 3, 4)]
    assert turn.lookup["reranked"] == "model"
    assert turn.passages[0].scores["rerank"] == 1
    assert turn.passages[1].scores["first"] == before[0].score > before[1].score
    assert turn.confidence.level == "medium"


async def test_a_doubtful_follow_up_is_made_to_stand_alone(run: Run, tmp_path: Path) -> None:
    async with OllamaServer(script=Script(reply=helpful)) as server:
        model, said = {"host": server.host}, "주차도 되나요?"
        async with run(model=model) as sangdam:
            await sangdam.say(COST)
            by_rules = await sangdam.say(said)
        chosen = knowledge(tmp_path, follow_ups="model")
        async with run(model=model, knowledge=chosen) as sangdam:
            await sangdam.say(COST, conversation="c2")
            turn = await sangdam.say(said, conversation="c2")
    assert by_rules.passages[0].document == "delivery.md"
    assert turn.passages[0].heading == "shops > 종로점"
    assert (turn.lookup["question"], turn.lookup["after"]) == (
        "종로점에 주차할 수 있나요?",
        COST,
    )
    (task,) = tasks(server)
    assert f"고객: {COST}\n상담원: {ANSWER}\n고객: {said}" in task.messages[-1]["content"]


@pytest.mark.parametrize(
    ("script", "times"),
    [(Script(first_delay=30), 1), (Script(reply="잘 모르겠습니다."), 2), (Script(status=500), 1)],
    ids=["late", "garbage", "fault"],
)
async def test_help_that_does_not_come_leaves_the_answer_as_it_was(
    run: Run, tmp_path: Path, script: Script, times: int
) -> None:
    everything = knowledge(tmp_path, queries=4, rerank="model", deadline=0.5)
    async with OllamaServer(script=Script(reply=helpful)) as server:
        model = {"host": server.host, "timeouts": {"first_token": 10}}
        async with run(model=model) as sangdam:
            plain = await sangdam.say(QUESTION)
        async with run(model=model, knowledge=everything) as sangdam:
            server.queue = [script] * times
            turn = await sangdam.say(QUESTION, conversation="c2")
    assert (turn.reply.kind, turn.reply.text) == ("answer", ANSWER)
    assert turn.passages == plain.passages
    assert turn.lookup == plain.lookup
    assert len(server.chats) == times + 2


async def test_help_stops_when_the_customer_goes_on(run: Run, tmp_path: Path) -> None:
    async with (
        OllamaServer(script=Script(reply=helpful)) as server,
        run(
            model={"host": server.host, "parallel": 1, "queue": 0},
            knowledge=knowledge(tmp_path, rerank="model", deadline=60),
        ) as sangdam,
    ):
        server.queue = [Script(first_delay=60)]
        await sangdam.hand_in(QUESTION)
        async with asyncio.timeout(30):
            while not server.chats:
                await asyncio.sleep(0.01)
            await sangdam.hand_in("제주도예요")
            await server.chats[0].left.wait()
        await sangdam.quiet()
    (turn,) = sangdam.turns
    assert (turn.reply.kind, len(turn.messages)) == ("answer", 2)
