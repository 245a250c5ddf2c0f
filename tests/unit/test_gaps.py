"""Gaps: questions gathered by meaning, and answers that become FAQ entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from brain.errors import KnowledgeError
from brain.knowledge.gaps import FILE, Asked, Gaps, clustered
from brain.knowledge.library import Library
from brain.knowledge.read import read_folder
from tests.unit.shop import Shop, best

START = datetime(2026, 11, 1, tzinfo=UTC)


def asked(at: int, text: str, kind: str = "abstained") -> Asked:
    return Asked(id=f"ffff{at:08x}", text=text, at=START + timedelta(hours=at), kind=kind)  # type: ignore[arg-type] # a literal


QUESTIONS = [
    asked(1, "주차장은 어디에 있나요"),
    asked(2, "주차장은 어디에 있어요"),
    asked(3, "강아지 데려가도 됩니까"),
    asked(4, "주차장은 어디에 있나요?"),
    asked(5, "제주 지역 배송은 사흘 더 걸립니까", kind="disliked"),
    asked(6, "주차장은 어디인지 [전화번호] 알려 주세요"),
]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def gaps(library: Library, questions: Sequence[Asked] = QUESTIONS) -> Gaps:
    async def given() -> Sequence[Asked]:
        return questions

    return Gaps(library=library, asked=given)


async def test_an_answer_closes_its_gap_and_is_found(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        missing = gaps(library)
        parking, *others = await missing.open()
        assert (parking.id, len(parking.asked)) == ("00000001", 4)
        assert {gap.question for gap in others} == {QUESTIONS[2].text, QUESTIONS[4].text}
        shipping = next(gap for gap in others if gap.question == QUESTIONS[4].text)
        assert shipping.nearest is not None
        assert "제주" in shipping.nearest.text

        answer = "건물 뒤편에 있습니다.\n두 시간까지 무료입니다: 차 번호만 알려 주세요."
        await missing.answer(parking, answer, title="자주 묻는 질문")
        assert (await best(library, "주차장은 어디에 있나요")).endswith(answer)
        assert {gap.question for gap in await missing.open()} == {gap.question for gap in others}
        text = (shop.folder / FILE).read_text(encoding="utf-8")
        assert "주차장은 어디에 있어요" in text
        assert "[전화번호]" not in text

        disliked = await missing.find("00000005")
        await missing.answer(
            disliked, "이제는 하루면 됩니다.", question="제주 배송 기간", title="x"
        )
        assert [gap.question for gap in await missing.open()] == [QUESTIONS[2].text]
        documents, problems = read_folder(shop.folder)
        assert not problems
        (faq,) = (each for each in documents if each.path == FILE.as_posix())
        assert (faq.title, len(faq.sections)) == ("자주 묻는 질문", 2)

        with pytest.raises(KnowledgeError, match="no gap '00000001'"):
            await missing.find("00000001")


async def test_an_abstained_question_is_no_gap_once_somebody_wrote_the_answer(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        missing = gaps(library, [QUESTIONS[2]])
        assert len(await missing.open()) == 1
        shop.write("pets.md", "# 강아지\n\n강아지 데려가도 됩니까? 네, 강아지 데려가도 됩니다.")
        await library.reload()
        assert await missing.open() == []


@pytest.mark.parametrize(
    "kept",
    [
        "# 우리 메모\ntitle: 손님 질문   # 제목\nfaq:\n- question: 하나?\n  answer: 그래요.\n  # 끝\n",
        "title: 손님 질문\nfaq:\n    - question: 하나?\n      answer: 그래요.",
    ],
)
async def test_what_people_wrote_into_the_file_stays(shop: Shop, kept: str) -> None:
    shop.write(FILE.as_posix(), kept)
    async with shop.library() as library:
        await library.reload()
        missing = gaps(library)
        await missing.answer((await missing.open())[0], "뒤편입니다.", title="x")
    text = (shop.folder / FILE).read_text(encoding="utf-8")
    assert text.startswith(kept)
    documents, problems = read_folder(shop.folder)
    assert not problems
    assert [len(each.sections) for each in documents if each.path == FILE.as_posix()] == [2]


@pytest.mark.parametrize(
    ("kept", "complaint"),
    [
        ("faq:\n  - question: 하나?\n    answer: 네.\ntitle: 뒤에 온 제목\n", "by hand|not valid"),
        ("faq: [\n", "from-gaps.yaml"),
        ("faq: 글\n", "not a list"),
    ],
)
async def test_a_file_that_cannot_take_it_stays_as_it_is(
    shop: Shop, kept: str, complaint: str
) -> None:
    shop.write(FILE.as_posix(), kept)
    async with shop.library() as library:
        await library.reload()
        missing = gaps(library)
        gap = (await missing.open())[0]
        with pytest.raises(KnowledgeError, match=complaint):
            await missing.answer(gap, "뒤편입니다.", title="x")
        with pytest.raises(KnowledgeError, match="empty answer"):
            await missing.answer(gap, "  \n", title="x")
    assert (shop.folder / FILE).read_text(encoding="utf-8") == kept


async def test_a_refused_reload_takes_the_entry_back(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        missing = gaps(library)
        gap = (await missing.open())[0]
        shop.write("smoke.jsonl", '{"q": "환불", "source": "gone.md"}\n')
        with pytest.raises(KnowledgeError, match=r"refused: 1 of 1 questions in smoke\.jsonl"):
            await missing.answer(gap, "뒤편입니다.", title="x")
        assert not (shop.folder / FILE).exists()
        assert library.status().version == "v000001"


def test_like_questions_meet_whatever_the_embedder_takes_for_unlike() -> None:
    """Some models put all questions at a cosine of 0.8 and more."""
    chance = np.random.default_rng(3)
    subjects = chance.normal(size=(6, 48)) + 4.0
    pairs = [
        (
            asked(at, f"질문 {at}"),
            (subjects[at % 6] + 0.2 * chance.normal(size=48)).astype(np.float32),
        )
        for at in range(24)
    ]
    groups = clustered(pairs)
    assert sorted(len(group) for group in groups) == [4] * 6
    assert all(len({int(each.id[-8:], 16) % 6 for each, _ in group}) == 1 for group in groups)
    assert clustered([]) == []
