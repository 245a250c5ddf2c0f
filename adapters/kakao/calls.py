"""Who waits for what on KakaoTalk: open calls, and replies that wait until a call can take them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from adapters.kakao.call import in_group
from adapters.kakao.hosts import Fate
from adapters.kakao.limits import BUBBLES
from adapters.kakao.skill import Body, Bubble, Shown, Texts, response, simple_text
from adapters.kakao.skill import view_button as button
from brain.messages import Address, Receipt, Reply

FORGOTTEN_AFTER: Final = 300.0
"""Seconds after which a message without a reply is no longer expected to get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Seconds from a call's arrival on."""

    load: float = 1.0
    """For what waits from an earlier run."""
    photos: float = 2.5
    """For what customers send along."""
    inline: float = 4.0
    """Until which an answer goes straight back."""
    limit: float = 5.0
    """When KakaoTalk hangs up."""
    late: float = 52.0
    """When the callback is used, answer or not."""
    callback: float = 55.0
    """When the callback must be through; it is valid for 60."""
    post: float = 8.0
    """For one sending to the callback, from its beginning."""

    def scaled(self, factor: float) -> Budget:
        """The same in another time."""
        return Budget(
            load=self.load * factor,
            photos=self.photos * factor,
            inline=self.inline * factor,
            limit=self.limit * factor,
            late=self.late * factor,
            callback=self.callback * factor,
            post=self.post * factor,
        )


@dataclass(slots=True, eq=False)
class Parcel:
    """A reply on its way."""

    reply: Reply
    bubbles: tuple[Bubble, ...]
    quick: tuple[Bubble, ...]
    shown: int = 0
    """Bubbles that the customer has."""
    holder: Ask | None = None
    """The open call that will show it; nobody else may."""
    receipt: asyncio.Future[Receipt] | None = None
    """Until somebody who delivers it knows what became of it; afterwards it is parked."""

    def tell(self, receipt: Receipt) -> None:
        """Say what became of it."""
        if self.receipt is not None and not self.receipt.done():
            self.receipt.set_result(receipt)
        self.receipt = None


@dataclass(slots=True, eq=False)
class Ask:
    """An open call."""

    id: str
    """Id of its event."""
    kind: Literal["message", "view", "vote"]
    """What it wants: an answer to its words; whatever is there; that a vote counts."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is no more to wait for."""
    failed: bool = False
    """Whether its event was not taken."""
    promised: bool = False
    """Whether its answer comes by callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a call is answered with."""

    body: Body
    portions: tuple[tuple[Parcel, int], ...]
    """The replies in it, and how many bubbles of each."""
    fit: bool = True
    """Whether it says them; False where they could not be put in a form that KakaoTalk takes."""


