"""Telegram's updates as events: pure, and over the JSON as it came, so that one odd update harms no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.base import clean
from brain.messages import Action, Address, Attachment, AttachmentKind, Event, Message

Json = Mapping[str, Any]

WANTED: Final = ("message", "callback_query")
"""Kinds of update that we ask for; whoever does not ask gets what was asked for last time."""
GREETINGS: Final = {"en": "Hello"}
"""What somebody says who presses "Start", by language; the others say it in Korean."""
GREETING: Final = "안녕하세요"
VOTES: Final = {"u": "up", "d": "down"}

_EVENT_ID = re.compile(r"\d+\.(\d+)")
_FILES: Final[Mapping[str, tuple[AttachmentKind, str]]] = {
    "document": ("file", "document"),
    "voice": ("voice", "voice.ogg"),
    "audio": ("file", "audio.mp3"),
    "video": ("file", "video.mp4"),
    "video_note": ("file", "video.mp4"),
    "animation": ("file", "animation.mp4"),
}
"""Fields of a message that hold a file, the kind of it, its name if the sender gave none."""
_OTHERS: Final = (
    "contact",
    "location",
    "venue",
    "poll",
    "game",
    "story",
    "checklist",
    "paid_media",
)
"""What people also send: nothing that we can read, but something that deserves an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """The bot."""

    id: int
    """Its number."""
    username: str
    """Its name in mentions, without `@`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a conversation is."""

    chat: int
    """Number of the chat; negative for groups."""
    thread: int | None = None
    """Topic of a forum."""

    @property
    def group(self) -> bool:
        """Whether others read along."""
        return self.chat < 0

    def __str__(self) -> str:
        return str(self.chat) if self.thread is None else f"{self.chat}/{self.thread}"


def place(address: Address) -> Place | None:
    """The place that an address of ours names; None for one that is not ours."""
    chat, _, thread = address.conversation.partition("/")
    try:
        return Place(chat=int(chat), thread=int(thread) if thread else None)
    except ValueError:
        return None


def native_id(event_id: str) -> int | None:
    """Telegram's number of the message that an event was made from."""
    found = _EVENT_ID.fullmatch(event_id)
    return int(found[1]) if found else None


def moved(update: Json) -> tuple[int, int] | None:
    """Old and new number of a group that became a supergroup, when the update says so."""
    message = update.get("message")
    if message and (new := message.get("migrate_to_chat_id")):
        return message["chat"]["id"], new
    return None


def event(
    update: Json, me: Me, *, now: datetime, choices: Mapping[str, str], overhears: bool = False
) -> Event | None:
    """What the update means to us; None when nothing.

    `choices` are the answers too long for a button, by what the button carries. With `overhears`
    group messages that do not mean the bot count too, as not addressed. Raises anything for an
    update that is not as Telegram describes it.
    """
    if query := update.get("callback_query"):
        return _pressed(update["update_id"], query, now, choices)
    if message := update.get("message"):
        return _said(update["update_id"], message, me, overhears)
    return None


def _pressed(
    update_id: int, query: Json, now: datetime, choices: Mapping[str, str]
) -> Event | None:
    """A button under one of our messages."""
    message, data = query.get("message"), query.get("data", "")
    if not message or not isinstance(data, str):
        return None
    address = _address(message, query["from"])
    kind, _, rest = data.partition(":")
    if kind == "f":
        vote, _, turn = rest.partition(":")
        if vote not in VOTES:
            return None
        return Action(
            id=f"{update_id}.{message['message_id']}",
            address=address,
            kind="feedback",
            value=VOTES[vote],
            about=turn,
            sent_at=now,
        )
    chosen = rest if kind == "c" else choices.get(data) or _label(message, data)
    if kind not in ("c", "n") or not chosen:
        return None
    return Message(
        id=f"{update_id}.{message['message_id']}",
        address=address,
        text=clean(chosen).strip(),
        sent_at=now,
        locale=query["from"].get("language_code") or "",
        name=_name(query["from"]),
    )


def _label(message: Json, data: str) -> str:
    """What is written on the button that carries `data`: all that is known of it after a restart."""
    rows = message.get("reply_markup", {}).get("inline_keyboard", ())
    return next(
        (each["text"] for row in rows for each in row if each.get("callback_data") == data), ""
    )


