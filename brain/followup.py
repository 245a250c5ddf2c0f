"""Questions that lean on what was said before: how they are looked up."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from brain.knowledge.embed import Vector
from brain.knowledge.library import Library
from brain.knowledge.retrieve import Found
from brain.memory import Session

RECENT: Final = timedelta(minutes=30)
"""Silence after which a question is held for a new one."""
BACK: Final = 3
"""Turns that are looked through for what the conversation is about."""
ASIDE: Final = ("command", "exception", "busy", "silent")
"""Kinds of reply to what was no question, or was not taken up."""
ANSWER: Final = 120
"""Letters of the last answer that say what it was about."""
OWN: Final = 0.4
"""Share of the question itself in the vector of one that may lean on what was said."""
OWN_OF_WHOLE: Final = 0.6
"""The same for a question that reads as whole."""
WHOLE: Final = 22
"""Letters from which a question without any reference back reads as whole."""

_REFERS = re.compile(
    r"^\s*(?:그럼|그러면|그리고|근데|그런데|그래도|아니면|그래서|또|and|but|so|then|what about|how about"
    r"|what if)(?![가-힣\w])"
    r"|(?:그|이|저)(?:거|건|게|걸|것|때|날|쪽|분|동안)|거기|여기서|걔|둘 다|이번엔|아까|방금|말씀하신"
    r"|\b(?:it|its|that|they|them|there|those|this|one)\b"
    r"|(?:은|는|면|도|까지|부터)\s?[요여용]\s*[?？!~.]*\s*$",
    re.IGNORECASE,
)
_NO_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a question may lean on."""

    asked: str
    """The customer's words."""
    answered: str = ""
    """The reply to them."""


def before(session: Session, now: datetime, passes: Callable[[str], bool]) -> Before | None:
    """The last turn of the conversation that was about something; None after a longer silence.

    `passes` tells words that are about nothing, such as a greeting.
    """
    for exchange in reversed(session.exchanges[-BACK:]):
        if now - exchange.at > RECENT:
            return None
        if exchange.kind not in ASIDE and not passes(exchange.customer):
            return Before(asked=exchange.customer, answered=exchange.assistant)
    return None


async def look_up(
    library: Library, question: str, leans_on: Before | None, *, k: int
) -> tuple[Found, Vector]:
    """What retrieval finds for a question of a conversation, and the vector of the question alone.

    The words looked for are those of the question and of the one before it. The vector lies between
    the question's own and that of the question behind the last turn, nearer to its own where it
    reads as whole. So "그럼 교환은요?" is about what was asked before, and a change of topic is not
    dragged back; deciding between the two outright lost more of either.
    """
    own = await library.embed(question)
    if leans_on is None:
        return await library.search(question, vector=own, k=k), own
    said = f"{leans_on.asked} {leans_on.answered[:ANSWER]} {question}"
    together = await library.embed(said)
    share = OWN_OF_WHOLE if reads_as_whole(question) else OWN
    between = share * own + (1 - share) * together
    vector = (between / max(float(np.linalg.norm(between)), 1e-12)).astype(np.float32)
    found = await library.search(f"{leans_on.asked} {question}", vector=vector, k=k)
    return found, own


def reads_as_whole(question: str) -> bool:
    """Whether a question refers to nothing outside itself and is long enough to say all it means."""
    long = len(_NO_LETTER.sub("", question)) >= WHOLE
    return long and not _REFERS.search(question)
