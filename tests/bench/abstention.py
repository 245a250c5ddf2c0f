"""How often Sangdam, without a model, declines what it cannot answer and what it can.

python tests/bench/abstention.py [--config sangdam.yaml] [--questions F] [--unanswerable F]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from bot import config as configuration
from bot.app import build
from brain.memory import Session
from brain.messages import Address, Message, Turn

HERE = Path(__file__).parent
DECLINED = ("abstained", "exception")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--questions", type=Path, default=HERE / "techmarket_questions.jsonl")
    parser.add_argument("--unanswerable", type=Path, default=HERE / "techmarket_unanswerable.jsonl")
    parser.add_argument("--show", action="store_true", help="print what went the wrong way")
    arguments = parser.parse_args()
    settings = configuration.load(arguments.config)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.config is None:
            settings = settings.model_copy(update={"data": Path(folder)})
        no_model = settings.model.model_copy(update={"host": "http://127.0.0.1:9"})
        app = await build(settings.model_copy(update={"model": no_model}))
        try:
            await app.index(
                lambda done, total: print(f"\rindexing {done}/{total}", end="", flush=True)
            )
            print()
            asked = [("answerable", row) for row in rows(arguments.questions)]
            asked += [(row["kind"], row) for row in rows(arguments.unanswerable)]
            total: Counter[str] = Counter()
            declined: Counter[str] = Counter()
            right = 0
            for group, row in asked:
                turn = await answer(app, row["q"])
                total[group] += 1
                if turn.reply.kind in DECLINED:
                    declined[group] += 1
                elif group == "answerable":
                    right += any(source.document in row["source"] for source in turn.reply.sources)
                wrong = (turn.reply.kind in DECLINED) == (group == "answerable")
                if arguments.show and wrong:
                    print(
                        f"{group:10} {turn.confidence.probability:.3f} {turn.reply.kind:9} {row['q']}"
                    )
        finally:
            await app.close()
    for group in total:
        share = declined[group] / total[group]
        print(f"{group:10} n={total[group]:3}  declined {declined[group]:3} = {share:6.1%}")
    print(f"right document named first: {right / total['answerable']:.1%} of the answerable ones")


def rows(path: Path) -> list[dict]:
    return [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    ]


async def answer(app, text: str) -> Turn:
    address = Address(channel="bench", conversation=text, user="u")
    now = datetime.now(UTC)
    message = Message(id=text, address=address, text=text, sent_at=now)
    turn, _ = await app.brain.answer([message], Session(address=address), now=now)
    return turn


if __name__ == "__main__":
    asyncio.run(main())
