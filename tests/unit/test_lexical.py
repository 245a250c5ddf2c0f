"""Lexical search: BM25 over bigrams and morphemes."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from brain.errors import KnowledgeError
from brain.knowledge.lexical import ALSO, Lexical, bigrams, said

TEXTS = [
    "배송 안내\n주문하신 상품은 결제 후 2~3일 안에 도착합니다. 배송 조회는 마이페이지에서 하세요.",
    "환불 안내\n구매 후 14일 안에 환불을 신청하실 수 있습니다.",
    "세탁기 고장\n드럼세탁기에서 소리가 나면 수평을 확인하세요. Error E21 은 배수 문제입니다.",
    "",
]
CHUNKS = [[text] for text in TEXTS]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("배송 조회 어떻게 해요", 0),
        ("배송조회어떻게해요", 0),
        (unicodedata.normalize("NFD", "환불 신청"), 1),
        ("세탁기 소리나요", 2),
        ("ERROR e21", 2),
    ],
)
@pytest.mark.parametrize("part", ["bigram", "morpheme"])
def test_the_chunk_with_the_words_scores_highest(query: str, expected: int, part: str) -> None:
    scores = Lexical.build(CHUNKS, kiwi=part == "morpheme").scores(query)[part]
    assert int(np.argmax(scores)) == expected
    assert scores.dtype == np.float32


@pytest.mark.parametrize("query", ["", " ?! ", "🙂🙂", "뷁쀍", "xyz\udc80"])
def test_words_that_occur_nowhere_score_nothing(query: str) -> None:
    lexical = Lexical.build(CHUNKS)
    assert list(lexical.scores(query)["bigram"]) == [0, 0, 0, 0]
    assert [lexical.coverage(query, chunk) for chunk in range(4)] == [0, 0, 0, 0]


def test_scores_are_those_of_bm25s() -> None:
    bm25s = pytest.importorskip("bm25s")
    corpus = [[str(term) for term in bigrams(text)] for text in TEXTS[:3]]
    reference = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    reference.index(corpus, show_progress=False)
    query = "드럼 배수"
    assert (said(bigrams(query)) == 1).all(), "words that weigh in full"
    terms = [str(t) for t in bigrams(query) if str(t) in reference.vocab_dict]
    expected = reference.get_scores(terms)
    assert Lexical.build(CHUNKS[:3]).scores(query)["bigram"] == pytest.approx(expected, abs=1e-5)


def test_words_of_every_question_count_less() -> None:
    common, rare = said(bigrams("나요")), said(bigrams("환불"))
    assert common[0] < 0.3
    assert rare[0] > 0.9
    lexical = Lexical.build([["어떻게 하나요"], ["환불"], ["배송"]])
    assert int(np.argmax(lexical.scores("환불 어떻게 하나요")["bigram"])) == 1


def test_a_chunk_scores_as_its_best_piece() -> None:
    lexical = Lexical.build([["환불 안내", "배송 안내"], ["교환 안내"]])
    apart = Lexical.build([["환불 안내"], ["배송 안내"], ["교환 안내"]])
    scores = apart.scores("환불")["bigram"]
    assert list(lexical.scores("환불")["bigram"]) == [max(scores[:2]), scores[2]]


def test_other_words_for_the_same_count_less() -> None:
    lexical = Lexical.build(CHUNKS)
    plain, alone = lexical.scores("소리")["bigram"], lexical.scores("환불")["bigram"]
    assert lexical.scores("소리", ["환불"])["bigram"] == pytest.approx(plain + ALSO * alone)


@pytest.mark.parametrize("kiwi", [False, True])
@pytest.mark.parametrize("texts", [TEXTS, []])
def test_a_saved_index_answers_the_same(tmp_path: Path, texts: list[str], kiwi: bool) -> None:
    built = Lexical.build([[text] for text in texts], kiwi=kiwi)
    built.save(tmp_path / "index")
    loaded = Lexical.load(tmp_path / "index")
    assert (loaded.kiwi, loaded.size) == (kiwi, len(texts))
    for part, scores in built.scores("환불 배송").items():
        assert np.array_equal(loaded.scores("환불 배송")[part], scores)
    assert [loaded.coverage("환불", chunk) for chunk in range(len(texts))] == [
        built.coverage("환불", chunk) for chunk in range(len(texts))
    ]


def test_coverage_is_the_share_of_rare_words_that_occur() -> None:
    lexical = Lexical.build(CHUNKS)
    assert lexical.coverage("환불 신청", 1) > lexical.coverage("환불 신청", 0)
    assert lexical.coverage("환불", 1) == 1
    assert lexical.coverage("냉장고 환불", 1) < 0.7


@pytest.mark.parametrize("damage", ["absent", "format", "truncated", "not json"])
def test_an_index_that_cannot_be_read_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "index"
    if damage != "absent":
        Lexical.build(CHUNKS).save(folder)
    if damage == "format":
        (folder / "lexical.json").write_text(json.dumps({"format": 99}), encoding="utf-8")
    if damage == "not json":
        (folder / "lexical.json").write_text("{", encoding="utf-8")
    if damage == "truncated":
        (folder / "bigram.weights.npy").write_bytes(b"")
    with pytest.raises(KnowledgeError, match="index"):
        Lexical.load(folder)
