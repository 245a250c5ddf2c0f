"""A gateway in a process of its own, which may be killed, and the platform at the other end.

The platform is the parent: it delivers what was not acknowledged again, keeps every reply that became
visible, and starts the process anew. They talk in packets over a Unix socket, each all or nothing.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from echo import EchoBrain, log_to, prompts, seeded, wire

from adapters.base import Accept, Capabilities
from bot.store.store import Store
from bot.supervise import Supervisor
from brain.messages import Address, Draft, Message, Receipt, Reply

MILESTONES = ("received", "started", "answered", "committed", "sent", "settled")
CHANNEL = "pipe"
PROMPTS = prompts()
"""Read before the fork, as reading them takes longer than everything else of a start."""
WAITING = {"sending", "again", "pending"}
"""States of a reply that are not its last."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """How a process lives and dies."""

    die_at: str = ""
    """Milestone at which it kills itself."""
    die_after: int = 1
    """How many times it passes that milestone, the deadly one included."""
    least: float = 0.0
    most: float = 0.2
    """Seconds that an answer takes."""
    drain: float = 15.0
    """Seconds to finish answers when told to stop."""


# ---- the process


class Pipe:
    """The channel: events come as packets, and so leave acknowledgements and replies."""

    def __init__(self, connection: socket.socket) -> None:
        self.name = CHANNEL
        self.capabilities = Capabilities(collects=False, limited=False)
        self.heard = None
        self._connection = connection
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, accept: Accept) -> None:
        """Hand in what comes, each on its own, as webhooks do."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def read() -> None:
            packet = self._connection.recv(65536, socket.MSG_DONTWAIT)
            if not packet:
                over.cancel()
                return
            task = asyncio.create_task(self._one(accept, json.loads(packet)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop.add_reader(self._connection, read)
        try:
            await over
        finally:
            loop.remove_reader(self._connection)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self, accept: Accept, packet: dict[str, str]) -> None:
        address = Address(channel=CHANNEL, conversation=packet["conversation"], user="u")
        await accept(
            Message(
                id=packet["id"],
                address=address,
                text=packet["text"],
                sent_at=datetime.fromisoformat(packet["at"]),
            )
        )
        self.send({"ack": packet["id"]})

    async def deliver(self, address: Address, reply: Reply) -> Receipt:
        """Visible as soon as it is in the socket, whatever becomes of this process."""
        self.send({"reply": reply.id, "text": reply.text, "notice": reply.notice})
        return Receipt(outcome="delivered", native_ids=(reply.id,))

    async def show(self, address: Address, draft: Draft) -> None:
        """Shows nothing."""

    def send(self, packet: dict[str, Any]) -> None:
        """A packet to the platform."""
        self._connection.send(json.dumps(packet).encode())


def live(door: str, database: str, life: Life) -> None:
    """The process: as `serve` does it, the channel is open before what is left is taken up."""
    log_to(Path(f"{database}.log"))
    asyncio.run(_live(door, Path(database), life))


async def _live(door: str, database: Path, life: Life) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(door)
    passed = Counter[str]()

    def milestone(name: str) -> None:
        passed[name] += 1
        if name == life.die_at and passed[name] == life.die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    store = await Store.open(database)
    pipe = Pipe(connection)
    brain = EchoBrain(PROMPTS, delay=seeded(1, life.least, life.most))
    gateway = wire(store, brain, pipe, milestone=milestone)
    channel = Supervisor(pipe, gateway.accept)
    channel.start()
    await gateway.resume()
    await stop.wait()
    await channel.stop()
    await gateway.drain(life.drain)
    await store.close()


# ---- the platform


@dataclass(frozen=True)
class Shown:
    """A reply that became visible."""

    reply: str
    text: str
    notice: str
    life: int


@dataclass
class Platform:
    """Everybody's chat windows, and the processes that answer in them, one after another."""

    folder: Path
    conversations: int = 40
    shown: list[Shown] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    """Every message by id."""
    lives: int = 0
    process: Any = None
    _processes: Any = None
    _listener: Any = None
    _connection: Any = None
    _reading: Any = None

    @property
    def database(self) -> Path:
        """Where the processes keep what they must not forget."""
        return self.folder / "lives.db"

    async def start(self, life: Life) -> None:
        """A new process; what was not acknowledged is delivered to it again."""
        if self._listener is None:
            # Forked from one that has imported everything: a start costs a tenth of a second.
            os.environ["PYTHONPATH"] = str(Path(__file__).parent)
            self._processes = multiprocessing.get_context("forkserver")
            self._processes.set_forkserver_preload(["lives"])
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._listener.bind(str(self.folder / "door"))
            self._listener.listen(1)
            self._listener.setblocking(False)
        self.lives += 1
        self.process = self._processes.Process(
            target=live, args=(str(self.folder / "door"), str(self.database), life)
        )
        self.process.start()
        async with asyncio.timeout(30):
            self._connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self._connection.setblocking(False)
        self._reading = asyncio.create_task(self._read(self._connection, self.lives))
        for packet in [each for each in self.sent.values() if each["id"] not in self.acknowledged]:
            await self._deliver(packet)

    async def say(self, conversation: int) -> None:
        """A customer says something."""
        number = str(len(self.sent))
        text = f"주문 {number}번 배송이 언제 오는지 알 수 있을까요?"
        packet = {
            "id": number,
            "conversation": f"c{conversation}",
            "text": text,
            "at": datetime.now(UTC).isoformat(),
        }
        self.sent[number] = packet
        await self._deliver(packet)

    async def _deliver(self, packet: dict[str, str]) -> None:
        # To a process that is gone: it was not acknowledged, so the next one gets it.
        try:
            await asyncio.get_running_loop().sock_sendall(
                self._connection, json.dumps(packet).encode()
            )
        except (BrokenPipeError, ConnectionResetError):
            await asyncio.sleep(0)

    async def _read(self, connection: socket.socket, life: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                packet = await loop.sock_recv(connection, 65536)
            except ConnectionResetError:
                # What it had not read is gone; what it said before it died is still to be read.
                continue
            if not packet:
                return
            told = json.loads(packet)
            if "ack" in told:
                self.acknowledged.add(told["ack"])
            else:
                self.shown.append(Shown(told["reply"], told["text"], told["notice"], life))

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the process a signal."""
        if self.process.is_alive():
            os.kill(self.process.pid, number)

    async def death(self, within: float) -> float | None:
        """Seconds until the process was gone and all that it said was read; None if it lives on."""
        began = time.monotonic()
        while self.process.is_alive():
            if time.monotonic() - began > within:
                return None
            await asyncio.sleep(0.002)
        took = time.monotonic() - began
        await self._reading
        self._connection.close()
        return took

    async def settled(self, within: float = 60.0) -> None:
        """Until everything is acknowledged, answered and delivered."""
        await _until(lambda: len(self.acknowledged) == len(self.sent), within, "acknowledged")
        await _until(lambda: not self._open(), within, "settled")

    def _open(self) -> int:
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as db:
            waiting = db.execute("SELECT count(*) FROM inbox WHERE state = 'waiting'").fetchone()[0]
            marks = ",".join("?" * len(WAITING))
            query = f"SELECT count(*) FROM outbox WHERE state IN ({marks})"
            return int(waiting) + int(db.execute(query, tuple(WAITING)).fetchone()[0])

    def account(self) -> Account:
        """What became of every message."""
        return Account(self)


async def _until(done: Callable[[], bool], within: float, what: str) -> None:
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > within:
            print(f"not everything was {what} within {within:.0f} s")
            return
        await asyncio.sleep(0.05)


class Account:
    """What became of every message, from the store and from what was visible."""

    def __init__(self, platform: Platform) -> None:
        with sqlite3.connect(platform.database) as db:
            states = dict(db.execute("SELECT event_id, state FROM inbox"))
            outbox = dict(db.execute("SELECT id, state FROM outbox"))
            turns = [json.loads(text) for (text,) in db.execute("SELECT document FROM turns")]
        answers: dict[str, list[str]] = {}
        for turn in turns:
            for said in turn["messages"]:
                answers.setdefault(said["id"], []).append(turn["id"])
        again = PROMPTS.phrase("delivery.again")
        plain = Counter(each.reply for each in platform.shown if again not in each.notice)
        labelled = Counter(each.reply for each in platform.shown if again in each.notice)
        self.messages = len(platform.sent)
        self.lost = [
            number
            for number in platform.acknowledged
            if states.get(number) != "answered" or number not in answers
        ]
        """Acknowledged, and without an answer."""
        self.unsettled = [
            number
            for number in platform.sent
            if states.get(number) != "answered"
            or len(answers.get(number, [])) != 1
            or outbox.get(answers[number][0], "sending") in WAITING
        ]
        """Not in exactly one final state: answered by one turn whose reply has its last receipt."""
        self.doubled = [
            number for number, made in answers.items() if sum(plain[turn] for turn in made) > 1
        ]
        """Shown more than one reply without a note."""
        self.labelled = sum(labelled.values())
        """Replies shown again, with the note that says so."""
        lives = Counter(each.life for each in platform.shown if again in each.notice)
        self.most_labelled = max(lives.values(), default=0)
        """Of them in one life, that is after one kill: turns that it met between commit and receipt."""
        self.twice_labelled = sum(count > 1 for count in labelled.values())
        self.unseen = [
            number
            for number, made in answers.items()
            if not any(plain[turn] + labelled[turn] for turn in made)
        ]
        """Answered, but no reply became visible: given up as maybe shown twice already."""
        late = PROMPTS.phrase("delivery.late")
        self.apologies = sum(turn["reply"]["text"] == late for turn in turns)
        self.joined = sum(len(turn["messages"]) > 1 for turn in turns)
        self.turns = len(turns)
        self.states = Counter(outbox.values())

    def print(self) -> None:
        """What is no target."""
        print(
            f"{self.messages} messages in {self.turns} turns ({self.joined} joined, "
            f"{self.apologies} apologies); replies {dict(self.states)}"
        )
        print(
            f"answered, but given up and never seen: {len(self.unseen)}; "
            f"replies labelled twice: {self.twice_labelled}; "
            f"labelled after one kill at most: {self.most_labelled}"
        )
