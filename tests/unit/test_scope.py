"""What a question is looked up in: the company's own words, valid documents, its language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from brain.errors import PromptError
from brain.knowledge.embed import Vector
from brain.knowledge.front_matter import kept
from brain.knowledge.library import Library
from brain.knowledge.recent import Recent
from brain.knowledge.retrieve import retrieve
from brain.knowledge.thesaurus import FILE
from tests.unit.shop import BigramEmbedder, Shop, best
from tests.unit.test_retrieve import EMBEDDER, Index, chunk


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def library(shop: Shop, today: Callable[[], date] = date.today) -> Library:
    return Library(
        folder=shop.folder,
        data=shop.data,
        embedder=shop.embedder,
        vectors=shop.vectors,
        today=today,
    )


async def test_own_words_are_followed_checked_and_are_no_document(shop: Shop) -> None:
    async with shop.library() as serving, shop.library() as other:
        await serving.reload()
        assert (await other.search("탐라 배송")).rewritten == "탐라 배송"
        shop.write(FILE, "replace: {탐라: 제주}\nexpand: [[환불, 반환금]]")
        assert (await serving.reload()).unchanged == 2
        for reader in (serving, other):
            found = await reader.search("탐라 환불")
            assert (found.rewritten, found.also) == ("제주 환불", ("반환금",))
        shop.write(FILE, "replace: {탐라: 제주}\nexpnd: []")
        with pytest.raises(PromptError, match=r"thesaurus\.yaml:2: .*did you mean 'expand'"):
            await serving.reload(dry_run=True)
        assert (await other.search("탐라 교환")).rewritten == "제주 교환", (
            "the words before serve on"
        )


async def test_documents_hold_from_their_first_to_their_last_day(shop: Shop) -> None:
    shop.write(
        "sale.md",
        "---\nvalid_from: 2026-12-01\nvalid_until: 2026-12-24\n---\n# 겨울 세일\n\n"
        "겨울 세일은 삼십 퍼센트 할인입니다.",
    )
    day = date(2026, 11, 30)
    serving = library(shop, lambda: day)
    try:
        await serving.reload()
        for day, holds in [
            (date(2026, 11, 30), False),
            (date(2026, 12, 1), True),
            (date(2026, 12, 24), True),
            (date(2026, 12, 25), False),
        ]:
            found = await serving.search("겨울 세일 할인")
            assert ("sale.md" in {p.document for p in found.passages}) is holds
            assert found.lookup.get("day", "") == ("" if holds else day.isoformat())
    finally:
        await serving.close()


async def test_a_day_that_is_none_is_reported(shop: Shop) -> None:
    shop.write("sale.md", "---\nvalid_until: 12월 말\n---\n# 세일\n\n세일은 12월 말까지입니다.")
    async with shop.library() as serving:
        (problem,) = (await serving.reload()).problems
    assert (problem.path, "`valid_until` must be a day such as" in problem.reason) == (
        "sale.md",
        True,
    )
    assert kept({"valid_from": "2026-12-01"}) == {"valid_from": "2026-12-01"}


class Counting(BigramEmbedder):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def query(self, text: str) -> Vector:
        self.asked.append(text)
        return super().query(text)


async def test_the_same_question_is_embedded_once_and_answered_anew_after_a_reload(
    shop: Shop,
) -> None:
    embedder = Counting()
    async with shop.library(embedder) as serving:
        await serving.reload()
        first = await serving.search("제주 배송")
        assert await serving.search("제주 배송ㅠㅠ") == first
        assert embedder.asked.count("제주 배송") == 1
        shop.write("delivery.md", "# 배송 안내\n\n제주 지역 배송은 하루면 됩니다.")
        await serving.reload()
        assert await best(serving, "제주 배송") == "제주 지역 배송은 하루면 됩니다."


def test_recent_values_push_out_the_oldest() -> None:
    recent = Recent[int, str](2)
    for key in (1, 2):
        recent.keep(key, str(key))
    assert recent.get(1) == "1"
    recent.keep(3, "3")
    assert (recent.get(1), recent.get(2), recent.get(3), len(recent)) == ("1", None, "3", 2)


KOREAN = chunk("fee.md", "배송비", "배송비는 3,000원입니다.", locale="ko")
ENGLISH = chunk("fee.en.md", "Delivery fee", "The 배송비 (delivery fee) is 3,000 won.", locale="en")
MISLABELLED = chunk("page.html", "배송비", "배송비는 3,000원이고 제주는 더 붙습니다.", locale="en")


def test_a_passage_in_another_language_comes_after_one_as_good() -> None:
    index = Index([ENGLISH, KOREAN, MISLABELLED])
    found = retrieve(index, "배송비 3,000원", EMBEDDER.query("배송비 3,000원"))
    marked = {p.document for p in found.passages if "language" in p.scores}
    assert marked == {ENGLISH.document}
    assert found.passages[-1].document == ENGLISH.document
    assert found.lookup["language"] == "ko"


def test_an_english_question_prefers_english() -> None:
    index = Index([KOREAN, ENGLISH])
    found = retrieve(index, "delivery fee", EMBEDDER.query("delivery fee"))
    assert found.passages[0].document == ENGLISH.document
    assert "language" in found.passages[1].scores
