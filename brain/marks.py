"""Facts that a conversation keeps word for word: numbers, products, promises, name and preferences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from brain.messages import Passage

LONGEST = 100
"""Characters of a mark at most; of a longer sentence the part around what tells it."""
SHORTEST_NAME = 3
"""Characters of a product's name at least."""

_NAMED = re.compile(
    r"(?:주문|예약|접수|송장|운송장|문의|order|tracking)\s{0,2}(?:번호|no\.?|number|#)?\s{0,2}"
    r"(?:은|는|이|가|:|#|is)?\s{0,2}(?=[A-Z-]{0,30}\d)[A-Z0-9][A-Z0-9-]{4,30}(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![A-Za-z0-9-])\d{6,8}-\d{3,10}(?![A-Za-z0-9-])")
_MODEL = re.compile(
    r"(?<![A-Za-z0-9-])(?=[A-Za-z0-9-]{3})(?=[A-Za-z-]{0,20}\d)(?=[0-9-]{0,20}[A-Za-z])"
    r"[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,4}(?![A-Za-z0-9-])"
)
_AMOUNT = re.compile(
    r"(?<![\d,.])(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\s?만(?:\s?\d{1,4})?)?\s?천?\s?원"
)
_SENTENCE = re.compile(r"(?:[^.!?…\n]|\.(?=\d))+[.!?…]*")
_TELLING = re.compile(
    # How to call the customer, and what the customer likes.
    r"(?:이름|성함|성명|닉네임|호칭)[은는이도]?[\s:]|라고\s?(?:합니다|해요|하는데|불러)|불러\s?(?:주|줘)"
    r"|(?:저는|^저|전|^안녕하세요[,.]?)\s[가-힣]{2,4}(?:입니다|이에요|예요|이고|인데)"
    r"|앞으로|다음부터|이제부터|항상|언제나|되도록|가급적|웬만하면|가능하면|선호|편해요|편합니다|편해서"
    r"|알레르기|알러지|좋아해|좋아합|싫어|싫습|(?:전화|문자|카톡|카카오톡|이메일|메일|알림톡)(?:로|으로)만?\s"
    r"|\bmy name\b|\bcall me\b|\bi prefer\b|\bfrom now on\b|\ballergic\b|\bi(?:'m| am) [A-Z][a-z]"
    # A promise that the customer was given, or gives.
    r"|약속|(?:다고|라고|겠다고)\s?(?:하셨|했|들었|말씀|안내)|\bpromised?\b",
    re.IGNORECASE | re.MULTILINE,
)
_PRODUCT = re.compile(
    r"(?:[가-힣A-Za-z0-9+-]{1,20}\s){0,3}[가-힣A-Za-z0-9+-]{1,20}"
    r"(?:[을를]\s(?:어제|오늘|지난주에?|며칠 전에?)?\s?(?:주문|구매|구입|예약|샀|사려|사고|산\s|쓰고|사용|환불|교환|반품|받았)"
    r"|[이가]\s(?:고장|불량|안\s?켜|안\s?되|안\s?돼|깨졌|도착|왔)|\s(?:샀|주문했|구매했|구입했))"
)
_QUOTED = re.compile(r"[\"“‘「『'][^\"“”‘’「」『』'\n]{2,40}[\"”’」』']")
_PROMISE = re.compile(
    r"(?:드리겠습니다|드릴게요|드릴\s?예정|드리기로|하겠습니다|할게요|약속|\bwe(?:'ll| will)\b|\bi(?:'ll| will)\b)",
    re.IGNORECASE,
)
_WHEN_OR_WHAT = re.compile(
    r"\d|오늘|내일|모레|이번\s?주|다음\s?주|요일|까지|이내|전액|무료|추가|쿠폰|적립|today|tomorrow|free",
    re.IGNORECASE,
)


def marks_in(text: str) -> list[str]:
    """Order numbers, product models and amounts in `text`, word for word, in order."""
    return [found for _, found in _found(text, (_NAMED, _CODE, _AMOUNT, _MODEL))]


def said_in(text: str) -> list[str]:
    """What to keep of a customer's words: what `marks_in` finds and products by name, and whole
    sentences that tell a name, a preference or a promise; in order."""
    sentences = list(_sentences(text, _TELLING))
    kept = [
        *sentences,
        *_found(text, (_NAMED, _CODE, _AMOUNT, _MODEL)),
        *_found(text, (_QUOTED, _PRODUCT)),
    ]
    known: list[str] = []
    for _, mark in sorted(kept, key=lambda each: each[0]):
        if not any(mark in sentence for _, sentence in sentences if sentence != mark):
            known.append(mark)
    return list(dict.fromkeys(known))


def promised_in(text: str) -> list[str]:
    """The sentences of a reply that promise something by a time or of an amount."""
    return [said for _, said in _sentences(text, _PROMISE) if _WHEN_OR_WHAT.search(said)]


def products_in(text: str, passages: Iterable[Passage]) -> tuple[str, ...]:
    """Products of the company in `text`, as the titles of documents about products name them."""
    names = (
        passage.heading.partition(" > ")[0].partition("(")[0].strip()
        for passage in passages
        if "product" in f"{passage.metadata.get('category', '')} {passage.document}"
    )
    return tuple(dict.fromkeys(n for n in names if len(n) >= SHORTEST_NAME and n in text))


def weight(mark: str) -> int:
    """How dear a mark is when there is no room for all: 0 goes first."""
    if _TELLING.search(mark):
        return 3
    if _AMOUNT.fullmatch(mark):
        return 1
    return 0 if _PROMISE.search(mark) else 2


def _found(text: str, kinds: Sequence[re.Pattern[str]]) -> list[tuple[int, str]]:
    """Matches that do not overlap, earlier kinds first, by where they begin."""
    found: dict[int, str] = {}
    taken: list[tuple[int, int]] = []
    for kind in kinds:
        for match in kind.finditer(text):
            begin, end = match.span()
            if all(end <= b or begin >= e for b, e in taken):
                taken.append((begin, end))
                found[begin] = " ".join(match[0].split())
    return sorted(found.items())


def _sentences(text: str, telling: re.Pattern[str]) -> Iterable[tuple[int, str]]:
    """The sentences in which `telling` is found, at most `LONGEST` characters of each."""
    for sentence in _SENTENCE.finditer(text):
        words = sentence[0].strip()
        if (tells := telling.search(words)) is None:
            continue
        begin = max(0, min(tells.start() - LONGEST // 3, len(words) - LONGEST))
        yield sentence.start(), words[begin : begin + LONGEST].strip()
