"""존댓말 kept: plain and familiar sentence endings made polite where a rule can do it safely."""

from __future__ import annotations

import re
from typing import Final

_POLITE: Final = re.compile(r"(?:요|니까|시오|십쇼|죠)$")
# What may follow the last word: marks, closing brackets, decoration, emoji.
_SENTENCE: Final = re.compile(
    r"(?P<body>.*?)(?P<end>(?:\s*\([^()\n]{0,60}\))?[\s.!?~…)\]*_♡♥^;ㅋㅎㅠㅜ\u2600-\u27bf\U0001f300-\U0001faff\ufe0f]*)",
    re.DOTALL,
)
_ENDED: Final = re.compile(r"[.!?~…ㅋㅎㅠㅜ\u2600-\u27bf\U0001f300-\U0001faff]")
_LAST_WORD: Final = re.compile(r"[가-힣]+$")
_QUOTED: Final = "\"'”’」』》"
_YES: Final = re.compile(r"^(\s*)(?:응|그래|어|엉|ㅇㅇ)(?=[,.!])")
_HELLO: Final = re.compile(r"^(\s*)안녕(?=[,.!~])")

_CODAS: Final = 28
_N, _L, _M, _B, _SS = 4, 8, 16, 17, 20
"""Final consonants by their place: ㄴ, ㄹ, ㅁ, ㅂ, ㅆ."""


def coda(syllable: str) -> int:
    """The final consonant of a syllable by its place, 0 for none and for other letters."""
    return (ord(syllable) - 0xAC00) % _CODAS if "가" <= syllable <= "힣" else 0


def _with_coda(syllable: str, final: int) -> str:
    return chr(ord(syllable) - coda(syllable) + final)


def polite(sentence: str) -> str | None:
    """`sentence` with a polite ending, itself where it has one or needs none.

    None where it is impolite and no rule makes it polite.
    """
    sentence = _HELLO.sub(r"\1안녕하세요", _YES.sub(r"\1네", sentence))
    parts = _SENTENCE.fullmatch(sentence)
    if parts is None:
        return sentence
    body, end = parts["body"], parts["end"]
    last = _LAST_WORD.search(body)
    if last is None or _is_polite(body):
        return sentence
    ended = bool(_ENDED.search(end))
    asked = "?" in end
    if ended and _HARSH.search(body):
        return None
    said = ended or _CLAUSE.search(body) is not None
    repaired = _plain(body, sure=ended) or _familiar(body, ended=said, asked=asked)
    return sentence if repaired is None else repaired + end


def _is_polite(body: str) -> bool:
    """Whether it ends politely; 아니다 is plain, 아닙니다 polite."""
    if body.endswith("니다"):
        return len(body) > 2 and coda(body[-3]) == _B
    return _POLITE.search(body) is not None


def _plain(body: str, *, sure: bool) -> str | None:
    """한다 and 있다 become 합니다 and 있습니다; 가능함. becomes 가능합니다."""
    stem, before = body[:-2], body[-2:-1]
    if body[-1] == "다" and not _NOUN_IN_DA.search(body):
        if not before.strip() or not (sure or _PLAINLY.search(body)):
            return None
        return _declared(stem, before)
    if not sure or coda(body[-1]) != _M or _NOUN_IN_M.search(body):
        return None
    if body[-1] == "음" and coda(before) not in (0, _L, _N):
        return f"{body[:-1]}습니다"
    if body[-1] in "함됨임":
        return f"{body[:-1]}{_with_coda(body[-1], _B)}니다"
    return None


def _declared(stem: str, last: str) -> str:
    """The polite form of a statement that ends in `stem` + `last` + 다."""
    final = coda(last)
    if last == "는" and stem and coda(stem[-1]):
        return f"{stem}습니다"
    if final in (0, _N, _L):
        if final == 0 and last not in _VERBAL:  # a noun, or a unit such as kg
            return f"{stem}{last}입니다"
        return f"{stem}{_with_coda(last, _B)}니다"
    return f"{stem}{last}습니다"


def _familiar(body: str, *, ended: bool, asked: bool) -> str | None:
    """해, 돼, 있어, 거야 and their like become 해요, 돼요, 있어요, 거예요."""
    for pattern, polite_form, always in _FAMILIAR:
        if (always or ended) and (match := pattern.search(body)):
            return body[: match.start()] + match.expand(polite_form)
    if asked and (match := _ASKED.search(body)):
        return f"{body[: match.start()]}{'인가요' if match[0][0] == '이' else '나요'}"
    if ended and body[-1:] in ("까", "게", "래") and coda(body[-2:-1]) == _L:
        return f"{body}요"
    return None


