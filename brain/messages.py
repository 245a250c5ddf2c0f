"""The vocabulary: every record that passes between channels, gateway and brain."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

AttachmentKind = Literal["image", "file", "voice"]
ReplyKind = Literal[
    "answer",  # the model's words
    "quoted",  # a passage of the knowledge base, word for word
    "abstained",  # nothing in the documents answers
    "exception",  # a handler of the exception matrix spoke
    "command",  # a slash-command answered
    "handoff",  # a person was called or has taken over
    "review",  # waits for a person's approval
    "busy",  # too many conversations, or a limit of this customer
    "silent",  # nothing is sent: a person owns the conversation, or the reply joined another
]
ActionKind = Literal["feedback", "choice", "approve", "edit", "take", "return"]
Daypart = Literal["morning", "business", "evening", "night"]
Level = Literal["high", "medium", "low"]
EmotionLabel = Literal["angry", "anxious", "sad", "satisfied", "neutral"]
CustomerKind = Literal["new", "returning", "vip"]
Attention = Literal["", "log", "staff"]
Outcome = Literal["delivered", "refused", "unknown", "parked", "pending"]


def new_id() -> str:
    """An id for a turn or a reply: 32 hexadecimal digits, as unguessable as 80 random bits.

    Begins with the milliseconds since 1970, as a UUID of version 7 does (RFC 9562): the store keeps
    what is made together side by side, where ids in no order would touch a page of the disk each.
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a message came from and where its reply goes: session key, lock key, rate-limit key, way back."""

    channel: str
    """Name of the adapter: `telegram`, `web`, `console` ..."""
    conversation: str
    """The channel's own id of the chat, thread or browser session."""
    user: str
    """The channel's own immutable id of the person."""

    def __str__(self) -> str:
        return f"{self.channel}:{self.conversation}:{self.user}"

    @property
    def person(self) -> str:
        """`channel:user`, the form in which admins and staff are configured."""
        return f"{self.channel}:{self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Something that came with a message or goes out with a reply."""

    kind: AttachmentKind
    """What it is."""
    name: str
    """File name as the sender called it."""
    mime: str = ""
    """Media type, empty when the channel does not say."""
    size: int | None = None
    """Bytes, if known."""
    url: str = ""
    """Where the channel keeps it."""
    content: str = ""
    """Name under which we keep it for a while; empty if we do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a customer said. After `Gateway.accept` the text holds no personal data any more."""

    id: str
    """The channel's id of this event: unique within the channel, the key that recognises duplicates."""
    address: Address
    """Who said it, where."""
    text: str
    """The words."""
    sent_at: datetime
    """Aware time the customer sent it."""
    locale: str = ""
    """The customer's language as the channel reports it (`ko`, `en-US`), empty if unknown."""
    name: str = ""
    """Display name, for staff only."""
    attachments: tuple[Attachment, ...] = ()
    """Images, files, voice."""
    reply_to: str = ""
    """Native id of the message this one answers."""
    addressed: bool = True
    """Whether the bot was meant (a group message without mention is not)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button, a reaction, an approval: what somebody did that is not a message."""

    id: str
    """The channel's id of this event."""
    address: Address
    """Who did it, where."""
    kind: ActionKind
    """What was done."""
    value: str
    """`up` or `down` for feedback, the chosen text for a choice, the new text for an edit."""
    sent_at: datetime
    """Aware time it happened."""
    about: str = ""
    """Id of the turn it is about."""


