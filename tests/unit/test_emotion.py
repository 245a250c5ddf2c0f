"""The shipped head on vectors of real words, and the arithmetic of its evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from brain.emotion import NEUTRAL, EmotionHead, evaluate
from brain.knowledge.embed import open_embedder
from brain.messages import Emotion

HELD_OUT = (
    Path(__file__).parents[2].parent / "shared/data/korean/emotion/customer_service_200.jsonl"
)


@pytest.fixture(scope="module")
def head() -> EmotionHead:
    return EmotionHead.bundled()


@pytest.fixture(scope="module")
def embedder() -> object:
    return open_embedder("bundled", ollama_host="")


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("도대체 몇 번을 전화해야 처리해 주실 건가요? 정말 화가 나네요", "angry"),
        ("혹시 돈을 못 돌려받을까 봐 너무 불안하고 걱정돼요", "anxious"),
        ("기대했는데 정말 속상하고 실망스럽네요 ㅠㅠ", "sad"),
        ("친절하게 알려주셔서 정말 감사합니다 최고예요", "satisfied"),
        ("노트북 배송은 며칠 걸리나요?", "neutral"),
    ],
)
def test_reads_plain_moods(head: EmotionHead, embedder: object, said: str, label: str) -> None:
    reading = head.read(embedder.query(said))
    assert reading.label == label
    assert sum(reading.probabilities.values()) == pytest.approx(1)
    assert (reading.intensity == 0) is (label == "neutral")
    assert 0 <= reading.intensity <= 1


def test_head_belongs_to_the_bundled_embedder(head: EmotionHead, embedder: object) -> None:
    assert embedder.fingerprint.startswith(head.embedder)
    assert head.weights.shape == (len(head.labels), embedder.dimension)


@pytest.mark.skipif(not HELD_OUT.exists(), reason="labelled utterances are not at hand")
def test_held_out_customers(head: EmotionHead, embedder: object) -> None:
    rows = [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    readings = [head.read(embedder.query(row["text"])) for row in rows]
    result = evaluate(readings, [row["label"] for row in rows])
    assert result["macro_f1"] >= 0.80
    assert result["auroc"]["negative"] >= 0.95


def test_evaluation_of_a_known_table() -> None:
    def reading(label: str, angry: float) -> Emotion:
        rest = dict.fromkeys(["anxious", "sad", "satisfied", "neutral"], (1 - angry) / 4)
        return Emotion(label=label, intensity=0.0, probabilities={"angry": angry, **rest})

    readings = [reading("angry", 0.9), reading("neutral", 0.4), reading("angry", 0.6), NEUTRAL]
    result = evaluate(readings, ["angry", "angry", "neutral", "neutral"])
    assert result["n"] == 4
    assert result["accuracy"] == 0.5
    assert result["per_label"]["angry"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2}
    assert result["macro_f1"] == 0.5
    assert result["auroc"]["angry"] == 0.75
    assert evaluate([NEUTRAL], ["neutral"])["auroc"] == {"negative": None, "angry": None}


def test_probabilities_survive_extreme_scores() -> None:
    head = EmotionHead(
        labels=("angry", "neutral"),
        weights=np.array([[1e4], [-1e4]], dtype=np.float32),
        bias=np.zeros(2, dtype=np.float32),
        embedder="none",
    )
    assert head.read(np.array([1.0], dtype=np.float32)).intensity == 1.0
