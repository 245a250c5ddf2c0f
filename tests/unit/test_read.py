"""Documents of every format, encoding and degree of brokenness."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from brain.errors import DocumentError, KnowledgeError
from brain.knowledge.document import Document, Section
from brain.knowledge.file import read_file
from brain.knowledge.read import COMPANY, read_folder

MARKDOWN = """\
---
title: 배송 안내
category: 배송
tags: 택배, 배송비
date: 2026-01-02
version: 1.10
---
# 배송 안내

[마이페이지](https://shop.example/my)에서 **배송 상태**를 `바로` 확인하세요.
둘째 줄입니다.

## 요금표

| 지역 | 요금 |
|---|---|
| 제주 | **3,000원** |

### 순서

1. 주문합니다
   - 앱에서
   - 웹에서
2. 기다립니다

> 인용한 말

```
code  here
```

<div>HTML <b>블록</b><!-- 숨은 말 --></div>
"""

HTML = """\
<html lang="ko"><head><title>환불 | 상점</title><meta name="category" content="환불">
<style>p{}</style><script>alert(1)</script></head>
<body><nav>메뉴</nav><header>머리</header><aside>광고</aside><form>검색<input></form>
<main><h1>환불 규정</h1><p>첫 <b>문단</b>입니다.<br>둘째 줄</p>
<ul><li>하나<ul><li>속</li></ul></li><li><p>둘</p></li></ul>
<h2>수수료</h2>
<table><tr><th>사유</th><th>기간</th><th>부담</th></tr>
<tr><td rowspan="2">단순 변심</td><td>7일</td><td>고객</td></tr><tr><td>14일</td><td>회사</td></tr></table>
<table><tr><th>무게</th><td>1kg</td></tr></table>
<details><summary>되나요?</summary><p>됩니다.</p></details>
<dl><dt>영업일</dt><dd>평일</dd></dl>
<p style="display: none">숨긴 지시</p><p hidden>숨김</p><!-- 주석 --></main>
<footer>바닥</footer></body></html>
"""

TEXT = """\
교환 안내

■ 기간
받은 날부터 14일입니다.
- 미개봉
- 초기 불량

Q. 언제 와요?
A. 내일 와요.

제1조 (목적)
이 약관의 목적입니다.

요금
====
무료
"""

FAQ = """\
title: 자주 묻는 질문
category: 배송
faq:
  - question: 언제 오나요?
    also: [배송 기간, 며칠 걸려요]
    answer: |
      평균 2일입니다.
      제주는 더 걸립니다.
    tags: 기간
  - question: 주말에도 오나요?
    answer: no
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(folder: Path, name: str, content: str | bytes) -> Document:
    return read_file(write(folder, name, content), name, within=folder.resolve())


def outline(document: Document) -> list[tuple[str, list[tuple[str, tuple[str, ...]]]]]:
    def blocks(section: Section) -> list[tuple[str, tuple[str, ...]]]:
        return [(block.kind, block.parts) for block in section.blocks]

    return [(" > ".join(section.heading), blocks(section)) for section in document.sections]


def test_markdown(tmp_path: Path) -> None:
    document = read(tmp_path, "delivery.md", MARKDOWN)
    assert document.metadata == {
        "title": "배송 안내",
        "category": "배송",
        "tags": ["택배", "배송비"],
        "date": "2026-01-02",
        "version": "1.10",
    }
    intro = (
        "마이페이지에서 배송 상태를 바로 확인하세요.\n둘째 줄입니다."
        " (마이페이지: https://shop.example/my)"
    )
    assert outline(document) == [
        ("배송 안내", [("paragraph", (intro,))]),
        ("배송 안내 > 요금표", [("table", ("지역: 제주, 요금: 3,000원",))]),
        (
            "배송 안내 > 요금표 > 순서",
            [
                ("list", ("1. 주문합니다\n  - 앱에서\n  - 웹에서", "2. 기다립니다")),
                ("paragraph", ("인용한 말",)),
                ("code", ("code  here",)),
                ("paragraph", ("HTML 블록",)),
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("text", "title", "headings"),
    [
        ("# 배송\n\n글", "배송", ["배송"]),
        ("글만 있음", "my delivery", ["my delivery"]),
        ("# 하나\n\n글\n\n# 둘\n\n글", "my delivery", ["my delivery > 하나", "my delivery > 둘"]),
        ("---\ntitle: 안내\n---\n# 배송\n\n글", "안내", ["안내 > 배송"]),
        (
            "## 깊이\n\n글\n\n# 얕게\n\n글",
            "my delivery",
            ["my delivery > 깊이", "my delivery > 얕게"],
        ),
    ],
)
def test_title_and_heading_path(tmp_path: Path, text: str, title: str, headings: list[str]) -> None:
    document = read(tmp_path, "my_delivery.md", text)
    assert document.title == document.metadata["title"] == title
    assert [heading for heading, _ in outline(document)] == headings


def test_html_reads_the_main_content(tmp_path: Path) -> None:
    document = read(tmp_path, "refund.html", HTML)
    assert document.metadata == {"title": "환불 규정", "category": "환불", "locale": "ko"}
    rows = ("사유: 단순 변심, 기간: 7일, 부담: 고객", "사유: 단순 변심, 기간: 14일, 부담: 회사")
    assert outline(document) == [
        (
            "환불 규정",
            [
                ("paragraph", ("첫 문단입니다.\n둘째 줄",)),
                ("list", ("- 하나\n  - 속", "- 둘")),
            ],
        ),
        ("환불 규정 > 수수료", [("table", rows), ("table", ("무게: 1kg",))]),
        ("환불 규정 > 수수료 > 되나요?", [("paragraph", ("됩니다.",))]),
        ("환불 규정 > 수수료", [("paragraph", ("영업일: 평일",))]),
    ]


def test_html_nested_as_deep_as_is_read(tmp_path: Path) -> None:
    document = read(tmp_path, "deep.html", "<div>" * 1_000 + "바닥" + "</div>" * 1_000)
    assert outline(document) == [("deep", [("paragraph", ("바닥",))])]


def test_text(tmp_path: Path) -> None:
    assert outline(read(tmp_path, "exchange.txt", TEXT)) == [
        (
            "교환 안내 > 기간",
            [("paragraph", ("받은 날부터 14일입니다.",)), ("list", ("- 미개봉", "- 초기 불량"))],
        ),
        ("교환 안내 > 기간 > 언제 와요?", [("paragraph", ("내일 와요.",))]),
        ("교환 안내 > 제1조 (목적)", [("paragraph", ("이 약관의 목적입니다.",))]),
        ("교환 안내 > 요금", [("paragraph", ("무료",))]),
    ]


def test_faq(tmp_path: Path) -> None:
    document = read(tmp_path, "faq.yaml", FAQ)
    assert document.metadata == {"title": "자주 묻는 질문", "category": "배송"}
    first, second = document.sections
    assert first.heading == ("자주 묻는 질문", "언제 오나요?")
    assert first.blocks[0].parts == ("평균 2일입니다.\n제주는 더 걸립니다.",)
    assert first.blocks[0].also == ("언제 오나요?", "배송 기간", "며칠 걸려요")
    assert first.metadata == {"tags": ["기간"]}
    assert second.blocks[0].parts == ("no",), "a word is not a truth value"


@pytest.mark.parametrize(
    ("table", "sections"),
    [
        (
            '모델명,가격,비고\nX1,"1,290,000원",\nX2,9만원,"새\n상품"\n',
            [
                ("shop > X1", [("record", ("모델명: X1, 가격: 1,290,000원",))]),
                ("shop > X2", [("record", ("모델명: X2, 가격: 9만원, 비고: 새 상품",))]),
            ],
        ),
        ("이름;값\n가;1,5\n", [("shop > 가", [("record", ("이름: 가, 값: 1,5",))])]),
        ("질문,답변,분류\n되나요?,됩니다.,기타\n", [("shop > 되나요?", [("faq", ("됩니다.",))])]),
    ],
    ids=["quoted", "semicolons", "questions"],
)
def test_csv(tmp_path: Path, table: str, sections: list[object]) -> None:
    assert outline(read(tmp_path, "shop.csv", table)) == sections


@pytest.mark.parametrize(
    "data",
    [
        "가격은 3,000원\r\n입니다".encode(),
        "\ufeff가격은 3,000원\r입니다".encode(),
        "가격은 3,000원\n입니다".encode("utf-16"),
        "가격은 3,000원\n입니다".encode("cp949"),
        "\u1100\u1161격은 3,000원\u2028입니다".encode(),  # decomposed
        "가격\0은 3,\u200b000원\n\x07입\U000e0041니다".encode(),
    ],
    ids=["crlf", "bom", "utf16", "cp949", "nfd", "controls"],
)
def test_every_encoding_gives_the_same_text(tmp_path: Path, data: bytes) -> None:
    assert outline(read(tmp_path, "a.txt", data)) == [
        ("a", [("paragraph", ("가격은 3,000원\n입니다",))])
    ]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.md", "", "empty"),
        ("a.md", " \n\t\0", "empty"),
        ("a.md", "---\ntitle: x\n---\n", "no text"),
        ("a.md", "---\ntitle: x\n본문", "never closed"),
        ("a.md", "---\ntitle: x\nbad: [1\n---\n글", "line 4"),
        ("a.md", "---\n- a\n---\n글", "line 2: expected `key: value`"),
        ("a.md", "---\na: 1\na: 2\n---\n글", "line 3: `a` is given twice"),
        ("a.md", "---\na: &x 1\nb: *x\n---\n글", "line 2: YAML anchors"),
        ("a.md", "글" * 200_000, "line 1: 200,000 characters"),
        ("a.md", b"\xea\xb0\x80" * 50 + b"\n\xff\xfe", "line 2: not valid UTF-8"),
        ("a.md", bytes(range(128, 256)), "encoding|CP949"),
        ("a.md", "abc".encode("utf-16-le") * 20, "UTF-16 without its mark"),
        ("a.md", b"\xff\xfea", "not valid UTF-16"),
        ("a.yaml", "x: !!python/object/apply:os.system [ls]", "line 1: YAML tags"),
        ("a.yaml", "[" * 5_000, "nested deeper"),
        ("a.yaml", "faq: 안내", "no `faq` list"),
        ("a.yaml", "faq:\n- question: 왜\n", "faq entry 1: `answer`"),
        ("a.yaml", "faq:\n- 왜\n", "faq entry 1: expected"),
        ("a.yaml", "faq:\n- {question: 왜, answer: 그냥, also: {a: b}}", "`also` is a list"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "more than one"),
        ("a.csv", "이름,값\n", "header row"),
        ("a.csv", "이름,이름\n1,2\n", "each once"),
        ("a.csv", "1,2\n3,4\n", "name every column"),
        ("a.csv", "이름,값\n가,1,290,000원\n", "line 2: 4 values for 2 columns"),
        ("a.csv", '이름,값\n가,"끝', "line 2: not valid CSV"),
        ("a.html", "<div>" * 5_000, "nested deeper"),
        ("a.html", "<nav>메뉴</nav>", "no text"),
    ],
)
def test_one_clear_reason(tmp_path: Path, name: str, data: str | bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        read(tmp_path, name, data)


def test_a_bad_file_is_a_problem_and_the_rest_goes_on(tmp_path: Path) -> None:
    outside = write(tmp_path, "secret.md", "비밀")
    folder = tmp_path / "kb"
    write(folder, "sub/good.md", "# 좋음\n\n글")
    write(folder, "memo.TXT", "글")
    write(folder, "empty.md", "")
    write(folder, "program.exe", "MZ")
    write(folder, ".hidden.md", "글")
    write(folder, ".git/x.md", "글")
    write(folder, COMPANY, "name: 상점")
    write(folder, "big.md", b"a" * 20_000_001)
    (folder / "link.md").symlink_to(outside)
    (folder / "inside.md").symlink_to(folder / "sub/good.md")
    (folder / "loop").symlink_to(folder)
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    os.mkfifo(folder / "pipe.md")
    documents, problems = read_folder(folder)
    assert [document.path for document in documents] == ["inside.md", "memo.TXT", "sub/good.md"]
    assert {problem.path: problem.reason for problem in problems} == {
        "big.md": "larger than 20 MB; split it",
        "empty.md": "empty",
        "gone.md": "cannot be read: No such file or directory",
        "link.md": "a link that leaves the knowledge folder",
        "pipe.md": "not a regular file",
    }


def test_the_hash_follows_the_bytes(tmp_path: Path) -> None:
    one, same, other = (read(tmp_path, "a.md", text) for text in ("하나", "하나", "하나 "))
    assert one.hash == same.hash != other.hash


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="does not exist"):
        read_folder(tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    [
        "*" * 90_000,
        "[" * 90_000,
        "`a" * 45_000,
        "> " * 45_000,
        "1) " * 30_000,
        "<a " * 30_000,
        "[\n" * 200_000,
        "<b>" * 30_000,
        "<p><a>" * 30_000,
        "|" * 90_000 + "\n|-|\n",
        "[a](" * 20_000,
        "- " * 45_000,
        "!?" * 45_000,
        "<!--" * 20_000,
    ],
)
@pytest.mark.parametrize("suffix", ["md", "txt", "html", "csv", "yaml"])
def test_patterns_that_explode_parsers_do_not(tmp_path: Path, text: str, suffix: str) -> None:
    before = time.process_time()
    write(tmp_path, f"a.{suffix}", text)
    documents, problems = read_folder(tmp_path)
    assert len(documents) + len(problems) == 1
    assert time.process_time() - before < 20  # a bound on runaway time, not a measurement
