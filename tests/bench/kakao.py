"""KakaoTalk with a slow model and things that fail: is every call answered in time, is anything lost?

Customers ask with and without callback, press what they are offered, or ask on before the answer is
there. The model takes 0.2 to 90 seconds; it, the store and the callbacks fail now and then. `--scale`
shortens every span alike, what the machine itself takes excepted; times are printed in full size.

python tests/bench/kakao.py [--messages 1000] [--users 200] [--scale 0.1]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aiohttp import web
from echo import EchoBrain, Verdict, log_to, percentile, prompts, running

from adapters.kakao.calls import Budget
from adapters.kakao.channel import PATH, Kakao
from adapters.kakao.skill import Texts
from bot.channels.connect import ParkedReplies
from brain.errors import ModelUnavailable, StoreError
from brain.memory import Session
from brain.messages import Address, Event, Message, Receipt, Reply, Turn
from tests.wire.kakao_server import Answer, Fault, Platform

LATENCY = (0.2, 90.0)
BRAIN_FAILS, STORE_FAILS, CALLBACK_FAILS, LONG = 0.05, 0.03, 0.1, 0.05
CALLBACK_FAULTS: tuple[Fault, ...] = ("error", "broken", "silent", "seen", "html")
P99, WORST, CALLBACK = 4.2, 4.5, 55.0
"""The targets, seconds."""
PATIENCE = 40
"""Presses after which a customer takes an answer for lost."""

SPREAD = 30.0
"""Seconds in which all customers come."""
WORDS = {each.name: f"({each.name})" for each in fields(Texts)}
TEXTS = Texts(**{**WORDS, "again": prompts().phrase("delivery.again")})
VIEWS = (TEXTS.view_answer, TEXTS.view_more)


class SlowBrain(EchoBrain):
    """Takes its time, fails, or says very much; always the name of every question it answers."""

    def __init__(self, scale: float) -> None:
        super().__init__(prompts())
        self.scale = scale
        self.chance = random.Random(5)

    async def answer(
        self, messages: Sequence[Message], session: Session, **options: Any
    ) -> tuple[Turn, Session]:
        """See `EchoBrain.answer`."""
        await asyncio.sleep(self.chance.uniform(*LATENCY) * self.scale)
        if self.chance.random() < BRAIN_FAILS:
            raise ModelUnavailable("scripted")
        turn, session = await super().answer(messages, session, **options)
        text = " ".join(message.text for message in messages)
        if self.chance.random() < LONG:
            text += "\n\n" + "환불은 영업일 기준으로 처리해 드립니다. " * 500 + "끝."
        reply = Reply(id=turn.id, in_reply_to=messages[-1].id, text=text, kind="answer")
        return Turn(
            id=turn.id,
            address=turn.address,
            messages=tuple(messages),
            reply=reply,
            started_at=turn.started_at,
        ), session


class Flaky:
    """Parked replies that cannot always be read or noted."""

    kept: ParkedReplies

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def fail(self) -> None:
        if self.chance.random() < STORE_FAILS:
            raise StoreError("scripted")

    async def waiting(self, address: Address) -> Sequence[Reply]:
        """See `Parked`."""
        self.fail()
        return await self.kept.waiting(address)

    async def delivered(self, reply_id: str, receipt: Receipt) -> None:
        """See `Parked`."""
        self.fail()
        await self.kept.delivered(reply_id, receipt)


class Street:
    """The customers, and what they were told."""

    def __init__(self, phone: Platform, scale: float) -> None:
        self.phone = phone
        self.scale = scale
        self.accepted: dict[str, str] = {}
        """Customer by question that was taken."""
        self.turns: dict[str, list[Turn]] = {}
        self.refused = 0

    async def live(self, user: str, questions: range) -> None:
        """Ask them all, then wait for what is missing."""
        chance = random.Random(user)
        await asyncio.sleep(chance.uniform(0, SPREAD) * self.scale)
        for number in questions:
            callback = chance.random() < 0.5
            if callback and chance.random() < CALLBACK_FAILS:
                self.phone.faults.append(chance.choice(CALLBACK_FAULTS))
            answer = await self.phone.say(f"#{number}# 질문입니다.", user=user, callback=callback)
            if chance.random() < 0.7:  # the others ask on without waiting
                await self._wait(user, answer, chance)
        for _ in range(PATIENCE):
            if not self.missing(user) and not self.phone.can_press(user, *VIEWS):
                return
            await self._pause(chance)
            await self.phone.say(TEXTS.view_answer, user=user, callback=chance.random() < 0.5)

    async def _wait(self, user: str, answer: Answer, chance: random.Random) -> None:
        """Until the callback has come, or until what is offered is seen."""
        if answer.promised:
            token = next(t for t in reversed(self.phone.tokens.values()) if t.user == user)
            try:
                async with asyncio.timeout(60 * self.scale):
                    await token.done.wait()
            except TimeoutError:
                return
        for _ in range(PATIENCE):
            label = self.phone.can_press(user, *VIEWS)
            if not label:
                return
            await self._pause(chance)
            label = self.phone.can_press(user, *VIEWS)
            if label:
                answer = await self.phone.press(user, label, callback=chance.random() < 0.5)
                if answer.promised:
                    return

    async def _pause(self, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(1, 10) * self.scale)

    def missing(self, user: str) -> list[str]:
        """Questions of this customer whose answer was not seen."""
        screen = "\n".join(self.phone.screens[user])
        turns = self.turns.get(user, [])
        failed = [turn for turn in turns if turn.failure]
        excused = {m.text.split()[0] for turn in failed for m in turn.messages}
        mine = {question for question, asker in self.accepted.items() if asker == user}
        missing = [each for each in mine - excused if each not in screen]
        apologies = sum(screen.count(turn.reply.text) > 0 for turn in failed)
        return missing + ["apology"] * (len(failed) - apologies)

    def doubled(self) -> int:
        """Answers that were shown twice without a word about it."""
        count = 0
        for screen in self.phone.screens.values():
            seen = Counter(
                word
                for before, text in zip(["", *screen], screen, strict=False)
                if TEXTS.again not in before + text
                for word in set(text.split())
                if word[0] == word[-1] == "#"
            )
            count += sum(times - 1 for times in seen.values())
        return count


async def main(messages: int, users: int, scale: float, folder: Path) -> int:
    chance = random.Random(11)
    brain = SlowBrain(scale)
    async with Platform("", scale=scale) as phone:
        street = Street(phone, scale)

        async def accept(event: Event) -> None:
            if chance.random() < STORE_FAILS:
                street.refused += 1
                raise StoreError("scripted")
            await gateway.accept(event)
            if isinstance(event, Message):
                street.accepted[event.text.split()[0]] = event.address.user

        def observe(turn: Turn) -> None:
            street.turns.setdefault(turn.address.user, []).append(turn)

        flaky = Flaky(chance)
        kakao = Kakao(
            secret="s3cret",
            texts=TEXTS,
            parked=flaky,
            callback_hosts=[phone.host],
            budget=Budget().scaled(scale),
        )
        path = folder / "kakao.db"
        async with running(path, brain, kakao, observers=(observe,)) as gateway:
            flaky.kept = ParkedReplies(gateway._store, gateway._clock)
            application = web.Application()
            application.add_routes(kakao.routes())
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            phone.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
            serving = asyncio.create_task(kakao.run(accept))
            began = time.perf_counter()
            share = messages // users
            await asyncio.gather(
                *(street.live(f"u{n}", range(n * share, (n + 1) * share)) for n in range(users))
            )
            took = time.perf_counter() - began
            await asyncio.gather(*kakao._tasks)  # promises that nobody looks at any more
            lost = [f"u{n} {each}" for n in range(users) for each in street.missing(f"u{n}")]
            serving.cancel()
            await runner.cleanup()
    return report(street, messages, took, lost, scale)


def report(street: Street, messages: int, took: float, lost: list[str], scale: float) -> int:
    """Print what was measured; the exit code."""
    phone = street.phone
    seconds = [answer.seconds / scale for answer in phone.answers]
    valid = sum(answer.status == 200 and not answer.wrong for answer in phone.answers)
    share = 100 * valid / len(phone.answers)
    p50, p99, worst = (percentile(seconds, part) for part in (0.5, 0.99, 1.0))
    posts = [token.posts for token in phone.tokens.values() if token.posts]
    most, latest = max(map(len, posts)), max(max(each) for each in posts) / scale
    promised = [token for token in phone.tokens.values() if token.promised]
    kept = sum(bool(token.posts) for token in promised)
    for each in lost:
        print(f"lost: {each}")
    failures = sum(bool(turn.failure) for turns in street.turns.values() for turn in turns)
    print(f"{messages} messages, {len(phone.answers)} calls in {took:.1f} s at scale {scale}")
    print(f"store refused {street.refused} messages, model failed {failures} turns")
    print(f"calls answered: p50 {p50:.2f} s; {len(promised)} callbacks promised, {kept} used")
    verdict = Verdict()
    verdict.check("valid answers, %", f"{share:.2f}", "100", share == 100)
    verdict.check("wrong", str(dict(Counter(phone.wrong)) or 0), "0", not phone.wrong)
    verdict.check("p99, s", f"{p99:.2f}", f"<= {P99}", p99 <= P99)
    verdict.check("max, s", f"{worst:.2f}", f"<= {WORST}", worst <= WORST)
    verdict.check("posts to one callback", str(most), "1", most == 1)
    verdict.check("latest post, s", f"{latest:.1f}", f"< {CALLBACK}", latest < CALLBACK)
    verdict.check("promises kept", f"{kept}", f"{len(promised)}", kept == len(promised))
    verdict.check("answers lost", str(len(lost)), "0", not lost)
    verdict.check("doubled unsaid", str(street.doubled()), "0", not street.doubled())
    return verdict.status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--scale", type=float, default=0.1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log_to(Path(folder, "log"))
        status = asyncio.run(main(given.messages, given.users, given.scale, Path(folder)))
    sys.exit(status)
