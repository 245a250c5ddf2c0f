"""Prompt sets by content, and an experiment that is the same for one customer for good."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from brain.errors import PromptError
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Address, Situation
from brain.prompt.budget import Budget
from brain.prompt.compose import Composed
from brain.prompt.prompts import Prompts
from brain.prompt.variants import Experiment, PromptFiles

SHIPPED = Path(__file__).parents[2] / "prompts"
FACTS = Facts({"name": "가나상점", "policies": {"delivery_fee": 3000, "free_delivery_from": 30000}})
TWO = """\
experiment: tone
minimum: 20
variants:
  - {name: control, weight: 1}
  - {name: warm, weight: 3, overlay: variants/warm}
"""
WARM = """\
persona: base
rules:
  - id: structure
    text: 따뜻한 공감으로 시작하고 핵심을 말합니다.
  - {id: warmth, layer: 3, priority: MUST, text: 늘 따뜻하게 말합니다.}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copied = Path(shutil.copytree(SHIPPED, tmp_path / "prompts"))
    (copied / "experiments.yaml").write_text(TWO, encoding="utf-8")
    write(copied / "variants/warm/personas/base.yaml", WARM)
    return copied


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def address(user: str, conversation: str = "c") -> Address:
    return Address(channel="web", conversation=conversation, user=user)


def compose(prompts: Prompts, user: str = "u", **changes: object) -> Composed:
    given = {
        "situation": Situation(intent="product", confidence="high"),
        "session": Session(address=address(user)),
        "question": "배송비가 얼마예요?",
        "passages": (),
        "now": datetime(2026, 3, 4, 19, 30, tzinfo=ZoneInfo("Asia/Seoul")),
        "budget": Budget(num_ctx=8192, reserve=768),
    }
    return prompts.compose(**{**given, **changes})  # type: ignore[arg-type]


def test_a_set_is_told_by_its_content_and_comes_back_as_it_was(tmp_path: Path) -> None:
    files = PromptFiles.read(SHIPPED, "base")
    files.write(tmp_path / "again")
    assert PromptFiles.read(tmp_path / "again", "base") == files
    assert Prompts.load(tmp_path / "again", FACTS).version == files.id
    (tmp_path / "again" / "frame.yaml").unlink()
    write(tmp_path / "again" / "modules" / "new.yaml", "module: new\n")
    write(tmp_path / "again" / "thesaurus.yaml", "replace: {비번: 비밀번호}\n")
    other = PromptFiles.read(tmp_path / "again", "shopping")
    assert other.id != files.id
    assert other.changes(files) == (
        "- frame.yaml",
        "+ modules/new.yaml",
        "~ thesaurus.yaml",
        "~ persona base -> shopping",
    )
    difference = other.difference(files)
    assert "+module: new" in difference
    assert f"--- frame.yaml ({files.id})\n+++ /dev/null" in difference
    assert files.difference(files) == ""


def test_files_of_another_encoding_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes("title: 안내".encode("cp949"))
    with pytest.raises(PromptError, match=r"x\.yaml: not UTF-8"):
        PromptFiles.read(tmp_path, "base")


def test_a_customer_keeps_the_variant_and_weights_divide_them(folder: Path) -> None:
    experiment = Experiment.load(folder)
    assert experiment is not None
    given = [experiment.of(address(str(user))).name for user in range(4000)]
    assert given == [experiment.of(address(str(user), "other")).name for user in range(4000)]
    assert 0.72 < Counter(given)["warm"] / 4000 < 0.78
    anew = [replace(experiment, name="next").of(address(str(user))).name for user in range(4000)]
    same = sum(one == other for one, other in zip(given, anew, strict=True)) / 4000
    assert 0.55 < same < 0.7  # as chance has it for 1:3: a new name shuffles


def test_each_variant_has_a_static_part_of_its_own_that_never_changes(folder: Path) -> None:
    prompts = Prompts.load(folder, FACTS)
    (folder / "experiments.yaml").unlink()
    plain = Prompts.load(folder, FACTS)
    static: dict[str, set[str]] = {}
    for number in range(40):
        user = f"u{number}"
        situation = Situation(
            emotion=("angry", "neutral")[number % 2], intent=("complaint", "order")[number % 2]
        )
        composed = compose(prompts, user, situation=situation, question=f"질문 {number}")
        variant = prompts.variant(address(user))
        static.setdefault(variant, set()).add(composed.messages[0]["content"])
    control, warm = (f"{prompts.version}:tone.{name}" for name in ("control", "warm"))
    assert {name: len(texts) for name, texts in static.items()} == {control: 1, warm: 1}
    assert static[control] == {compose(plain).messages[0]["content"]}
    assert "늘 따뜻하게 말합니다." in static[warm].pop()
    assert plain.variant(address("u1")) == plain.version


def test_a_variant_can_be_asked_for_by_name(folder: Path) -> None:
    prompts = Prompts.load(folder, FACTS)
    seen = {name: compose(prompts, variant=name).messages[0] for name in ("control", "warm")}
    assert seen["control"] != seen["warm"]
    with pytest.raises(PromptError, match="did you mean 'warm'"):
        compose(prompts, variant="warn")


@pytest.mark.parametrize(
    ("experiment", "says"),
    [
        ("variants: [{name: a, weight: 1}]", r":1: an experiment with variants needs a name"),
        ("experiment: x\nvariants: [{name: a, weight: 1}]", r":2: one variant is no comparison"),
        (
            "experiment: x\nvariants:\n- {name: a, weight: 1}\n- {name: a, weight: 1}",
            r":4: the name 'a' stands twice",
        ),
        (
            "experiment: x\nvariants:\n- {name: a, weight: 1}\n- {name: b, wieght: 1}",
            r":4: unknown key .*did you mean 'weight'",
        ),
        (
            "experiment: x\nvariants:\n- {name: a, weight: 0}\n- {name: b, weight: 1}",
            r":3: variants\.0\.weight: input should be greater",
        ),
        (TWO.replace("variants/warm", "variants/cold"), r":5: variants/cold: no folder"),
        (TWO.replace("variants/warm", "../prompts"), r":5: \.\./prompts: no folder"),
        (TWO.replace("overlay: variants/warm", "persona: wrm"), "unknown persona 'wrm'"),
    ],
)
def test_a_broken_experiment_is_one_line(folder: Path, experiment: str, says: str) -> None:
    write(folder / "experiments.yaml", experiment)
    with pytest.raises(PromptError, match=says):
        Prompts.load(folder, FACTS)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("layers/1_identity.yaml", "layer: 1", "layer 1 cannot be changed"),
        ("phrases/ko.yaml", "greeting: {}", "a variant may only have files in layers/"),
        ("experiments.yaml", "variants: []", "a variant may only have files in layers/"),
        ("layers/7_more.yaml", "layer: 7", "no such layer"),
        (
            "personas/base.yaml",
            "persona: base\nrules: [{id: honesty, text: 지어냅니다.}]",
            r"variants/warm/personas/base\.yaml:2: rule 'honesty': layer 1 cannot be changed",
        ),
        ("modules/x.yaml", "module: x\n", r"variants/warm/modules/x\.yaml:1: the key 'title'"),
    ],
)
def test_a_variant_never_changes_the_identity_and_its_mistakes_are_named(
    folder: Path, file: str, text: str, says: str
) -> None:
    write(folder / "variants/warm" / file, text)
    with pytest.raises(PromptError, match=says):
        Prompts.load(folder, FACTS)
