"""Consultation logs read into questions and answers, personal data masked.

A log is a file below a folder called `logs`, or one that says `kind: log` in its front matter (text,
Markdown) or at the top (JSON). It is a table or a list of questions with answers, or of what was said:
who (customer, agent), what, and optionally in which conversation; or text with `고객:` and `상담원:`
before what they said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from brain.errors import DocumentError
from brain.knowledge.chunk import sentences
from brain.knowledge.data import ABOUT, ANSWERS, QUESTIONS, column, load_json, load_jsonl, table
from brain.knowledge.document import Content, Outline
from brain.knowledge.formats import refuse_long_lines
from brain.knowledge.front_matter import front_matter, kept, title_of
from brain.knowledge.text import clean
from brain.redaction import redact

Side = Literal["customer", "agent"]
Turn = tuple[Side, str]

_CUSTOMER = r"고객|손님|문의자|구매자|회원|사용자|이용자|질문자?|customer|user|client|q"
_AGENT = r"상담|직원|담당|관리자|판매자|매니저|운영자|챗봇|봇|답변자?|agent|assistant|staff|support|operator|bot|a"
_SPEAKER = re.compile(rf"(?:(?P<customer>{_CUSTOMER})|(?P<agent>{_AGENT}))(?![a-z])", re.IGNORECASE)
_SPOKEN = re.compile(
    r"(?:[\[(]?[\d오전후APM:./\- ]{4,40}[\])]?\s*)?"
    rf"[\[(<]?(?P<who>(?:{_CUSTOMER}|{_AGENT})[가-힣]{{0,3}}(?:[ (][가-힣A-Za-z*○]{{1,10}}\)?)?)[\])>]?\s*[:：]\s*"
    r"(?P<words>.*)$",
    re.IGNORECASE,
)
_BORDER = re.compile(
    r"\s*(?:[-=*─━]{3,}.*|#.*|\[?(?:상담|대화|문의)\s?(?:번호|일시|id)?\s?[:#]?\s?[\w-]{0,20}\d[\w-]{0,40}\]?)\s*$",
    re.IGNORECASE,
)

_WHO = frozenset({"speaker", "role", "sender", "from", "who", "author"}) | frozenset(
    {"발화자", "화자", "역할", "작성자", "구분", "보낸사람"}
)
_WHAT = frozenset({"text", "content", "message", "utterance", "body"}) | frozenset(
    {"내용", "메시지", "발화", "발화문", "대화", "말"}
)
_WHICH = frozenset(
    {"conversation", "conversation_id", "session", "session_id", "ticket"}
) | frozenset({"상담번호", "상담id", "대화번호", "대화id", "대화셋일련번호", "세션", "문의번호"})

_SMALL_TALK = re.compile(
    r"(?:(?:안녕하세요|안녕하십니까|안녕|반갑습니다|감사합니다|감사드립니다|감사해요|고맙습니다|고마워요|넵|네|넹|예|아하"
    r"|아|그렇군요|알겠습니다|알겠어요|확인했습니다|수고하세요|수고하셨습니다|고객님|잠시만요"
    r"|잠시만 기다려 ?주(?:세요|시기 바랍니다)|확인해 ?(?:드리|보)겠습니다"
    r"|좋은 하루 (?:되세요|보내세요|되십시오)|(?:[가-힣]{1,10} )?상담[사원](?: [가-힣]{2,4})?입니다"
    r"|문의해? ?주셔서|이용해 ?주셔서|hello|hi|thanks|thank you|okay|ok|yes|no|bye)[\s.!~,^ㅎㅋㅠ…:;)]*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question that was answered in a consultation, personal data masked."""

    question: str
    """What the customer said until the answer came."""
    answer: str
    """What the agent said to it."""


