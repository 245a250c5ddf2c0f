"""What customers attach: named in the conversation, and pictures shown to a model that can see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from brain.messages import Attachment, Message
from brain.prompt.compose import Composed

MOST_PICTURES: Final = 4
"""Pictures that a model is shown in a turn, the latest ones."""
NAME: Final = 60
"""Characters of a file's name that are told."""
PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
"""How the formats begin that Ollama reads: PNG, JPEG, WebP."""


class Contents(Protocol):
    """Where the contents of attachments are kept."""

    async def read(self, attachment: Attachment) -> bytes | None:
        """One of them; None if it is not there, or not any more."""
        ...


class Sight(Protocol):
    """What is asked of a model."""

    async def sees(self) -> bool:
        """Whether it takes pictures."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What came with the messages of a turn."""

    messages: tuple[Message, ...]
    """Those messages, their words naming what came with them."""
    names: str = ""
    """What it was: `[사진 2장]`; empty if nothing."""
    pictures: tuple[bytes, ...] = ()
    """What the model is shown."""
    unseen: bool = False
    """Whether something is shown to nobody."""

    def asked(self, question: str) -> str:
        """The question as the model gets it."""
        return question if self.names in question else f"{question}\n{self.names}"

    def shown(self, composed: Composed) -> Composed:
        """The prompt, its last message with the pictures."""
        if not self.pictures:
            return composed
        *before, last = composed.messages
        return replace(composed, messages=(*before, {**last, "images": list(self.pictures)}))


async def look(
    messages: Sequence[Message],
    *,
    contents: Contents | None,
    model: Sight,
    phrase: Callable[..., str],
) -> Attached:
    """Name what is attached, and have the pictures ready if `model` can see them."""
    every = [each for message in messages for each in message.attachments]
    if not every:
        return Attached(messages=tuple(messages))
    pictures: list[bytes] = []
    kept = [each for each in every if each.kind == "image" and each.content]
    if contents and kept and await model.sees():
        for each in kept[-MOST_PICTURES:]:
            content = await contents.read(each)
            if content and content.startswith(PICTURES):
                pictures.append(content)
    return Attached(
        messages=tuple(_naming(message, phrase) for message in messages),
        names=" ".join(_names(every, phrase)),
        pictures=tuple(pictures),
        unseen=len(pictures) < len(every),
    )


def _naming(message: Message, phrase: Callable[..., str]) -> Message:
    names = " ".join(_names(message.attachments, phrase))
    return replace(message, text="\n".join(filter(None, (message.text, names))))


def _names(attachments: Sequence[Attachment], phrase: Callable[..., str]) -> Iterator[str]:
    for kind in ("image", "voice"):
        if number := sum(each.kind == kind for each in attachments):
            yield phrase(f"attached.{kind}", count=number)
    for each in attachments:
        if each.kind == "file":
            # A name is the customer's words, and must not end its bracket.
            name = " ".join(each.name.split()).translate({91: "(", 93: ")"})
            yield phrase("attached.file", name=name[:NAME])
