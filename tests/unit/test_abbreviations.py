"""Shorter words in the rules: what is replaced, what never is, when a code pays, and its mistakes."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brain.errors import PromptError
from brain.facts import Facts
from brain.memory import Session
from brain.messages import Address, Situation
from brain.prompt.abbreviations import ABBREVIATIONS, Abbreviations, replaced
from brain.prompt.budget import Budget, weigh
from brain.prompt.prompts import Prompts

SHIPPED = Path(__file__).parents[2] / "prompts"
FACTS = Facts(
    {"name": "사람 상담원 상점", "policies": {"return_days": 14}, "motto": "개인정보 보호"}
)
NARROW, WIDE = (Budget(num_ctx=size, reserve=size // 8) for size in (4096, 32768))
WORDY = """
  - id: wordy{n}
    priority: MUST
    text: 개인정보와 법률·의료 문제는 사람 상담원에게 맡기고, 고객님께는 "사람 상담원"이라고 말합니다.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "prompts"))


def system(folder: Path, budget: Budget) -> str:
    composed = Prompts.load(folder, FACTS).compose(
        situation=Situation(intent="complaint"),
        session=Session(address=Address(channel="fake", conversation="c", user="u")),
        question="개인정보는 사람 상담원이 보나요?",
        passages=(),
        now=datetime(2026, 3, 4, tzinfo=UTC),
        budget=budget,
    )
    assert "개인정보는 사람 상담원이 보나요?" in composed.messages[-1]["content"]
    return str(composed.messages[0]["content"])


def made_wordy(folder: Path) -> None:
    layer = folder / "layers" / "3_behaviour.yaml"
    rules = "".join(WORDY.format(n=n) for n in range(8))
    layer.write_text(layer.read_text(encoding="utf-8") + rules, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("이름 그리고 모델명을 묻습니다", "이름 + 모델명을 묻음"),
        ("친절하고 공손한 말로 답합니다. 예를 들어 인사.", "정중한 말로 답함. 예: 인사"),
        ("모르면 모른다고 합니다.", "모르면 모른다고 함"),
        ("우그리고 반드시색", "우그리고 반드시색"),
        (
            '"알려 드립니다" 대신 {그리고} <말씀 그리고> 씁니다',
            '"알려 드립니다" 대신 {그리고} <말씀 그리고> 씀',
        ),
        ("'주문 그리고 배송' 그리고", "'주문 그리고 배송' +"),
        ("It's friendly and polite, for example", "It's courteous, eg"),
    ],
)
def test_whole_words_and_endings_are_shortened_outside_of_quotations(text: str, short: str) -> None:
    assert Abbreviations.load(SHIPPED).shorter(text) == short


def test_a_word_keeps_its_particle_and_is_no_part_of_another() -> None:
    codes = {"상담원": "CS"}
    assert (
        replaced("상담원에게 상담원은 상담원실 부상담원", codes) == "CS에게 CS은 상담원실 부상담원"
    )


def test_codes_are_used_and_explained_once_where_they_save_tokens(folder: Path) -> None:
    assert "약어" not in system(folder, NARROW)
    made_wordy(folder)
    coded, roomy = system(folder, NARROW), system(folder, WIDE)
    assert coded.count("AGT=사람 상담원") == coded.count("PI=개인정보") == 1
    assert 'PI와 LM 문제는 AGT에게 맡기고, 고객님께는 "사람 상담원"이라고 말함' in coded
    assert "사람 상담원 상점의 AI 상담원" in coded  # words a fact of the company
    assert "PI" not in roomy
    assert "개인정보 보호" in roomy
    (folder / ABBREVIATIONS).unlink()
    assert weigh(coded) < weigh(system(folder, NARROW)) - 50
    assert roomy == system(folder, WIDE)


def test_the_shortened_system_message_never_changes_within_a_set(folder: Path) -> None:
    made_wordy(folder)
    assert system(folder, NARROW) == system(folder, NARROW)
    before = Prompts.load(folder, FACTS).version
    path = folder / ABBREVIATIONS
    path.write_text(path.read_text(encoding="utf-8") + "# 새 줄\n", encoding="utf-8")
    assert Prompts.load(folder, FACTS).version != before


def test_a_code_that_means_something_already_is_not_used(folder: Path) -> None:
    made_wordy(folder)
    layer = folder / "layers" / "3_behaviour.yaml"
    text = layer.read_text(encoding="utf-8") + "  - {id: pi, priority: MUST, text: PI를 아낍니다}\n"
    layer.write_text(text, encoding="utf-8")
    coded = system(folder, NARROW)
    assert "AGT=사람 상담원" in coded
    assert "PI=" not in coded


MISTAKES = {
    "empty": ("  또는: ", "  또는: ''\n  그냥: ", 0, "at least 1 character"),
    "nothing": ("  또는: ", "  또는:\n  그냥: ", 0, "valid string"),
    "twice": ("  혹은: ", "  또는: ", 0, "'또는' stands twice"),
    "in both": ("  모델명: ", "  반드시: ", 0, "stands in 'words' too"),
    "one code for two": ("PI\n", "CS\n", 0, "'CS' stands for '고객 서비스' already"),
    "longer": (
        "  반드시: 꼭",
        "  반드시: 무슨 일이 있어도",
        0,
        "saves nothing: it takes 5.0 tokens",
    ),
    "half an ending": ("  -합니다: -함", "  -합니다: 함", 0, "on both sides"),
    "quoted": ("  또는: ", "  '\"또는\"': ", 0, "never shortened"),
    "no code": ("  모델명: MDL", "  모델명: 모델", 0, "pattern"),
    "unknown level": ("levels: [core]", "levels: [cores]", 0, "'core', 'standard' or 'detailed'"),
    "unknown key": ("codes:", "code:", 0, "did you mean 'codes'"),
    "legend": ("답함: {codes}", "답함", 0, "write {codes}"),
}


@pytest.mark.parametrize(("old", "new", "offset", "says"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_names_file_line_and_reason(
    folder: Path, old: str, new: str, offset: int, says: str
) -> None:
    path = folder / ABBREVIATIONS
    text = path.read_text(encoding="utf-8")
    assert old in text
    line = text[: text.index(old)].count("\n") + 1 + offset
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PromptError) as error:
        Prompts.load(folder, FACTS)
    assert says in str(error.value)
    assert str(error.value).startswith(f"{path}:{line}: ")
