"""What customers ask beside one question: what it leans towards, and how strange it is."""

from __future__ import annotations

import numpy as np
import pytest

from brain.knowledge import topics
from brain.knowledge.embed import open_embedder
from brain.knowledge.topics import LEAN, Topics

EMBEDDER = open_embedder("bundled", ollama_host="")


def shipped() -> Topics:
    found = topics.of(EMBEDDER.fingerprint)
    assert found is not None
    return found


def axes(*numbers: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(numbers)]


def bank(said: np.ndarray, about: np.ndarray, usual: float = 0) -> Topics:
    topic, mean = np.arange(len(said)), usual * axes(1)[0]
    return Topics(said=said, topic=topic, about=about, names=["가", "나"], usual=mean)


def test_a_question_leans_towards_its_topic_and_no_further() -> None:
    few = bank(axes(0, 1), axes(2, 3))
    leaned = few.lean(axes(0)[0])
    vector = leaned.vector
    assert leaned.familiar == 1
    assert leaned.towards == ("가",)
    assert vector @ vector == pytest.approx(1)
    assert vector[2] / vector[0] == pytest.approx(LEAN)
    assert vector[3] < 1e-6


def test_a_question_unlike_all_stays_as_it_is() -> None:
    few = bank(axes(0, 1), axes(2, 3))
    leaned = few.lean(axes(3)[0])
    assert leaned.familiar == 0
    assert leaned.towards == ()
    assert leaned.vector.tolist() == axes(3)[0].tolist()
    assert leaned.agreement(few.subjects(axes(2, 3), [2]), [0, 0], [0, 1]).tolist() == [0, 0]


def test_what_all_questions_have_in_common_counts_less() -> None:
    both = (axes(0)[0] + axes(1)[0]) / 2**0.5
    leaned = bank(axes(2, 3), axes(2, 3), usual=1).lean(both)
    assert leaned.vector[0] > 2 * leaned.vector[1] > 0


def test_passages_agree_with_a_question_of_their_topic() -> None:
    few = bank(axes(0, 1), axes(2, 3))
    subjects = few.subjects(axes(3, 2, 2), [1, 2])
    agreement = few.lean(axes(0)[0]).agreement(subjects, [0, 1, 1], [0, 0, 1])
    assert agreement.tolist() == pytest.approx([0, 1, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("검정 구두 주문했는데 갈색이 왔어요", "오배송 안내\n주문하신 상품과 다른 상품이 온 경우"),
        ("차 가지고 가도 되죠?", "주차 안내\n건물 지하 주차장을 이용하실 수 있습니다."),
        ("로그인이 자꾸 틀렸다고 나와요", "비밀번호 재설정\n비밀번호를 잊으신 경우"),
    ],
)
def test_customers_words_come_nearer_to_documents(said: str, written: str) -> None:
    vector = EMBEDDER.query(said)
    passage = EMBEDDER.passages([written])[0]
    assert shipped().lean(vector).vector @ passage > vector @ passage + 0.03


def test_small_talk_is_strange() -> None:
    asked = [shipped().lean(EMBEDDER.query(q)).familiar for q in ("환불 언제 돼요?", "교환할래요")]
    talk = ("오늘 꿈이 정말 이상했어", "지구에서 달까지 거리는?", "파이썬으로 퀵소트 짜 줘")
    assert min(asked) > max(shipped().lean(EMBEDDER.query(text)).familiar for text in talk)


def test_another_embedder_has_none() -> None:
    assert topics.of("sentence-transformers-5-some-model") is None
