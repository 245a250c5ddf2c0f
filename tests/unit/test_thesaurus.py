"""Spoken forms and other names of things, general ones of the package and what a file may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.errors import PromptError
from brain.knowledge.thesaurus import MOST, Thesaurus

PACKAGED = Path(__file__).parents[2] / "prompts" / "thesaurus.yaml"


@pytest.fixture(scope="module")
def thesaurus() -> Thesaurus:
    return Thesaurus.load(PACKAGED)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("비번 바꾸고 싶어요", "비밀번호 바꾸고 싶어요"),
        ("폰이 안 켜져요", "휴대폰이 안 켜져요"),
        ("폰트가 깨져요", "폰트가 깨져요"),
        ("컴플레인 하려고요", "컴플레인 하려고요"),
        ("AS 되나요", "수리 되나요"),
        ("last week", "last week"),
        ("배송비가 얼마예요", "배송비가 얼마예요"),
    ],
)
def test_spoken_forms_become_those_of_documents(
    thesaurus: Thesaurus, said: str, written: str
) -> None:
    assert thesaurus.rewritten(said) == written


def test_other_names_are_those_not_said(thesaurus: Thesaurus) -> None:
    also = thesaurus.also("액정이 나갔어요")
    assert "화면" in also
    assert "액정" not in also
    assert thesaurus.also("오늘 날씨") == ()
    assert len(thesaurus.also("배송 주문 결제 환불 반품 교환 취소 수리 보증")) == MOST


def test_without_a_file_nothing_changes(tmp_path: Path) -> None:
    none = Thesaurus.load(tmp_path / "thesaurus.yaml")
    assert none.rewritten("비번") == "비번"
    assert none.also("배송") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("replase: {비번: 비밀번호}", "did you mean 'replace'"),
        ("expand: [[배송, 택배], [환불]]", "at least two words"),
        ("replace: [a]", "replace"),
    ],
)
def test_a_mistake_names_the_file(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "thesaurus.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PromptError, match=r"thesaurus\.yaml:1") as error:
        Thesaurus.load(file)
    assert says in str(error.value)


def test_a_company_adds_its_own_words_and_overrules_general_ones(
    thesaurus: Thesaurus, tmp_path: Path
) -> None:
    file = tmp_path / "thesaurus.yaml"
    file.write_text(
        "replace: {숲청정기: 공기청정기 숲, 마일리지: 마일리지}\nexpand: [[픽업, 매장 수령]]",
        encoding="utf-8",
    )
    both = thesaurus.with_own(Thesaurus.load(file))
    assert both.rewritten("숲청정기 비번") == "공기청정기 숲 비밀번호"
    assert both.rewritten("마일리지 소멸") == "마일리지 소멸", "here it is no 포인트"
    assert both.also("픽업 주문")[0] == "매장 수령"
    assert "구매" in both.also("픽업 주문")
