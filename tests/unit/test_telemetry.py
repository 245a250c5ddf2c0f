"""Logs carry no word of what anybody said, whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from bot.telemetry import set_up_logs


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(text: str) -> None:
        words = text.split()
        raise RuntimeError(f"{len(words)} words")

    set_up_logs()
    try:
        answer("제 번호는 010-9876-5432 입니다")
    except RuntimeError:
        structlog.get_logger("bot.gateway").exception("turn_failed", event_id="e1")
    said = capsys.readouterr().err
    assert "010-9876-5432" not in said
    line = json.loads(said)
    assert line["event"] == "turn_failed"
    assert line["exception"][0]["exc_type"] == "RuntimeError"
