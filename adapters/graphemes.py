"""Where a text may be cut without breaking what a reader sees as one character."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Unicode's rules (UAX 29) by character category, a little stricter: nothing parts after a joiner.
_JOINER: Final = "\u200d"
_EXTENDING: Final = re.compile(
    "[\u0e33\u0eb3\u200c\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
_PREPENDED: Final = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
_FLAG: Final = re.compile("[\U0001f1e6-\U0001f1ff]")
_VIRAMA: Final = re.compile("[\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d]")
# Hangul: leading consonants, vowels, trailing consonants, and syllables with and without the last.
_LEADING: Final = re.compile("[\u1100-\u115f\ua960-\ua97c]")
_VOWEL: Final = re.compile("[\u1160-\u11a7\ud7b0-\ud7c6]")
_TRAILING: Final = re.compile("[\u11a8-\u11ff\ud7cb-\ud7fb]")
_SYLLABLE: Final = re.compile("[\uac00-\ud7a3]")


def parts_at(text: str, position: int) -> bool:
    """Whether `text` may be cut before the character at `position`; always at its ends."""
    if position <= 0 or position >= len(text):
        return True
    before, after = text[position - 1], text[position]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False  # two halves of one character, from a source that counts in UTF-16
    if _is_control(before) or _is_control(after):
        return True
    if before == _JOINER or _PREPENDED.match(before) or _extends(after):
        return False
    if _VIRAMA.match(before) and unicodedata.category(after) == "Lo":
        return False
    if _FLAG.match(before) and _FLAG.match(after):
        return _flags_before(text, position) % 2 == 0
    return not _joins_hangul(before, after)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def _extends(character: str) -> bool:
    if character == _JOINER or _EXTENDING.match(character):
        return True
    return unicodedata.category(character) in ("Mn", "Me", "Mc")


def _flags_before(text: str, position: int) -> int:
    count = 0
    while count < position and _FLAG.match(text[position - 1 - count]):
        count += 1
    return count


def _joins_hangul(before: str, after: str) -> bool:
    if _LEADING.match(before):
        return any(kind.match(after) for kind in (_LEADING, _VOWEL, _SYLLABLE))
    open_syllable = _SYLLABLE.match(before) and (ord(before) - 0xAC00) % 28 == 0
    if _VOWEL.match(before) or open_syllable:
        return bool(_VOWEL.match(after) or _TRAILING.match(after))
    if _SYLLABLE.match(before) or _TRAILING.match(before):
        return bool(_TRAILING.match(after))
    return False
