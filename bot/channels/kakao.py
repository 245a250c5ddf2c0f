"""KakaoTalk as the configuration has it: its words from the phrases, parked replies from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.kakao.channel import Kakao
from adapters.kakao.skill import Texts
from bot.channels.connect import ParkedReplies, labels
from bot.clock import SystemClock

if TYPE_CHECKING:
    from bot.app import App


def kakao(app: App) -> Kakao:
    """The channel that `app.config` describes."""
    channel = app.config.channels.kakao
    return Kakao(
        secret=channel.secret,
        texts=texts(app),
        parked=ParkedReplies(app.store, SystemClock()),
        bot_ids=channel.bot_ids,
        callback_hosts=channel.callback_hosts,
        keep=app.files.keep,
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
