"""KakaoTalk's skill calls as records: whatever comes is read or refused."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.base import clean
from adapters.kakao.hosts import host_of, keeps_photos
from brain.messages import Action, Address, Attachment, Event, Message

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{8,128}")
_USER: Final = re.compile(r"[\x21-\x7e]{1,100}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_CALLED: Final = re.compile(r"@\S+\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One skill call."""

    id: str
    """Unique; a call that KakaoTalk repeats has the same."""
    bot: str
    """Id of the bot, without the mark of the development channel."""
    address: Address
    """Who, where."""
    text: str
    """The words, without the bot's name; empty for a photo."""
    locale: str
    """As the channel reports it, if it reads as one."""
    callback: str
    """Where a late answer may be posted, once; unchecked."""
    extra: Mapping[str, Any]
    """What the button brought along."""
    attachments: tuple[Attachment, ...] = ()
    """Photos."""

    @property
    def group(self) -> bool:
        """Whether it comes from a group chat."""
        return in_group(self.address)

    def asks_for_answers(self, *labels: str) -> bool:
        """Whether it only asks for what is ready, by one of these buttons."""
        return "view" in self.extra or self.text in labels

    @property
    def vote(self) -> tuple[str, str] | None:
        """`up` or `down` and the turn it is about."""
        value, turn = self.extra.get("fb"), self.extra.get("turn")
        if value in ("up", "down") and isinstance(turn, str) and 0 < len(turn) <= 100:
            return value, clean(turn)
        return None

    def event(self, now: datetime) -> Event:
        """What the gateway is told, the time being `now`."""
        if vote := self.vote:
            return Action(
                id=self.id,
                address=self.address,
                kind="feedback",
                value=vote[0],
                sent_at=now,
                about=vote[1],
            )
        return Message(
            id=self.id,
            address=self.address,
            text=self.text,
            sent_at=now,
            locale=self.locale,
            attachments=self.attachments,
        )


def in_group(address: Address) -> bool:
    """Whether the address is within a group chat."""
    return address.conversation != address.user


def read(body: bytes, *, request_id: str, seconds: float, hosts: Sequence[str] = ()) -> Call:
    """The call in `body`. Raises ValueError when there is no telling who says what.

    `request_id` is its `X-Request-Id`; without one, the same words of the same person within the
    same second, of which `seconds` is the time, are the same call. `hosts` as in `keeps_photos`.
    """
    try:
        whole = _record(json.loads(body))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    asked = _record(whole.get("userRequest"))
    user, utterance = _record(asked.get("user")).get("id"), asked.get("utterance")
    if not isinstance(user, str) or not _USER.fullmatch(user) or not isinstance(utterance, str):
        raise ValueError("a skill call names its user and holds an utterance")
    chat = _record(asked.get("chat")).get("id")
    conversation = chat if isinstance(chat, str) and _USER.fullmatch(chat) else user
    bot = _record(whole.get("bot"))
    bot_id = _string(bot.get("id")).rstrip("!")
    text = clean(utterance).strip()
    attachments = tuple(_photos(whole, text, hosts))
    if attachments and (host_of(text) or keeps_photos(text, hosts)):
        text = ""  # a photo's utterance is its address
    if conversation != user:
        text = _uncalled(text, _string(bot.get("name")))
    action = _record(whole.get("action"))
    return Call(
        id=_event_id(request_id, bot_id, user, f"{int(seconds)}:{text}"),
        bot=bot_id,
        address=Address(channel="kakao", conversation=conversation, user=user),
        text=text,
        locale=_locale(asked.get("lang")),
        callback=_string(asked.get("callbackUrl")),
        extra=_record(action.get("clientExtra")),
        attachments=attachments,
    )


def _event_id(request_id: str, bot: str, user: str, moment: str) -> str:
    given = _REQUEST_ID.fullmatch(request_id) is not None
    parts = json.dumps([bot, user, request_id if given else moment])
    digest = hashlib.sha256(parts.encode("utf-8", "replace")).hexdigest()
    # Proxies number requests too; the customer's part keeps one from taking another's words for known.
    return f"{request_id}:{digest[:8]}" if given else digest[:32]


def _photos(whole: Mapping[str, Any], text: str, hosts: Sequence[str]) -> Iterator[Attachment]:
    """What is named as a photo and lies where KakaoTalk keeps them."""
    asked, action = _record(whole.get("userRequest")), _record(whole.get("action"))
    media = _embedded(_record(asked.get("params")).get("media"))
    urls = [_string(media.get("url"))]
    for value in _record(action.get("params")).values():
        secure = _string(_embedded(value).get("secureUrls"))
        urls += secure.removeprefix("List(").removesuffix(")").split(",")
    urls.append(text)
    for url in dict.fromkeys(each.strip() for each in urls):
        if keeps_photos(url, hosts):
            name = urlsplit(url).path.rsplit("/", 1)[-1][-100:] or "photo"
            mime = mimetypes.guess_type(name)[0] or ""
            given = _string(media.get("type")) if url == _string(media.get("url")) else "image"
            kind: Any = "image" if given in ("image", "photo", "") else "file"
            yield Attachment(kind=kind, name=name, mime=mime, url=url)


def _uncalled(text: str, name: str) -> str:
    """What was said to the bot, without its name."""
    if name and text.startswith(f"@{name}"):
        return text.removeprefix(f"@{name}").strip()
    return _CALLED.sub("", text, count=1).strip() if text.startswith("@") else text


def _locale(value: object) -> str:
    text = _string(value)
    if text == "kr":  # the callback's document says so; it means the language
        return "ko"
    return text if _LOCALE.fullmatch(text) else ""


def _record(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _embedded(value: object) -> Mapping[str, Any]:
    """An object, or one that is written in a text, as parameters are."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return _record(value)


def _string(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""
