"""Retrieval: candidates, fusion, filters and what a passage says about itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from brain.knowledge.chunk import Chunk
from brain.knowledge.embed import Vector, open_embedder
from brain.knowledge.index import Rows
from brain.knowledge.lexical import Lexical
from brain.knowledge.retrieve import LONGEST, Found, normalised, retrieve

EMBEDDER = open_embedder("bundled", ollama_host="")


class Index(Rows):
    """A searchable index in memory."""

    def __init__(self, chunks: Sequence[Chunk], *, kiwi: bool = False) -> None:
        self.chunks = chunks
        self.lexical = Lexical.build([c.embedded for c in chunks], kiwi=kiwi)
        texts = [f"{c.heading}\n{p}" for c in chunks for p in c.pieces]
        super().__init__(chunks, EMBEDDER.passages(texts))


def chunk(document: str, heading: str, *pieces: str, **metadata: Any) -> Chunk:
    text = " ".join(pieces)
    return Chunk(
        id=f"{document}:{heading}:{text[:9]}",
        document=document,
        heading=heading,
        text=text,
        pieces=pieces,
        metadata=metadata,
    )


SHIPPING = chunk(
    "policy/shipping.md",
    "배송 > 기간",
    "결제가 끝난 주문은 2~3일 안에 도착합니다.",
    "제주와 도서산간은 이틀이 더 걸립니다.",
    category="배송",
    tags=["배송", "기간"],
)
REFUND = chunk(
    "policy/refund.md", "환불", "구매 후 14일 안에 환불을 신청하실 수 있습니다.", locale="ko"
)
ENGLISH = chunk(
    "policy/en/refund.md", "Refunds", "You can ask for a refund within 14 days.", locale="en-US"
)
WASHER = chunk("faq/washer.md", "세탁기", "세탁기에서 소리가 나면 수평을 확인하세요.")
COPY = chunk("faq/copy.md", "환불", "구매 후 14일 안에  환불을 신청하실 수 있습니다.")
CHUNKS = [SHIPPING, REFUND, ENGLISH, WASHER, COPY]
INDEX = Index(CHUNKS)


def ask(query: str, *, index: Index = INDEX, **options: Any) -> Found:
    text = normalised(query)
    return retrieve(index, text, EMBEDDER.query(text), **options)


@pytest.mark.parametrize("index", [INDEX, Index(CHUNKS, kiwi=True)], ids=["bigram", "kiwi"])
@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("배송 며칠 걸려요?", SHIPPING.document),
        ("환불되나여ㅠㅠ", REFUND.document),
        ("세탁기소리나요", WASHER.document),
        ("how long do I have to get my money back", ENGLISH.document),
    ],
)
def test_the_answering_passage_comes_first(index: Index, query: str, document: str) -> None:
    found = ask(query, index=index)
    assert found.passages[0].document.replace(COPY.document, REFUND.document) == document
    assert [p.score for p in found.passages] == sorted(
        (p.score for p in found.passages), reverse=True
    )
    assert all(0 <= p.score <= 1 for p in found.passages)


def test_a_passage_says_how_it_came_about() -> None:
    best = ask("제주도는 얼마나 더 걸려요?").passages[0]
    assert (best.id, best.document, best.heading) == (SHIPPING.id, SHIPPING.document, "배송 > 기간")
    assert best.text == SHIPPING.text
    assert best.best == "제주와 도서산간은 이틀이 더 걸립니다."
    assert best.metadata["category"] == "배송"
    assert 0.1 < best.scores["cosine"] <= 1
    assert best.scores["bigram"] > 0
    assert "morpheme" not in best.scores
    assert "morpheme" in ask("환불", index=Index(CHUNKS, kiwi=True)).passages[0].scores


def test_equal_texts_are_shown_once() -> None:
    documents = [p.document for p in ask("환불").passages]
    assert len(documents) == len(set(documents)) == len(CHUNKS) - 1
    assert len({REFUND.document, COPY.document} & set(documents)) == 1


def test_k_limits_the_passages() -> None:
    assert len(ask("환불", k=2).passages) == 2


@pytest.mark.parametrize(
    ("where", "documents"),
    [
        ({"document": "faq/"}, {WASHER.document, COPY.document}),
        ({"document": "policy/shipping.md"}, {SHIPPING.document}),
        ({"category": "배송"}, {SHIPPING.document}),
        ({"tags": "기간"}, {SHIPPING.document}),
        ({"locale": "en"}, {SHIPPING.document, ENGLISH.document, WASHER.document, COPY.document}),
        ({"locale": "ko-KR", "document": "policy/"}, {SHIPPING.document, REFUND.document}),
        ({"category": "없음"}, set()),
    ],
)
def test_filters_apply_before_ranking(where: Mapping[str, str], documents: set[str]) -> None:
    assert {p.document for p in ask("환불", where=where).passages} == documents


def test_an_empty_filter_keeps_everything() -> None:
    assert ask("환불", where={}) == ask("환불")


def test_a_filter_reaches_beyond_the_nearest_candidates() -> None:
    crowd = [chunk(f"a/{n}.md", "환불", f"환불 안내 {n}번 문서입니다.") for n in range(120)]
    index = Index([*crowd, WASHER])
    found = ask("환불 안내", index=index, where={"document": "faq/"})
    assert [p.document for p in found.passages] == [WASHER.document]
    assert "cosine" in found.passages[0].scores


@pytest.mark.parametrize("query", ["", "   ", "ㅋㅋㅋㅋ", "ㅠㅠ ㅠ"])
def test_an_empty_question_finds_nothing(query: str) -> None:
    found = ask(query)
    assert (found.passages, found.confidence.level) == ((), "low")


def test_an_empty_index_finds_nothing() -> None:
    found = ask("환불", index=Index([]))
    assert (found.passages, found.confidence.level) == ((), "low")


def test_a_question_in_words_of_no_chunk_is_found_by_meaning() -> None:
    found = ask("delivery takes how many days", index=Index([SHIPPING, WASHER]))
    assert found.passages[0].document == SHIPPING.document
    assert "bigram" not in found.passages[0].scores


def test_a_chunk_found_by_its_words_alone_names_its_closest_piece() -> None:
    class WordsOnly(Index):
        def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
            return []

    best = ask("제주 도서산간", index=WordsOnly(CHUNKS)).passages[0]
    assert best.best == "제주와 도서산간은 이틀이 더 걸립니다."
    assert best.score == 1.0


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("  배송\n언제  와요??? ", "배송 언제 와요?"),
        ("환불 안되나요ㅠㅠㅠ!!", "환불 안되나요 !"),
        ("ㅋㅋㅋ 이거 뭐임 ㅎ", "이거 뭐임"),
        (unicodedata.normalize("NFD", "환불"), "환불"),
        ("A/S 문의, 02-123-4567", "A/S 문의, 02-123-4567"),
        ("......", "."),
        ("안녕하세요\n문의드립니다. 환불 되나요?", "환불 되나요?"),
        ("안녕하세요", "안녕하세요"),
    ],
)
def test_questions_are_normalised(question: str, expected: str) -> None:
    assert normalised(question) == expected
    assert ask(question).rewritten == expected


def test_of_a_very_long_message_beginning_and_end_are_looked_up() -> None:
    text = normalised("시작 " + "가나다 " * 30_000 + "환불되나요")
    assert len(text) <= LONGEST + 1
    assert text.startswith("시작")
    assert text.endswith("환불되나요")