Event = Message | Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The text so far of a reply being written; the latest one wins."""

    text: str
    """Everything written until now, safe to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document that a reply rests on."""

    document: str
    """Path under the knowledge folder, with `/`."""
    heading: str
    """Heading path within it, `A > B`."""
    score: float
    """Fused retrieval score, 0 to 1, relative to the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An answer the customer can give by tapping."""

    label: str
    """What the button says."""
    text: str
    """What it sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back to the customer."""

    id: str
    """Our id, equal to the id of the turn that made it."""
    in_reply_to: str
    """Id of the last message it answers."""
    text: str
    """The words, in our Markdown subset."""
    kind: ReplyKind
    """How it came about."""
    sources: tuple[Source, ...] = ()
    """Documents it rests on, best first."""
    choices: tuple[Choice, ...] = ()
    """Suggestions to tap."""
    attachments: tuple[Attachment, ...] = ()
    """Files to send."""
    author: str = ""
    """Name of the person who wrote it; empty for the AI."""
    notice: str = ""
    """What must be said before the text, such as that an AI answers; not part of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a channel did with a reply."""

    outcome: Outcome
    """delivered; refused (never will be); unknown (may have arrived); parked (waits for the customer's
    next move); pending (not sent, to be tried again: the gateway's word, never a channel's)."""
    native_ids: tuple[str, ...] = ()
    """The channel's ids of the messages made from it."""
    reason: str = ""
    """Why, when not delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emotion:
    """The mood of a message."""

    label: EmotionLabel
    """The likeliest label."""
    intensity: float
    """0 to 1; 0 for neutral."""
    probabilities: Mapping[str, float]
    """Every label with its probability; sums to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How sure retrieval is that the best passage answers the question."""

    level: Level
    """high: plain answer; medium: answer with a caveat; low: abstain or ask."""
    probability: float
    """Calibrated probability that the best passage answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document, as retrieved."""

    id: str
    """Content hash: equal text under an equal heading of the same document has the same id."""
    document: str
    """Path under the knowledge folder, with `/`."""
    heading: str
    """Heading path, `A > B`."""
    text: str
    """The words, at most 500 tokens."""
    score: float
    """Fused score, 0 to 1, relative to the query: for ranking, never a confidence."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The parts: `cosine`, `bigram`, `morpheme` before normalisation; of a second look `question` and
    `queries`, what the customer's and other wordings gave, `first` and `rerank`, before and after."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """title, category, date, locale, tags: whatever the front matter said."""
    best: str = ""
    """The sentence or sentences of the passage that matched the question best."""
    section: str = ""
    """The part of the text under the sub-heading of `best`; empty where the text has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is going on: the only names that prompts may match on."""

    emotion: EmotionLabel = "neutral"
    """Mood of the latest words."""
    intensity: float = 0.0
    """0 to 1."""
    daypart: Daypart = "business"
    """Company time: morning before 09:00, business, evening from 18:00, night from 22:00 to 06:00."""
    open: bool = True
    """Whether people are at work now."""
    intent: str = "other"
    """order, exchange_refund, product, technical, complaint, account, greeting, other."""
    customer: CustomerKind = "new"
    """From profile and history."""
    language: str = "ko"
    """Language of the latest words, ISO 639-1."""
    repeats: int = 0
    """How many earlier messages of the conversation asked the same."""
    confidence: Level = "low"
    """Of retrieval."""
    exception: str = ""
    """Handler of the exception matrix that has its say before the answer, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A finished reply together with everything that shaped it; observers get this record."""

    id: str
    """Unique; equal to the reply's id."""
    address: Address
    """Whose conversation."""
    messages: tuple[Message, ...]
    """The customer's messages that it answers, in order."""
    reply: Reply
    """What was said."""
    started_at: datetime
    """Aware time the turn began."""
    situation: Situation = Situation()
    """What was going on."""
    emotion: Emotion | None = None
    """Probabilities behind the situation's emotion."""
    confidence: Confidence | None = None
    """Of retrieval; None when nothing was looked up."""
    passages: tuple[Passage, ...] = ()
    """What retrieval found, best first."""
    lookup: Mapping[str, str] = field(default_factory=dict)
    """How it was looked for, see `Found.lookup`."""
    exceptions: tuple[str, ...] = ()
    """Handlers of the exception matrix that applied, by priority."""
    follow_ups: tuple[str, ...] = ()
    """What those handlers want done afterwards."""
    escalation: str = ""
    """Handler because of which a person should take over; empty if none should."""
    attention: Attention = ""
    """How loudly it is reported: `staff` are told at once, `log` on a line of its own."""
    handoff: str = "bot"
    """bot, waiting, person, returning."""
    model: str = ""
    """Name of the model that wrote it; empty if none did."""
    variant: str = ""
    """Version id of the prompt set."""
    layers: tuple[str, ...] = ()
    """Names of the prompt parts that were used."""
    dropped: tuple[str, ...] = ()
    """Prompt parts left out for want of room."""
    guarded: tuple[str, ...] = ()
    """What the output guard put right (`terms`, `polite` ...) or refused (`refused: figures: 3일`)."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens by part, and `prompt` and `reply` as the model counted them."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds by step."""
    failure: str = ""
    """Name of the error that ended it, empty if none."""
    remember: bool = True
    """Whether session memory takes it in (commands are not remembered)."""
