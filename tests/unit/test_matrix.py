"""The exception matrix: what its files may hold, and what it decides."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bot.config import packaged
from brain.errors import PromptError
from brain.exceptions.detect import Detector
from brain.exceptions.matrix import NOTHING, Matrix
from brain.exceptions.matrix_file import HANDLERS
from brain.facts import Facts
from brain.knowledge.embed import open_embedder
from brain.messages import Situation

FACTS = Facts(
    {
        "name": "가나상점",
        "hours": {"weekdays": "09:00-18:00"},
        "contacts": {"phone": "1500-0000", "email": "help@example.com"},
    }
)
BARE = Facts.load(None)
SLOTS = {"limit": 4000, "period": "22:00~24:00", "headings": "• 배송비"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("exceptions.yaml", "detection.yaml"):
        shutil.copy(packaged("prompts") / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return Matrix.load(packaged("prompts"), FACTS)


def change(file: Path, old: str, new: str) -> int:
    """Replace the first `old`; the line on which it stood."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  partial_match:", "  partial_mtch:", None, "'partial_match' is missing"),
        ("    priority: 5", "    priority: 6", 0, "less than or equal to 5"),
        ("    priority: 1", "    priority: 0", 0, "0 is for critical_safety"),
        ("    follow_up: prioritise", "    folow_up: prioritise", 0, "did you mean 'follow_up'"),
        ("answer_from: medium", "answer_from: mediun", 0, "'medium' or 'high'"),
        ("    logged: always", "    logged: never", 0, "'always' or 'with_turn'"),
        ("{limit}자까지", "{limt}자까지", 0, "unknown slot 'limt'; did you mean 'limit'"),
        ("{limit}자까지", "4000자까지", 0, "must use the slot 'limit'"),
        ("{company.contacts.phone?}(평일", "{company.contacts.fone}(평일", 0, "contacts.phone"),
        ("  system_error:", "  system_eror:", None, "'system_error' is missing"),
        ("  quota_exceeded:", "  taxes.income: {}\n  quota_exceeded:", 0, "priority' is missing"),
    ],
)
def test_a_mistake_in_the_handlers_names_file_and_line(
    folder: Path, old: str, new: str, line: int | None, says: str
) -> None:
    at = change(folder / "exceptions.yaml", old, new)
    where = "" if line is None else f":{at + line}:"
    with pytest.raises(PromptError, match=rf"exceptions\.yaml{where}") as error:
        Matrix.load(folder, FACTS)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  policy_conflict:", "  policy_conflit:", "did you mean 'policy_conflict'"),
        ("    opening: true", "    openning: true", "did you mean 'opening'"),
        ("    longest: 160", "    longest: 0", "greater than 0"),
        ("      - 죽고", "      - (죽고", "no regular expression"),
        ("      - 죽고", "      - (죽고)?|죽고", "matches every message"),
    ],
)
def test_a_mistake_in_the_patterns_names_file_and_line(
    folder: Path, old: str, new: str, says: str
) -> None:
    at = change(folder / "detection.yaml", old, new)
    with pytest.raises(PromptError, match=rf"detection\.yaml:{at}:") as error:
        Matrix.load(folder, FACTS)
    assert says in str(error.value)


def test_a_company_may_add_a_wording_with_patterns_of_its_own(folder: Path) -> None:
    change(
        folder / "exceptions.yaml",
        "  system_error:",
        "  legal_disclaimer.tax:\n    priority: 1\n    follow_up: recommend_accountant\n"
        "    text: {ko: 세무사와 상의해 주세요., en: Please ask an accountant.}\n  system_error:",
    )
    change(
        folder / "detection.yaml",
        "  policy_conflict:",
        "  legal_disclaimer.tax:\n    patterns: [부가세 신고]\n\n  policy_conflict:",
    )
    matrix = Matrix.load(folder, FACTS)
    names = matrix.detect("부가세신고 어떻게 하나요", before=None)
    verdict = matrix.decide(names, Situation())
    assert (verdict.exceptions, verdict.text) == (("legal_disclaimer",), "세무사와 상의해 주세요.")


@pytest.mark.parametrize("facts", [FACTS, BARE])
@pytest.mark.parametrize("language", ["ko", "en", "ja"])
def test_every_handler_speaks_with_and_without_facts(facts: Facts, language: str) -> None:
    matrix = Matrix.load(packaged("prompts"), facts)
    for name in HANDLERS:
        text = matrix.text(name, language, **SLOTS)
        assert text.strip()
        assert not set("{}") & set(text)
        if language == "ko" and name != "language_barrier":
            assert "고객님" in text or name == "person_wanted"


