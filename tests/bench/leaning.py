"""Where the rules for follow-ups are unsure: the bounds in which a model is asked, see `UNSURE`.

Run: python tests/bench/leaning.py [--keep FOLDER]

171 dialogues of four companies, and 582 of their plain questions after a turn about something else.
For each part: how often the right passage comes first by the rules, and with the question alone.
`--keep` leaves the indexes for the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from bot.config import Config  # noqa: E402 - the path must be set first
from bot.knowledge import library  # noqa: E402 - as above
from bot.store.store import Store  # noqa: E402 - as above
from brain.followup import Before, look_up  # noqa: E402 - as above
from brain.knowledge.questions import Question  # noqa: E402 - as above
from brain.second_look import unsure  # noqa: E402 - as above

COMPANIES = {
    ROOT / "kb": ("techmarket_followups.jsonl", "techmarket_questions.jsonl"),
    **{
        HERE / "companies" / name / "kb": (
            f"companies/{name}/followups.jsonl",
            f"companies/{name}/questions.jsonl",
        )
        for name in ("hotel", "clinic", "academy")
    },
}
Counts = dict[tuple[str, str], list[int]]
"""Questions, first by the rules, first alone; by kind and by whether the model would be asked."""


def rows(name: str) -> list[dict]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


async def measure(folder: Path, data: Path, dialogues: list, plain: list, counts: Counts) -> None:
    rng = random.Random(1)
    config = Config.model_validate({"data": data, "knowledge": {"folder": folder}})
    store = await Store.open(data / "sangdam.db")
    opened = library(config, store)
    try:
        await opened.reload()
        turns = [row["history"][-1] for row in dialogues]
        asked = [("leans", row, turn) for row, turn in zip(dialogues, turns, strict=True)]
        asked += [("stands alone", row, rng.choice(turns)) for row in plain]
        for kind, row, turn in asked:
            source = row["source"] if isinstance(row["source"], list) else [row["source"]]
            wanted = Question(text=row["q"], sources=tuple(source), must=tuple(row["must"]))
            before = Before(asked=turn["user"], answered=turn["assistant"])
            looked = await look_up(opened, row["q"], before, k=1)
            alone = await opened.search(row["q"], k=1)
            count = counts[kind, "asked about" if unsure(looked) else "left to the rules"]
            found = (wanted.rank(looked.found.passages), wanted.rank(alone.passages))
            for at, one in enumerate((1, *found)):
                count[at] += one
    finally:
        await opened.close()
        await store.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder that keeps the indexes between runs")
    keep = parser.parse_args().keep
    counts: Counts = defaultdict(lambda: [0, 0, 0])
    with tempfile.TemporaryDirectory() as scratch:
        for folder, (dialogues, questions) in COMPANIES.items():
            data = (keep or Path(scratch)) / folder.parent.name
            data.mkdir(parents=True, exist_ok=True)
            await measure(folder, data, rows(dialogues), rows(questions), counts)
    for (kind, part), (number, rules, alone) in sorted(counts.items()):
        print(f"{kind:13s} {part:18s} {number:4d}: first by the rules {rules}, alone {alone}")


if __name__ == "__main__":
    asyncio.run(main())
