"""Passages and pieces: bounded, complete, and cut where a reader would cut."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.knowledge.chunk import (
    LONGEST,
    LONGEST_PIECE,
    Chunk,
    chunk,
    cut,
    estimate_tokens,
    sentences,
)
from brain.knowledge.data import read_csv, read_faq
from brain.knowledge.document import Content, Document
from brain.knowledge.formats import read_markdown

LONG = "고객님께서 주문하신 상품은 결제를 확인한 다음 영업일에 출고되어 이틀 안에 도착합니다."


def document(content: Content, path: str = "a.md") -> Document:
    return Document(
        path=path,
        hash="",
        title=content.title,
        metadata=content.metadata,
        sections=content.sections,
    )


def markdown(text: str) -> list[Chunk]:
    return chunk(document(read_markdown(text, "a")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("네. 갑니다.", ["네. ", "갑니다."]),
        (
            "2일입니다.제주는 3일이에요!육지는 2일",
            ["2일입니다.", "제주는 3일이에요!", "육지는 2일"],
        ),
        ("가격은 3.5만 원, 1,000원입니다.", ["가격은 3.5만 원, 1,000원입니다."]),
        ("2026. 3. 15. 개점합니다. 오세요", ["2026. 3. 15. 개점합니다. ", "오세요"]),
        ("1. 첫째 줄\n2. 둘째 줄", ["1. 첫째 줄\n", "2. 둘째 줄"]),
        ("정말요?! “네.” 그럼요", ["정말요?! ", "“네.” ", "그럼요"]),
        ("See No. 5, e.g. this. Then that.", ["See No. 5, e.g. this. ", "Then that."]),
        ("끝... 그리고", ["끝... ", "그리고"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="가나다요. ?!\n3,a\"')", max_size=200))
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@given(st.text(max_size=300), st.integers(5, 60))
def test_cut_is_bounded_and_complete(text: str, limit: int) -> None:
    parts = list(cut(text, limit))
    assert all(estimate_tokens(part) <= limit for part in parts)
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)


words = st.text(alphabet="가배송나환불은다요abc019", min_size=1, max_size=12)
ends = st.sampled_from([".", "다.", "요?", "!", "", ":"])
said = st.builds(lambda w, e: " ".join(w) + e, st.lists(words, min_size=1, max_size=30), ends)
paragraphs = st.lists(said, min_size=1, max_size=12).map(" ".join)
items = st.lists(said, min_size=1, max_size=12).map(lambda x: "\n".join(f"- {i}" for i in x))
tables = st.lists(st.tuples(words, words), min_size=1, max_size=20).map(
    lambda rows: "| 이름 | 값 |\n|---|---|\n" + "\n".join(f"| {a} | {b} |" for a, b in rows)
)
headings = st.builds(lambda n, w: "#" * n + " " + w, st.integers(1, 4), words)
documents = st.lists(headings | paragraphs | items | tables, min_size=1, max_size=12)


def folded(text: str) -> str:
    return re.sub(r"\s", "", text)


@given(documents)
def test_passages_are_bounded_and_nothing_is_lost(blocks: list[str]) -> None:
    source = document(read_markdown("\n\n".join(blocks), "a"))
    chunks = chunk(source)
    assert len({c.id for c in chunks}) == len(chunks)
    texts = [folded(c.text) for c in chunks]
    pieces = ["".join(map(folded, c.pieces)) for c in chunks]
    for c in chunks:
        assert c.text.strip()
        assert estimate_tokens(c.text) <= 500
        assert c.pieces
        assert all(estimate_tokens(piece) <= LONGEST_PIECE + 1 for piece in c.pieces)
    for section in source.sections:
        for block in section.blocks:
            for part in block.parts:
                for sentence in map(folded, sentences(part)):
                    assert any(sentence in text for text in texts)
                    if estimate_tokens(sentence) < LONGEST_PIECE / 2:
                        # One that is cut has its heading between the parts.
                        assert any(sentence in piece for piece in pieces)


def test_a_section_that_fits_stays_whole_under_its_heading_path() -> None:
    body = " ".join(f"{n}번은 {LONG}" for n in range(9))
    one, two = markdown(f"# 배송\n\n## 국내\n\n{body}\n\n## 해외\n\n{body}\n\n끝.")
    assert (one.heading, one.text) == ("배송 > 국내", body)
    assert (two.heading, two.text) == ("배송 > 해외", f"{body}\n\n끝.")
    assert 1 < len(one.pieces) < 6
    assert one.embedded[0].startswith("배송 > 국내\n0번은 고객님께서")
    assert all(piece in one.text for piece in one.pieces)


def test_short_neighbours_share_a_passage_that_keeps_their_headings() -> None:
    (only,) = markdown(
        "# 배송\n\n안내입니다.\n\n## 기간\n\n2일.\n\n### 제주\n\n3일.\n\n## 요금\n\n무료."
    )
    assert only.heading == "배송"
    assert only.text == "안내입니다.\n\n기간\n2일.\n\n기간 > 제주\n3일.\n\n요금\n무료."
    assert only.pieces == ("안내입니다.", "기간\n2일.", "기간 > 제주\n3일.", "요금\n무료.")


def test_questions_and_cousins_do_not_share() -> None:
    asked = markdown("# 질문\n\n## 언제 오나요?\n\n2일.\n\n## 얼마예요?\n\n무료.")
    assert [c.heading for c in asked] == ["질문 > 언제 오나요?", "질문 > 얼마예요?"]
    cousins = markdown("# 책\n\n## 가\n\n### 나\n\n글.\n\n## 다\n\n### 라\n\n글.")
    assert [c.heading for c in cousins] == ["책 > 가 > 나", "책 > 다 > 라"]


def test_a_long_section_is_cut_between_sentences_with_one_repeated() -> None:
    said = [f"{n}번째 문장은 {LONG}" for n in range(30)]
    chunks = markdown("# 약관\n\n" + " ".join(said))
    assert len(chunks) > 2
    for before, after in pairwise(chunks):
        assert estimate_tokens(before.text) > LONGEST / 3
        assert sentences(before.text)[-1].strip() == sentences(after.text)[0].strip()


def test_cuts_prefer_borders_of_blocks_and_keep_an_introduction_with_its_list() -> None:
    steps = "\n".join(f"{n}. {LONG}" for n in range(1, 9))
    text = f"# 설치\n\n{' '.join([LONG] * 10)}\n\n다음과 같이 합니다:\n\n{steps}"
    first, second = markdown(text)
    assert first.text == " ".join([LONG] * 10)
    assert second.text == f"다음과 같이 합니다:\n\n{steps}"


def test_table_rows_are_pieces_and_csv_rows_are_passages() -> None:
    (table,) = markdown("# 요금\n\n| 지역 | 요금 |\n|---|---|\n| 제주 | 3,000원 |\n| 서울 | 0원 |")
    assert table.pieces == ("지역: 제주, 요금: 3,000원", "지역: 서울, 요금: 0원")
    assert table.text == "\n".join(table.pieces)
    rows = chunk(document(read_csv("모델,가격\nX1,1원\nX2,2원\nX2,2원\n", "상품"), "p.csv"))
    assert [(c.heading, c.text) for c in rows] == [
        ("상품 > X1", "모델: X1, 가격: 1원"),
        ("상품 > X2", "모델: X2, 가격: 2원"),
    ]


def test_a_question_is_matched_by_all_its_wordings_and_answered_once() -> None:
    faq = "title: 질문\nfaq:\n- question: 언제 와요?\n  also: [배송 기간]\n  answer: 2일입니다.\n"
    (entry,) = chunk(document(read_faq(faq, "faq")))
    assert entry.heading == "질문 > 언제 와요?"
    assert entry.text == "언제 와요?\n2일입니다."
    assert entry.pieces == ("언제 와요?", "배송 기간", "2일입니다.")
    long = faq.replace("2일입니다.", " ".join(f"{n}. {LONG}" for n in range(20)))
    first, *others = chunk(document(read_faq(long, "faq")))
    assert first.text.startswith("언제 와요?\n")
    assert all(
        other.heading == first.heading and "배송 기간" not in other.pieces for other in others
    )


def test_an_id_is_of_path_heading_and_text() -> None:
    content = read_markdown("# 가\n\n글.", "a")
    (one,), (same,), (moved,) = (chunk(document(content, path)) for path in ("a", "a", "b"))
    assert one.id == same.id != moved.id
    assert re.fullmatch(r"[0-9a-f]{24}", one.id)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (LONG * 10, len(LONG) * 10 / 1.7, len(LONG) * 10 / 1.4),
        ("The parcel arrives within two working days. " * 10, 440 / 4.2, 440 / 3),
        ("1,290,000", 8, 10),
    ],
)
def test_tokens_are_estimated_on_the_high_side(text: str, low: float, high: float) -> None:
    assert low <= estimate_tokens(text) <= high


def test_a_shared_passage_knows_the_section_of_each_piece() -> None:
    text = "# 반품\n## 기간\n14일 안에 신청해 주세요.\n## 배송비\n왕복 6,000원입니다.\n\n불량이면 무료입니다."
    (shared,) = chunk(document(read_markdown(text, "a")))
    assert shared.headings == ("기간", "배송비")
    first, *_, last = shared.pieces
    assert shared.section(first) == "기간\n14일 안에 신청해 주세요."
    assert shared.section(last) == "배송비\n왕복 6,000원입니다.\n\n불량이면 무료입니다."
    assert shared.section("아무 말") == ""
