"""How replies look: split, rendered, drafted."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.graphemes import parts_at
from adapters.presentation import (
    Labels,
    Sketch,
    discord_markdown,
    literal,
    plain,
    said,
    split,
    telegram_html,
)
from brain.messages import Choice, Reply, Source

FAMILY, FLAG, WAVE, KEYCAP = "👨‍👩‍👧‍👦", "🇰🇷", "👋🏽", "1️⃣"
JAMO = "\u1112\u1161\u11ab\u1100\u1173\u11af"  # 한글, in conjoining letters
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
LABELS = Labels(source="출처: {document} · {heading}", choices="골라 주세요")

words = st.sampled_from(
    [SCOTLAND, "é", "**굵게 쓴 말**", "`a b`", "[가게](https://a.example/b)", "긴낱말" * 12, "좋아요",
     "- ", "배송비는", "3,000원입니다.", "그런데", "Yes.", "e.g.", "네!", FAMILY, FLAG * 2, WAVE, KEYCAP, JAMO]
)  # fmt: skip
gaps = st.sampled_from([" ", " ", "\n", "\n\n", "", "  \n \n"])
prose = st.lists(st.tuples(words, gaps), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
code = st.lists(st.sampled_from(["x = 1", "", "    return 🙏", "y" * 70]), max_size=12).map(
    lambda lines: "```python\n" + "\n".join(lines) + "\n```"
)
mixed = st.lists(st.one_of(prose, code), max_size=5).map("\n\n".join)
measures = st.sampled_from([len, lambda text: len(text.encode()), lambda text: utf16(text)])


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def clusters(text: str) -> list[str]:
    """What a reader sees as characters, without white space."""
    places = [place for place in range(len(text) + 1) if parts_at(text, place)]
    return [text[a:b] for a, b in pairwise(places) if text[a:b].strip()]


# ---- splitting


@given(text=prose, limit=st.integers(48, 300), measure=measures)
@settings(deadline=None)
def test_parts_are_short_and_lose_nothing(
    text: str, limit: int, measure: Callable[[str], int]
) -> None:
    parts = split(text, limit, measure=measure)
    assert all(measure(part) <= limit and part.strip() for part in parts)
    assert [each for part in parts for each in clusters(part)] == clusters(text)


@given(text=mixed, limit=st.integers(40, 200))
@settings(deadline=None)
def test_code_stays_code(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(len(part) <= limit for part in parts)
    assert all(len(re.findall("^```", part, re.MULTILINE)) % 2 == 0 for part in parts)
    assert bare("\n".join(parts)) == bare(text)
    assert not any(re.search("```python\n```", part) for part in parts) or "python\n\n```" in text


def bare(text: str) -> str:
    return re.sub(r"\s|```(python)?", "", text)


@given(text=st.text(max_size=120), limit=st.integers(1, 12))
def test_whatever_it_is_nothing_is_lost(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(0 < len(part) <= limit for part in parts)
    # Fences too small for the limit are not kept up; everything else is.
    if "```" not in text and "~~~" not in text:
        assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("", 10, []),
        (" \n\n ", 10, []),
        ("\n\n안녕하세요\n", 10, ["안녕하세요"]),
        (" 안녕\n\n하세요", 20, [" 안녕\n\n하세요"]),
        (
            "```\n" + "a" * 20 + "\n\n```\n\n끝입니다",
            28,
            ["```\n" + "a" * 20 + "\n```", "끝입니다"],
        ),
        ("하나 둘\n\n셋 넷\n다섯", 9, ["하나 둘", "셋 넷\n다섯"]),
        ("하나 둘\n셋 넷. 다섯", 9, ["하나 둘", "셋 넷. 다섯"]),
        ("첫째입니다. 둘째 문장", 10, ["첫째입니다.", "둘째 문장"]),
        ("첫째예요 둘째 문장이고", 9, ["첫째예요", "둘째 문장이고"]),
        ("첫째예요。둘째 문장", 9, ["첫째예요。", "둘째 문장"]),
        ("One two. Three four five", 16, ["One two.", "Three four five"]),
        ("하나 둘 셋 넷", 5, ["하나 둘", "셋 넷"]),
        ("가나다라마바사", 3, ["가나다", "라마바", "사"]),
        ("말 **굵은 글씨** 끝", 9, ["말", "**굵은 글씨**", "끝"]),
        ("- 하나 둘 셋", 5, ["- 하나", "둘 셋"]),
        ("# 제목\n본문입니다 그래요", 12, ["# 제목\n본문입니다", "그래요"]),
        ("짧게\n\n" + "가" * 12, 10, ["짧게", "가" * 10, "가" * 2]),
    ],
)
def test_where_it_is_cut(text: str, limit: int, parts: list[str]) -> None:
    assert split(text, limit) == parts


def test_fences_are_closed_and_opened_again() -> None:
    text = "보세요:\n\n~~~~js\n" + "let x;\n" * 10 + "~~~~\n끝"
    parts = split(text, 40)
    assert len(parts) >= 3
    assert parts[0].endswith("\n~~~~")
    assert parts[1].startswith("~~~~js\nlet x;")
    assert parts[-1].endswith("~~~~\n끝")
    assert "".join(parts).count("let x;") == 10


def test_a_fence_that_is_about_to_end_is_not_opened_again() -> None:
    first, second = split("```\n" + "a" * 25 + "\n```\n\n" + "글" * 20, 36)
    assert first == "```\n" + "a" * 25 + "\n```"
    assert second == "글" * 20


def test_one_character_over_the_limit_is_cut_all_the_same() -> None:
    assert "".join(split(FAMILY * 3, 3)) == FAMILY * 3
    assert split("가나", 1, measure=lambda text: 2 * len(text)) == ["가", "나"]
    with pytest.raises(ValueError, match="room"):
        split("가", 0)


@pytest.mark.parametrize("whole", [FAMILY, FLAG, WAVE, KEYCAP, SCOTLAND, "\u1112\u1161\u11ab"])
def test_what_is_one_character_to_a_reader(whole: str) -> None:
    text = whole * 3
    places = [place for place in range(len(text) + 1) if parts_at(text, place)]
    assert places == [0, len(whole), 2 * len(whole), 3 * len(whole)]


@pytest.mark.parametrize("limit", [1000, 2000, 4096])
def test_a_very_long_answer_is_split_in_no_time(limit: int) -> None:
    block = "고객님, 안내드립니다. 환불은 14일 이내예요 🙏👨‍👩‍👧\n\n```python\nprint('안녕')\n```\n\n- 하나\n- **둘**\n\n"
    text = (block * 200)[:12_000]
    for measure in (len, utf16, lambda part: len(plain(part))):
        parts = split(text, limit, measure=measure)
        assert all(measure(part) <= limit for part in parts)
        assert bare("\n".join(parts)) == bare(text)
        assert len(parts) <= 2 * len(text) // limit + 1
    assert len(split("가" * 200_000, limit)) == -(-200_000 // limit)


# ---- rendering

SHOWN = [
    ("**굵게** *기울여* `코드`", "굵게 기울여 코드", "<b>굵게</b> <i>기울여</i> <code>코드</code>",
     "**굵게** *기울여* `코드`"),
    ('**"환불"**은 총**3일**입니다', '"환불"은 총3일입니다', '<b>"환불"</b>은 총<b>3일</b>입니다',
     '**"환불"**은 총**3일**입니다'),
    ("10*20*30cm, 홍*동·김*수", "10*20*30cm, 홍*동·김*수", "10*20*30cm, 홍*동·김*수",
     "10\\*20\\*30cm, 홍\\*동·김\\*수"),
    ("# 제목\n본문", "제목\n\n본문", "<b>제목</b>\n\n본문", "**제목**\n\n본문"),
    ("- 하나\n- 둘\n  - 셋\n\n3. 넷\n4. 다섯", "• 하나\n• 둘\n  • 셋\n\n3. 넷\n4. 다섯",
     "• 하나\n• 둘\n  • 셋\n\n3. 넷\n4. 다섯", "• 하나\n• 둘\n  • 셋\n\n3. 넷\n4. 다섯"),
    ("> 하나\n> 둘", "> 하나\n> 둘", "<blockquote>하나\n둘</blockquote>", "> 하나\n> 둘"),
    ("> > 하나", "> > 하나", "<blockquote>하나</blockquote>", "> > 하나"),
    ("```py\nif a < b:\n    c\n```", "if a < b:\n    c",
     '<pre><code class="language-py">if a &lt; b:\n    c</code></pre>', "```py\nif a < b:\n    c\n```"),
    ("```\na```b\n```", "a```b", "<pre>a```b</pre>", "```\na``\u200b`b\n```"),
    ("```\n`````x", "`````x", "<pre>`````x</pre>", "```\n``\u200b``\u200b`x\n```"),
    ("[가게](https://a.example/b_c)", "가게 (https://a.example/b_c)",
     '가게 (<a href="https://a.example/b_c">https://a.example/b_c</a>)', "가게 (https://a.example/b_c)"),
    ("<https://a.example>", "https://a.example", '<a href="https://a.example">https://a.example</a>',
     "https://a.example"),
    ("[여기](javascript:alert(1)) [전화](tel:1588-1234)", "여기 전화 (1588-1234)",
     "여기 전화 (1588-1234)", "여기 전화 (1588-1234)"),
    ("![그림](https://a.example/x.png)끝", "그림끝", "그림끝", "그림끝"),
    ("<b>글</b> & <script>", "<b>글</b> & <script>", "&lt;b&gt;글&lt;/b&gt; &amp; &lt;script&gt;",
     "\\<b>글\\</b> & \\<script>"),
    ("&lt; &nbsp;", "&lt; &nbsp;", "&amp;lt; &amp;nbsp;", "&lt; &nbsp;"),
    ("    들여 쓴 말", "들여 쓴 말", "들여 쓴 말", "들여 쓴 말"),
    ("제목\n---\n본문", "제목\n\n―――\n\n본문", "제목\n\n―――\n\n본문", "제목\n\n―――\n\n본문"),
    ("[a]: https://a.example", "[a]: https://a.example", "[a]: https://a.example",
     "[a]: https://a.example"),
    ("@everyone @here <@1> <@&2> <#3>", "@everyone @here <@1> <@&2> <#3>",
     "@everyone @here &lt;@1&gt; &lt;@&amp;2&gt; &lt;#3&gt;",
     "@\u200beveryone @\u200bhere \\<@1> \\<@&2> \\<#3>"),
    ("\\[은행\\](https://evil.example)", "[은행](https://evil.example)", "[은행](https://evil.example)",
     "[은행\\](https://evil.example)"),
    ("a_b_c 3~5일 ~~x~~ ||y||", "a_b_c 3~5일 ~~x~~ ||y||", "a_b_c 3~5일 ~~x~~ ||y||",
     "a\\_b\\_c 3~5일 \\~~x\\~~ \\||y\\||"),
    ("https://a.example/b_c_d", "https://a.example/b_c_d", "https://a.example/b_c_d",
     "https://a.example/b_c_d"),
    ("``a`b``", "a`b", "<code>a`b</code>", "`` a`b ``"),
    ("- 보기\n  ```\n  x\n    y\n  ```", "• 보기\nx\n  y", "• 보기\n<pre>x\n  y</pre>",
     "• 보기\n```\nx\n  y\n```"),
    ("반쪽 \ud83d", "반쪽 ?", "반쪽 ?", "반쪽 ?"),
    ("", "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "bare_words", "html", "discord"), SHOWN)
def test_each_channel_writes_it_its_way(
    text: str, bare_words: str, html: str, discord: str
) -> None:
    assert plain(text) == bare_words
    assert telegram_html(text) == html
    assert discord_markdown(text) == discord


@pytest.mark.parametrize(
    "text", ["*a " * 3000 + "a* " * 3000, "> " * 3000 + "a", "- " * 3000 + "a"]
)
def test_marks_within_marks_without_end_are_words(text: str) -> None:
    for write in (plain, telegram_html, discord_markdown):
        assert "a" in write(text)


class Checker(HTMLParser):
    """Takes what Telegram takes: its tags, closed in order."""

    TAGS = ("b", "i", "code", "pre", "blockquote", "a")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.TAGS
        assert tag != "blockquote" or "blockquote" not in self.open
        for name, value in attrs:
            good = {"a": ("href", r"https?://.+"), "code": ("class", r"language-[\w+#.-]+")}[tag]
            assert name == good[0]
            assert re.fullmatch(good[1], value or "", re.IGNORECASE)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


marks = st.text(alphabet="*_`~<>&[]()!\\#-+|@\"' \n1.가a:/h", max_size=60)
things = st.lists(
    st.one_of(
        marks,
        st.sampled_from(
            [
                "https://a.example/?a=1&b=2",
                "[x](https://a.example/'\"b)",
                "```html\n",
                "<@1>",
                "@here",
            ]
        ),
    ),
    max_size=12,
).map("".join)


@given(text=things)
@settings(deadline=None, max_examples=300)
def test_whatever_a_model_writes_is_well_formed(text: str) -> None:
    checker = Checker()
    checker.feed(telegram_html(text))
    checker.close()
    assert checker.open == []
    quoted = re.sub("[>\\s]", "", plain(text))
    assert re.sub("[>\\s]", "", checker.text) == quoted
    # What Discord takes for code, and what is escaped, means nothing to it.
    shown = re.sub(r"(?s)```.*?```|`` .*? ``|`[^`]+`|\\.", "", discord_markdown(text))
    assert not re.search(r"@(?:everyone|here)|<[@#]|\]\(h", shown)


@given(text=st.one_of(st.text(max_size=80), marks))
def test_literal_words_are_shown_as_they_are(text: str) -> None:
    words = " ".join(text.split()).replace("\0", "\ufffd")
    assert plain(literal(text)) == words.encode("utf-8", "replace").decode()


# ---- what is said


def test_all_that_a_reply_says() -> None:
    reply = Reply(
        id="t1",
        in_reply_to="m1",
        text="**14일** 이내입니다.\n",
        kind="answer",
        notice="AI가 답합니다.",
        sources=(
            Source(document="a_b/c_d.md", heading="환불 > *기간*", score=1.0),
            Source(document="b.md", heading="", score=0.5),
        ),
        choices=(Choice(label="배송비", text="배송비?"), Choice(label="1. 환불", text="환불?")),
    )
    assert plain(said(reply, choices=True, sources=True, labels=LABELS)) == (
        "AI가 답합니다.\n\n14일 이내입니다.\n\n출처: a_b/c_d.md · 환불 > *기간*\n출처: b.md\n\n"
        "골라 주세요\n\n1. 배송비\n2. 1. 환불"
    )
    assert said(reply, choices=False, sources=False, labels=LABELS) == (
        "AI가 답합니다.\n\n**14일** 이내입니다."
    )
    bare_reply = Reply(id="t1", in_reply_to="m1", text="네.", kind="answer")
    assert said(bare_reply, choices=True, sources=True, labels=LABELS) == "네."


# ---- drafts


class Screen:
    """What a platform shows, slowly if so told."""

    def __init__(self, *, takes: float = 0.0) -> None:
        self.shown: list[str] = []
        self.begun: list[float] = []
        self.takes = takes
        self.failures = 0
        self.under_way = 0

    async def edit(self, text: str) -> None:
        assert self.under_way == 0
        self.under_way += 1
        self.begun.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.takes)
            if self.failures:
                self.failures -= 1
                raise OSError(text)
            self.shown.append(text)
        finally:
            self.under_way -= 1


async def test_drafts_are_shown_not_too_often_and_the_latest_wins() -> None:
    screen = Screen(takes=0.01)
    sketch = Sketch(screen.edit, seconds=0.05)
    for number in range(60):
        sketch.put(f"글자 {number}")
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.15)
    assert screen.shown[0] == "글자 0"
    assert screen.shown[-1] == "글자 59"
    assert all(later - earlier >= 0.049 for earlier, later in pairwise(screen.begun))
    sketch.put("글자 59")
    await asyncio.sleep(0.1)
    assert screen.shown.count("글자 59") == 1
    await sketch.close()


async def test_closing_lets_an_edit_end_and_begins_none() -> None:
    screen = Screen(takes=0.05)
    sketch = Sketch(screen.edit, seconds=10)
    sketch.put("하나")
    await asyncio.sleep(0.01)
    sketch.put("둘")
    await sketch.close()
    assert screen.shown == ["하나"]
    sketch.put("셋")
    await sketch.close()
    await asyncio.sleep(0.02)
    assert screen.shown == ["하나"]
    await Sketch(screen.edit, seconds=1).close()


async def test_a_platform_that_asks_to_wait_is_waited_for() -> None:
    screen = Screen()
    sketch = Sketch(screen.edit, seconds=0.0)
    sketch.pause(0.08)
    sketch.pause(0.01)
    began = asyncio.get_running_loop().time()
    sketch.put("하나")
    await asyncio.sleep(0.15)
    assert screen.begun[0] - began >= 0.079
    sketch.pause(60)
    sketch.put("둘")
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await sketch.close()
    assert screen.shown == ["하나"]


async def test_a_draft_that_fails_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    screen = Screen()
    screen.failures = 1
    sketch = Sketch(screen.edit, seconds=0.01)
    sketch.put("비밀 하나")
    await asyncio.sleep(0.02)
    sketch.put("비밀 하나")
    await asyncio.sleep(0.03)
    assert screen.shown == ["비밀 하나"]
    assert "비밀" not in caplog.text
    await sketch.close()
