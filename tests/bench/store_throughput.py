"""How many messages a second the store keeps, beside one commit for every operation.

Run: `python tests/bench/store_throughput.py [messages]`.
The candidates alternate in rounds; medians are printed.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from bot.store.records import dump
from bot.store.store import Store
from bot.store.tables import metadata, turns
from brain.memory import Session
from brain.messages import Address, Message, Receipt, Reply, Turn

ROUNDS = 5
NOW = datetime.now(UTC)


def address(number: int) -> Address:
    return Address(channel="web", conversation=f"c{number % 100}", user="u")


def message(number: int) -> Message:
    text = "주문한 노트북 배송이 언제 오는지 알 수 있을까요?"
    return Message(id=str(number), address=address(number), text=text, sent_at=NOW)


def turn(number: int) -> Turn:
    said = message(number)
    text = "평일 오후 3시 이전에 결제하신 주문은 당일 출고됩니다. " * 4
    reply = Reply(id=str(number), in_reply_to=said.id, text=text, kind="answer")
    return Turn(id=str(number), address=said.address, messages=(said,), reply=reply, started_at=NOW)


def naive(path: Path, synchronous: str) -> Callable[[int], Awaitable[None]]:
    """A turn in a transaction of its own, in a thread: what one would write first."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection, _record) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")

    metadata.create_all(engine)

    def keep(number: int) -> None:
        made = turn(number)
        row = {"channel": "web", "conversation": made.address.conversation, "user": "u"}
        row |= {"id": made.id, "at": NOW, "kind": "answer", "failure": "", "messages": 1}
        with engine.begin() as db:
            db.execute(turns.insert(), row | {"remembered": True, "document": dump(made)})

    async def one(number: int) -> None:
        await asyncio.to_thread(keep, number)

    return one


def silent(number: int) -> Turn:
    """A turn without a reply to deliver, not remembered: the same single row as the naive one's."""
    made = turn(number)
    reply = Reply(id=made.id, in_reply_to=made.id, text=made.reply.text, kind="silent")
    return Turn(
        id=made.id, address=made.address, messages=(), reply=reply, started_at=NOW, remember=False
    )


def kept(store: Store) -> Callable[[int], Awaitable[None]]:
    """The same row through the store."""

    async def one(number: int) -> None:
        await store.commit(silent(number), Session(address=address(number)))

    return one


def whole(store: Store) -> Callable[[int], Awaitable[None]]:
    """Everything a message costs: received, session loaded, turn committed, receipt noted."""

    async def one(number: int) -> None:
        await store.receive(message(number), at=NOW)
        session = await store.session(address(number))
        await store.commit(turn(number), session)
        await store.receipt(str(number), Receipt(outcome="delivered"), at=NOW)

    return one


async def rate(one: Callable[[int], Awaitable[None]], numbers: range, at_once: int) -> float:
    """Operations a second."""
    waiting = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            await one(number)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return len(numbers) / (time.perf_counter() - began)


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = {
            mode: await Store.open(Path(folder, f"{mode}.db"), synchronous=mode)
            for mode in ("NORMAL", "FULL")
        }
        candidates = {}
        for mode, store in stores.items():
            candidates[f"one commit each, {mode}"] = naive(Path(folder, f"n{mode}.db"), mode)
            candidates[f"store: a turn, {mode}"] = kept(store)
        candidates["store: a whole message, NORMAL"] = whole(stores["NORMAL"])
        results: dict[tuple[str, int], list[float]] = {}
        number = 0
        for _ in range(ROUNDS):
            for name, one in candidates.items():
                for at_once in (1, 64):
                    found = await rate(one, range(number, number + count), at_once)
                    number += count
                    results.setdefault((name, at_once), []).append(found)
        for (name, at_once), rates in results.items():
            print(f"{name:32} {at_once:3} at once: {statistics.median(rates):7.0f} /s")
        for store in stores.values():
            await store.close()
        print(f"import and open, cold: {cold(Path(folder, 'NORMAL.db')):.3f} s")


def cold(path: Path) -> float:
    """Seconds from before the import to an open database, in a fresh process; the best of five."""
    code = """
import time; began = time.perf_counter()
import asyncio, sys
from pathlib import Path
from bot.store.store import Store
async def main():
    store = await Store.open(Path(sys.argv[1]))
    print(time.perf_counter() - began)
    await store.close()
asyncio.run(main())
"""
    command = [sys.executable, "-c", code, str(path)]
    return min(float(subprocess.check_output(command)) for _ in range(5))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
