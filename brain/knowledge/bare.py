"""Short questions that name a thing and say no more: looked up as the thing alone.

"배송비", "배송비는요?" and "배송비가 어떻게 되나요?" ask the same and must find the same.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = r"(?P<name>(?:[가-힣A-Za-z0-9]+ )??[가-힣A-Za-z0-9]{2,}?)"
_SAYS_NO_MORE: Final = (
    r"어떻게(?: ?(?:되나요|되는지요|되죠|되지요|돼요|되요|됩니까|되나|돼|되어 있나요|해요|하나요|하죠|합니까))?"
    r"|(?:뭐|무엇)(?:예요|에요|죠|인가요|야|임)?|뭔가요|무엇입니까"
    r"|(?:에 대해서?|에 관해서?|좀)? ?(?:알려 ?(?:주세요|줘요?|주실래요|주시겠어요)|궁금(?:해요|합니다|한데요))"
    r"|(?:관련)? ?문의(?:요|드려요|드립니다|합니다|할게요)?"
)
_END: Final = r"[ ?!.~]*"
_MARKED: Final = re.compile(
    rf"{_NAME}(?:(?P<topic>[은는을를]) ?(?:요|{_SAYS_NO_MORE})?|(?P<subject>[이가]) ?(?:{_SAYS_NO_MORE}))"
    + _END
)
_BARE: Final = re.compile(rf"{_NAME}(?: (?:{_SAYS_NO_MORE}))?{_END}")


def thing(text: str) -> str:
    """The thing that `text` names and says nothing about; `text` itself where it says more."""
    marked = _MARKED.fullmatch(text)
    if marked and _agrees(marked["name"][-1], marked["topic"] or marked["subject"]):
        return marked["name"]
    bare = _BARE.fullmatch(text)
    return bare["name"] if bare else text


def _agrees(last: str, particle: str) -> bool:
    """Whether a particle can stand after that letter: 은, 이, 을 follow a consonant."""
    if not "가" <= last <= "힣":
        return True
    return ((ord(last) - ord("가")) % 28 > 0) == (particle in "은이을")
