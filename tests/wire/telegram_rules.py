"""What Telegram finds in texts, and what it refuses."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
LONGEST = 4096


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": description}
        if parameters:
            self.body["parameters"] = parameters


def person(user: int) -> Json:
    """Somebody."""
    return {"id": user, "is_bot": False, "first_name": "지민", "language_code": "ko"}


def entities(text: str) -> list[Json]:
    """The commands and mentions in `text`, their places in UTF-16 units."""
    return [
        {
            "type": "mention" if match[0].startswith("@") else "bot_command",
            "offset": units(text[: match.start()]),
            "length": units(match[0]),
        }
        for match in re.finditer(r"(?<!\w)(?:/[a-z0-9_]{1,32}(?:@\w+)?|@\w{3,})", text)
    ]


def units(text: str) -> int:
    """The length of `text` as Telegram counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


_TAG = re.compile(
    r"<(/?)([a-z-]+)((?: [a-z-]+(?:=\"[^\"<>]*\")?)*)>|<|&(?!(?:lt|gt|amp|quot|#\d+|#x[0-9a-f]+);)"
)
_TAGS = {"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote", "tg-spoiler"}


def parsed(given: Mapping[str, Any]) -> str:
    """The text as shown. Raises Refusal for what Telegram refuses."""
    text = str(given.get("text", ""))
    if given.get("parse_mode") == "HTML":
        text = _without_markup(text)
    text = text.strip()
    if not text:
        raise Refusal(400, "Bad Request: message text is empty")
    if units(text) > LONGEST:
        raise Refusal(400, "Bad Request: message is too long")
    for row in (given.get("reply_markup") or {}).get("inline_keyboard", ()):
        for button in row:
            if not 1 <= len(button.get("callback_data", "").encode()) <= 64:
                raise Refusal(400, "Bad Request: BUTTON_DATA_INVALID")
    return text


def _without_markup(text: str) -> str:
    unparsable = "Bad Request: can't parse entities: "
    open_tags: list[str] = []
    for match in _TAG.finditer(text):
        closing, tag, _ = match.groups()
        if tag not in _TAGS or (closing and (not open_tags or open_tags.pop() != tag)):
            raise Refusal(400, f"{unparsable}at byte offset {match.start()}")
        if not closing:
            open_tags.append(tag)
    if open_tags:
        raise Refusal(400, f"{unparsable}can't find end tag corresponding to {open_tags[-1]}")
    return html.unescape(_TAG.sub("", text))


def decoded(value: Any) -> Any:
    """Nested values and numbers come as JSON within the form."""
    if not isinstance(value, str) or not re.match(r"[\[{\d-]|true$|false$", value):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
