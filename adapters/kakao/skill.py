"""Replies as KakaoTalk's bubbles: whatever they say, in a form that it takes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import clean
from adapters.kakao.limits import (
    BUBBLES,
    BUTTONS,
    CARD_TEXT,
    FOLDED,
    LABEL,
    LIST_ITEMS,
    QUICK_REPLIES,
    TEXT,
    length,
    problems,
)
from adapters.presentation import Labels, plain, said, split
from brain.messages import Choice, Reply

PIECE: Final = TEXT * 9 // 10
"""Characters of a long answer in one bubble: what is visible shifts with the device."""
ITEM: Final = 40
"""Characters of a choice in a list, of which a phone shows about a line."""
RATED: Final = ("answer", "quoted")
"""Kinds of reply that customers are asked about."""

Bubble = dict[str, Any]
Body = dict[str, Any]


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What customers read that is no reply."""

    waiting: str
    """While the answer is being written; it will come by itself."""
    holding: str
    """The answer takes longer and has to be asked for."""
    nothing: str
    """Asked for an answer where there is none."""
    failed: str
    """Something broke."""
    thanks: str
    """After a vote."""
    view_answer: str
    """Button that asks for the answer."""
    view_more: str
    """Button that asks for the rest of it."""
    helpful: str
    unhelpful: str
    operator: str
    """Button that calls a person."""
    operator_hint: str
    """What stands above it."""
    choices: str
    """What stands above a list of choices."""
    source: str
    """One source, with `{document}` and `{heading}`."""
    again: str
    """Before what may have arrived already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A reply as KakaoTalk shows it."""

    bubbles: tuple[Bubble, ...]
    """All of it, in order; possibly more than one response takes, none if it says nothing."""
    quick: tuple[Bubble, ...] = ()
    """Quick replies under its last bubble."""


def show(reply: Reply, texts: Texts, *, group: bool = False) -> Shown:
    """The bubbles of a reply; whatever its words, each is one that KakaoTalk takes."""
    labels = Labels(source=texts.source, choices=texts.choices)
    words = plain(clean(said(reply, choices=False, sources=True, labels=labels)))
    bubbles = pieces(words)
    quick = [*_votes(reply, texts)]
    choices = [*_usable(reply.choices)]
    if choices:
        buttons = [_message(choice.label, choice.text) for choice in choices]
        short = all(length(choice.label) <= LABEL for choice in choices)
        if short and len(choices) <= BUTTONS and words and length(words) <= CARD_TEXT:
            bubbles = [{"textCard": {"description": words, "buttons": buttons}}]
        elif len(choices) <= LIST_ITEMS:
            items = [
                {
                    "title": _cut(each.label, ITEM),
                    "action": "message",
                    "messageText": clean(each.text),
                }
                for each in choices
            ]
            header = {"title": _cut(texts.choices, ITEM)}
            bubbles.append({"listCard": {"header": header, "items": items}})
        else:
            quick = [*buttons, *quick][: QUICK_REPLIES - 1]
    if reply.kind == "handoff" and not group:
        button = {"label": _cut(texts.operator, LABEL), "action": "operator"}
        hint = _cut(texts.operator_hint, CARD_TEXT)
        bubbles.append({"textCard": {"description": hint, "buttons": [button]}})
    fit = all(
        not problems(response([bubble], quick, group=group), group=group) for bubble in bubbles
    )
    if not fit:  # a reply that only its decoration spoils is still said
        _log.error("reply %s was shown without its cards", reply.id)
        bubbles, quick = pieces(words), []
    return Shown(bubbles=tuple(bubbles), quick=tuple(quick))


def pieces(text: str) -> list[Bubble]:
    """`text` in bubbles, unfolded where one response has room for that."""
    short = length(text) <= BUBBLES * FOLDED
    parts = split(text, FOLDED, measure=length) if short else []
    if not 0 < len(parts) <= BUBBLES:
        parts = split(text, PIECE, measure=length)
    return [simple_text(part) for part in parts]


def simple_text(text: str) -> Bubble:
    """A plain bubble."""
    return {"simpleText": {"text": text}}


def view_button(label: str) -> Bubble:
    """The quick reply that asks for answers."""
    return {**_message(label, label), "extra": {"view": True}}


def response(bubbles: Sequence[Bubble], quick: Sequence[Bubble], *, group: bool) -> Body:
    """An answer to a call, or to its callback. In a group buttons stand for quick replies."""
    if not group:
        return _template(bubbles, quick[:QUICK_REPLIES])
    if not quick or len(bubbles) >= BUBBLES:
        return _template(bubbles, [])
    last = bubbles[-1].get("simpleText", {}).get("text", "")
    card = {"buttons": list(quick[:BUTTONS])}
    if last and length(last) <= CARD_TEXT:
        return _template([*bubbles[:-1], {"textCard": {"description": last, **card}}], [])
    title = {"title": "·"}  # a card needs words, and everything has been said
    return _template([*bubbles, {"textCard": {**title, **card}}], [])


def use_callback(text: str) -> Body:
    """The answer that promises another one by the callback."""
    return {"version": "2.0", "useCallback": True, "data": {"text": text}}


def encoded(body: Body) -> bytes:
    """As it is sent."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _template(bubbles: Sequence[Bubble], quick: Sequence[Bubble]) -> Body:
    template: Body = {"outputs": list(bubbles)}
    if quick:
        template["quickReplies"] = list(quick)
    return {"version": "2.0", "template": template}


def _votes(reply: Reply, texts: Texts) -> Iterator[Bubble]:
    if reply.kind not in RATED or reply.author:
        return
    for value, label in (("up", texts.helpful), ("down", texts.unhelpful)):
        yield {**_message(label, label), "extra": {"fb": value, "turn": reply.id}}


def _usable(choices: Sequence[Choice]) -> Iterator[Choice]:
    """Those that say something and send something."""
    for choice in choices:
        label, text = clean(choice.label).strip(), clean(choice.text).strip()
        if label and text:
            yield Choice(label=label, text=text)


def _message(label: str, text: str) -> Bubble:
    return {"label": _cut(label, LABEL), "action": "message", "messageText": text}


def _cut(text: str, most: int) -> str:
    """`text` on one line that is short enough."""
    line = " ".join(clean(text).split())
    if length(line) <= most:
        return line
    while length(line) > most - 1:
        line = line[:-1]
    return line.rstrip() + "…"
