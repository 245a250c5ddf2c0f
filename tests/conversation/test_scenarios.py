"""Conversation tests in YAML: the files of this project, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.config import Config
from bot.scenario import read, run_all
from brain.errors import ConfigError

FILES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))


async def test_every_scenario_of_the_project_passes(config: Config) -> None:
    outcome = await run_all(config, FILES)
    assert outcome.failures == ()
    assert outcome.passed == len(FILES) > 0


async def test_an_expectation_that_is_not_met_is_told(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "steps:\n"
        "  - user: 배송비 얼마예요?\n"
        "    expect: {containing: [공짜], kind: abstained, sources: [faq.yaml], replies: 2}\n",
        encoding="utf-8",
    )
    outcome = await run_all(config, [file])
    assert (outcome.passed, outcome.failed) == (0, 1)
    told = {failure.expected for failure in outcome.failures}
    assert told == {"containing '공짜'", "kind abstained", "source faq.yaml", "2 replies"}
    assert {failure.step for failure in outcome.failures} == {1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: [{usr: hi}]", "did you mean 'user'"),
        ("steps: []", "at least 1"),
        ("steps: [{expect: {kind: quoted}}]", "needs one of"),
        ("steps: [{wait: 1, expect: {kind: quoted}}]", "expect goes with user"),
        ("steps: [{fault: explode}]", "fault"),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml:1") as error:
        read(file)
    assert says in str(error.value)
