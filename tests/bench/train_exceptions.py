"""Trains `brain/exceptions/hunch.npz`: which exception a message is about where no pattern shows.

    python -m tests.bench.train_exceptions [--write]

Trained on the utterances beside this file, the rows called `build` of `exceptions.jsonl` and
`exceptions_fresh.jsonl`, and the sample company's questions as ordinary ones; never on the rows
that `exceptions.py` measures. What customers ask in `topics.jsonl` is nothing dangerous and nobody
else's field, whatever it may be besides.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack

from brain.exceptions.hunch import BESIDES, COLUMNS, DANGER, SURE, columns
from brain.knowledge.embed import open_embedder
from brain.redaction import redact

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "brain/exceptions/hunch.npz"
HANDLERS = {"medical_disclaimer": "legal_disclaimer.medical"}
LEFT_TO_PATTERNS = ("invalid_input",)
EVERY = ("",)
"""The beginning of every label."""
HARMLESS = ("critical_safety.", "out_of_scope")
ASKS = re.compile(r"[나까][요여]|[는은던]지|어떻게|언제|얼마|문의|안내|알려|방법|싶[어은습]")
"""What asks something can be answered without asking back."""
ORDINARY = 0.3
"""What one of the many ordinary questions of `topics.jsonl` counts beside one of the others."""
STRENGTH = 100.0
"""How much an utterance weighs against weights that are small."""
FOLDS = 5
OPTIONS = {"maxiter": 300, "maxfun": 600}


Labels = set[str]


def rows() -> list[tuple[str, Labels, Sequence[str]]]:
    """Utterances, their labels, none for ordinary ones, and beginnings of those that they are known for."""
    found: list[tuple[str, Labels, Sequence[str]]] = [
        (row["text"], set(row["label"]), EVERY)
        for name in ("exception_utterances.jsonl", "exceptions.jsonl", "exceptions_fresh.jsonl")
        for row in read(name)
        if row.get("split", "build") == "build"
    ]
    found += [(row["q"], set(), EVERY) for row in read("techmarket_questions.jsonl")[::2]]
    found += [
        (row["q"], {"out_of_scope"}, EVERY)
        for row in read("techmarket_unanswerable.jsonl")
        if row["kind"] == "far"
    ]
    for row in read("topics.jsonl"):
        for said in row["said"][:-1]:  # the last one is English
            known = (*HARMLESS, "insufficient_info") if ASKS.search(said) else HARMLESS
            found.append((said, set(), known))
    return found


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def letters(texts: list[str]) -> csr_matrix:
    """The columns of every text, each of length one."""
    found = [columns(text) for text in texts]
    at = np.cumsum([0, *map(len, found)])
    values = np.concatenate([np.full(len(each), len(each) ** -0.5) for each in found])
    return csr_matrix((values, np.concatenate(found), at), shape=(len(texts), COLUMNS))


def fit(
    features: csr_matrix, labels: npt.NDArray[np.bool_], counts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The weights of a logistic regression for every column of `labels`; the last row is the bias.

    `counts` says how much each label is worth: nothing where it is not known.
    """
    shape = (features.shape[1] + 1, labels.shape[1])
    transposed = features.T.tocsr()

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = flat.reshape(shape)
        scores = features @ weights[:-1] + weights[-1]
        costs = np.logaddexp(0, scores) - labels * scores
        slope = STRENGTH * counts * (1 / (1 + np.exp(-scores)) - labels)
        slopes = np.vstack([transposed @ slope + weights[:-1], slope.sum(axis=0)])
        return STRENGTH * (counts * costs).sum() + (weights[:-1] ** 2).sum() / 2, slopes.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=OPTIONS)
    return found.x.reshape(shape)


def train(
    vectors: np.ndarray,
    texts: list[str],
    labels: list[Labels],
    known_for: list[Sequence[str]],
    *,
    write: bool,
) -> None:
    """Fit one regression for each label, print how it does in cross-validation."""
    names = sorted(set().union(*labels) - set(LEFT_TO_PATTERNS))
    meant = np.array([[name in each for name in names] for each in labels])
    known = np.array([[name.startswith(tuple(each)) for name in names] for each in known_for])
    counts = np.where([[each == EVERY] for each in known_for], 1.0, ORDINARY) * known
    middle = vectors.mean(axis=0)
    features = hstack([csr_matrix(vectors - middle), letters(texts)]).tocsr()
    fold = np.random.default_rng(1).integers(FOLDS, size=len(texts))
    chances = np.zeros(meant.shape)
    for each in range(FOLDS):
        weights = fit(features[fold != each], meant[fold != each], counts[fold != each])
        scores = features[fold == each] @ weights[:-1] + weights[-1]
        chances[fold == each] = 1 / (1 + np.exp(-scores))
    for at, name in enumerate(names):
        print(f"{name:38} {rates(chances[known[:, at], at], meant[known[:, at], at])}")
    print(f"{'overall':38} {rates(chances[known], meant[known])}")
    if write:
        weights = fit(features, meant, counts)
        bias = weights[-1] - middle @ weights[: len(middle)]
        meaning, said = np.split(weights[:-1], [len(middle)])
        scale = np.abs(said).max(axis=0) / 127
        np.savez_compressed(
            WEIGHTS,
            names=json.dumps([HANDLERS.get(name, name) for name in names]),
            meaning=meaning.astype(np.float16),
            letters=np.rint(said / scale).astype(np.int8),
            scale=scale.astype(np.float32),
            bias=bias.astype(np.float32),
        )
        print(f"wrote {WEIGHTS.name}, {WEIGHTS.stat().st_size} bytes")


def rates(chances: np.ndarray, meant: npt.NDArray[np.bool_]) -> str:
    """Precision and recall at the probabilities from which a hunch counts."""
    shown = []
    for enough in sorted({SURE, DANGER, BESIDES}):
        said = chances >= enough
        right = int((said & meant).sum())
        shown.append(
            f"at {enough}: precision {right / max(1, said.sum()):.2f}"
            f" recall {right / meant.sum():.2f}"
        )
    return f"n {meant.sum():4}  " + "  ".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    embedder = open_embedder("bundled", ollama_host="")
    utterances = rows()
    texts = [redact(text).text for text, _, _ in utterances]
    vectors = np.array([embedder.query(text) for text in texts])
    _, labels, known_for = (list(column) for column in zip(*utterances, strict=True))
    train(vectors, texts, labels, known_for, write=arguments.write)


if __name__ == "__main__":
    main()
