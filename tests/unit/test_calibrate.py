"""Calibration: a fit on a company's own questions, kept beside the index and used from then on."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from brain.errors import KnowledgeError
from brain.knowledge.calibrate import MINIMUM, calibrate
from brain.knowledge.confidence import Fit, Signals, read_fit, shipped
from brain.knowledge.library import FIT
from brain.knowledge.questions import Question, read_questions
from tests.unit.shop import BigramEmbedder, Shop

THINGS = [
    "세탁기",
    "냉장고",
    "건조기",
    "청소기",
    "텔레비전",
    "노트북",
    "키보드",
    "이어폰",
    "선풍기",
    "가습기",
    "제습기",
    "오븐",
]
ABOUT = ("보증 기간", "설치 비용", "배송 기간", "반품 조건")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    for thing in THINGS:
        text = "\n".join(
            f"## {about}\n\n{thing}의 {about}은 {len(thing)}{at}점으로 정해 두었습니다.\n"
            for at, about in enumerate(ABOUT)
        )
        shop.write(f"{thing}.md", f"# {thing}\n\n{text}")
    return shop


def questions(n: int) -> list[Question]:
    pairs = itertools.islice(itertools.product(ABOUT, THINGS), n)
    return [
        Question(
            text=f"{thing} {about}이 어떻게 돼요", sources=(f"{thing}.md",), must=(f"{thing}의",)
        )
        for about, thing in pairs
    ]


FOREIGN = [
    *(Question(text=f"오늘 {n}시에 비가 오려나 몰라", kind="far") for n in range(12)),
    *(Question(text=f"에어프라이어 {about}은", kind="near") for about in ABOUT),
]


async def test_a_fit_is_used_shown_and_noticed_by_others(shop: Shop) -> None:
    async with shop.library() as library, shop.library() as server:
        await library.reload()
        await server.open()
        found = await calibrate(library, questions(48) + FOREIGN)
        assert (found.questions, set(found.declined)) == (48, {"answered", "near", "far"})
        assert found.error < found.error_shipped
        assert found.declined["answered"] <= 0.2
        assert found.declined["far"] >= 0.9
        assert 0 < found.fit.related <= found.fit.medium < found.fit.high

        before = await server.search("세탁기 보증 기간")
        await library.calibrated(found.fit)
        after = await server.search("세탁기 보증 기간")
        assert after.signals == before.signals
        assert after.confidence == found.fit.assess(after.signals)  # type: ignore[arg-type] # it was found
        assert (before.fit, after.fit) == (None, found.fit)
        assert after.related
        assert server.status().confidence.startswith("fitted on 48 own questions, 20")
    async with shop.library(BigramEmbedder("another")) as library:
        await library.reload()
        assert "another embedder" in library.status().confidence
        assert (await library.search("세탁기 보증 기간")).fit is None


async def test_without_foreign_questions_the_missing_documents_stand_for_them(shop: Shop) -> None:
    async with shop.library() as library:
        await library.reload()
        found = await calibrate(library, questions(40))
    assert set(found.declined) == {"answered", "near"}
    assert found.fit.related <= shipped().related


async def test_too_few_questions_and_unknown_documents_are_refused(shop: Shop) -> None:
    async with shop.library() as library:
        with pytest.raises(KnowledgeError, match="no index yet"):
            await calibrate(library, questions(MINIMUM))
        await library.reload()
        with pytest.raises(KnowledgeError, match=rf"^3 questions .* at least {MINIMUM}"):
            await calibrate(library, questions(3) + FOREIGN)
        lost = Question(text="어디 있나요", sources=("lost.md",))
        with pytest.raises(KnowledgeError, match=r"no document 'lost\.md' in the index"):
            await calibrate(library, [*questions(MINIMUM), lost])


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("{", ":2: "),
        ('{"source": "a.md"}', ':2: needs {"q"'),
        ('{"q": "x"}', ":2: without `source`, `kind` must be near or far"),
        ('{"q": "x", "source": 3}', ":2: `source` must be text"),
        ('{"q": "x", "source": "a.md", "must": [1]}', ":2: `must` must be text"),
    ],
)
def test_a_mistake_in_a_question_file_is_named(tmp_path: Path, row: str, complaint: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"q": "배송비", "source": ["a.md", "b.md"]}\n' + row, encoding="utf-8")
    with pytest.raises(KnowledgeError) as caught:
        read_questions(file)
    assert str(caught.value).startswith(f"{file}{complaint}")


def test_a_fit_for_other_signals_or_out_of_range_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / FIT
    weights = dict.fromkeys(shipped().weights, 1.0)
    fit = Fit(weights=weights, intercept=0.0, related=0.1, medium=0.2, high=0.9, embedder="e")
    fit.write(file)
    assert read_fit(file, "e") == fit
    assert read_fit(file, "f") is None
    for changes in ({"weights": {"cosine": 1.0}}, {"intercept": float("nan")}, {"more": 1}):
        file.write_text(json.dumps(json.loads(json.dumps({**_fields(fit), **changes}))))
        assert read_fit(file, "e") is None
    assert read_fit(tmp_path / "absent.json", "e") is None


def _fields(fit: Fit) -> dict[str, object]:
    return {name: getattr(fit, name) for name in Fit.__slots__}


def test_signals_and_weights_have_the_same_names() -> None:
    signals = Signals(**dict.fromkeys(shipped().weights, 0.5))
    assert 0 < shipped().probability(signals) < 1
