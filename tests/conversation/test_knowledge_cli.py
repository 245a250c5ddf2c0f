"""`sangdam kb` as an operator types it, beside a running server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.cli.doctor import examine
from brain.knowledge.versions import only_writer
from tests.wire.ollama_server import OllamaServer, Script

QUESTION = "독서 모임은 언제 하나요?"
ROOT = Path(__file__).resolve().parents[2]
Kb = Callable[..., Awaitable[Any]]


@pytest.fixture
def kb(tmp_path: Path) -> Kb:
    """`await kb(...)`: the JSON of `sangdam kb ...` on the company in `tmp_path`, or its complaint."""
    file = tmp_path / "sangdam.yaml"
    file.write_text(
        "data: ./data\nknowledge: {folder: ./kb}\nmodel: {host: 'http://127.0.0.1:9'}\n"
    )

    async def called(*arguments: str, said: str = "") -> Any:
        command = ["-m", "bot", "kb", *arguments, "--config", str(file), "--json"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        out, complaint = await process.communicate(said.encode())
        if process.returncode == 1:
            return complaint.decode().strip().splitlines()[-1]
        assert process.returncode == 0, complaint.decode()
        return json.loads(out)

    return called


async def test_a_gap_is_answered_beside_a_running_server(run, kb: Kb, tmp_path: Path) -> None:
    async with run() as sangdam:
        assert (await sangdam.say(QUESTION)).reply.kind == "abstained"
        (gap,) = (await kb("gaps"))["gaps"]
        assert (gap["question"], gap["count"], gap["kinds"]) == (QUESTION, 1, ["abstained"])
        assert set(gap["nearest"]) == {"document", "heading"}
        assert 0 < gap["probability"] < 0.6
        answer = (
            "독서 모임은 매달 둘째 토요일 오후 3시에 종로점에서 합니다. 참가비는 5,000원입니다."
        )
        written = await kb("answer", gap["id"], said=answer)
        assert written["document"] == "faq/from-gaps.yaml"
        turn = await sangdam.say(QUESTION, user="u2")
        assert (turn.reply.kind, turn.reply.sources[0].document) == ("quoted", written["document"])
        assert (await kb("gaps"))["gaps"] == []
        assert "no gap" in await kb("answer", gap["id"], "--text", "다시")
    assert QUESTION in (tmp_path / "kb" / "faq" / "from-gaps.yaml").read_text(encoding="utf-8")


async def test_one_writes_at_a_time_and_the_server_follows(run, kb: Kb, tmp_path: Path) -> None:
    async with run() as sangdam:
        (tmp_path / "kb" / "new.md").write_text(
            "# 새 소식\n\n새 매장을 엽니다.\n", encoding="utf-8"
        )
        with only_writer(tmp_path / "data" / "index"):
            assert "another reload is under way" in await kb("reload")
            turn = await sangdam.say("/reload", user="admin")
            assert "another reload" in turn.reply.text
        version = (await kb("reload"))["version"]
        assert version in (await sangdam.say("/status", user="admin")).reply.text
        assert (await kb("rollback"))["version"] != version


async def test_calibrate_names_its_minimum(run, kb: Kb, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"q": "배송비", "source": "delivery.md"}\n', encoding="utf-8")
    assert "at least 30" in await kb("calibrate", str(file))
    assert (await kb("status"))["confidence"] == "as shipped"


async def test_answers_are_not_written_into_the_sample_company(kb: Kb, tmp_path: Path) -> None:
    (tmp_path / "sangdam.yaml").write_text("data: ./data\n")
    assert "knowledge.folder is not set" in await kb("answer", "12345678", "--text", "네")


async def test_a_search_finds_what_a_customer_in_a_conversation_would(
    run, kb: Kb, tmp_path: Path
) -> None:
    said = ("--history", "배송비 얼마예요?", "--history", "배송비는 2,500원입니다.")
    by_rules = await kb("search", "주차는 되나요?", *said)
    assert by_rules["rewritten"] == "배송비 얼마예요? 주차는 되나요?"
    assert by_rules["results"][0]["document"] == "delivery.md"
    assert by_rules["topics"]
    assert set(by_rules["signals"]) == {"cosine", "margin", "coverage", "familiar"}

    alone = json.dumps({"question": "종로점에 주차할 수 있나요?"}, ensure_ascii=False)
    async with OllamaServer(script=Script(reply=alone)) as server:
        (tmp_path / "sangdam.yaml").write_text(
            "knowledge: {folder: ./kb, rerank: off, follow_ups: model}\n"
            f"model: {{host: '{server.host}'}}\n"
        )
        found = await kb("search", "주차는 되나요?", *said)
    assert (found["rewritten"], found["after"]) == ("종로점에 주차할 수 있나요?", said[1])
    assert found["results"][0]["heading"] == "shops > 종로점"


@pytest.mark.parametrize(
    ("knowledge", "level", "says"),
    [
        ("watch: false", "ok", "one search"),
        (
            "queries: 3, follow_ups: model",
            "warn",
            "queries: 3, follow_ups: model; without the model",
        ),
        ("rerank: 'cross-encoder:./absent'", "fail", "knowledge.rerank"),
    ],
)
async def test_doctor_says_what_questions_are_looked_up_by(
    run, kb: Kb, tmp_path: Path, knowledge: str, level: str, says: str
) -> None:
    file = tmp_path / "sangdam.yaml"
    text = file.read_text().replace("folder: ./kb", f"folder: ./kb, {knowledge}")
    file.write_text(text)
    (check,) = [each for each in await examine(file) if each.name == "retrieval"]
    assert check.level == level
    assert says in check.detail
