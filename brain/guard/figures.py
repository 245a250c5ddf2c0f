"""Numbers, dates, amounts, links and phone numbers in a text: what an answer can be wrong about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from brain.guard.numerals import NATIVE, SPANS, UNITS, from_digits, from_words

ANY: Final = "number"
"""Kind of a number without a unit: it agrees with the same number under any unit."""
FREE_UP_TO: Final = 10
"""Steps and kinds are counted freely up to here: two ways, step 3."""


_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """Something in a text that is right or wrong."""

    text: str
    """As it was written."""
    kind: str
    """Class of the unit (`money`, `minutes`, `count` ...), `date`, `time`, `phone`, `link`, `mail`."""
    values: frozenset[object]
    """What it may mean, in the base unit: 6시 is 06:00 or 18:00."""
    number: Decimal | None = None
    """The number as written, without its unit."""


def figures(text: str) -> list[Figure]:
    """The figures of `text`, in no particular order; numbers of lists and steps are none."""
    copy = unicodedata.normalize("NFKC", text.translate(_MARKS))
    found: list[Figure] = []

    def take(read: Callable[[re.Match[str]], Iterable[Figure]], match: re.Match[str]) -> str:
        taken = list(read(match))
        found.extend(taken)
        return " \0 " if taken else match[0]

    for signs, pattern, read in _READERS:
        if not any(sign in copy for sign in signs):
            continue
        copy = pattern.sub(partial(take, read), copy)
    return found


_MARKS: Final = {
    **dict.fromkeys(map(ord, "*_`"), None),
    **dict.fromkeys(map(ord, "∼～〜–—―−"), "~"),
    **dict.fromkeys(range(ord("①"), ord("⑳") + 1), "•"),
}


def _masked(_: re.Match[str]) -> Iterator[Figure]:
    """What looks like a figure and is none."""
    yield Figure("", "free", frozenset())


def _mail(match: re.Match[str]) -> Iterator[Figure]:
    yield Figure(match[0], "mail", frozenset({match[0].casefold()}))


def _link(match: re.Match[str]) -> Iterator[Figure]:
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", match[0].casefold()).rstrip("./,;:!?~")
    yield Figure(match[0], "link", frozenset({address}))


def _phone(match: re.Match[str]) -> Iterator[Figure]:
    digits = "".join(filter(str.isdecimal, match[0]))
    if len(digits) >= 7:
        yield Figure(match[0], "phone", frozenset({digits}))


def _date(match: re.Match[str]) -> Iterator[Figure]:
    groups = match.groupdict()
    month, day = groups.get("month"), groups.get("day")
    if month and not month.isdecimal():
        month = str(_MONTHS.index(month[:3].casefold()) + 1)
    if (month and not 1 <= int(month) <= 12) or (day and not 1 <= int(day) <= 31):
        return
    if year := groups.get("year"):
        yield Figure(match[0], "year", frozenset({int(year)}))
    if month:
        yield Figure(match[0], "month", frozenset({int(month)}))
    if month and day:
        yield Figure(match[0], "date", frozenset({(int(month), int(day))}))


def _time(match: re.Match[str]) -> Iterator[Figure]:
    named = {"정오": 12 * 60, "자정": 0}.get(match[0])
    if named is not None:
        yield Figure(match[0], "time", frozenset({named}))
        return
    groups = match.groupdict()
    hour = NATIVE.get(groups["hour"]) or int(groups["hour"])
    minute = 30 if groups.get("half") else int(groups.get("minute") or 0)
    if hour > 24 or minute > 59:
        return
    half = (groups.get("half_day") or "").casefold()
    at = hour % 12 * 60 + minute
    if half in {"오후", "저녁", "낮", "점심", "p"} or (half == "밤" and 6 <= hour < 12):
        values = {at + 720}
    elif half:
        values = {at}
    elif 1 <= hour <= 12 and not groups["hour"].startswith("0"):
        values = {at, at + 720}
    else:
        values = {hour % 24 * 60 + minute}
    yield Figure(match[0], "time", frozenset(values))


def _amount(match: re.Match[str]) -> Iterator[Figure]:
    """A number, or a range of two, with its unit."""
    unit = "원" if match["won"] or match["won_after"] else (match["unit"] or "").casefold()
    numbers = [from_digits(match["first"])]
    if second := match["second"]:
        scale = re.search(r"[억만천백]+$", second.rstrip())
        if scale and not re.search(r"[억만천백]", match["first"]):
            numbers = [from_digits(match["first"] + scale[0])]
        numbers.append(from_digits(second))
    kind, _ = UNITS.get(unit, (ANY, 1))
    counted = [
        number
        for number in numbers
        if not (kind == "free" and number <= FREE_UP_TO)
        and not (kind in ("count", ANY) and number == 1)
    ]
    for number in counted:
        yield _measured(match[0].strip(), number, unit)
    if not counted:
        yield from _masked(match)


def _native(match: re.Match[str]) -> Iterator[Figure]:
    number = NATIVE[match["word"].casefold()]
    figure = _measured(match[0], Decimal(number), match["unit"].casefold())
    if figure.kind != "count" or number > 1:
        yield figure


def _spelled(match: re.Match[str]) -> Iterator[Figure]:
    yield _measured(match[0], from_words(match["word"]), match["unit"])


def _span(match: re.Match[str]) -> Iterator[Figure]:
    kind, value = SPANS[match[0]]
    yield Figure(match[0], kind, frozenset({value}))


def _measured(text: str, number: Decimal, unit: str) -> Figure:
    kind, factor = UNITS.get(unit, (ANY, Decimal(1)))
    return Figure(text, kind, frozenset({number * factor}), number)


def _code(match: re.Match[str]) -> Iterator[Figure]:
    # S3 and B2B are words; LB-1420 is a product that has to exist.
    kind = "code" if sum(map(str.isdecimal, match[0])) > 1 else "free"
    yield Figure(match[0], kind, frozenset({match[0].replace("-", "").casefold()}))


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_TLD: Final = r"(?:com|net|org|kr|io|shop|store|app|me|dev)"
_IN_LINK: Final = r"[^\s<>\"'()\[\]가-힣\0]"
_PART_OF_DAY: Final = r"(?P<half_day>오전|오후|아침|점심|저녁|새벽|밤|낮)"
_DIGITS: Final = r"\d+(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_NUMBER: Final = rf"(?:(?:{_DIGITS})\s?(?:[백십천]?[억만]|[천백])\s?)+(?:(?:{_DIGITS})(?![\s]?[월:]))?|(?:{_DIGITS})"
_HANGUL_UNITS: Final = _either(unit for unit in UNITS if not re.search(r"[a-z]", unit))
_LATIN_UNITS: Final = _either(unit for unit in UNITS if re.search(r"[a-z]", unit))
_NOT_CODE: Final = r"(?<![A-Za-z\d])(?<![A-Za-z]-)"

_READERS: Final[
    tuple[tuple[Iterable[str], re.Pattern[str], Callable[[re.Match[str]], Iterable[Figure]]], ...]
] = (
    ("@", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII), _mail),
    (
        ("://", "."),
        re.compile(
            rf"(?<![\w@.])(?:(?:https?://|www\.){_IN_LINK}+"
            rf"|(?:[a-z0-9-]+\.)+{_TLD}(?![a-z0-9-])(?:/{_IN_LINK}*)?)",
            re.IGNORECASE,
        ),
        _link,
    ),
    # Numbers of a list, ratios and ordinals say nothing about the world.
    (
        "0123456789",
        re.compile(
            r"(?m)^[ \t>•-]*\d{1,2}[.)](?=\s)|(?<!\d)1:1(?!\d)|(?<!\d)24/7(?!\d)|제 ?\d{1,3}"
        ),
        _masked,
    ),
    (
        ("19", "20"),
        re.compile(
            r"(?<![\d-])(?P<year>(?:19|20)\d\d) ?[년./-] ?(?P<month>\d{1,2}) ?[월./-] ?(?P<day>\d{1,2})(?!\d)(?: ?일)?"
        ),
        _date,
    ),
    ("월", re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)년 ?(?P<month>\d{1,2})월(?! ?\d)"), _date),
    (
        (*_MONTHS, *map(str.title, _MONTHS)),
        re.compile(
            rf"\b(?P<month>{'|'.join(_MONTHS)})[a-z]{{0,6}}\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<year>20\d\d))?",
            re.IGNORECASE,
        ),
        _date,
    ),
    ("월", re.compile(r"(?<!\d)(?P<month>\d{1,2})월(?: ?(?P<day>\d{1,2})일?)?"), _date),
    ("/", re.compile(r"(?<![\d/.])(?P<month>\d{1,2})/(?P<day>\d{1,2})(?![\d/])"), _date),
    ("년", re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)년"), _date),
    (
        "- ",
        re.compile(
            r"(?<![\d-])(?:\(?0\d{1,2}\)?[- ]?\d{3,4}[- ]\d{4}|1[568]\d\d[- ]\d{4}|\d{2,8}(?:-\d{2,8}){1,3})"
            r"(?![\d-])(?! ?(?:원|%|만|명|개))"
        ),
        _phone,
    ),
    (
        ":",
        re.compile(
            rf"(?:{_PART_OF_DAY} ?)?(?<![\d:])(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?![\d:])"
        ),
        _time,
    ),
    (
        "mM",
        re.compile(
            r"(?<!\d)(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half_day>[ap])\.?m\b",
            re.IGNORECASE,
        ),
        _time,
    ),
    (
        "시",
        re.compile(
            rf"(?:{_PART_OF_DAY} ?)?(?<![\d가-힣])(?P<hour>\d{{1,2}}|열두|열한|열|[한두세네]|다섯|여섯|일곱|여덟|아홉)"
            r" ?시(?!간|[가-힣]{0,1}[리즌험])(?: ?(?P<minute>\d{1,2})분| ?(?P<half>반))?"
        ),
        _time,
    ),
    (("정오", "자정"), re.compile(r"정오|자정"), _time),
    (
        "0123456789",
        re.compile(
            r"(?<![A-Za-z\d])[A-Za-z][A-Za-z-]{0,19}\d[A-Za-z\d]{0,19}(?:-[A-Za-z\d]{1,20}){0,4}"
        ),
        _code,
    ),
    (
        "0123456789",
        re.compile(
            rf"(?P<won>₩ ?|(?<![A-Za-z])KRW ?)?{_NOT_CODE}(?P<first>{_NUMBER})"
            rf"(?: ?(?:{_HANGUL_UNITS})?(?: ?~ ?|-|에서 )(?P<second>{_NUMBER}))?"
            rf"(?P<won_after> ?(?:KRW|won)(?![A-Za-z]))?"
            rf"(?: ?(?P<unit>{_HANGUL_UNITS}|(?:{_LATIN_UNITS})(?![A-Za-z])))?",
            re.IGNORECASE,
        ),
        _amount,
    ),
    (
        "원",
        re.compile(
            r"(?<![가-힣])(?P<word>[일이삼사오육칠팔구]?[십백천만억][일이삼사오육칠팔구십백천만억]*)"
            r" ?(?P<unit>원)(?!장|가|금)"
        ),
        _spelled,
    ),
    # 십분 (fully) and 백일 (a feast) are words; tens with a digit beside them are numbers.
    (
        "십",
        re.compile(
            r"(?<![가-힣])(?P<word>[이삼사오육칠팔구]십[일이삼사오육칠팔구]?|십[일이삼사오육칠팔구])"
            r" ?(?P<unit>일|개월|퍼센트|시간)"
        ),
        _spelled,
    ),
    (
        ("시간", *"달주월배개번회명대장"),
        re.compile(
            rf"(?<![가-힣])(?P<word>{_either(w for w in NATIVE if not w.isascii())}) ?"
            r"(?P<unit>시간|달|주일|주|개월|배|개|번|회|명|대|장)"
            # 네 번 is four times, 네 번호 is not.
            r"(?=[^가-힣]|$|[은는이가을를의에도만로씩안간뒤후전]|까지|마다|동안|부터|정도|입니)"
        ),
        _native,
    ),
    (
        ("day", "hour", "week", "month", "year"),
        re.compile(
            rf"\b(?P<word>{_either(w for w in NATIVE if w.isascii())}) "
            r"(?P<unit>(?:business |working )days?|hours?|days?|weeks?|months?|years?)\b",
            re.IGNORECASE,
        ),
        _native,
    ),
    (SPANS, re.compile(rf"(?<![가-힣])(?:{'|'.join(SPANS)})"), _span),
)
