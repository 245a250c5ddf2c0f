"""Ten hours of Discord and Telegram in trouble, on a clock that runs faster: the real client libraries, nobody waits.

Every timer of the process runs `factor` times faster, and a network on loopback takes as much longer, as seen
from there. Discord asks to reconnect (op 7), ends sessions (op 9), drops connections and refuses calls; Telegram
floods (429), names another poller (409), drops connections and sends updates that nobody can read. In the end every
question has its reply once, or a second time with a note that says so; no platform was stormed; and after a hundred
restarts of each channel one connection is open.

python tests/bench/hours.py [--hours 10] [--factor 60] [--restarts 100] [--seed 0] [--log FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import selectors
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from echo import EchoBrain, log_to, prompts, wire

from adapters.discord import TEXTS, Discord
from adapters.presentation import Labels
from adapters.telegram.channel import Telegram
from bot.store.store import Store
from bot.supervise import Supervisor
from brain.memory import Session
from brain.messages import Message, Turn
from tests.wire.discord_gateway import CHANNEL, DM, TOKEN
from tests.wire.discord_server import DiscordServer, Fault, Kind
from tests.wire.telegram_server import TOKEN as TELEGRAM_TOKEN
from tests.wire.telegram_server import Fault as TelegramFault
from tests.wire.telegram_server import Script, TelegramServer

BETWEEN, TROUBLE, RARE = 40.0, 90.0, 300.0
"""Seconds between two messages, two troubles, two troubles of a reply on its way to Telegram; on average."""
STORM = 12
"""Connects within a minute that would be one."""
MOST_USERS = 20


@contextmanager
def compressed(factor: float) -> Iterator[Callable[[], asyncio.AbstractEventLoop]]:
    """Everything that waits does so `factor` times shorter; makes the loops that it does so in."""
    real = time.monotonic
    began = real()

    class Hurried(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
        def select(self, timeout: float | None = None) -> Any:
            return super().select(timeout and timeout / factor)

    time.monotonic = lambda: began + (real() - began) * factor  # type: ignore[assignment]
    try:
        yield lambda: asyncio.SelectorEventLoop(Hurried())
    finally:
        time.monotonic = real


class Names(EchoBrain):
    """Answers with the names of the questions; thinks for some seconds."""

    async def answer(self, messages: Sequence[Message], *rest: Any, **more: Any) -> Any:
        """See `EchoBrain.answer`."""
        turn: Turn
        session: Session
        turn, session = await super().answer(messages, *rest, **more)
        text = " ".join(name for each in messages for name in re.findall(r"Q\d+", each.text))
        return replace(turn, reply=replace(turn.reply, text=text)), session


class Town:
    """Both platforms, their customers and their troubles."""

    def __init__(self, discord: DiscordServer, telegram: TelegramServer, seed: int) -> None:
        self.discord, self.telegram = discord, telegram
        self.asked: dict[str, str] = {}
        """Where each question was asked."""
        self.troubles: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._hurt = 0.0
        self._names = (f"Q{number}" for number in count())

    def _next(self, where: str) -> str:
        name = next(self._names)
        self.asked[name] = where
        return f"{name} 배송비는 얼마인가요?"

    async def every(self, seconds: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it again and again, `seconds` apart on average."""
        while True:
            await asyncio.sleep(self._dice.expovariate(1 / seconds))
            await act()

    async def write_on_discord(self) -> None:
        """A question in private or in a channel."""
        if self._dice.random() < 0.5:
            await self.discord.say(self._next("Discord, private"))
        else:
            await self.discord.say(self._next("Discord"), channel=CHANNEL, mention=True)

    async def write_on_telegram(self) -> None:
        """A question of one of many."""
        user = 111 + self._dice.randrange(MOST_USERS)
        self.telegram.say(self._next("Telegram"), chat=user, user=user)

    async def trouble_discord(self) -> None:
        """One of the things that Discord does."""
        what = self._dice.choice(
            ["op 7", "op 9, resumable", "op 9", "cut", "refused twice", "rest"]
        )
        self.troubles[f"discord {what}"] += 1
        server = self.discord
        if what == "op 7":
            await server.send_all({"op": 7, "d": None})
        elif what == "op 9, resumable":
            await server.send_all({"op": 9, "d": True})
        elif what == "op 9":
            server.sessions.clear()
            await server.send_all({"op": 9, "d": False})
        elif what == "rest":
            kinds: list[Kind] = ["429", "429 global", "500", "lost", "done, then lost"]
            kind = self._dice.choice(kinds)
            server.faults.append(Fault(on=r"POST .*/messages", kind=kind, seconds=5.0))
        else:
            server.invalidate_next = 2 if what == "refused twice" else 0
            server.cut()

    async def trouble_polling(self) -> None:
        """One of the things that Telegram does to who asks for updates."""
        kinds: list[TelegramFault] = ["flood", "conflict", "dropped", "lost", "error"]
        what = self._dice.choice(["poison", *kinds])
        self.troubles[f"telegram {what}"] += 1
        if what == "poison":
            self.telegram.update(message={"message_id": 1, "from": "nobody"})
        else:
            seconds = self._dice.randint(1, 30)
            self.telegram.script("getUpdates", Script(fault=what, seconds=seconds))  # type: ignore[arg-type]

    async def trouble_sending(self) -> None:
        """One of the things that Telegram does to a reply; to one and the same only once in a minute.

        A reply of which nothing is heard twice is given up, which is a policy and no accident.
        """
        if time.monotonic() - self._hurt < 60 or self.telegram.scripts["sendMessage"]:
            return
        self._hurt = time.monotonic()
        kinds: list[TelegramFault] = ["flood", "dropped", "lost", "error"]
        what = self._dice.choice(kinds)
        self.troubles[f"telegram send {what}"] += 1
        self.telegram.script("sendMessage", Script(fault=what, seconds=self._dice.randint(1, 30)))

    def shown(self) -> list[str]:
        """Every message of ours that somebody sees."""
        private = [each.text for chat in self.telegram.shown.values() for each in chat]
        return [
            each["content"] for where in (DM, CHANNEL) for each in self.discord.shown(where)
        ] + private

    def missing(self) -> set[str]:
        """Questions without a reply."""
        return set(self.asked) - set(re.findall(r"Q\d+", " ".join(self.shown())))


