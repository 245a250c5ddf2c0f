"""JSON of any shape: passages that read as sentences, and clear errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brain.errors import DocumentError
from brain.knowledge.data import read_json, read_jsonl
from brain.knowledge.document import Content


def read(value: Any) -> Content:
    return read_json(json.dumps(value, ensure_ascii=False), "shop")


def sections(content: Content) -> list[tuple[str, list[str]]]:
    return [
        (" > ".join(section.heading), [part for block in section.blocks for part in block.parts])
        for section in content.sections
    ]


LONG = "이 제품은 물로 씻을 수 있는 필터를 씁니다. " * 30
MANY = {f"용어{n}": f"{n}번째 낱말의 뜻입니다" for n in range(60)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            [{"모델명": "X1", "가격": 1290000, "할인": None, "재고": True}, {"모델명": "X2"}],
            [
                ("shop > X1", ["모델명: X1, 가격: 1290000, 재고: true"]),
                ("shop > X2", ["모델명: X2"]),
            ],
        ),
        (
            [{"id": "A-1", "이름": "청소기", "크기": {"가로": 10, "색": ["검정", "흰색"]}}],
            [("shop > 청소기", ["id: A-1, 이름: 청소기, 크기 가로: 10, 크기 색: 검정, 흰색"])],
        ),
        ({"배송비": "3,000원"}, [("shop", ["배송비: 3,000원"])]),
        (
            {"안내": {"배송": [{"지역": "제주", "요금": 1.50}], "참고": ["하나", "둘"]}},
            [
                ("shop > 안내 > 배송 > 제주", ["지역: 제주, 요금: 1.5"]),
                ("shop > 안내 > 참고", ["- 하나", "- 둘"]),
            ],
        ),
        (
            [{"이름": "정수기", "가격": "9만원", "설명": LONG}],
            [
                ("shop > 정수기", ["이름: 정수기, 가격: 9만원"]),
                ("shop > 정수기 > 설명", [LONG.strip()]),
            ],
        ),
        (MANY, [("shop", [f"- {key}: {text}" for key, text in MANY.items()])]),
        ([{"질문": "되나요?", "답변": "됩니다."}], [("shop > 되나요?", ["됩니다."])]),
        ("한 문장입니다.", [("shop", ["한 문장입니다."])]),
        ({}, []),
    ],
    ids=["rows", "inner", "object", "nested", "long", "many", "questions", "text", "nothing"],
)
def test_every_value_reads_as_text(value: Any, expected: list[tuple[str, list[str]]]) -> None:
    assert sections(read(value)) == expected


def test_an_object_may_say_what_it_is_and_hold_a_faq() -> None:
    content = read(
        {
            "title": "질문 모음",
            "category": "배송",
            "tags": "택배, 요금",
            "faq": [{"question": "언제 오나요?", "also": "며칠?", "answer": "이틀입니다."}],
        }
    )
    assert content.metadata == {"title": "질문 모음", "category": "배송", "tags": ["택배", "요금"]}
    (section,) = content.sections
    assert section.heading == ("질문 모음", "언제 오나요?")
    assert section.blocks[0].also == ("언제 오나요?", "며칠?")


def test_lines_of_json() -> None:
    content = read_jsonl(
        '{"이름": "가", "값": 010}\n'.replace("010", "10") + '\n{"이름": "나"}', "shop"
    )
    assert sections(content) == [("shop > 가", ["이름: 가, 값: 10"]), ("shop > 나", ["이름: 나"])]


def test_escapes_bring_nothing_invisible_back() -> None:
    content = read_json(r'{"a": "\u0000글\ud800\u202e자\u200b", "title\u0000": "x"}', "shop")
    assert sections(content) == [("shop", ["a: 글자, title: x"])]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1,\n"b": }', "line 2: not valid JSON"),
        ('{"a": 1, "a": 2}', "`a` is given twice"),
        ("[" * 100_000, "nested deeper"),
        ("[" * 30 + "]" * 30, "nested deeper"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"faq": [{"question": "왜"}]}', "faq entry 1: `answer`"),
        ('{"title": ["a"], "b": 1}', "`title` must be text"),
    ],
)
def test_one_clear_reason(text: str, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        read_json(text, "shop")


def test_lines_of_json_are_counted() -> None:
    with pytest.raises(DocumentError, match="line 3: not valid JSON"):
        read_jsonl('{"a": 1}\n\n{"a": }', "shop")
