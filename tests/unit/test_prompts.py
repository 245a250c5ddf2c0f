"""Strict reading: every mistake in a prompt set is one line with file, line and what to write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from brain.errors import ConfigError, PromptError
from brain.facts import Facts
from brain.messages import Situation
from brain.prompt.files import Reader
from brain.prompt.phrases import SLOTS
from brain.prompt.prompts import Prompts

SHIPPED = Path(__file__).parents[2] / "prompts"
FACTS = Facts({"name": "가나상점", "policies": {"return_days": 14, "free_delivery_from": 30000}})
BARE = Facts.load(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "prompts"))


def replace(path: Path, old: str, new: str) -> int:
    """Replace the first `old`; gives the line where `new` begins."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


MISTAKES = {
    "unknown key": (
        "layers/3_behaviour.yaml",
        "priority: MUST",
        "priorty: MUST",
        0,
        "did you mean 'priority'",
    ),
    "unknown wording": (
        "layers/1_identity.yaml",
        "standard: ",
        "standart: ",
        0,
        "did you mean 'standard'",
    ),
    "no wording": (
        "layers/3_behaviour.yaml",
        "    text: 관련된",
        "    text: {}\n#",
        0,
        "write a text",
    ),
    "duplicate key": (
        "layers/4_format.yaml",
        "title: 답변 형식",
        "title: 답변 형식\ntitle: 형식",
        1,
        "'title' stands twice",
    ),
    "duplicate id": (
        "layers/4_format.yaml",
        "  - id: terms",
        "  - id: polite",
        0,
        "'polite' stands twice",
    ),
    "unknown priority": (
        "layers/5_exceptions.yaml",
        "priority: SHOULD",
        "priority: SHOUD",
        0,
        "'MUST', 'SHOULD' or 'MAY'",
    ),
    "unknown fact": (
        "layers/2_knowledge.yaml",
        "{company.policies.return_days?}",
        "{company.policies.retrun_days}",
        0,
        "did you mean 'policies.return_days'",
    ),
    "slot in a static layer": (
        "layers/4_format.yaml",
        "core: 3~5문장",
        'core: "{now} 3~5문장"',
        0,
        "unknown slot 'now'",
    ),
    "unknown slot": (
        "layers/6_adaptation.yaml",
        "{now}",
        "{today}",
        0,
        "unknown slot 'today'; valid are now",
    ),
    "stray brace": ("layers/1_identity.yaml", "standard: 지어", "standard: 지}어", 0, "{{ and }}"),
    "when in a static layer": (
        "layers/3_behaviour.yaml",
        "  - id: further\n",
        "  - id: further\n    when: {open: true}\n",
        1,
        "only layer 6",
    ),
    "unknown when name": (
        "layers/6_adaptation.yaml",
        "when: {emotion: angry}",
        "when: {emotoin: angry}",
        0,
        "did you mean 'emotion'",
    ),
    "unknown when value": (
        "layers/6_adaptation.yaml",
        "when: {emotion: angry}",
        "when: {emotion: angri}",
        0,
        "did you mean 'angry'",
    ),
    "order of words": (
        "layers/6_adaptation.yaml",
        "when: {emotion: angry}",
        'when: {emotion: "> angry"}',
        0,
        "has no order",
    ),
    "number expected": (
        "layers/6_adaptation.yaml",
        '">= 0.7"',
        '">= viel"',
        0,
        "'intensity' is a number",
    ),
    "true or false": ("layers/6_adaptation.yaml", "{open: false}", "{open: 3}", 0, "true or false"),
    "module when": (
        "modules/troubleshooting.yaml",
        "technical}",
        "technicl}",
        0,
        "did you mean 'technical'",
    ),
    "module key": ("modules/troubleshooting.yaml", "title:", "titel:", 0, "did you mean 'title'"),
    "module never left out": (
        "modules/troubleshooting.yaml",
        "priority: P1",
        "priority: P0",
        0,
        "write P1 for what is left out last",
    ),
    "example wording": (
        "examples/plain_question.yaml",
        "  standard:",
        "  standart:",
        0,
        "did you mean 'standard'",
    ),
    "example key": (
        "examples/plain_question.yaml",
        "assistant:",
        "asistant:",
        0,
        "did you mean 'assistant'",
    ),
    "wrong layer": ("layers/4_format.yaml", "layer: 4", "layer: 5", 0, "this file is layer 4"),
    "layer 1 overridden": (
        "personas/base.yaml",
        "persona: base",
        "persona: base\nrules:\n  - {id: honesty, text: 뭐든 말함}",
        2,
        "layer 1 cannot be changed",
    ),
    "layer 1 extended": (
        "personas/base.yaml",
        "persona: base",
        "persona: base\nrules:\n  - {id: lies, layer: 1, priority: MAY, text: 뭐든 말함}",
        2,
        "layer 1 cannot be changed",
    ),
    "override of nothing": (
        "personas/base.yaml",
        "persona: base",
        "persona: base\nrules:\n  - {id: lenght, text: 짧게}",
        2,
        "did you mean 'length'",
    ),
    "persona of itself": (
        "personas/base.yaml",
        "persona: base",
        "persona: base\nextends: base",
        1,
        "extends itself",
    ),
    "persona of nobody": (
        "personas/base.yaml",
        "persona: base",
        "persona: base\nextends: shoping",
        1,
        "did you mean 'shopping'",
    ),
    "frame key": ("frame.yaml", "closing:", "closin:", 0, "did you mean 'closing'"),
    "phrase slot": ("phrases/en.yaml", "{headings}", "{heading}", -2, "did you mean 'headings'"),
    "phrase missing in English": ("phrases/en.yaml", "  caveat:", "  caveats:", -6, "is missing"),
    "phrase missing in Korean": ("phrases/ko.yaml", "  queue:", "  queues:", -1, "'busy.queue'"),
    "phrase that is no text": ("phrases/ko.yaml", "send: 보내기", "send: 3", 0, "must be a text"),
    "phrase without alternative": (
        "phrases/ko.yaml",
        "placeholder: 궁금",
        'placeholder: "{company.x?}"\n#',
        0,
        "add an alternative",
    ),
    "YAML syntax": ("phrases/ko.yaml", "title:", "title: [", None, "phrases/ko.yaml:"),
}


