"""Precision and recall of the exceptions that turns end with, on labelled utterances.

    python -m tests.bench.exceptions [FILE] [--config sangdam.yaml] [--show]

Every utterance of `exceptions.jsonl` (or FILE) is answered without a model, each in a conversation of its
own (after its `history`, if it has one); what counts is `Turn.exceptions`. Rows called `held_out`,
and those of `exceptions_unseen.jsonl`, were not used while building: `--show` prints mistakes of the
rows called `build` only, among them all of `exceptions_fresh.jsonl`.
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
from bot.app import App, build
from brain.memory import Exchange, Session
from brain.messages import Address, Message, Turn
from brain.redaction import redact

ROWS = Path(__file__).with_name("exceptions.jsonl")
RECORDED = {"medical_disclaimer": "legal_disclaimer"}
"""Labels that are wordings of one handler."""
NOT_LABELLED = ("partial_match",)
"""Depends on what the documents hold, so that no label says when it is right."""


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, default=ROWS)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    settings = configuration.load(arguments.config)
    rows = [json.loads(line) for line in arguments.file.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.config is None:
            settings = settings.model_copy(update={"data": Path(folder)})
        no_model = settings.model.model_copy(update={"host": "http://127.0.0.1:9"})
        app = await build(settings.model_copy(update={"model": no_model}))
        try:
            await app.index()
            for split in dict.fromkeys(row["split"] for row in rows):
                await measure(app, [row for row in rows if row["split"] == split], arguments.show)
        finally:
            await app.close()


async def measure(app: App, rows: list[dict], show: bool) -> None:
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    bothered = ordinary = 0
    for row in rows:
        turn = await answer(app, row)
        said = set(turn.exceptions) - set(NOT_LABELLED)
        meant = {RECORDED.get(label, label) for label in row["label"]}
        right.update(said & meant)
        wrong.update(said - meant)
        missed.update(meant - said)
        ordinary += not meant
        bothered += bool(said and not meant)
        if show and row["split"] == "build" and said != meant:
            print(sorted(meant), "->", sorted(said), row["text"])
    print(f"\n{rows[0]['split']}: {len(rows)} utterances")
    for name in sorted(right | wrong | missed):
        print(f"  {name:38} {rates(right[name], wrong[name], missed[name])}")
    print(f"  {'overall':38} {rates(right.total(), wrong.total(), missed.total())}")
    print(f"  ordinary messages caught: {bothered} of {ordinary}")


def rates(right: int, wrong: int, missed: int) -> str:
    precision = right / max(1, right + wrong)
    recall = right / max(1, right + missed)
    return f"precision {precision:.3f}  recall {recall:.3f}  (n {right + missed})"


async def answer(app: App, row: dict) -> Turn:
    now = datetime.now(UTC)
    address = Address(channel="bench", conversation=row["text"], user="u")
    exchanges = tuple(
        Exchange(turn=str(at), at=now, customer=said["user"], assistant=said["assistant"], kind="")
        for at, said in enumerate(row.get("history", ()))
    )
    message = Message(id="1", address=address, text=redact(row["text"]).text, sent_at=now)
    session = Session(address=address, exchanges=exchanges)
    turn, _ = await app.brain.answer([message], session, now=now)
    return turn


if __name__ == "__main__":
    asyncio.run(main())