class Conversation:
    """One customer's calls and replies."""

    def __init__(self, address: Address, texts: Texts, now: Callable[[], float]) -> None:
        self.address = address
        self.asks: dict[str, Ask] = {}
        self.loaded = False
        """Whether the replies of earlier runs are among the parcels."""
        self._group = in_group(address)
        self._texts = texts
        self._now = now
        self._parcels: list[Parcel] = []
        self._expected: dict[str, float] = {}
        self._arrived: deque[str] = deque(maxlen=100)

    # ---- replies

    def put(self, reply: Reply, shown: Shown) -> asyncio.Future[Receipt]:
        """Take a reply in; its receipt, once an open call has shown it or will not."""
        self._expected.pop(reply.in_reply_to, None)
        parcel = Parcel(reply=reply, bubbles=shown.bubbles, quick=shown.quick)
        ask = self.asks.get(reply.in_reply_to)
        if ask is None and reply.kind != "silent":
            ask = next((each for each in self.asks.values() if each.kind == "view"), None)
        receipt = parcel.receipt = asyncio.get_running_loop().create_future()
        if not parcel.bubbles:
            parcel.tell(Receipt(outcome="refused", reason="nothing to show"))
        elif ask is not None:
            self._parcels.append(parcel)
            parcel.holder = ask
        elif reply.kind == "silent":  # it only tells an open call that another one has the answer
            parcel.tell(Receipt(outcome="refused", reason="nobody waits for it"))
        else:
            self._parcels.append(parcel)
            self._park(parcel)
        if ask is not None:
            ask.ready.set()
        return receipt

    def load(self, replies: Sequence[tuple[Reply, Shown]]) -> None:
        """Take in what waits from an earlier run, before what has come since."""
        known = {parcel.reply.id for parcel in self._parcels}
        self._parcels[:0] = [
            Parcel(reply=reply, bubbles=shown.bubbles, quick=shown.quick)
            for reply, shown in replies
            if shown.bubbles and reply.id not in known and reply.id not in self._arrived
        ]

    @property
    def waiting(self) -> bool:
        """Whether a reply is there that no open call has."""
        return any(parcel.holder is None for parcel in self._parcels)

    # ---- calls

    def open(self, ask: Ask) -> None:
        """A call has come in."""
        self.asks[ask.id] = ask
        if ask.kind == "message":
            self._expected[ask.id] = self._now()
        elif ask.kind == "view" and self.waiting:
            ask.ready.set()

    def refused(self, ask: Ask) -> None:
        """Its event was not taken: it gets no answer."""
        ask.failed = True
        self._expected.pop(ask.id, None)
        ask.ready.set()

    def close(self, ask: Ask) -> Response:
        """Answer the call with what there is for it, oldest first; nothing comes for it any more."""
        self.asks.pop(ask.id, None)
        taken, bubbles = self._take(ask)
        texts = self._texts
        own = any(parcel.reply.in_reply_to == ask.id for parcel, _ in taken)
        text = self._word(ask, answered=own, anything=bool(taken))
        if text and len(bubbles) < BUBBLES:
            bubbles.append(simple_text(text))
        quick: list[Bubble] = []
        whole = all(each.shown + part == len(each.bubbles) for each, part in taken)
        if self.waiting or not whole:
            quick.append(button(texts.view_more))
        elif text in (texts.holding, texts.nothing) or self._expects():
            quick.append(button(texts.view_answer))
        if taken and whole:
            quick += taken[-1][0].quick
        body = response(bubbles or [simple_text(texts.failed)], quick, group=self._group)
        return Response(body=body, portions=tuple(taken))

    def _take(self, ask: Ask) -> tuple[list[tuple[Parcel, int]], list[Bubble]]:
        taken: list[tuple[Parcel, int]] = []
        bubbles: list[Bubble] = []
        for parcel in list(self._parcels):
            if parcel.holder not in (None, ask):
                continue
            part = parcel.bubbles[parcel.shown :][: BUBBLES - len(bubbles)]
            if part:
                bubbles += part
                parcel.holder = ask
                taken.append((parcel, len(part)))
            else:
                self._park(parcel)
        return taken, bubbles

    def _word(self, ask: Ask, *, answered: bool, anything: bool) -> str:
        """What has to be said beside the replies."""
        texts = self._texts
        if ask.failed:
            return texts.failed
        if ask.kind == "vote":
            return texts.thanks
        if ask.kind == "view" and not anything:
            return texts.holding if self._expects() else texts.nothing
        if ask.kind == "message" and not answered:
            return texts.failed if ask.ready.is_set() else texts.holding
        return ""

    def _expects(self) -> bool:
        """Whether the answer to some message is still to come."""
        old = self._now() - FORGOTTEN_AFTER
        self._expected = {name: at for name, at in self._expected.items() if at > old}
        return bool(self._expected)

    def settle(self, sent: Response, fate: Fate, native: str) -> dict[str, Receipt]:
        """Note what became of a response; the parked replies that are done with, by id."""
        receipt = Receipt(outcome="delivered", native_ids=(native,))
        if not sent.fit:
            receipt = Receipt(outcome="refused", reason="not in a form that KakaoTalk takes")
        settled: dict[str, Receipt] = {}
        for parcel, bubbles in sent.portions:
            if fate == "not":
                self._park(parcel)
            elif fate == "unknown":
                self._doubt(parcel)
            elif parcel.shown + bubbles < len(parcel.bubbles):
                parcel.shown += bubbles
                self._park(parcel)
            else:
                self._parcels.remove(parcel)
                self._arrived.append(parcel.reply.id)
                if parcel.receipt is None:
                    settled[parcel.reply.id] = receipt
                parcel.tell(receipt)
        return settled

    def _park(self, parcel: Parcel) -> None:
        """It waits for the next call."""
        parcel.holder = None
        if parcel.reply.kind == "silent":
            self._parcels.remove(parcel)
        parcel.tell(Receipt(outcome="parked", reason="waits for the next call"))

    def _doubt(self, parcel: Parcel) -> None:
        """It may have arrived: the next call shows it with a note that says so."""
        again = simple_text(self._texts.again)
        if parcel.bubbles[0] != again:
            parcel.bubbles = (again, *parcel.bubbles)
        parcel.shown = 0
        self._park(parcel)
