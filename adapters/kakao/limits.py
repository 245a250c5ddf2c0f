"""What KakaoTalk takes: every limit of the skill response 2.0, checked before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

BUBBLES: Final = 3
TEXT, FOLDED = 1000, 500
"""Characters of a simpleText; what goes beyond the second number is behind "전체 보기"."""
LABEL, NARROW_LABEL = 14, 8
"""Characters on a button; the second where two stand side by side."""
CARD_TITLE, CARD_TEXT, ALT_TEXT = 50, 400, 50
QUICK_REPLIES, BUTTONS, GROUP_BUTTONS, LIST_ITEMS = 10, 3, 5, 5
BODY_BYTES: Final = 30_720

_ACTIONS: Final = {
    "webLink": "webLinkUrl",
    "phone": "phoneNumber",
    "block": "blockId",
    "message": None,
    "share": None,
    "operator": None,
}
"""What a button does, and the field it needs for that."""
_CAROUSEL: Final = ("textCard", "basicCard", "commerceCard", "listCard", "itemCard")
_UNGROUPED: Final = ("commerceCard", "carousel")


def length(text: str) -> int:
    """Characters as KakaoTalk may count them: one outside the basic plane, such as an emoji, is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def problems(body: object, *, group: bool = False) -> list[str]:
    """What KakaoTalk would refuse or cut off in this response; nothing if it is fit to be sent.

    `group`: for a group chat, where quick replies and some cards do not exist.
    """
    check = _Check(group)
    check.response(body)
    return check.found


