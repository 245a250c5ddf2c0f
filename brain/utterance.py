"""What a message says by its form: whether it reads as finished, and what of it is only an opening."""

from __future__ import annotations

import re
from typing import Final, Literal

Reading = Literal["finished", "open", "fragment"]
"""finished: nothing need follow; open: may be whole; fragment: more is on its way."""

LONG: Final = 60
"""Letters from which a message is held for whole, however it ends."""
SHORT: Final = 15
"""Letters below which a message without an ending is held for a piece of one."""

_ORNAMENT: Final = r"[\s~^♡♥*;ㅋㅎㅠㅜ☀-➿\U0001f300-\U0001faff\ufe0f]"
# Looked for only where a run of it begins: a customer may send thousands of ㅋ.
_DECORATION = re.compile(rf"(?<!{_ORNAMENT}){_ORNAMENT}+$")
_TRAILING_OFF = re.compile(r"(?:\.{2,}|…|[,:\-])$")
_OPENERS = re.compile(
    r"(?:안녕(?!히)\S{0,6}|반갑\S{0,6}|저기요?|여기요|있잖아요?|혹시|아니|근데|그리고|그럼|그러면|"
    r"(?:(?:뭐|하나|한 ?가지|좀|잠깐)\s?){0,2}(?:질문|문의|여쭤볼|궁금한|물어볼)\s?(?:좀\s)?\S{0,8}"
    r"(?:\s(?:있|할|드릴|드려|될)\S{0,6})?|"
    r"hi|hello|hey|excuse me|quick question|i have a question)[\s.!~,]*",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"\n+|(?<=[.!?~])\s+")
_LEADS_ON = re.compile(
    r"(?:[는은ㄴ]데요?|[가-힣]데요|고요|구요|라서요?|해서요?|거든요|는데|지만|면서"
    r"|\b(?:and|but|because|or|with|the|my))$"
)
_SHORT_ANSWERS = re.compile(
    r"(?:네+|넵|예|아니[요오]|응|ㅇㅇ|ㄴㄴ|ㅇㅋ|좋아요|괜찮아요|맞아요|감사합니다|고마워요?|"
    r"yes|no|ok(?:ay)?|thanks?|thank you)",
    re.IGNORECASE,
)
_POLITE_END = re.compile(r"(?:요|니다|니까|[죠줘]|[을ㄹ]까|시오)$")
_PLAIN_END = re.compile(r"(?:나|냐|니|까|지|래|야|임|음|함|됨|해|돼|네|어|아|여|삼|가)$")
_ENGLISH = re.compile(r"[a-z]", re.IGNORECASE)
_ENGLISH_QUESTION = re.compile(
    r"(?:what|when|where|who|why|how|which|can|could|do|does|did|is|are|was|will|would|may|should"
    r"|i|my|please)\b",
    re.IGNORECASE,
)


def reads_as(text: str) -> Reading:
    """How finished `text` reads: Korean sentence endings, punctuation, length.

    A greeting alone, "문의드립니다" and clauses that lead on ("주문했는데요") are fragments:
    what is meant follows.
    """
    said = _DECORATION.sub("", text.strip())
    if _SHORT_ANSWERS.fullmatch(said.rstrip(".!?")):
        return "finished"
    if not said:
        return "open" if text.strip() else "fragment"
    if said.endswith(("?", "？")):
        return "finished"
    if _OPENERS.fullmatch(said) or _TRAILING_OFF.search(said):
        return "fragment"
    bare = said.rstrip(".!。")
    if len(bare) >= LONG:
        return "finished"
    if _LEADS_ON.search(bare):
        return "fragment" if len(bare) < SHORT else "open"
    if len(bare) < len(said) or _POLITE_END.search(bare):
        return "finished"
    if _ENGLISH.match(bare[-1]):
        words = len(bare.split())
        return "finished" if words >= 4 and _ENGLISH_QUESTION.match(bare) else _by_length(bare)
    if _PLAIN_END.search(bare) and len(bare) >= 6:
        return "open"
    return _by_length(bare)


def essence(text: str) -> str:
    """`text` without the greetings and announcements in front of what it is about.

    All of it where nothing else is said.
    """
    parts = [part.strip() for part in _SENTENCES.split(text) if part.strip()]
    said = [part for part in parts if _says_something(_DECORATION.sub("", part))]
    return " ".join(said) if said else text


def _says_something(part: str) -> bool:
    return bool(part) and not _OPENERS.fullmatch(part)


def _by_length(text: str) -> Reading:
    return "fragment" if len(text) < SHORT else "open"
