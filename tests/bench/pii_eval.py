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


def evaluate(folder: Path, *, verbose: bool = False) -> dict[str, float]:
    strings = json.loads((folder / "strings.json").read_text(encoding="utf-8"))
    missed = [
        (row["text"], row["text"][start:end])
        for row in strings["positive"]
        for start, end, _ in row["spans"]
        if covered(start, end, find(row["text"])) < 0.8
    ]
    flagged = [(text, redact(text).text) for text in strings["negative"] if find(text)]
    wanted: Counter[str] = Counter()
    got: Counter[str] = Counter()
    false: list[tuple[str, str]] = []
    finds = 0
    lines = (folder / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = 0.0
    for line in lines:
        row = json.loads(line)
        text = unicodedata.normalize("NFC", row["text"])
        began = time.perf_counter()
        spans = find(text)
        seconds += time.perf_counter() - began
        labelled: list[tuple[int, int]] = []
        for label in row["pii"]:
            places = list(occurrences(text, unicodedata.normalize("NFC", label["text"])))
            labelled += places
            kind = label["type"]
            if kind not in CORE + OTHERS or not places:
                continue
            wanted[kind] += 1
            if kind == "ACCOUNT":  # the name of the bank may stay
                number = re.sub(r"^\D+", "", label["text"])
                places = list(occurrences(text, number))
            if any(covered(start, end, spans) >= 0.8 for start, end in places):
                got[kind] += 1
            elif verbose:
                print(f"missed  {kind:15} {label['text']}")
        finds += len(spans)
        for start, end, kind in spans:
            if not any(s < end and start < e for s, e in labelled):
                false.append((kind, text[max(0, start - 20) : end + 10].replace("\n", "⏎")))
    if verbose:
        for row in (*missed, *flagged, *false):
            print("wrong  ", *row, sep="  ")
    for kind in CORE + OTHERS:
        print(f"{kind:15} {got[kind]:4} of {wanted[kind]:4}  {got[kind] / max(1, wanted[kind]):.3f}")
    core = sum(got[k] for k in CORE) / sum(wanted[k] for k in CORE)
    everything = got.total() / wanted.total()
    precision = 1 - len(false) / finds
    positives = sum(len(row["spans"]) for row in strings["positive"])
    print(f"strings         recall {positives - len(missed)}/{positives}, look-alikes flagged {len(flagged)}")
    print(f"documents       recall core {core:.3f}, all {everything:.3f}, precision {precision:.3f}")
    print(f"time            {seconds / len(lines) * 1000:.2f} ms a document")
    return {"core": core, "all": everything, "precision": precision, "flagged": len(flagged)}


if __name__ == "__main__":
    paths = [Path(a) for a in sys.argv[1:] if not a.startswith("-")]
    evaluate(paths[0] if paths else DEFAULT, verbose="-v" in sys.argv)