class _Check:
    def __init__(self, group: bool) -> None:
        self.found: list[str] = []
        self.group = group

    def no(self, what: str) -> None:
        self.found.append(what)

    # ---- plain values

    def record(self, value: object, where: str) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        self.no(f"{where} must be an object")
        return {}

    def items(self, value: object, where: str, least: int, most: int) -> Sequence[Any]:
        if not isinstance(value, list):
            self.no(f"{where} must be a list")
            return ()
        if not least <= len(value) <= most:
            self.no(f"{where} must hold {least} to {most}, not {len(value)}")
        return value

    def text(self, value: object, where: str, most: int | None = None) -> int:
        """Length of a text that must be there."""
        if not isinstance(value, str) or not value.strip():
            self.no(f"{where} must be a text")
            return 0
        if most is not None and length(value) > most:
            self.no(f"{where} is {length(value)} characters, {most} allowed")
        return length(value)

    def may(self, holder: Mapping[str, Any], name: str, where: str, most: int | None) -> int:
        """Length of a text that may be there."""
        return self.text(holder[name], f"{where}.{name}", most) if name in holder else 0

    def url(self, value: object, where: str) -> None:
        if not isinstance(value, str) or not value.startswith(("http://", "https://")):
            self.no(f"{where} must be an address")

    # ---- the whole

    def response(self, value: object) -> None:
        body = self.record(value, "response")
        if body.get("version") != "2.0":
            self.no('version must be "2.0"')
        if body.get("useCallback") is True:
            if "template" in body:
                self.no("template is ignored together with useCallback")
            self.record(body.get("data", {}), "data")
        elif "useCallback" in body:
            self.no("useCallback must be true or absent")
        else:
            self.template(self.record(body.get("template"), "template"))
        if "context" in body:
            self.context(self.record(body["context"], "context"))
        self.size(body)

    def size(self, body: Mapping[str, Any]) -> None:
        try:
            size = len(json.dumps(body, ensure_ascii=False, allow_nan=False).encode())
        except (ValueError, TypeError, RecursionError):
            self.no("response must be JSON in UTF-8")
            return
        if size > BODY_BYTES:
            self.no(f"response is {size} bytes, {BODY_BYTES} allowed")

    def template(self, template: Mapping[str, Any]) -> None:
        for at, output in enumerate(self.items(template.get("outputs"), "outputs", 1, BUBBLES)):
            self.output(self.record(output, f"outputs[{at}]"), f"outputs[{at}]")
        if "quickReplies" not in template:
            return
        if self.group:
            self.no("quickReplies do not exist in a group chat")
        for at, each in enumerate(
            self.items(template["quickReplies"], "quickReplies", 0, QUICK_REPLIES)
        ):
            where = f"quickReplies[{at}]"
            quick = self.record(each, where)
            self.text(quick.get("label"), f"{where}.label", LABEL)
            if quick.get("action") not in ("message", "block"):
                self.no(f"{where}.action must be message or block")
            self.action(quick, where)

    def context(self, context: Mapping[str, Any]) -> None:
        for at, each in enumerate(self.items(context.get("values"), "context.values", 0, 100)):
            where = f"context.values[{at}]"
            value = self.record(each, where)
            self.text(value.get("name"), f"{where}.name")
            span = value.get("lifeSpan")
            if type(span) is not int or span < 0:
                self.no(f"{where}.lifeSpan must be a whole number")
            params = self.record(value.get("params", {}), f"{where}.params")
            if not all(isinstance(text, str) for text in params.values()):
                self.no(f"{where}.params must be texts")

    def output(self, output: Mapping[str, Any], where: str) -> None:
        if len(output) != 1:
            self.no(f"{where} must be one component")
            return
        [(kind, content)] = output.items()
        if self.group and kind in _UNGROUPED:
            self.no(f"{where}: {kind} does not exist in a group chat")
        check = _COMPONENTS.get(kind)
        if check is None:
            self.no(f"{where}: there is no {kind}")
        else:
            where = f"{where}.{kind}"
            check(self, self.record(content, where), where, False)

    # ---- components

    def simple_text(self, card: Mapping[str, Any], where: str, _: bool) -> None:
        self.text(card.get("text"), f"{where}.text", TEXT)

    def simple_image(self, card: Mapping[str, Any], where: str, _: bool) -> None:
        self.url(card.get("imageUrl"), f"{where}.imageUrl")
        self.may(card, "altText", where, ALT_TEXT)

    def text_card(self, card: Mapping[str, Any], where: str, inside: bool) -> None:
        title = self.may(card, "title", where, CARD_TITLE)
        words = self.may(card, "description", where, 128 if inside else CARD_TEXT)
        if not title and not words:
            self.no(f"{where} needs a title or a description")
        if title + words > CARD_TEXT:
            self.no(f"{where} is {title + words} characters, {CARD_TEXT} allowed")
        self.buttons(card, where, BUTTONS)

    def basic_card(self, card: Mapping[str, Any], where: str, _: bool) -> None:
        thumbnail = self.thumbnail(card.get("thumbnail"), f"{where}.thumbnail")
        self.may(card, "title", where, CARD_TITLE)
        self.may(card, "description", where, 230)
        square = thumbnail.get("fixedRatio") is True and "buttonLayout" not in card
        self.buttons(card, where, 2 if square else BUTTONS)

    def commerce_card(self, card: Mapping[str, Any], where: str, _: bool) -> None:
        if type(card.get("price")) is not int:
            self.no(f"{where}.price must be a whole number")
        if card.get("currency") != "won":
            self.no(f'{where}.currency must be "won"')
        for each in self.items(card.get("thumbnails"), f"{where}.thumbnails", 1, 1):
            self.thumbnail(each, f"{where}.thumbnails[0]")
        if "discountRate" in card and "discountedPrice" not in card:
            self.no(f"{where}.discountRate needs a discountedPrice")
        self.may(card, "title", where, 30)
        self.may(card, "description", where, 40)
        self.buttons(card, where, BUTTONS, least=1)

    def list_card(self, card: Mapping[str, Any], where: str, inside: bool) -> None:
        header = self.record(card.get("header"), f"{where}.header")
        self.text(header.get("title"), f"{where}.header.title")
        most = 4 if inside else LIST_ITEMS
        for at, each in enumerate(self.items(card.get("items"), f"{where}.items", 1, most)):
            item = self.record(each, f"{where}.items[{at}]")
            self.text(item.get("title"), f"{where}.items[{at}].title")
            if item.get("action", "message") not in ("message", "block"):
                self.no(f"{where}.items[{at}].action must be message or block")
            self.action(item, f"{where}.items[{at}]")
        self.buttons(card, where, 2)

    def item_card(self, card: Mapping[str, Any], where: str, inside: bool) -> None:
        most = 5 if inside else 10
        for at, each in enumerate(self.items(card.get("itemList"), f"{where}.itemList", 1, most)):
            item = self.record(each, f"{where}.itemList[{at}]")
            self.text(item.get("title"), f"{where}.itemList[{at}].title", 6)
            self.text(item.get("description"), f"{where}.itemList[{at}].description")
        if "head" in card and "profile" in card:
            self.no(f"{where} has either a head or a profile")
        if "profile" in card:
            profile = self.record(card["profile"], f"{where}.profile")
            self.text(profile.get("title"), f"{where}.profile.title", 15)
        if "itemListSummary" in card:
            summary = self.record(card["itemListSummary"], f"{where}.itemListSummary")
            self.text(summary.get("description"), f"{where}.itemListSummary.description", 14)
        words = f"{card.get('title', '')}{card.get('description', '')}"
        if length(words) > (100 if inside else 200):
            self.no(f"{where}: title and description are too long")
        if words.count("\n") > 11:
            self.no(f"{where}: title and description are more than twelve lines")
        self.buttons(card, where, BUTTONS)

    def carousel(self, card: Mapping[str, Any], where: str, _: bool) -> None:
        kind = card.get("type")
        if kind not in _CAROUSEL:
            self.no(f"{where}.type must be one of {', '.join(_CAROUSEL)}")
            return
        if "header" in card and kind in ("textCard", "listCard"):
            self.no(f"{where} of {kind} has no header")
        most = 5 if kind == "listCard" else 10
        ratios = set()
        for at, each in enumerate(self.items(card.get("items"), f"{where}.items", 1, most)):
            item = self.record(each, f"{where}.items[{at}]")
            _COMPONENTS[kind](self, item, f"{where}.items[{at}]", True)
            thumbnail = item.get("thumbnail")
            ratios.add(isinstance(thumbnail, dict) and thumbnail.get("fixedRatio") is True)
        if len(ratios) > 1:
            self.no(f"{where}: images must have one ratio")

    # ---- parts

    def thumbnail(self, value: object, where: str) -> Mapping[str, Any]:
        thumbnail = self.record(value, where)
        self.url(thumbnail.get("imageUrl"), f"{where}.imageUrl")
        self.may(thumbnail, "altText", where, ALT_TEXT)
        return thumbnail

    def buttons(self, card: Mapping[str, Any], where: str, most: int, *, least: int = 0) -> None:
        layout = card.get("buttonLayout", "vertical")
        if layout not in ("vertical", "horizontal"):
            self.no(f"{where}.buttonLayout must be vertical or horizontal")
        if layout == "horizontal":
            most = min(most, 2)
        elif self.group and most == BUTTONS:
            most = GROUP_BUTTONS
        buttons = self.items(card.get("buttons", []), f"{where}.buttons", least, most)
        narrow = layout == "horizontal" and len(buttons) == 2
        for at, each in enumerate(buttons):
            button = self.record(each, f"{where}.buttons[{at}]")
            most = NARROW_LABEL if narrow else LABEL
            self.text(button.get("label"), f"{where}.buttons[{at}].label", most)
            if button.get("action") not in _ACTIONS:
                self.no(f"{where}.buttons[{at}].action must be one of {', '.join(_ACTIONS)}")
            self.action(button, f"{where}.buttons[{at}]")

    def action(self, button: Mapping[str, Any], where: str) -> None:
        needed = _ACTIONS.get(button.get("action", ""))
        if needed:
            self.text(button.get(needed), f"{where}.{needed}")
        self.may(button, "messageText", where, None)


_COMPONENTS: Final[Mapping[str, Callable[[_Check, Mapping[str, Any], str, bool], None]]] = {
    "simpleText": _Check.simple_text,
    "simpleImage": _Check.simple_image,
    "textCard": _Check.text_card,
    "basicCard": _Check.basic_card,
    "commerceCard": _Check.commerce_card,
    "listCard": _Check.list_card,
    "itemCard": _Check.item_card,
    "carousel": _Check.carousel,
}