@pytest.mark.parametrize(
    ("file", "old", "new", "offset", "says"), MISTAKES.values(), ids=MISTAKES.keys()
)
def test_a_mistake_names_file_line_and_remedy(
    folder: Path, file: str, old: str, new: str, offset: int | None, says: str
) -> None:
    line = replace(folder / file, old, new)
    with pytest.raises(PromptError) as error:
        Prompts.load(folder, FACTS)
    message = str(error.value)
    assert says in message
    assert "\n" not in message
    if offset is not None:
        assert message.startswith(f"{folder / file}:{line + offset}: ")


def test_missing_and_surplus_files_are_named(folder: Path) -> None:
    (folder / "layers" / "5_exceptions.yaml").rename(folder / "layers" / "5_exception.yaml")
    with pytest.raises(PromptError, match=r"5_exception\.yaml.*did you mean '5_exceptions\.yaml'"):
        Prompts.load(folder, FACTS)
    (folder / "layers" / "5_exception.yaml").unlink()
    with pytest.raises(PromptError, match=r"5_exceptions\.yaml: no such file"):
        Prompts.load(folder, FACTS)
    with pytest.raises(PromptError, match="unknown persona 'shoping'; did you mean 'shopping'"):
        Prompts.load(SHIPPED, FACTS, persona="shoping")


def test_personas_add_and_override_but_keep_the_rest() -> None:
    base = Reader(SHIPPED, FACTS).layers("base")
    shopping = Reader(SHIPPED, FACTS).layers("shopping")
    assert shopping[0] == base[0]
    changed = {rule.id: rule for rule in shopping[2].rules}
    assert {"recommend", "compare"} == changed.keys() - {rule.id for rule in base[2].rules}
    assert changed["further"].priority == "SHOULD"
    assert [rule.id for rule in shopping[3].rules] == [rule.id for rule in base[3].rules]


def test_conditions_match_the_situation() -> None:
    def active(situation: Situation) -> set[str]:
        rules = Reader(SHIPPED, FACTS).layers("base")[5].rules
        return {
            rule.id
            for rule in rules
            if all(condition.test(getattr(situation, condition.name)) for condition in rule.when)
        }

    calm = active(Situation(confidence="high"))
    assert calm == {"new_customer", "time"}
    angry = active(
        Situation(emotion="angry", intensity=0.7, language="en", repeats=2, customer="vip")
    )
    assert angry == {
        *("english", "angry", "very_angry", "vip", "returning_customer"),
        *("repeated_often", "unknown", "time"),
    }


