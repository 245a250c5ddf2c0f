"""Recall and precision of redaction on labelled strings and documents.

    python -m tests.bench.pii_eval [FOLDER] [-v]

FOLDER holds strings.json and documents.jsonl. A labelled value counts as found when at least 80 %
of its characters are masked; a find counts as false when it touches no labelled value of any type.
"""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from brain.redaction import find, redact

DEFAULT = Path(__file__).parents[2].parent / "shared/data/korean/pii"
CORE = ("RRN", "FRN", "PHONE", "CARD", "ACCOUNT", "EMAIL")
OTHERS = ("ADDRESS", "PASSPORT", "DRIVER_LICENSE", "BUSINESS_REG")


def covered(start: int, end: int, spans: Iterable[tuple[int, int, str]]) -> float:
    return sum(max(0, min(end, e) - max(start, s)) for s, e, _ in spans) / (end - start)


def occurrences(text: str, value: str) -> Iterable[tuple[int, int]]:
    at = text.find(value)
    while at >= 0:
        yield at, at + len(value)
        at = text.find(value, at + 1)


def strings(folder: Path) -> list[tuple[str, ...]]:
    """Print the score of the short strings; give the wrong ones."""
    labelled = json.loads((folder / "strings.json").read_text(encoding="utf-8"))
    values = [(row["text"], *span) for row in labelled["positive"] for span in row["spans"]]
    missed = [
        (text, text[start:end])
        for text, start, end, _ in values
        if covered(start, end, find(text)) < 0.8
    ]
    flagged = [(text, redact(text).text) for text in labelled["negative"] if find(text)]
    print(f"strings         found {len(values) - len(missed)} of {len(values)}")
    print(f"look-alikes     flagged {len(flagged)} of {len(labelled['negative'])}")
    return [*missed, *flagged]


def documents(folder: Path) -> list[tuple[str, ...]]:
    """Print the score of the documents; give what was missed and what was flagged wrongly."""
    rows = [json.loads(line) for line in (folder / "documents.jsonl").open(encoding="utf-8")]
    wanted: Counter[str] = Counter()
    got: Counter[str] = Counter()
    wrong: list[tuple[str, ...]] = []
    finds = false = 0
    seconds = 0.0
    for row in rows:
        text = unicodedata.normalize("NFC", row["text"])
        began = time.perf_counter()
        spans = find(text)
        seconds += time.perf_counter() - began
        labels = [(label["type"], places(text, label)) for label in row["pii"]]
        for kind, at in labels:
            if kind not in CORE + OTHERS or not at:
                continue
            wanted[kind] += 1
            hit = any(covered(start, end, spans) >= 0.8 for start, end in at)
            got[kind] += hit
            if not hit:
                wrong.append(("missed", kind, text[slice(*at[0])]))
        finds += len(spans)
        for start, end, kind in spans:
            if not any(s < end and start < e for _, at in labels for s, e in at):
                false += 1
                wrong.append(("false", kind, text[max(0, start - 20) : end + 10]))
    for kind in CORE + OTHERS:
        print(
            f"{kind:15} {got[kind]:4} of {wanted[kind]:4}  {got[kind] / max(1, wanted[kind]):.3f}"
        )
    core = sum(got[kind] for kind in CORE) / sum(wanted[kind] for kind in CORE)
    print(f"recall          {core:.3f} (first six), {got.total() / wanted.total():.3f} (all)")
    print(f"precision       {1 - false / finds:.3f} ({false} false of {finds})")
    print(f"time            {seconds / len(rows) * 1000:.2f} ms a document")
    return wrong


def places(text: str, label: dict[str, str]) -> list[tuple[int, int]]:
    value = unicodedata.normalize("NFC", label["text"])
    if label["type"] == "ACCOUNT":
        value = re.sub(r"^\D+", "", value)  # the name of the bank may stay
    return list(occurrences(text, value))


if __name__ == "__main__":
    paths = [Path(a) for a in sys.argv[1:] if not a.startswith("-")]
    folder = paths[0] if paths else DEFAULT
    wrong = [*strings(folder), *documents(folder)]
    if "-v" in sys.argv:
        print(*wrong, sep="\n")
