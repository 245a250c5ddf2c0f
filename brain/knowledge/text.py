"""Bytes of unknown encoding made into clean text."""

from __future__ import annotations

import re
import unicodedata

from brain.errors import DocumentError

# Characters that are never part of the words: controls, direction marks, invisible tag letters, halves
# of characters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u3000]")


def decode(data: bytes) -> str:
    """UTF-8, UTF-16 with a byte order mark, or CP949; anything else is a `DocumentError`."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return _proper(data.decode("utf-16"))
        except UnicodeDecodeError as error:
            raise DocumentError(
                f"not valid UTF-16 at byte {error.start}; save it as UTF-8"
            ) from None
    try:
        return _proper(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        broken = error
    # Korean text in UTF-8 with a few bad bytes would pass as CP949, as nonsense.
    lossy = data.decode("utf-8", "replace")
    if sum("가" <= c <= "힣" for c in lossy) <= lossy.count("\ufffd"):
        try:
            text = data.decode("cp949")
        except UnicodeDecodeError:
            raise DocumentError("neither UTF-8 nor CP949 text; save it as UTF-8") from None
        foreign = [c for c in text if not c.isascii()]
        if 2 * sum("가" <= c <= "힣" for c in foreign) >= len(foreign):
            return _proper(text)
        raise DocumentError("its encoding is not known; save it as UTF-8")
    line = data.count(b"\n", 0, broken.start) + 1
    raise DocumentError(f"line {line}: not valid UTF-8 at byte {broken.start}; save it as UTF-8")


def clean(text: str) -> str:
    """Composed (NFC), with `\\n` between lines, without control and invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _INVISIBLE.sub("", text)))


def _proper(text: str) -> str:
    if text.count("\0") * 10 > len(text) > 20:
        raise DocumentError("not text, or UTF-16 without its mark; save it as UTF-8")
    return text
