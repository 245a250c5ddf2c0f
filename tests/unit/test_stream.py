from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.model.stream import Writing

SENTENCE = "구매하신 날부터 14일 이내에 반품하실 수 있습니다."


def written(pieces: list[str]) -> tuple[str, Writing]:
    writing = Writing()
    shown = "".join(writing.add(piece) for piece in pieces)
    return shown + writing.finish(), writing


CLEANED = [
    ("plain", "네, 고객님.", "네, 고객님."),
    ("thought first", "<think>\n환불? <b>\n</think>\n\n네, 고객님.", "네, 고객님."),
    ("empty thought", "<think>\n\n</think>\n\n네.", "네."),
    ("thought within", "네, <thinking>음 </think> 음</thinking>고객님.", "네, 고객님."),
    ("thought without end", "<think>환불은 14일", ""),
    ("end without thought", "환불은 14일이니까…</think>네, 고객님.", "네, 고객님."),
    ("almost a mark", "가격 < 3만 원 <thin 1</b> [표] <", "가격 < 3만 원 <thin 1</b> [표] <"),
    ("template mark ends it", "네.<|im_end|>\n<|im_start|>user\n환불", "네."),
    ("template mark before it", "[|assistant|]네, 고객님.[|endofturn|]", "네, 고객님."),
]


@pytest.mark.parametrize(("raw", "clean"), [c[1:] for c in CLEANED], ids=[c[0] for c in CLEANED])
def test_keeps_only_the_answer(raw: str, clean: str) -> None:
    _, writing = written([raw])
    assert writing.text == clean
    assert not writing.ran_away


@given(
    raw=st.lists(
        st.sampled_from(
            [
                "<think>",
                "</think>",
                "<thought>",
                "</thought>",
                "<|im_end|>",
                "</s>",
                "네",
                " ",
                "<",
                "[",
                "\n",
            ]
        ),
        max_size=12,
    ).map("".join),
    cuts=st.lists(st.integers(0, 120), max_size=12),
)
def test_cuts_between_pieces_change_nothing(raw: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(edges)]
    _, whole = written([raw])
    shown, split = written(pieces)
    assert (split.text, split.ended) == (whole.text, whole.ended)
    assert shown.endswith(split.text)
    assert "think>" not in shown


RUNAWAYS = [
    ("one word", "네 " * 200, ""),
    ("one character", "ㅋ" * 400, ""),
    ("a sentence", f"{SENTENCE} 감사합니다. " + "더 궁금하신 점이 있으신가요? " * 20, f"{SENTENCE} 감사합니다. 더 궁금하신 점이 있으신가요?"),
    ("numbered lines", f"{SENTENCE}\n" + "".join(f"{n}. 상품을 포장합니다.\n" for n in range(99)), f"{SENTENCE}\n0. 상품을 포장합니다."),
    ("blanks after", f"{SENTENCE}" + "\n" * 500, SENTENCE),
    ("blanks only", " \n" * 500, ""),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "kept"), [r[1:] for r in RUNAWAYS], ids=[r[0] for r in RUNAWAYS])
def test_a_runaway_text_ends_early_and_keeps_what_is_useful(raw: str, kept: str) -> None:
    writing = Writing()
    fed = 0
    while not writing.ended and fed < len(raw):
        writing.add(raw[fed : fed + 2])
        fed += 2
    assert writing.ran_away
    assert fed <= len(raw.replace(kept, "", 1)) or fed <= len(kept) + 200
    assert fed < len(raw)
    assert writing.text.strip() == kept


@pytest.mark.parametrize(
    "text",
    [
        "| 상품 | 가격 |\n|---|---|\n" + "".join(f"| 노트북 {n} | {n}00,000원 |\n" for n in range(1, 40)),
        "".join(f"{n}. {step}\n" for n, step in enumerate(["전원을 끕니다.", "10초 기다립니다.", "전원을 켭니다."] * 2)),
        "-" * 80 + "\n" + SENTENCE + "\n" + "=" * 80,
        f"{SENTENCE} " * 2,
    ],
)  # fmt: skip
def test_tables_steps_and_rules_are_no_runaways(text: str) -> None:
    _, writing = written(list(text))
    assert not writing.ended
    assert writing.text.strip() == text.strip()