def test_the_lowest_priority_number_speaks_and_all_are_recorded(matrix: Matrix) -> None:
    verdict = matrix.decide(["partial_match", "time_sensitive"], Situation(), **SLOTS)
    assert verdict.exceptions == ("time_sensitive", "partial_match")
    assert "급하신" in verdict.text
    assert verdict.follow_ups == ("prioritise", "narrow_down")


@pytest.mark.parametrize(("level", "alone"), [("low", True), ("medium", False), ("high", False)])
def test_a_handler_leaves_the_word_to_a_good_answer(matrix: Matrix, level, alone) -> None:
    verdict = matrix.decide(["policy_conflict"], Situation(confidence=level))
    assert verdict.alone is alone
    assert verdict.text
    elsewhere = matrix.decide(["out_of_scope.elsewhere"], Situation(confidence=level))
    assert (elsewhere is NOTHING) is not alone


def test_how_a_person_is_reached_depends_on_the_hour(matrix: Matrix) -> None:
    day, night = (
        matrix.decide(["person_wanted"], Situation(open=is_open)).text for is_open in (True, False)
    )
    assert "상담 시간이 아닙니다" not in day
    assert "상담 시간이 아닙니다" in night
    assert "1500-0000" in day
    assert "1500-0000" in night


def test_a_yes_wants_a_person_only_after_the_offer(matrix: Matrix) -> None:
    offer = matrix.decide(["repeated_failure"], Situation()).text
    assert matrix.detect("네 부탁해요", before=offer) == ("person_wanted",)
    assert matrix.detect("네 부탁해요", before="배송비는 3,000원입니다.") == ()
    assert matrix.detect("yes please", before=offer) == ("person_wanted",)


def test_spaces_do_not_matter(matrix: Matrix) -> None:
    for text in ("상담원 연결해 주세요", "상담원연결해주세요", "상담원  연결해\n주세요"):
        assert matrix.detect(text, before=None) == ("person_wanted",)


def test_what_sounds_dangerous_is_not_always_danger(matrix: Matrix) -> None:
    for text in ("새 매장을 여나요?", "구매 제한 풀어 주세요", "옥상 수영장 있나요", "안돼요"):
        assert matrix.critical(text) == ""
    assert matrix.critical("매장에 불 지르러 간다") == "critical_safety.threat"


def test_only_patterns_to_be_weighed_give_way_to_the_meaning(matrix: Matrix, folder: Path) -> None:
    nothing = np.zeros(384, dtype=np.float32)
    text = "토요일에도 처방전 받나요 주차장 있나요"

    def read(matrix: Matrix) -> tuple[str, ...]:
        names = matrix.detect(text, before=None)
        assert names == ("legal_disclaimer.medical",)
        return matrix.weigh(names, text, nothing, before=None, known=True)

    assert read(matrix) == ()
    change(
        folder / "detection.yaml",
        "legal_disclaimer.medical:\n    weighed: true",
        "legal_disclaimer.medical:",
    )
    assert read(Matrix.load(folder, FACTS)) == ("legal_disclaimer.medical",)


def test_dangers_are_looked_for_once(matrix: Matrix) -> None:
    text = "죽고 싶어요 상담원 연결해 주세요"
    assert matrix.critical(text) == "critical_safety.self_harm"
    assert matrix.detect(text, before=None) == ("person_wanted",)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("내일 부산 날씨 어때요", ("out_of_scope.elsewhere", "out_of_scope")),
        ("영화 제목이 티켓에 나오나요", ()),  # a film is named, but nothing foreign is asked
        ("그건 좀 알아봐야겠네요", ()),
    ],
)
def test_what_lies_near_does_not_answer_what_is_plainly_not_our_field(
    matrix: Matrix, text: str, names: tuple[str, ...]
) -> None:
    vector = open_embedder("bundled", ollama_host="").query(text)
    said = matrix.weigh(matrix.detect(text, before=""), text, vector, before="", known=True)
    assert said == names


def test_what_speaks_against_a_sign_speaks_against_a_hunch(matrix: Matrix) -> None:
    text = "화상 회의용 웹캠 사진 잘 나오나요"
    vector = open_embedder("bundled", ollama_host="").query(text)
    assert matrix.weigh((), text, vector, before=None, known=False) == ()


def test_a_hostile_message_is_read_through_like_any_other() -> None:
    # What backtracks without bound runs into the time limit of the tests.
    detector = Detector.load(packaged("prompts") / "detection.yaml", HANDLERS)
    for piece in ("가 ", "안 ", "이거 ", "a ", "주문", "제 ", "!", "환불 "):
        detector.find(piece * 4000)
