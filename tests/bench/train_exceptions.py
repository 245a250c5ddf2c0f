"""Trains `brain/exceptions/hunch.npz`: which exception a message is about where no pattern shows.

    python -m tests.bench.train_exceptions [--write]

Trained on the utterances beside this file, the `build` half of `exceptions.jsonl`, and the sample
company's questions as ordinary ones; never on the half that `exceptions.py` measures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict

from brain.exceptions.hunch import BESIDES, COLUMNS, SURE, columns
from brain.knowledge.embed import open_embedder
from brain.redaction import redact

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "brain/exceptions/hunch.npz"
HANDLERS = {"medical_disclaimer": "legal_disclaimer.medical"}
LEFT_TO_PATTERNS = ("language_barrier", "invalid_input")
STRENGTH = 100.0


def rows() -> list[tuple[str, set[str]]]:
    """Utterances and their labels; none for ordinary ones."""
    found = [
        (row["text"], set(row["label"]))
        for name in ("exception_utterances.jsonl", "exceptions.jsonl")
        for row in read(name)
        if row.get("split", "build") == "build"
    ]
    found += [(row["q"], set()) for row in read("techmarket_questions.jsonl")[::2]]
    found += [
        (row["q"], {"out_of_scope"})
        for row in read("techmarket_unanswerable.jsonl")
        if row["kind"] == "far"
    ]
    return found


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def letters(texts: list[str]) -> csr_matrix:
    """The columns of every text, each of length one."""
    found = [columns(text) for text in texts]
    at = np.cumsum([0, *map(len, found)])
    values = np.concatenate([np.full(len(each), len(each) ** -0.5) for each in found])
    return csr_matrix((values, np.concatenate(found), at), shape=(len(texts), COLUMNS))


def train(vectors: np.ndarray, texts: list[str], labels: list[set[str]], *, write: bool) -> None:
    """Fit one regression for each label, print how it does in cross-validation."""
    names = sorted(set().union(*labels) - set(LEFT_TO_PATTERNS))
    middle = vectors.mean(axis=0)
    features = hstack([csr_matrix(vectors - middle), letters(texts)]).tocsr()
    slopes, bias = [], []
    for name in names:
        positive = np.array([name in each for each in labels])
        model = LogisticRegression(C=STRENGTH, max_iter=2000, solver="liblinear")
        folds = KFold(5, shuffle=True, random_state=1)
        chances = cross_val_predict(model, features, positive, cv=folds, method="predict_proba")
        print(f"{name:38} n {positive.sum():3}", end="")
        for enough in (SURE, BESIDES):
            said = chances[:, 1] >= enough
            right = int((said & positive).sum())
            print(
                f"  at {enough}: precision {right / max(1, said.sum()):.2f}"
                f" recall {right / positive.sum():.2f}",
                end="",
            )
        print()
        model.fit(features, positive)
        slopes.append(model.coef_[0])
        bias.append(model.intercept_[0] - model.coef_[0][: len(middle)] @ middle)
    if write:
        meaning, said = np.split(np.array(slopes).T, [len(middle)])
        scale = np.abs(said).max(axis=0) / 127
        np.savez_compressed(
            WEIGHTS,
            names=json.dumps([HANDLERS.get(name, name) for name in names]),
            meaning=meaning.astype(np.float16),
            letters=np.rint(said / scale).astype(np.int8),
            scale=scale.astype(np.float32),
            bias=np.array(bias, dtype=np.float32),
        )
        print(f"wrote {WEIGHTS.name}, {WEIGHTS.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    embedder = open_embedder("bundled", ollama_host="")
    utterances = rows()
    texts = [redact(text).text for text, _ in utterances]
    vectors = np.array([embedder.query(text) for text in texts])
    train(vectors, texts, [labels for _, labels in utterances], write=arguments.write)


if __name__ == "__main__":
    main()
