"""Korean typed with the keyboard left in English ("qothd whghl"), or arrived as loose letters."""

from __future__ import annotations

import re
from typing import Final

MOSTLY: Final = 0.7
"""Share of a text's letters that must give Korean for it to be taken for such."""

_KEYS: Final = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnmQWERTOP",
        "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡㅃㅉㄸㄲㅆㅒㅖ",
        strict=True,
    )
)
_INITIALS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS: Final = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_JOINED: Final = {
    "ㅗㅏ": "ㅘ",
    "ㅗㅐ": "ㅙ",
    "ㅗㅣ": "ㅚ",
    "ㅜㅓ": "ㅝ",
    "ㅜㅔ": "ㅞ",
    "ㅜㅣ": "ㅟ",
    "ㅡㅣ": "ㅢ",
    "ㄱㅅ": "ㄳ",
    "ㄴㅈ": "ㄵ",
    "ㄴㅎ": "ㄶ",
    "ㄹㄱ": "ㄺ",
    "ㄹㅁ": "ㄻ",
    "ㄹㅂ": "ㄼ",
    "ㄹㅅ": "ㄽ",
    "ㄹㅌ": "ㄾ",
    "ㄹㅍ": "ㄿ",
    "ㄹㅎ": "ㅀ",
    "ㅂㅅ": "ㅄ",
}
# A consonant belongs to the syllable before it unless a vowel follows.
_SYLLABLE: Final = re.compile(
    r"([ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ])(ㅗ[ㅏㅐㅣ]|ㅜ[ㅓㅔㅣ]|ㅡㅣ|[ㅏ-ㅣ])"
    r"((?:ㄱㅅ|ㄴ[ㅈㅎ]|ㄹ[ㄱㅁㅂㅅㅌㅍㅎ]|ㅂㅅ|[ㄱ-ㄷㄹ-ㅂㅄ-ㅈㅊ-ㅎ])(?![ㅏ-ㅣ])|)"
)
_LOOSE: Final = re.compile(r"[ㄱ-ㅣ]{4,}")
_HANGUL: Final = re.compile(r"[가-힣]+")
_TYPED: Final = re.compile(r"(?<!\S)(?!(?:[A-Z]{2,})(?!\w))([a-zQWERTOP]+)(?=[?!.,~]*(?!\S))")
_LAUGHTER: Final = re.compile(r"(?:ㅠ|[ㅋㅎㅠㅜ]{2,})$")
# Of 20,000 English words these and few others give nothing but usual syllables.
_WORDS: Final = (
    "ab al also am an and anti audit auth author auto check checks city clash clean co cut cycle "
    "db did didn digit digital dir dirty disk div do doc doesn dog dot down dual duck due duty el "
    "em en end entity entry fan fit fix flask flavor fm focus for foreign fork form formal forms "
    "forth furry gift git given go goal got gu hi id it queue quantity query rich rid right risk "
    "row shadow shape sharp she short shortcut show shown si sign signal signals signs six slack "
    "slash sleep so soft sort span spam special specific spend spent such sudo suffix theme them "
    "then theory they than that the their throw thrown tick ticks tight title to torch torn total "
    "town turn turns tutorial via video videos virtual visit visitor visual wheel wheels when who "
    "width wish with work works world worth"
)
_ENGLISH: Final = frozenset(_WORDS.split())


def meant(text: str) -> str:
    """`text` as it was meant: loose letters put together, and Korean where it is English keys.

    Left as they are: words with digits or other signs in them, capitals, laughter, English.
    """
    text = _LOOSE.sub(_put_together, text)
    if _HANGUL.search(text):
        return text
    words = [found[1] for found in _TYPED.finditer(text)]
    korean = {word: made for word in words if (made := _typed(word))}
    given = [word for word in words if word in korean and word.casefold() not in _ENGLISH]
    if not given or len("".join(given)) < MOSTLY * len("".join(words)):
        return text
    if len(given) == 1 and len(korean[given[0]]) == 1:
        return text
    return _TYPED.sub(lambda found: korean.get(found[1], found[1]), text)


def _typed(word: str) -> str:
    """What those keys write in Korean; nothing where that is not all usual syllables."""
    made = _composed("".join(_KEYS.get(key) or _KEYS[key.lower()] for key in word))
    return made if _usual(_LAUGHTER.sub("", made)) else ""


def _put_together(found: re.Match[str]) -> str:
    made = _composed(found[0])
    return made if _usual(made) else found[0]


def _composed(letters: str) -> str:
    return _SYLLABLE.sub(_syllable, letters)


def _syllable(found: re.Match[str]) -> str:
    initial, vowel, final = found[1], *(_JOINED.get(part, part) for part in found.groups()[1:])
    at = _INITIALS.index(initial) * 21 + _VOWELS.index(vowel)
    return chr(ord("가") + at * 28 + (_FINALS.index(final) + 1 if final else 0))


def _usual(text: str) -> bool:
    """Whether `text` is made of the 2,350 syllables of KS X 1001, which leaves out what nobody writes."""
    try:
        return bool(_HANGUL.fullmatch(text) and text.encode("euc-kr"))
    except UnicodeEncodeError:
        return False
