"""Consultation logs: questions with their answers, and nobody's personal data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brain.errors import DocumentError
from brain.knowledge.document import Document
from brain.knowledge.file import read_file

TALK = [
    ("고객", "안녕하세요"),
    ("상담원", "안녕하세요, 고객님. 무엇을 도와드릴까요?"),
    ("고객", "환불 언제 되나요? 제 번호는 010-1234-5678입니다"),
    ("상담원", "주문번호를 알려 주시겠어요?"),
    ("고객", "20260315-123 이에요"),
    ("상담원", "잠시만 기다려 주세요."),
    ("고객", "네"),
    ("상담원", "취소하신 날부터 3영업일 안에 환불됩니다."),
    ("상담원", "kim@example.com으로 영수증을 보냈습니다. 더 궁금하신 점이 있으신가요?"),
    ("고객", "감사합니다"),
    ("상담원", "좋은 하루 되세요."),
    ("고객", "아 배송비도 돌려주나요?"),
]
FOUND = [
    (
        "환불 언제 되나요? 제 번호는 [전화번호]입니다\n20260315-123 이에요",
        "취소하신 날부터 3영업일 안에 환불됩니다.\n[이메일]으로 영수증을 보냈습니다. 더 궁금하신 점이 있으신가요?",
    )
]

TEXT = "\n".join(f"[2026-03-15 10:0{n % 10}] {who}: {words}" for n, (who, words) in enumerate(TALK))
CSV = "상담번호,발화자,발화\n" + "".join(f'7,{who} 김민지,"{words}"\n' for who, words in TALK)
ROLES = {"고객": "user", "상담원": "assistant"}
MESSAGES = [{"role": ROLES[who], "content": words} for who, words in TALK]
JSONL = json.dumps({"messages": [{"role": "system", "content": "규칙"}, *MESSAGES]})
JSON = json.dumps([{"speaker": who, "text": words, "session": 7} for who, words in TALK])


def read(folder: Path, path: str, text: str) -> Document:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return read_file(file, path, within=folder.resolve())


def entries(document: Document) -> list[tuple[str, str]]:
    blocks = [block for section in document.sections for block in section.blocks]
    assert {block.kind for block in blocks} == {"faq"}
    return [(block.also[0], block.parts[0]) for block in blocks]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("logs/3월.txt", TEXT),
        ("cs/logs/march.csv", CSV),
        ("Logs/march.jsonl", JSONL),
        ("logs/2026/march.json", JSON),
        ("march.md", f"---\nkind: log\ncategory: 환불\n---\n{TEXT}"),
        ("march.json", json.dumps({"kind": "log", "talks": [{"messages": MESSAGES}]})),
    ],
)
def test_what_was_asked_and_answered(tmp_path: Path, path: str, text: str) -> None:
    document = read(tmp_path, path, text)
    assert entries(document) == FOUND
    assert document.metadata["kind"] == "log"
    assert "1234-5678" not in repr(document)


def test_questions_with_answers_are_a_log_too(tmp_path: Path) -> None:
    table = "question,answer,고객 전화\n몇 시까지 하나요?,오후 6시까지입니다.,010-1234-5678\n네,감사합니다.,\n"
    document = read(tmp_path, "logs/qa.csv", table)
    assert entries(document) == [("몇 시까지 하나요?", "오후 6시까지입니다.")]
    assert "5678" not in repr(document)


def test_the_same_table_elsewhere_is_a_document_of_the_company(tmp_path: Path) -> None:
    document = read(tmp_path, "faq.csv", "질문,답변\n전화는요?,02-123-4567로 주세요.\n")
    assert entries(document) == [("전화는요?", "02-123-4567로 주세요.")]


def test_conversations_do_not_run_into_each_other(tmp_path: Path) -> None:
    rows = "conversation,speaker,text\n1,customer,Where is it?\n2,customer,Is it open?\n"
    rows += "1,agent,It arrives today.\n2,agent,Until six.\n"
    assert entries(read(tmp_path, "logs/a.csv", rows)) == [
        ("Where is it?", "It arrives today."),
        ("Is it open?", "Until six."),
    ]
    text = "고객: 교환 되나요?\n\n상담원: 됩니다.\n둘째 줄도요.\n\n----\n고객: 얼마예요?\n----\n상담원: 무료입니다."
    assert entries(read(tmp_path, "logs/a.txt", text)) == [
        ("교환 되나요?", "됩니다.\n둘째 줄도요.")
    ]


def test_nothing_invisible_hides_a_number(tmp_path: Path) -> None:
    text = json.dumps(
        [{"q": "010-\u200b1234\u00ad-5678 맞나요?", "a": "네, 맞습니다. 보냈습니다."}]
    )
    assert entries(read(tmp_path, "logs/a.json", text))[0][0] == "[전화번호] 맞나요?"


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("logs/a.txt", "그냥 글입니다.", "no answered question"),
        ("logs/a.csv", "이름,값\n가,1\n", "no answered question"),
        ("logs/a.json", '{"speaker": 1}', "no answered question"),
        ("logs/a.html", "<p>글</p>", "logs are read from"),
        ("logs/a.pdf", "%PDF-1.7", "logs are read from"),
        ("a.yaml", "kind: log\nfaq:\n- {question: 왜, answer: 그냥}\n", "logs are read from"),
    ],
)
def test_what_cannot_be_read_as_a_log_is_not_read_as_anything_else(
    tmp_path: Path, path: str, text: str, reason: str
) -> None:
    with pytest.raises(DocumentError, match=reason):
        read(tmp_path, path, text)