def busiest(moments: Sequence[float], seconds: float = 60.0) -> int:
    """The most of `moments` within so many seconds."""
    ordered = sorted(moments)
    return max((sum(at <= each < at + seconds for each in ordered) for at in ordered), default=0)


async def hours(town: Town, seconds: float, gateway: Any) -> None:
    """The troubled time, and as much calm after it as the last replies need."""
    acts = [
        town.every(BETWEEN, town.write_on_discord),
        town.every(BETWEEN, town.write_on_telegram),
        town.every(TROUBLE, town.trouble_discord),
        town.every(TROUBLE, town.trouble_polling),
        town.every(RARE, town.trouble_sending),
        town.every(30.0, gateway.sweep),
    ]
    tasks = [asyncio.create_task(each) for each in acts]
    await asyncio.sleep(seconds)
    for task in tasks[:-1]:
        task.cancel()
    end = time.monotonic() + 1800
    while (town.missing() or gateway.busy) and time.monotonic() < end:
        await asyncio.sleep(5)
    tasks[-1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def restart(supervisors: Sequence[Supervisor], times: int, begun: Callable[[], bool]) -> None:
    """Stop and start every channel so often; the last time it stays."""
    for _ in range(times):
        await asyncio.gather(*(each.stop() for each in supervisors))
        for each in supervisors:
            each.start()
        while not begun():
            await asyncio.sleep(1)


async def main(options: argparse.Namespace, folder: Path) -> int:
    log_to(options.log or folder / "hours.log")
    began = time.perf_counter()
    again = prompts().phrase("delivery.again")
    async with DiscordServer() as discord, TelegramServer() as telegram:
        discord.heartbeat = 41.25 / options.factor  # of a thread, which knows no other time
        telegram.takes_drafts = True
        labels = Labels(source="{document}", choices="")
        channels = (
            Discord(token=TOKEN, texts={name: name for name in TEXTS}, api_base=discord.api_base),
            Telegram(token=TELEGRAM_TOKEN, base_url=telegram.host, labels=lambda: labels),
        )
        store = await Store.open(folder / "hours.db", synchronous="NORMAL")
        brain = Names(prompts(), delay=lambda number: random.Random(number).uniform(1.0, 15.0))
        adapters = {each.name: each for each in channels}
        gateway = wire(store, brain, channels[0], limits=None)
        gateway._adapters = gateway._delivery._adapters = adapters  # both, not one
        await gateway.resume()
        supervisors = [Supervisor(each, gateway.accept) for each in channels]
        for each in supervisors:
            each.start()
        while not (discord.sessions and telegram.polls):
            await asyncio.sleep(1)
        town = Town(discord, telegram, options.seed)
        await hours(town, options.hours * 3600, gateway)
        shown = town.shown()
        first = Counter(
            name for text in shown if again not in text for name in re.findall(r"Q\d+", text)
        )
        doubled = [name for name, times in first.items() if times > 1]
        connects = discord.identifies + discord.resumes
        storm = busiest(connects)
        lives = [each.starts for each in supervisors]
        polls = busiest([each.at for each in telegram.polls])
        print(f"{options.hours:g} hours in {(time.perf_counter() - began) / 60:.1f} minutes")
        print(f"troubles: {dict(sorted(town.troubles.items()))}")
        print(f"questions: {len(town.asked)}, without a reply: {len(town.missing())}, "
              f"answered twice unsaid: {len(doubled)}, sent again with a note: {sum(again in each for each in shown)}")  # fmt: skip
        print(f"Discord: {len(discord.identifies)} sessions, {len(discord.resumes)} resumes, at most {storm} "
              f"connects a minute; Telegram: at most {polls} polls a minute; lives: {lives}")  # fmt: skip

        def begun() -> bool:
            return bool(discord.sessions) and telegram.polling > 0

        await restart(supervisors, options.restarts, begun)
        await asyncio.sleep(60)
        open_now = (len(discord.pipes), len(discord.sessions), telegram.polling)
        print(
            f"after {options.restarts} restarts: connections {open_now[0]}, sessions {open_now[1]}, polls {open_now[2]}"
        )
        await asyncio.gather(*(each.stop() for each in supervisors))
        await gateway.drain(5)
        await store.close()
    good = not town.missing() and not doubled and storm <= STORM and open_now == (1, 1, 1)
    lost = {name: town.asked[name] for name in sorted(town.missing())}
    print("good" if good else f"NOT good: without a reply {lost}, twice {doubled}")
    return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0, help="simulated")
    parser.add_argument("--factor", type=float, default=60.0, help="how much faster than life")
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="where to keep the log")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        compressed(given.factor) as loop,
        asyncio.Runner(loop_factory=loop) as runner,
    ):
        sys.exit(runner.run(main(given, Path(name))))
