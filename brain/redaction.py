"""Masks personal data in what customers write, before anything stores, logs, indexes or sends it on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

TAGS: Final = {
    "email": "[이메일]",
    "rrn": "[주민등록번호]",
    "frn": "[외국인등록번호]",
    "phone": "[전화번호]",
    "card": "[카드번호]",
    "licence": "[운전면허번호]",
    "business": "[사업자등록번호]",
    "account": "[계좌번호]",
    "passport": "[여권번호]",
    "address": "[주소]",
}
"""Kind of personal data -> what stands in its place."""


Span = tuple[int, int, str]
"""Start, end, kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without its personal data."""

    text: str
    """The text (NFC), every find replaced by its tag; redacting it again changes nothing."""
    kinds: tuple[str, ...]
    """Keys of `TAGS`, one for each find, in the order of the text; empty if nothing was found."""


def redact(text: str) -> Redacted:
    """Mask resident and foreigner numbers, phones, cards, accounts, e-mail, addresses and papers.

    Order, tracking, model and coupon numbers, prices, dates and the service numbers of companies
    (15xx, 16xx, 18xx, 080) stay. Linear in the length of the text.
    """
    text = _SPLIT_BY_INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    finds = find(text)
    return Redacted(
        text=_replaced(text, finds, lambda span: TAGS[span[2]]),
        kinds=tuple(kind for *_, kind in finds),
    )


def find(text: str) -> list[Span]:
    """Start, end and kind of everything personal in an NFC text, in order and without overlaps."""
    # Matching happens on a copy of equal length, so that the offsets hold in the text itself. Finds
    # and tags of an earlier pass become NUL, which no pattern and no context reads across.
    copy = _TAG.sub(lambda match: _GONE * len(match[0]), text.translate(_LOOKALIKES))
    finds: list[Span] = []
    for gate, detect in _DETECTORS:
        if not gate.search(copy):
            continue
        spans = list(detect(copy))
        copy = _replaced(copy, spans, lambda span: _GONE * (span[1] - span[0]))
        finds += spans
    return sorted(finds)


def _replaced(text: str, spans: list[Span], stand_in: Callable[[Span], str]) -> str:
    parts: list[str] = []
    kept = 0
    for span in spans:
        parts += text[kept : span[0]], stand_in(span)
        kept = span[1]
    return "".join([*parts, text[kept:]])


_GONE = "\0"
_TAG = re.compile("|".join(re.escape(tag) for tag in TAGS.values()))
# A phone number sent as 0<U+200B>10... is still one; elsewhere joiners belong to emoji.
_SPLIT_BY_INVISIBLE = re.compile("(?<=[0-9])[\u00ad\u200b-\u200d\u2060\ufeff]+(?=[-0-9])")
_LOOKALIKES = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},  # full width
    **dict.fromkeys(map(ord, "‐‑‒–—―−﹣⁃ㅡー－"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\t"), " "),
}

Detector = Callable[[str], Iterator[Span]]
Check = Callable[[re.Match[str], str, str], bool]


_MAYBE_EMAIL = re.compile(r"@|골뱅이|[(\[]at[)\]]", re.IGNORECASE)
_MAYBE_NUMBER = re.compile(r"[0-9]|공일공|영일영")


def _found(kind: str, pattern: re.Pattern[str], check: Check | None, copy: str) -> Iterator[Span]:
    """Matches of `pattern` that `check` confirms from the text before and after them."""
    for match in pattern.finditer(copy):
        start, end = match.span()
        if not check or check(match, copy[max(0, start - 32) : start], copy[end : end + 24]):
            yield start, end, kind


# A number starts and ends where no further digit continues it, directly or over a hyphen. Neither
# word borders nor spaces are asked for: particles follow at once (5678로, com이에요).
_START = r"(?<![\d\0])(?<![\d\0][-.])"
_END = r"(?![\d\0]|-[\d\0])"
_GAP = r" {0,2}[-.·/)_,]? {0,2}"
# What may stand between a word and the number that it announces.
_LEAD = r"[ :=#.(\[]{0,4}(?:은|는|이|가|을|를|만)?[ :=]{0,3}$"

# Numbers of things, not of people: the word right before decides.
_OF_A_THING = re.compile(
    r"(?:(?:주문|예약|접수|승인|상품|제품|품목|거래|결제|조회|게시글|문의|회원|법인|법인등록|관리"
    r"|운송장|송장|택배|등기|쿠폰|상품권|기프트카드|바코드|시리얼|일련|제조|모델|부품|품번|오류|에러|우편|핀)"
    r" ?(?:번호|코드|넘버|id|no\.?|#)"
    r"|운송장|송장|쿠폰|상품권|기프트카드|기프티콘|바코드|시리얼|모델명|모델|부품|품번|규격|오류|에러|버전"
    r"|imei|isbn|s/?n|serial(?: ?(?:no|number))?|(?:order|tracking|coupon|model)(?: ?(?:no|number|id|code))?"
    r")" + _LEAD,
    re.IGNORECASE,
)


def _of_a_person(_: re.Match[str], before: str, __: str) -> bool:
    return not _OF_A_THING.search(before)


# --- e-mail -----------------------------------------------------------------------------------
_EMAIL = re.compile(
    r"(?:(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64} ?|[가-힣]{1,20})(?:@|골뱅이|[(\[]at[)\]]) ?"
    r"(?:(?:[A-Za-z0-9가-힣-]{1,63}\.){1,4}(?:[A-Za-z]{2,24}(?![A-Za-z])|한국|닷컴)"
    r"|(?:naver|gmail|daum|hanmail|nate|kakao|outlook|hotmail|icloud|yahoo)(?![A-Za-z0-9.]))",
    re.IGNORECASE,
)


# --- resident and foreigner registration numbers ------------------------------------------------
_RESIDENT = re.compile(
    _START + r"(?P<birth>\d{6})(?P<gap> {0,2}[-.~/]? {0,2})(?P<rest>(?P<century>[1-8])"
    r"(?:\d{6}|[*xX●○]{6}))" + _END
)
_RESIDENT_NAMED = re.compile(r"(?:주민|외국인|거소신고|\bARC|\bRRN)[^\d\n\0]{0,14}$", re.IGNORECASE)


def _residents(copy: str) -> Iterator[Span]:
    for start, end, _ in _found("rrn", _RESIDENT, _is_resident, copy):
        century = _RESIDENT.match(copy, start)
        yield start, end, "frn" if century and century["century"] in "5678" else "rrn"


def _is_resident(match: re.Match[str], before: str, _: str) -> bool:
    """A birthday that has been, in the century its digit says.

    The last digit is no checksum any more: numbers issued since October 2020 are random.
    """
    if _RESIDENT_NAMED.search(before):
        return True  # typing errors included
    if _OF_A_THING.search(before):
        return False
    if not match["gap"] and _is_barcode(match[0]):
        return False
    birth = match["birth"]
    century = 1900 if match["century"] in "1256" else 2000
    try:
        born = date(century + int(birth[:2]), int(birth[2:4]), int(birth[4:]))
    except ValueError:
        return False
    # Order numbers start with the day as well: 260315-1... is one, not a customer of a hundred years.
    today = datetime.now(UTC).date()
    return born <= today and today.year - born.year < 100


def _is_barcode(digits: str) -> bool:
    """An EAN-13 of a Korean maker (880...) with a right check digit."""
    if not digits.startswith("880") or not digits.isdecimal():
        return False
    return sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0


# --- phones ---------------------------------------------------------------------------------------
_SPOKEN = "[0-9공영일이삼사오육칠팔구]"
_ABROAD = r"(?:\+ ?|00)82[-. )]{0,2}(?:\(0\) ?)?|(?<![-.\d])82[- ]"
_MOBILE = re.compile(
    _START + rf"(?:(?:(?:{_ABROAD})0?|\(?0)1[016-9]{_GAP}\d{{3,4}}{_GAP}\d{{4}}"
    rf"|0[ -]?1[ -]?0(?:[ .-]{{0,2}}\d){{8}}"
    rf"|[공영]일[공영][- .]?{_SPOKEN}{{4}}[- .]?{_SPOKEN}{{4}})" + _END
)
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)"
_LAND_LINE = re.compile(
    _START
    + rf"(?:(?:{_ABROAD})0?|\(?0){_AREA}(?P<gap>{_GAP})\d{{3,4}}(?P<gap2>{_GAP})\d{{4}}"
    + _END
)
_FOREIGN = re.compile(r"(?<![\d\0])\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,5}" + _END)
_PHONE_NAMED = re.compile(
    r"(?:전화|연락처|번호|핸드폰|휴대폰|폰|팩스|집|회사|tel|fax|phone)[^\d\n\0]{0,6}$",
    re.IGNORECASE,
)


def _phones(copy: str) -> Iterator[Span]:
    taken = list(_found("phone", _MOBILE, _of_a_person, copy))
    taken += _found("phone", _LAND_LINE, _is_land_line, copy)
    if "+" in copy:
        taken += _found("phone", _FOREIGN, _is_foreign_phone, copy)
    return _apart(taken)


def _is_land_line(match: re.Match[str], before: str, _: str) -> bool:
    if _OF_A_THING.search(before):
        return False
    # Nine or ten digits in a row may be anything unless something says phone.
    return bool(match["gap"] and match["gap2"]) or bool(_PHONE_NAMED.search(before))


def _is_foreign_phone(match: re.Match[str], before: str, _: str) -> bool:
    return 8 <= len(_digits(match[0])) <= 15 and not _OF_A_THING.search(before)


# --- cards ----------------------------------------------------------------------------------------
_CARD = re.compile(
    _START + r"(?:(?P<grouped>\d{4}(?P<gap>[- .]{1,3})\d{4}(?P=gap)\d{4}(?P=gap)\d{4}"
    r"|3[47]\d{2}[- .]{1,3}\d{6}[- .]{1,3}\d{5})|\d{15,16})" + _END
)
_CARD_NAMED = re.compile(
    r"(?:카드|비자|마스터|아멕스|\bcard|visa|amex)[^\d\n\0]{0,12}$", re.IGNORECASE
)
_UNGROUPED_CARD = re.compile(r"[3-69]\d{15}$|3[47]\d{13}$")
_CVC = re.compile(r"(?i:cvc|cvv)[ :=번호는은]{0,6}(?P<code>\d{3,4})(?!\d)")


def _cards(copy: str) -> Iterator[Span]:
    taken = list(_found("card", _CARD, _is_card, copy))
    taken += ((*match.span("code"), "card") for match in _CVC.finditer(copy))
    return _apart(taken)


def _is_card(match: re.Match[str], before: str, _: str) -> bool:
    if _OF_A_THING.search(before):
        return False
    if _CARD_NAMED.search(before):
        return True
    # Cards of domestic networks need not satisfy Luhn; in four groups hardly anything else is meant.
    if match["grouped"]:
        return match[0][0] in "345679" or _luhn(_digits(match[0]))
    return bool(_UNGROUPED_CARD.match(match[0])) and _luhn(match[0])


def _luhn(digits: str) -> bool:
    total = 0
    for i, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + i % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


# --- driving licences, business numbers, passports ------------------------------------------------
_REGION = "서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주"
_LICENCE = re.compile(
    _START + rf"(?:(?:(?:{_REGION})[ -]?)?(?:1[1-9]|2[0-8])[- ]\d{{2}}[- ]\d{{6}}[- ]\d{{2}}"
    rf"|(?:{_REGION})[ -]?\d{{2}}[- ]\d{{6}}[- ]\d{{2}}|(?P<plain>\d{{12}}))" + _END
)
_LICENCE_NAMED = re.compile(r"면허[^\d\n\0]{0,10}$")
_BUSINESS = re.compile(_START + r"\d{3}(?P<gap>[- ]?)\d{2}(?P=gap)\d{5}" + _END)
_BUSINESS_NAMED = re.compile(r"사업자[^\d\n\0]{0,12}$")
_PASSPORT = re.compile(
    r"(?<![A-Za-z\d\0])(?:(?P<ordinary>M\d{8})|[A-Z]{1,2}\d{7,8}|[A-Z]\d{3}[A-Z]\d{4}|\d{9})(?![A-Za-z\d\0]|-[\d\0])"
)
_PASSPORT_NAMED = re.compile(r"(?:여권|passport)[^\d\n\0]{0,16}$", re.IGNORECASE)


def _is_licence(match: re.Match[str], before: str, _: str) -> bool:
    if match["plain"]:
        return bool(_LICENCE_NAMED.search(before))
    return not _OF_A_THING.search(before)


def _is_business(match: re.Match[str], before: str, after: str) -> bool:
    if _BUSINESS_NAMED.search(before) or re.match(r"[^\d\n\0]{0,4}사업자", after):
        return True
    if match["gap"] != "-" or _OF_A_THING.search(before):
        return False
    if re.search(r"등록 ?번호[^\d\n\0]{0,4}$", before):
        return True
    digits = [int(d) for d in _digits(match[0])]
    total = sum(d * w for d, w in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=False))
    return (total + digits[8] * 5 // 10 + digits[9]) % 10 == 0


def _is_passport(match: re.Match[str], before: str, _: str) -> bool:
    if _PASSPORT_NAMED.search(before):
        return True
    # M and eight digits is the ordinary passport; other letters name too many models and parts.
    return bool(match["ordinary"]) and not _OF_A_THING.search(before)


# --- bank accounts ----------------------------------------------------------------------------------
_ACCOUNT = re.compile(_START + r"(?:\d{2,6}(?:(?P<gap>[- ])\d{1,8}){1,4}|\d{10,16})" + _END)
_BANK = (
    r"국민|신한|우리|하나|외환|농협|기업|카카오(?:뱅크)?|카뱅|토스|케이뱅크|케뱅|새마을(?:금고)?|신협|우체국|수협|산업"
    r"|제일|씨티|저축|축협|산림조합|(?:부산|대구|경남|광주|전북|제주|SC|iM)(?=은행|뱅크)|(?<![A-Za-z])(?:KB|NH|IBK|KEB|KDB)"
    r"|미래에셋|키움|삼성증권|한국투자|한투|대신증권"
)
_ACCOUNT_NAMED = re.compile(
    rf"(?:(?:{_BANK})(?:은행|뱅크|증권|금고|투자|금융)*|은행|뱅크|\bbank|계좌|통장|예금주|\baccount)"
    r"(?!-)[^\d\n\0]{0,12}$",
    re.IGNORECASE,
)
_ACCOUNT_NAMED_AFTER = re.compile(
    rf"[^\d\n\0]{{0,4}}(?:(?:{_BANK})(?:은행|뱅크|증권|금고)|예금주|계좌)|[ (]{{0,2}}(?:{_BANK})[ )]"
)
_DATE = re.compile(r"(?:19|20)\d\d([- ])\d{1,2}\1\d{1,2}(?!\d)")
_MONEY_OR_TIME = re.compile(r" ?(?:원|만|천|개|점|일|시|분|년|월|%|포인트|krw)", re.IGNORECASE)


def _is_account(match: re.Match[str], before: str, after: str) -> bool:
    if not 10 <= len(_digits(match[0])) <= 16 or _OF_A_THING.search(before):
        return False
    if _DATE.match(match[0]) or _MONEY_OR_TIME.match(after):
        return False
    return bool(_ACCOUNT_NAMED.search(before) or _ACCOUNT_NAMED_AFTER.match(after))


# --- addresses ----------------------------------------------------------------------------------------
_PROVINCE = (
    rf"(?:(?:{_REGION}|충청[남북]|전라[남북]|경상[남북])(?:특별자치[시도]|특별시|광역시|[도시])?)"
)
_TOWN = r"[가-힣]{1,6}\d?[읍면동리가]"
# 12번 is a number of times, 12번지 a plot.
_NOT_COUNTED = r"(?![\d\0]| ?(?:[회개시분원%년월차대점명만천주박권장건kgcmKGCM]|일(?!원)|호선|호점|번(?![지길])))"
_PLOT = rf"(?:지하 ?|산 ?)?\d{{1,5}}(?:-\d{{1,5}})?{_NOT_COUNTED}(?:번지)?"
_ROAD = r"[가-힣A-Za-z\d.·]{1,20}?(?:로|길)(?:\d가| ?\d{1,4}(?:번[가-하]?|[가-하])?길)?"
_UNIT = r"(?:(?:지하 ?|[A-Z가-하] ?)?\d{1,4}(?:동|호|층|단지)|\d{2,4}-\d{2,4}(?![\d\0-]))"
_BUILDING = r"[가-힣A-Za-z\d]{1,20}"
_TAIL = (
    rf"(?:[, ]{{1,2}}(?:{_BUILDING},? ){{0,2}}?(?:{_BUILDING})?{_UNIT}){{0,4}}"
    r"(?:[, ]{1,2}[가-힣]{1,12}(?:아파트|빌라|빌딩|타워|오피스텔|하우스|맨션|주택|청사|센터|스퀘어|프라자|플라자"
    r"|더샵|자이|푸르지오|래미안|힐스테이트|캐슬))?"
    r"(?: ?\([가-힣A-Za-z\d, ]{2,30}\))?"
)
_ADDRESS = re.compile(
    rf"(?:{_PROVINCE} ?(?:[가-힣]{{1,6}}[시군구] ?){{0,2}}|(?<![가-힣])(?:[가-힣]{{1,6}}[시군구] ){{1,2}})"
    rf"(?:{_TOWN} ){{0,2}}(?:{_ROAD}|{_TOWN}) ?{_PLOT}{_TAIL}"
    rf"|(?<![가-힣A-Za-z\d])[가-힣]{{1,10}}(?:로|길)(?: ?\d{{1,4}}번?길)? ?\d{{1,5}}(?:-\d{{1,5}})?"
    rf"[, ]{{1,2}}(?:{_BUILDING} ){{0,2}}?{_UNIT}(?: ?{_UNIT})?"
    rf"|(?:(?<![가-힣A-Za-z\d])[가-힣A-Za-z]{{2,20}} ?)?(?<!\d)\d{{1,4}}동 ?\d{{1,4}}호(?!기)"
)


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _apart(spans: list[Span]) -> Iterator[Span]:
    """Spans in order, those that overlap an earlier one left out."""
    reached = 0
    for start, end, kind in sorted(spans):
        if start < reached:
            continue
        yield start, end, kind
        reached = end


# The most specific first: what one finds the next cannot see.
_DETECTORS: Final[tuple[tuple[re.Pattern[str], Detector], ...]] = (
    (_MAYBE_EMAIL, partial(_found, "email", _EMAIL, None)),
    (_MAYBE_NUMBER, _residents),
    (_MAYBE_NUMBER, _phones),
    (_MAYBE_NUMBER, _cards),
    (_MAYBE_NUMBER, partial(_found, "licence", _LICENCE, _is_licence)),
    (_MAYBE_NUMBER, partial(_found, "business", _BUSINESS, _is_business)),
    (_MAYBE_NUMBER, partial(_found, "account", _ACCOUNT, _is_account)),
    (_MAYBE_NUMBER, partial(_found, "passport", _PASSPORT, _is_passport)),
    (_MAYBE_NUMBER, partial(_found, "address", _ADDRESS, None)),
)
