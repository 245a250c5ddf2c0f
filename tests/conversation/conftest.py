"""A small company, indexed once, and a running Sangdam for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Capabilities
from adapters.fake import Fake, VirtualClock
from bot.app import App, build
from bot.clock import Clock, SystemClock
from bot.config import Config
from bot.gateway import Milestone
from brain.messages import Message, Turn

COMPANY = """\
name: 달빛서점
specialty: 책과 문구
hours: {weekdays: "09:00-18:00", saturday: closed, sunday: closed}
contacts: {phone: 1588-1234, email: help@example.com}
policies: {return_days: 7, free_delivery_from: 20000, delivery_fee: 2500}
"""
DOCUMENTS = {
    "delivery.md": """\
---
title: 배송 안내
category: order
---
# 배송 안내
## 배송비
배송비는 2,500원이며, 20,000원 이상 주문하시면 무료로 배송해 드립니다. 제주와 도서 산간 지역은 3,000원이 더해집니다.
## 배송 기간
결제가 끝난 뒤 1~2영업일 안에 출고하고, 출고한 다음 날 도착합니다. 예약 도서는 발매일에 맞추어 보내 드립니다.
""",
    "refund.md": """\
---
title: 교환과 환불
category: exchange_refund
---
# 교환과 환불
## 반품 기간
책을 받으신 날부터 7일 안에 반품하실 수 있습니다. 비닐 포장을 뜯은 만화책과 화보집은 반품이 어렵습니다.
## 환불 시점
반품하신 책이 창고에 도착하면 2영업일 안에 결제하신 수단으로 환불해 드립니다.
""",
    "faq.yaml": """\
title: 자주 묻는 질문
category: general
faq:
  - question: 선물 포장도 되나요?
    answer: 네, 주문서에서 선물 포장을 고르시면 1,000원에 포장해 드립니다. 손 편지도 함께 넣어 드립니다.
  - question: 절판된 책도 구할 수 있나요?
    answer: 중고 도서 찾기를 신청하시면 2주 동안 찾아보고 문자로 알려 드립니다.
""",
    "shops.csv": """\
매장,주소,영업시간,주차
종로점,서울 종로구 달빛로 10,매일 10:00-21:00,1시간 무료
해운대점,부산 해운대구 바다로 5,매일 11:00-20:00,주차 불가
""",
}


class Paced(VirtualClock):
    """A clock that is set to the moment for which somebody waits, so that times are always the same."""

    def next_timer(self) -> datetime | None:
        """That moment; None while everybody is at work."""
        return min((moment for moment, _, over in self._timers if not over.is_set()), default=None)


@dataclass
class Sangdam:
    """A running application and its fake channel."""

    app: App
    fake: Fake
    clock: Clock
    turns: list[Turn] = field(default_factory=list)

    async def say(self, text: str, **options: Any) -> Turn:
        """Say something and get the whole turn."""
        before = len(self.turns)
        await self.fake.say(text, **options)
        while len(self.turns) == before:
            await asyncio.sleep(0)
        return self.turns[-1]

    async def hand_in(self, text: str, **options: Any) -> Message:
        """Say something and wait for nothing but that it is kept."""
        message = self.fake.message(text, **options)
        await self.fake.hand_in(message)
        return message

    async def quiet(self) -> None:
        """Until nothing is left to say; virtual time passes only where somebody waits for it."""
        async with asyncio.timeout(60):
            while self.app.gateway.busy:
                if isinstance(self.clock, Paced):
                    await self.clock.settle()  # whoever was woken is no longer waiting
                next_one = self.clock.next_timer() if isinstance(self.clock, Paced) else None
                if next_one is None:
                    await asyncio.sleep(0.002)
                else:
                    await self.clock.set(next_one)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Notice and text of every reply that became visible."""
        return [(reply.notice, reply.text) for _, reply in self.fake.replies]

    def phrase(self, name: str, **slots: object) -> str:
        """One of our standing phrases."""
        return self.app.brain.prompts.phrase(name, **slots)


Run = Callable[..., AbstractAsyncContextManager[Sangdam]]


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company's folder: `kb/` and an index in `data/`."""
    base = tmp_path_factory.mktemp("company")
    (base / "kb").mkdir()
    (base / "kb" / "company.yaml").write_text(COMPANY, encoding="utf-8")
    for name, text in DOCUMENTS.items():
        (base / "kb" / name).write_text(text, encoding="utf-8")

    async def index() -> None:
        app = await build(settings(base))
        report = await app.index()
        assert report is not None
        assert not report.problems
        await app.close()

    asyncio.run(index())
    return base


def settings(base: Path, **changes: Any) -> Config:
    """The configuration of the company in `base`; no model server unless `changes` name one."""
    given = {"data": base / "data", "knowledge": {"folder": base / "kb"}, "admins": ["fake:admin"]}
    return Config.model_validate({**given, "model": {"host": "http://127.0.0.1:9"}, **changes})


@pytest.fixture
def config(company: Path) -> Config:
    """The configuration of the small company, without a model server."""
    return settings(company)


@pytest.fixture
def run(company: Path, tmp_path: Path) -> Run:
    """`async with run() as sangdam`: may be entered again, which is a restart.

    `now` or a `clock` for its time, `capabilities` of the fake channel, `milestone` as in `build`,
    `resume` to take up what the run before left; anything else is configuration.
    """
    shutil.copytree(company, tmp_path, dirs_exist_ok=True)

    @asynccontextmanager
    async def running(
        now: datetime | None = None,
        *,
        clock: Clock | None = None,
        capabilities: Capabilities | None = None,
        milestone: Milestone = lambda name: None,
        resume: bool = False,
        **changes: Any,
    ) -> AsyncIterator[Sangdam]:
        turns: list[Turn] = []
        if clock is None:
            clock = SystemClock() if now is None else SystemClock(lambda: now)
        app = await build(
            settings(tmp_path, **changes),
            observers=[turns.append],
            clock=clock,
            milestone=milestone,
        )
        try:
            await app.index()
            virtual = clock if isinstance(clock, VirtualClock) else None
            fake = Fake(capabilities=capabilities, now=clock.now, clock=virtual)
            app.connect(fake)
            if resume:
                await app.gateway.resume()
            yield Sangdam(app, fake, clock, turns)
        finally:
            await app.close()

    return running