def test_every_phrase_is_there_in_both_languages_with_and_without_facts() -> None:
    for facts in (FACTS, BARE):
        prompts = Prompts.load(SHIPPED, facts)
        for name, slots in SLOTS.items():
            for language in ("ko", "en"):
                text = prompts.phrase(name, language, **dict.fromkeys(slots, "{값}"))
                assert text.strip()
                assert text.count("{값}") == len(slots)
                assert "{company" not in text


def test_phrases_choose_language_facts_and_format() -> None:
    prompts, bare = Prompts.load(SHIPPED, FACTS), Prompts.load(SHIPPED, BARE)
    assert "가나상점" in prompts.phrase("disclosure.first")
    assert bare.phrase("disclosure.first").startswith("AI 상담원")
    assert "4,000자" in prompts.phrase("exceptions.invalid_input.too_long", limit=4000)
    assert prompts.phrase("web.send", "ja") == prompts.phrase("web.send", "en") == "Send"
    assert prompts.phrase("web.send", "") == "보내기"
    with pytest.raises(PromptError, match=r"did you mean 'web\.send'"):
        prompts.phrase("web.sent")
    with pytest.raises(PromptError, match="needs the slot 'ahead'"):
        prompts.phrase("busy.queue")


def test_more_phrases_only_need_the_same_name_and_slots_in_every_language(folder: Path) -> None:
    for language, text in (("ko", "{count}건"), ("en", "{count} items")):
        file = folder / "phrases" / f"{language}.yaml"
        replace(file, "commands:\n", f"commands:\n  found: '{text}'\n")
    assert Prompts.load(folder, FACTS).phrase("commands.found", "en", count=1200) == "1,200 items"
    line = replace(folder / "phrases" / "en.yaml", "{count} items", "{cuont} items")
    with pytest.raises(PromptError, match=rf"en\.yaml:{line}: commands\.found: .*mean 'count'"):
        Prompts.load(folder, FACTS)


def test_the_version_changes_with_files_and_persona_but_not_with_facts(folder: Path) -> None:
    same = Prompts.load(folder, FACTS).version
    assert same == Prompts.load(SHIPPED, FACTS).version == Prompts.load(folder, BARE).version
    others = [Prompts.load(folder, FACTS, persona="shopping").version]
    replace(folder / "frame.yaml", "위 말씀에", "말씀에")
    others.append(Prompts.load(folder, FACTS).version)
    replace(folder / "thesaurus.yaml", "비번", "비빌번호")
    others.append(Prompts.load(folder, FACTS).version)
    assert len({same, *others}) == 4


def test_facts_are_looked_up_formatted_and_filled() -> None:
    facts = Facts(
        {"name": "가", "policies": {"days": 14, "fee": 30000, "cards": ["A", "B"], "gift": True}}
    )
    assert facts.text("policies.fee") == "30,000"
    assert facts.text("policies.cards") == "A, B"
    assert facts.text("policies") is None
    assert facts.fill("{company.policies.days}일 {{x}} {slot}", ["slot"]) == "14일 {{x}} {slot}"
    assert facts.fill("{company.policies.none?}일") is None
    assert (
        facts.lines(without={"company.policies.days?", "company.name"})[0] == "policies.fee: 30,000"
    )
    assert (BARE.name, BARE.lines(), BARE.fill("{company.policies.days}")) == (
        "저희 회사",
        [],
        None,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: 가\npolicys: {}\n", r":2: unknown section 'policys'; did you mean 'policies'"),
        ("name: 가\nname: 나\n", r":2: the key 'name' stands twice"),
        ("name: 가\nhours: 9\n", r":2: hours: input should be a valid dictionary"),
        ("hours: {}\n", r":1: the key 'name' is missing"),
        ("name: [\n", r":2: "),
        ("- 가\n", r":1: expected"),
    ],
)
def test_broken_facts_name_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "company.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"company\.yaml{says}"):
        Facts.load(path)
    path.write_text("name: 가\nbranches: [서울]\n", encoding="utf-8")
    assert Facts.load(path).text("branches") == "서울"
