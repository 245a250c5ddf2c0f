"""KakaoTalk as the configuration has it: its words from the phrases, parked replies from the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.kakao.channel import Kakao
from adapters.kakao.skill import Texts
from bot.channels import labels
from bot.clock import Clock, SystemClock
from bot.store.store import Store
from brain.messages import Address, Receipt, Reply

if TYPE_CHECKING:
    from bot.app import App


class ParkedReplies:
    """What the store keeps until its customer's next call."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """`clock` dates the receipts."""
        self._store = store
        self._clock = clock

    async def waiting(self, address: Address) -> Sequence[Reply]:
        """See `adapters.kakao_calls.Parked`."""
        return await self._store.parked(address)

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        """See `adapters.kakao_calls.Parked`."""
        await self._store.receipt(reply_id, receipt, at=self._clock.now())


def kakao(app: App) -> Kakao:
    """The channel that `app.config` describes."""
    channel = app.config.channels.kakao
    return Kakao(
        secret=channel.secret,
        texts=texts(app),
        parked=ParkedReplies(app.store, SystemClock()),
        bot_ids=channel.bot_ids,
        callback_hosts=channel.callback_hosts,
    )


def texts(app: App) -> Texts:
    """Its words in the configured language."""

    def phrase(name: str) -> str:
        return app.brain.prompts.phrase(name, app.config.language)

    around = labels(app)
    return Texts(
        waiting=phrase("kakao.waiting"),
        holding=phrase("kakao.holding"),
        nothing=phrase("kakao.nothing"),
        failed=phrase("exceptions.system_error"),
        thanks=phrase("web.thanks"),
        view_answer=phrase("kakao.view_answer"),
        view_more=phrase("kakao.view_more"),
        helpful=phrase("kakao.helpful"),
        unhelpful=phrase("kakao.unhelpful"),
        operator=phrase("kakao.operator"),
        operator_hint=phrase("kakao.operator_hint"),
        choices=around.choices,
        source=around.source,
        again=phrase("delivery.again"),
    )
