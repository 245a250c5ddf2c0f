"""Rankings put together and ranked again; a real cross-encoder where the extra is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import string
from pathlib import Path

import pytest

from brain.errors import KnowledgeError
from brain.knowledge.confidence import shipped
from brain.knowledge.ranking import CrossEncoder, reranked, together
from brain.knowledge.retrieve import Found
from brain.messages import Confidence, Passage
from brain.second_look import SecondLook
from tests.unit.shop import Shop

HIGH = Confidence(level="high", probability=0.99)
LOW = Confidence(level="low", probability=0.05)
TEXTS = {
    "delivery": "제주 지역 배송은 사흘 더 걸립니다.",
    "refund": "환불은 카드사에서 닷새 안에 처리합니다.",
    "points": "포인트는 구매 금액의 일 퍼센트입니다.",
}


def passage(name: str, score: float) -> Passage:
    text = TEXTS.get(name, name)
    return Passage(id=name, document=f"{name}.md", heading=name, text=text, score=score)


def found(confidence: Confidence = LOW, **scores: float) -> Found:
    passages = tuple(passage(name, score) for name, score in scores.items())
    return Found(passages=passages, confidence=confidence, rewritten=" ".join(scores))


def order(result: Found) -> list[str]:
    return [each.id for each in result.passages]


def test_what_several_wordings_find_comes_before_what_one_finds() -> None:
    whole = together(
        found(points=1.0, refund=0.8), [found(refund=1.0, delivery=0.9), found(delivery=1.0)]
    )
    assert order(whole) == ["delivery", "refund", "points"]
    assert [each.score for each in whole.passages] == pytest.approx([1.9 / 3, 1.8 / 3, 1 / 3])
    assert whole.passages[1].scores == {"question": 0.8, "queries": 0.5}
    assert whole.queries == ("refund delivery", "delivery")
    assert whole.rewritten == "points refund"


def test_another_wording_that_is_sure_makes_the_question_at_most_likely() -> None:
    sure = found(HIGH, refund=1.0)
    agreed = together(found(points=0.3, refund=0.2), [sure])
    assert order(agreed)[0] == "refund"
    assert agreed.confidence.level == "medium"
    assert agreed.confidence.probability < shipped().high
    outvoted = together(found(points=1.0), [sure, found(points=1.0)])
    assert (order(outvoted)[0], outvoted.confidence) == ("points", LOW)
    kept = together(found(HIGH, points=1.0), [found(points=1.0)])
    assert kept.confidence == HIGH


def test_without_other_wordings_everything_stays() -> None:
    first = found(points=1.0)
    assert together(first, []) is first


def test_what_was_not_judged_keeps_its_order_behind_the_rest() -> None:
    first = found(points=1.0, refund=0.8, delivery=0.6)
    again = reranked(first, {"delivery": 0.7, "gone": 0.9}, by="model")
    assert order(again) == ["delivery", "points", "refund"]
    assert [each.score for each in again.passages] == pytest.approx([0.7, 0.7, 0.56])
    assert again.passages[0].scores == {"first": 0.6, "rerank": 0.7}
    assert again.passages[1].scores == {"first": 1.0}
    assert (again.reranked, again.confidence) == ("model", LOW)
    for useless in ({}, {"points": math.nan}):
        assert reranked(first, useless, by="model") is first


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real one, tiny and untrained: whatever it says, it says it every time."""
    pytest.importorskip("sentence_transformers")
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("cross-encoder")
    letters = [*string.printable.split()[0], *sorted({c for text in TEXTS.values() for c in text})]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    vocabulary = list(dict.fromkeys(words))
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(vocabulary),
        intermediate_size=32,
        num_labels=1,
        initializer_range=1.0,
        **sizes,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


async def test_a_cross_encoder_orders_what_it_read(cross_encoder: Path) -> None:
    encoder = CrossEncoder(str(cross_encoder))
    first = found(points=1.0, refund=0.8, delivery=0.6)
    judged = await encoder.judge("제주 배송 얼마나 걸려요?", first.passages)
    assert judged == await encoder.judge("제주 배송 얼마나 걸려요?", first.passages)
    assert judged != await encoder.judge("환불은 언제 되나요?", first.passages)
    assert len(set(judged.values())) == 3
    assert all(0 < score < 1 for score in judged.values())
    again = reranked(first, judged, by="cross-encoder")
    assert order(again) == sorted(judged, key=lambda name: -judged[name])
    long = await encoder.judge("배송", [passage("가" * 5000, 1.0)])
    assert len(long) == 1
    encoder.close()


async def test_who_gives_up_waiting_does_not_hold_up_the_next(cross_encoder: Path) -> None:
    encoder = CrossEncoder(str(cross_encoder))
    crowd = [asyncio.create_task(encoder.judge("배송", [passage("points", 1)])) for _ in range(9)]
    await asyncio.sleep(0)
    for task in crowd[1:]:
        task.cancel()
    await asyncio.wait(crowd)
    assert await encoder.judge("배송", [passage("points", 1)])
    encoder.close()


async def test_a_second_look_reads_the_passages_with_the_question_as_long_as_there_is_time(
    cross_encoder: Path, tmp_path: Path
) -> None:
    encoder, shop = CrossEncoder(str(cross_encoder)), Shop(tmp_path)
    async with shop.library() as library:
        await library.reload()
        question = "제주 배송 얼마나 걸려요?"
        first = await library.search(question)
        again = await SecondLook(library, cross_encoder=encoder).search(question)
        judged = await encoder.judge(question, first.passages)
        assert order(again) == sorted(judged, key=lambda name: -judged[name])
        assert again.lookup == {**first.lookup, "reranked": "cross-encoder"}
        late = await SecondLook(library, cross_encoder=encoder, seconds=1e-6).search(question)
        assert late == first
    encoder.close()


def test_a_cross_encoder_that_is_not_here_is_one_clear_error(tmp_path: Path) -> None:
    extra = importlib.util.find_spec("sentence_transformers")
    said = "no model .* on this machine" if extra else r"sangdam\[sentence-transformers\]"
    with pytest.raises(KnowledgeError, match=f"knowledge.rerank: .*{said}"):
        CrossEncoder(str(tmp_path / "absent"))