def _said(update_id: int, message: Json, me: Me, overhears: bool) -> Message | None:
    sender = message.get("from")
    if sender is None or sender.get("is_bot") or message.get("sender_chat"):
        return None  # channels, anonymous administrators and bots are nobody's customers
    caption = "caption" if "caption" in message else "text"
    text = _Text(
        message.get(caption, ""),
        message.get(f"{caption}_entities" if caption == "caption" else "entities", ()),
    )
    attachments = tuple(_attachments(message))
    emoji = (message.get("sticker") or message.get("dice") or {}).get("emoji", "")
    if not (text.text or attachments or emoji):
        return None  # somebody joined, a title was changed ...
    addressed = message["chat"]["type"] == "private" or _meant(message, text, me)
    if not addressed and not overhears:
        return None
    return Message(
        id=f"{update_id}.{message['message_id']}",
        address=_address(message, sender),
        text=clean(_opened(text.without(me), sender) or emoji).strip(),
        sent_at=datetime.fromtimestamp(message["date"], UTC),
        locale=sender.get("language_code") or "",
        name=_name(sender),
        attachments=attachments,
        reply_to=str(message.get("reply_to_message", {}).get("message_id", "")),
        addressed=addressed,
    )


def _address(message: Json, person: Json) -> Address:
    # Outside topics the thread is that of a chain of replies, no place of its own.
    thread = message.get("message_thread_id") if message.get("is_topic_message") else None
    where = Place(chat=int(message["chat"]["id"]), thread=thread)
    return Address(channel="telegram", conversation=str(where), user=str(int(person["id"])))


def _name(person: Json) -> str:
    return clean(
        " ".join(filter(None, (person.get("first_name"), person.get("last_name"))))
    ).strip()


def _opened(text: str, sender: Json) -> str:
    """The button "Start" sends `/start`, which is no command of ours: it opens the conversation."""
    if re.match(r"/start(\s|$)", text) is None:
        return text
    return GREETINGS.get((sender.get("language_code") or "")[:2], GREETING)


class _Text:
    """Words with their entities, whose places Telegram counts in UTF-16 units."""

    def __init__(self, text: str, entities: Any) -> None:
        self.text = text
        self._units = text.encode("utf-16-le", "surrogatepass")
        self.entities = [
            (each["type"], each["offset"], each["offset"] + each["length"], each)
            for each in entities
        ]

    def part(self, start: int, end: int) -> str:
        return self._units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")

    def mentions(self, me: Me) -> Iterator[tuple[int, int]]:
        """Where the bot is mentioned."""
        name = f"@{me.username}".lower()
        for kind, start, end, entity in self.entities:
            by_name = kind == "mention" and self.part(start, end).lower() == name
            by_id = kind == "text_mention" and entity.get("user", {}).get("id") == me.id
            if by_name or by_id:
                yield start, end

    def command(self) -> tuple[int, int, str] | None:
        """Where a command at the beginning is, and the bot it names, empty if none."""
        for kind, start, end, _ in self.entities:
            if kind == "bot_command" and start == 0:
                return start, end, self.part(start, end).partition("@")[2].lower()
        return None

    def without(self, me: Me) -> str:
        """The words without the mentions, and the command without the bot's name."""
        cuts = list(self.mentions(me))
        command = self.command()
        if command and command[2] == me.username.lower():
            _, end, name = command
            cuts.append((end - len(name) - 1, end))
        said, at = "", 0
        for start, end in sorted(cuts):
            said += self.part(at, start)
            at = end
            if not said or said.endswith((" ", "\n")):  # else the space belongs between two words
                at += self.part(end, end + 1) == " "
        return said + self.part(at, len(self._units) // 2)


def _meant(message: Json, text: _Text, me: Me) -> bool:
    """Whether a group message is for the bot: it is mentioned, replied to, or commanded."""
    command = text.command()
    if command is not None:
        return command[2] in ("", me.username.lower())
    if any(True for _ in text.mentions(me)):
        return True
    answered = message.get("reply_to_message") or {}
    # In a topic everything that replies to nothing replies to the topic's beginning.
    if "forum_topic_created" in answered:
        return False
    return bool(answered.get("from", {}).get("id") == me.id)


def _attachments(message: Json) -> Iterator[Attachment]:
    if photos := message.get("photo"):
        yield _attachment("image", "photo.jpg", {"mime_type": "image/jpeg", **photos[-1]})
    for field, (kind, name) in _FILES.items():
        if (file := message.get(field)) and not (field == "document" and "animation" in message):
            image = file.get("mime_type", "").startswith("image/")
            yield _attachment("image" if image else kind, name, file)
    if (sticker := message.get("sticker")) and not sticker.get("emoji"):
        yield _attachment("image", "sticker.webp", sticker)
    for field in _OTHERS:
        # A venue is a location too; one is enough.
        if field in message and not (field == "location" and "venue" in message):
            yield Attachment(kind="file", name=field)


def _attachment(kind: AttachmentKind, name: str, file: Json) -> Attachment:
    return Attachment(
        kind=kind,
        name=clean(file.get("file_name") or name).strip(),
        mime=file.get("mime_type", ""),
        size=file.get("file_size"),
        # Its web address holds the token: whoever downloads it asks for that by this id.
        url=f"telegram:{file['file_id']}",
    )