_CLAUSE: Final = re.compile(r"[가-힣][은는이가을를]\s\S*[가-힣]$")
"""A subject and what is said of it: a sentence even without a full stop."""
_VERBAL: Final = frozenset("하되이니크싸리르쁘프쓰시기키지거")
"""Syllables without final consonant that mostly end a verb or adjective."""
_NOUN_IN_DA: Final = re.compile(r"(?:바다|캐나다|소다|판다|마다|보다|다다)$")
_PLAINLY: Final = re.compile(
    r"(?:[있없않같했겠였었았된한는]|[하니]|\s\S*이|[은는이가도]\s\S{1,20})다$"
)
_NOUN_IN_M: Final = re.compile(
    r"(?:포함|결함|명함|(?<![로을를]\s)(?:보관|수거)함|우편함|택배함|사서함|책임|게임|모임|선임|담임|위임|해임|취임|타임|프레임"
    r"|움직임|쓰임|처음|다음|마음|웃음|얼음|믿음|소음|녹음|방음|저음|고음|발음|걸음|묶음|죽음|볶음|물음|무음)$"
)
_HARSH: Final = re.compile(
    r"(?:(?:^|\s)(?:[가-힣]{1,6} ?)?(?:해 ?보|\s보|\s가)자|[가-힣]{2}하자|거라|려무나|렴|구먼|든가|든지 말든지"
    r"|[있없]다니|알아서 해)$"
)
_ASKED: Final = re.compile(r"(?:이냐|느냐|으냐|냐|니|나)$")
_NO_VERB: Final = (
    r"(?<!올)(?<!이)(?<!피)(?<!손)(?<!방)(?<!재)(?<!공)(?<![동남서발])(?<!양)(?<!오)(?<!새)(?<!유)"
)
_FAMILIAR: Final = tuple(
    (re.compile(rf"{pattern}$"), form, always)
    for pattern, form, always in (
        # (what it ends in, what it becomes, whether even a line without a full stop means it)
        (r"(하기|문의|확인|참고|연락|신청|양해|이용) ?바람", r"\1 바랍니다", True),
        ("말 것", "마세요", False),
        ("할 것", "해 주세요", False),
        (r"(미안|죄송|감사)해", r"\1해요", True),
        (r"안녕히 (가|계셔)", r"안녕히 \1세요", True),
        ("거야", "거예요", True),
        ("아니야", "아니에요", True),
        ("이야", "이에요", True),
        (r"(?<![분시이해야광평들])야", "예요", False),
        (r"(안내|말씀|연락|알려|보내|확인|문의|신청)(해|) ?줘", r"\1\2 주세요", True),
        ("줘", " 주세요", False),
        ("하지 ?마", "하지 마세요", True),
        ("지 ?마", "지 마세요", False),
        (r"(아|어|해|여|와|워|려|켜|져|춰|눌러|둬|써|꺼) ?봐", r"\1 보세요", False),
        (r"(해|려|러|어|아|여|져|겨|켜|춰|봐|둬|써|꺼) ?라", r"\1 주세요", False),
        ("줘라", "주세요", False),
        (
            r"(있|없|않|맞|같|좋|많|싫|괜찮|했|됐|갔|왔|겠|었|았|였|렸|졌|났)(어|아)",
            r"\1\2요",
            True,
        ),
        ("돼", "돼요", True),
        (rf"{_NO_VERB}해", "해요", False),
        (r"(고마|어려|쉬|가까|반가|즐거|가벼|무거|아쉬)워", r"\1워요", False),
        (r"(걸|알|달|올|내|보|빌)려", r"\1려요", False),
        ("구나", "군요", False),
        (r"([하했있없되됐겠었았는])군", r"\1군요", False),
        (r"([하있없되좋겠었았했])네", r"\1네요", False),
        (r"([하되있없겠맞이었았했쩌])지", r"\1지요", False),
        ("거든", "거든요", False),
        ("잖아", "잖아요", False),
        ("는걸", "는걸요", False),
        ("(는|은|한|운|인|던)데", r"\1데요", False),
        ("어때", "어때요", False),
    )
)
