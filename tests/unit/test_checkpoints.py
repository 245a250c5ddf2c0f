"""The write-ahead log stays bounded while messages never stop coming."""

import asyncio
from datetime import UTC, datetime

from bot.store import checkpoints, database
from bot.store.store import Store
from brain.messages import Address, Message

PAGE = 4096
NOW = datetime(2026, 3, 2, tzinfo=UTC)


async def test_the_log_is_begun_anew_while_others_write_and_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "TICK", 0.01)
    monkeypatch.setattr(checkpoints, "MANY", 1)
    monkeypatch.setattr(checkpoints, "LONGEST", 40)
    monkeypatch.setattr(database, "_LONGEST_LOG", 1_000_000)  # the writer never does it
    path = tmp_path / "sangdam.db"
    log = tmp_path / "sangdam.db-wal"
    store = await Store.open(path)
    largest = 0
    try:
        for number in range(300):
            address = Address(channel="web", conversation=f"c{number}", user="u")
            said = Message(id=str(number), address=address, text="글" * 900, sent_at=NOW)
            assert await store.receive(said, at=NOW)
            await store.session(address)
            largest = max(largest, log.stat().st_size)
            await asyncio.sleep(0.001)
        # Written once each, 300 messages are more than a page each.
        assert largest < 200 * PAGE
        assert len(await store.unanswered()) == 300
    finally:
        await store.close()
