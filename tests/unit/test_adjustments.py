"""What was measured switches parts of the last message, and never the static part."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from brain.errors import PromptError
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Address, Situation
from brain.prompt.adjustments import Adjustment, Adjustments, Rate
from brain.prompt.budget import Budget
from brain.prompt.prompts import Prompts

SHIPPED = Path(__file__).parents[2] / "prompts"
FACTS = Facts({"name": "가나상점", "policies": {"delivery_fee": 3000, "free_delivery_from": 30000}})
RULE = Adjustment(name="empathy", measure="satisfaction", below=0.8, until=0.85)


@pytest.mark.parametrize(
    ("hits", "n", "on", "wanted"),
    [
        (79, 100, False, True),
        (80, 100, False, False),
        (82, 100, False, False),  # between the borders everything stays as it is
        (82, 100, True, True),
        (85, 100, True, False),
        (0, 99, False, False),  # too few to switch on
        (99, 99, True, True),  # or off
        (0, 0, True, True),
    ],
)
def test_a_rule_switches_with_hysteresis_and_enough_samples(
    hits: int, n: int, on: bool, wanted: bool
) -> None:
    assert RULE.wanted(Rate(hits=hits, n=n), 100, on) is wanted


def test_the_shipped_rules_are_those_of_the_product() -> None:
    rules = {rule.measure: rule for rule in Adjustments.load(SHIPPED).rules}
    assert {measure: rule.below for measure, rule in rules.items()} == {
        "accuracy": 0.8,
        "satisfaction": 0.8,
        "completion": 0.9,
    }
    assert Adjustments.load(SHIPPED / "nowhere") == Adjustments()


def test_a_switched_part_is_in_the_last_message_alone() -> None:
    prompts = Prompts.load(SHIPPED, FACTS)

    def composed():
        return prompts.compose(
            situation=Situation(confidence="high"),
            session=Session(address=Address(channel="web", conversation="c", user="u")),
            question="교환하고 싶어요",
            passages=(),
            now=datetime(2026, 3, 4, 10, 0, tzinfo=ZoneInfo("Asia/Seoul")),
            budget=Budget(num_ctx=8192, reserve=768),
            marker="m",
        )

    before = composed()
    prompts.adjusted = frozenset(prompts.adjustments.names)
    after = composed()
    prompts.adjusted = frozenset()
    assert composed() == before
    assert after.messages[:-1] == before.messages[:-1]
    assert set(after.layers) - set(before.layers) == {
        "module:adjusted_specific",
        "module:adjusted_empathy",
        "module:adjusted_checkpoints",
        "example:adjusted_specific",
    }
    assert "고객님의 상황과 마음을 먼저" in after.messages[-1]["content"]
    assert "**3,000원**" in after.messages[-1]["content"]


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "adjustments.yaml",
            "name: empathy",
            "name: empathi",
            r"unknown adjustment 'empathy'; did",
        ),
        (
            "adjustments.yaml",
            "until: 0.93",
            "until: 0.9",
            r":\d+: rules\.2: 'until' must be higher",
        ),
        ("adjustments.yaml", "measure: accuracy", "measure: acuracy", r":\d+: rules\.0\.measure"),
        ("adjustments.yaml", "minimum: 100", "minimun: 100", "did you mean 'minimum'"),
        ("adjustments.yaml", "name: empathy", "name: specific", "'specific' stands twice"),
        (
            "modules/adjusted_empathy.yaml",
            "adjustment: empathy\n",
            "",
            r"adjustments\.yaml:\d+: 'empathy' switches nothing",
        ),
        (
            "modules/adjusted_empathy.yaml",
            "adjustment: empathy",
            "adjustment: sympathy",
            r"adjusted_empathy\.yaml:\d+: unknown adjustment 'sympathy'",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, file: str, old: str, new: str, says: str) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "prompts"))
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PromptError, match=says):
        Prompts.load(folder, FACTS)
