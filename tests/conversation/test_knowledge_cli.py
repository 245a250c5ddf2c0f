"""`sangdam kb` as an operator types it, beside a running server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.cli import cli
from brain.errors import ConfigError, IndexBusy, KnowledgeError
from brain.knowledge.versions import only_writer

QUESTION = "독서 모임은 언제 하나요?"
Kb = Callable[..., dict[str, Any]]


@pytest.fixture
def kb(tmp_path: Path) -> Kb:
    """`sangdam kb ...` on the company in `tmp_path`: its JSON."""
    file = tmp_path / "sangdam.yaml"
    file.write_text(
        "data: ./data\nknowledge: {folder: ./kb}\nmodel: {host: 'http://127.0.0.1:9'}\n"
    )

    def called(*arguments: str, said: str | None = None) -> dict[str, Any]:
        command = ["kb", *arguments, "--config", str(file), "--json"]
        result = CliRunner().invoke(cli, command, input=said, catch_exceptions=True)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    return called


async def in_thread(kb: Kb, *arguments: str, said: str | None = None) -> dict[str, Any]:

    return await asyncio.to_thread(kb, *arguments, said=said)


async def test_a_gap_is_answered_beside_a_running_server(run, kb: Kb, tmp_path: Path) -> None:
    async with run() as sangdam:
        assert (await sangdam.say(QUESTION)).reply.kind == "abstained"
        (gap,) = (await in_thread(kb, "gaps"))["gaps"]
        assert (gap["question"], gap["count"], gap["kinds"]) == (QUESTION, 1, ["abstained"])
        answer = (
            "독서 모임은 매달 둘째 토요일 오후 3시에 종로점에서 합니다. 참가비는 5,000원입니다."
        )
        written = await in_thread(kb, "answer", gap["id"], said=answer)
        assert written["document"] == "faq/from-gaps.yaml"
        turn = await sangdam.say(QUESTION, user="u2")
        assert (turn.reply.kind, turn.reply.sources[0].document) == ("quoted", written["document"])
        assert (await in_thread(kb, "gaps"))["gaps"] == []
        with pytest.raises(KnowledgeError, match="no gap"):
            await in_thread(kb, "answer", gap["id"], "--text", "다시")
    assert QUESTION in (tmp_path / "kb" / "faq" / "from-gaps.yaml").read_text(encoding="utf-8")


async def test_one_writes_at_a_time_and_the_server_follows(run, kb: Kb, tmp_path: Path) -> None:
    async with run() as sangdam:
        (tmp_path / "kb" / "new.md").write_text(
            "# 새 소식\n\n새 매장을 엽니다.\n", encoding="utf-8"
        )
        with only_writer(tmp_path / "data" / "index"):
            with pytest.raises(IndexBusy, match="another reload is under way"):
                await in_thread(kb, "reload")
            turn = await sangdam.say("/reload", user="admin")
            assert "another reload" in turn.reply.text
        version = (await in_thread(kb, "reload"))["version"]
        await sangdam.say("새 매장을 여나요?")
        assert version in (await sangdam.say("/status", user="admin")).reply.text
        assert (await in_thread(kb, "rollback"))["version"] != version


def test_calibrate_names_its_minimum(run, kb: Kb, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"q": "배송비", "source": "delivery.md"}\n', encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"1 questions .* at least 30"):
        kb("calibrate", str(file))
    assert kb("status")["confidence"] == "as shipped"


def test_answers_are_not_written_into_the_sample_company(tmp_path: Path) -> None:
    file = tmp_path / "sangdam.yaml"
    file.write_text(f"data: {tmp_path / 'data'}\n")
    command = ["kb", "answer", "12345678", "--text", "네", "--config", str(file)]
    result = CliRunner().invoke(cli, command)
    assert isinstance(result.exception, ConfigError)
    assert "knowledge.folder is not set" in str(result.exception)