def read_log(text: str, name: str, suffix: str) -> Content:
    """A consultation log as a FAQ; `suffix` is the file's, in lower case.

    Raises `DocumentError` for a format that logs are not read from and when nothing in it is answered.
    """
    metadata: dict[str, Any] = {}
    if suffix in {".txt", ".md", ".markdown"}:
        refuse_long_lines(text)
        metadata, text = front_matter(text)
        talks = _of_text(text)
    elif suffix == ".csv":
        header, rows = table(text)
        talks = _of_rows([dict(zip(header, row, strict=False)) for row in rows])
    elif suffix in {".json", ".jsonl"}:
        value = load_jsonl(text) if suffix == ".jsonl" else load_json(text)
        if isinstance(value, dict):
            metadata = kept({key: value[key] for key in value if key in ABOUT})
        talks = _of_value(value)
    else:
        raise DocumentError("consultation logs are read from CSV, JSON, JSONL and text")
    outline = Outline(redact(clean(title_of(metadata) or name)).text)
    for exchange in exchanges(talks):
        outline.entry(exchange.question, exchange.answer, [], {})
    sections = outline.sections()
    if not sections:
        raise DocumentError(
            "no answered question in it: expected columns or keys `question, answer` or "
            "`speaker, text`, or lines that begin with `고객:` and `상담원:`"
        )
    about = {"title": outline.title, "kind": "log"}
    return Content(title=outline.title, metadata={**metadata, **about}, sections=sections)


def exchanges(talks: Iterable[Sequence[Turn]]) -> Iterator[Exchange]:
    """The questions of conversations with their answers.

    An answer that only asks back is none: what the customer says next belongs to the same question.
    Greetings, thanks and questions that nobody answered are left out.
    """
    for talk in talks:
        asked: list[str] = []
        answered: list[str] = []
        end: Turn = ("customer", "")
        for side, words in [*talk, end]:
            if side == "agent":
                answered += [words] if asked else []
                continue
            if _informs(answered):
                yield Exchange(question=_masked(asked), answer=_masked(answered))
                asked = []
            answered = []
            if words.strip() and not _small_talk(words):
                asked.append(words)


def _informs(answered: Sequence[str]) -> bool:
    return any(
        not sentence.rstrip().endswith(("?", "？")) and not _small_talk(sentence)
        for words in answered
        for sentence in sentences(words)
        if sentence.strip()
    )


def _small_talk(words: str) -> bool:
    return len(words) <= 200 and _SMALL_TALK.fullmatch(words.strip()) is not None


def _masked(words: Sequence[str]) -> str:
    # Cleaned first, so that nothing invisible keeps a number from being seen.
    return redact(clean("\n".join(word.strip() for word in words))).text


# ---- formats


def _of_text(text: str) -> Iterator[list[Turn]]:
    """Conversations of a text; an empty line after an answer or a line of dashes ends one."""
    talk: list[Turn] = []
    for line in text.split("\n"):
        spoken = _SPOKEN.match(line.strip())
        side = _side(spoken["who"]) if spoken else None
        if spoken and side:
            talk.append((side, spoken["words"]))
        elif not line.strip() or _BORDER.fullmatch(line):
            if talk and (line.strip() or talk[-1][0] == "agent"):
                yield talk
                talk = []
        elif talk:
            talk[-1] = (talk[-1][0], f"{talk[-1][1]}\n{line.strip()}")
    yield talk


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Turn]]:
    """Conversations of a table: each row a question with its answer, or what somebody said."""
    talks: dict[str, list[Turn]] = {}
    for row in rows:
        keys = list(row)
        asked, answered = column(keys, QUESTIONS), column(keys, ANSWERS)
        who, what, which = (column(keys, names) for names in (_WHO, _WHAT, _WHICH))
        if asked is not None and answered is not None:
            yield [("customer", _words(row[keys[asked]])), ("agent", _words(row[keys[answered]]))]
        elif who is not None and what is not None:
            side = _side(_words(row[keys[who]]))
            talk = talks.setdefault(_words(row[keys[which]]) if which is not None else "", [])
            if side:
                talk.append((side, _words(row[keys[what]])))
    yield from talks.values()


def _of_value(value: Any) -> Iterator[list[Turn]]:
    """Conversations anywhere in a JSON value: each list of rows is read like a table."""
    if isinstance(value, list):
        yield from _of_rows([item for item in value if isinstance(item, dict)])
        inner = value
    else:
        inner = list(value.values()) if isinstance(value, dict) else []
    for part in inner:
        if isinstance(part, (list, dict)):
            yield from _of_value(part)


def _side(who: str) -> Side | None:
    found = _SPEAKER.match(who.strip())
    if not found:
        return None
    return "customer" if found["customer"] else "agent"


def _words(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) else ""
