"""What is sent to Discord: replies as message payloads, and the ids that their buttons carry."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from discord.utils import escape_markdown

from adapters.base import clean
from adapters.presentation import Labels, discord_markdown, said, split
from brain.messages import Choice, Reply

Payload = dict[str, Any]

LONGEST: Final = 2000
LONGEST_EMBED: Final = 4000
ROW: Final = 5
CHOICE_ROWS: Final = 4
"""Of the five rows of buttons; the last is for feedback."""
LONGEST_ID: Final = 100
LONGEST_LABEL: Final = 80
CURSOR: Final = " ▍"
"""Ends a draft: how one that a crash left behind is told from a reply."""
RATED: Final = ("answer", "quoted", "abstained")
"""Kinds of reply that ask how they were, as on the chat page."""
EPHEMERAL: Final = 1 << 6
_NO_PREVIEWS: Final = 1 << 2
_NOBODY: Final[Mapping[str, Any]] = {"parse": [], "replied_user": False}
_VOTES: Final[Mapping[str, Literal["up", "down"]]] = {"u": "up", "d": "down"}


def parts(reply: Reply, texts: Mapping[str, str]) -> list[Payload]:
    """The messages that show `reply`, in order; the last has its sources and buttons.

    Empty when it says nothing. The same reply always makes the same parts.
    """
    buttons = _choices(reply.choices)
    labels = Labels(source="", choices=texts["web.choices"])
    text = said(reply, choices=not buttons, sources=False, labels=labels)
    made = [_payload(part) for part in _rendered(text)]
    if not made:
        return []
    last = made[-1]
    if reply.sources:
        last["embeds"] = [_sources(reply, texts["web.sources"])]
        del last["flags"]  # it would hide the embed as well
    if reply.kind in RATED:
        buttons.append(_feedback(reply.id, texts))
    if buttons:
        last["components"] = buttons
    return made


def draft(text: str) -> Payload:
    """The message that shows `text` as far as it is written; only its beginning if it is long."""
    first = next(iter(_rendered(text, LONGEST - len(CURSOR))), "")
    return _payload(first + CURSOR)


def whisper(text: str) -> Payload:
    """A short message for one person's eyes."""
    return {**_payload(text), "flags": EPHEMERAL}


def nonce(*of: object) -> str:
    """The same for the same; Discord makes one message of those that arrive within minutes."""
    digest = hashlib.sha256("\n".join(map(str, of)).encode()).digest()
    return urlsafe_b64encode(digest[:18]).decode()


def vote_of(custom_id: str) -> tuple[Literal["up", "down"], str] | None:
    """The vote that a button stands for and the turn it is about; None for other buttons."""
    kind, _, rest = custom_id.partition(":")
    value, _, turn = rest.partition(":")
    return (_VOTES[value], turn) if kind == "f" and value in _VOTES and turn else None


def choice_of(custom_id: str) -> str | None:
    """What a button says in the customer's name; None for other buttons."""
    kind, _, rest = custom_id.partition(":")
    return (rest.partition(":")[2] or None) if kind == "c" else None


def _rendered(text: str, longest: int = LONGEST) -> list[str]:
    pieces = split(text, longest, measure=lambda piece: len(discord_markdown(piece)))
    return [done for piece in pieces if (done := discord_markdown(piece)).strip()]


def _payload(content: str) -> Payload:
    return {"content": content, "allowed_mentions": dict(_NOBODY), "flags": _NO_PREVIEWS}


def _sources(reply: Reply, title: str) -> Payload:
    lines: list[str] = []
    room = LONGEST_EMBED
    for source in reply.sources:
        line = "• " + escape_markdown(" › ".join(filter(None, (source.document, source.heading))))
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(clean(line))
    return {"title": title, "description": "\n".join(lines)}


def _choices(choices: Sequence[Choice]) -> list[Payload]:
    """Rows of buttons, whose ids carry what they say so that they outlive us; none if they cannot."""
    ids = [f"c:{at}:{choice.text}" for at, choice in enumerate(choices)]
    if len(ids) > CHOICE_ROWS * ROW or any(len(each) > LONGEST_ID for each in ids):
        return []
    if any(not choice.label.strip() or not choice.text.strip() for choice in choices):
        return []
    made = [
        _button(custom_id, choice.label) for custom_id, choice in zip(ids, choices, strict=True)
    ]
    return [_row(made[at : at + ROW]) for at in range(0, len(made), ROW)]


def _feedback(turn: str, texts: Mapping[str, str]) -> Payload:
    up, down = texts["web.feedback_up"], texts["web.feedback_down"]
    return _row([_button(f"f:u:{turn}", up, "👍"), _button(f"f:d:{turn}", down, "👎")])


def _button(custom_id: str, label: str, emoji: str = "") -> Payload:
    label = clean(label)[:LONGEST_LABEL]
    button = {"type": 2, "style": 2, "custom_id": custom_id, "label": label}
    return {**button, "emoji": {"name": emoji}} if emoji else button


def _row(buttons: Sequence[Payload]) -> Payload:
    return {"type": 1, "components": list(buttons)}
