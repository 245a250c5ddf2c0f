"""`sangdam prompt ...` as an operator uses it, beside the data of a running installation."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bot.config import packaged

ROOT = Path(__file__).parents[2]


def sangdam(folder: Path, *words: str, fails: bool = False) -> str:
    """Standard output of the command; standard error of one that has to fail."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", "prompt", *words, "--config", str(folder / "sangdam.yaml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
    )
    assert done.returncode == fails, done.stderr
    return done.stderr if fails else done.stdout


def as_json(folder: Path, *words: str) -> Any:
    return json.loads(sangdam(folder, *words, "--json"))


def test_a_set_is_shown_changed_compared_and_brought_back(company: Path, tmp_path: Path) -> None:
    shutil.copytree(company, tmp_path, dirs_exist_ok=True)
    shutil.copytree(packaged("prompts"), tmp_path / "prompts")
    (tmp_path / "sangdam.yaml").write_text(
        "knowledge: {folder: kb}\nprompts: {folder: prompts}\n", encoding="utf-8"
    )
    shown = as_json(
        tmp_path,
        *("show", "--situation", "emotion=angry,daypart=night,repeats=1"),
        *("--question", "배송비 얼마예요?"),
    )
    assert (shown["situation"]["intent"], shown["situation"]["language"]) == ("order", "ko")
    assert shown["situation"]["emotion"] == "angry"
    last = shown["messages"][-1]["content"]
    assert "고객님이 화가 나셨습니다" in last
    assert "배송비는 2,500원이며" in last  # a passage of the index
    assert {"adaptation.angry", "adaptation.night", "adaptation.repeated"} <= set(shown["layers"])
    assert {"system", "situation", "passages", "question", "estimated"} <= shown["tokens"].keys()
    assert shown["tokens"]["estimated"] == sum(shown["tokens"].values()) // 2
    passage = next(part for part in shown["parts"] if part["name"].startswith("passage:"))
    assert passage["priority"] == "P1"
    assert shown["levels"] == {"MUST": "standard", "others": "standard", "turn": "detailed"}
    assert any(dropped.startswith("P2 fact:") for dropped in shown["dropped"])
    before = as_json(tmp_path, "status")
    assert (before["version"], before["pinned"]) == (shown["version"], False)

    first = as_json(tmp_path, "use", "folder")["what"]
    frame = tmp_path / "prompts" / "frame.yaml"
    frame.write_text(frame.read_text(encoding="utf-8") + "# 새 줄\n", encoding="utf-8")
    assert "+# 새 줄" in sangdam(tmp_path, "diff")
    second = as_json(tmp_path, "use", "folder", "--note", "다듬음")
    assert (second["changes"], second["note"]) == (["~ frame.yaml"], "다듬음")
    back = sangdam(tmp_path, "rollback")
    assert back.startswith(f"version {first} is in use; pinned")
    earlier = as_json(tmp_path, "show", "--variant", second["what"])
    assert earlier["version"] == second["what"]
    compared = as_json(tmp_path, "compare")
    assert [side["name"] for side in compared["variants"]] == [second["what"], first]
    assert {verdict["word"] for verdict in compared["verdicts"]} == {"too_few"}
    assert [each["name"] for each in compared["adjustments"]] == [
        *("specific", "empathy", "checkpoints")
    ]
    assert "no prompt set '0000' is kept" in sangdam(tmp_path, "use", "0000", fails=True)


def test_a_situation_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sangdam.yaml").write_text("", encoding="utf-8")
    said = sangdam(tmp_path, "show", "--situation", "emotion=angri", fails=True)
    assert said == "sangdam: 'emotion' has no value 'angri'; did you mean 'angry'?\n"


def test_rules_that_leave_no_room_are_found_by_lint(tmp_path: Path) -> None:
    shutil.copytree(packaged("prompts"), tmp_path / "prompts")
    (tmp_path / "sangdam.yaml").write_text("prompts: {folder: prompts}\n", encoding="utf-8")
    assert "fine, version" in sangdam(tmp_path, "lint")
    layer = tmp_path / "prompts" / "layers" / "4_format.yaml"
    text = layer.read_text(encoding="utf-8")
    rule = f"  - {{id: long, priority: MUST, text: {'가나다라 ' * 3000}}}\n"
    layer.write_text(text + rule, encoding="utf-8")
    said = sangdam(tmp_path, "lint", fails=True)
    assert said.startswith(f"sangdam: {layer}:{len(text.splitlines()) + 1}: the rules take ")
