"""The estimate of tokens, its correction by the model's counts, and the shares of the window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.errors import ConfigError
from brain.prompt.budget import MARGIN, PER_MESSAGE, Budget, Calibration, compression, weigh


def test_shares_are_those_of_the_window() -> None:
    budget = Budget(num_ctx=8000, reserve=1000)
    assert (budget.system, budget.history, budget.knowledge) == (1000, 4000, 2000)
    assert budget.limit == 7000


@pytest.mark.parametrize(
    ("num_ctx", "reserve", "says"), [(1024, 100, "at least 2048"), (4096, 3000, "at most 2048")]
)
def test_a_window_in_which_nothing_fits_is_refused(num_ctx: int, reserve: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Budget(num_ctx=num_ctx, reserve=reserve)


def test_the_estimate_weighs_by_script() -> None:
    assert weigh("가나다라마바사아자차") == pytest.approx(7.1)
    assert weigh("2025") == pytest.approx(4 * 2.04)
    assert weigh("   \t") == 0
    assert weigh("hello world") == pytest.approx(2.8)
    assert weigh("漢字😀") == pytest.approx(4.5)
    # Real tokenizers need 1.6 to 1.85 characters of Korean text for a token.
    text = "고객님, 교환과 환불은 상품을 받으신 날부터 신청하실 수 있습니다. 배송비는 무료입니다."
    assert 1.5 < len(text) / weigh(text) < 2.0


@given(st.text(), st.text())
def test_the_estimate_adds_up(one: str, two: str) -> None:
    assert weigh(one + two) == pytest.approx(weigh(one) + weigh(two))


@given(st.text(max_size=400), st.integers(60, 300), st.sampled_from([0.5, 1.0, 4.0]))
def test_shortened_text_fits_and_says_what_is_missing(
    text: str, tokens: int, factor: float
) -> None:
    budget = Budget(num_ctx=4096, reserve=512, factor=factor)
    short = budget.shorten(text, tokens, "…({n}자)…")
    assert budget.count(short) <= tokens
    if short != text:
        head, _, rest = short.partition("…(")
        missing, _, tail = rest.partition("자)…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) + len(tail) + int(missing.replace(",", "")) == len(text)
    else:
        assert budget.count(text) <= tokens


def test_messages_cost_their_template_too() -> None:
    budget = Budget(num_ctx=4096, reserve=512)
    messages = [{"role": "user", "content": "가" * 100}] * 3
    assert budget.count_messages(messages) == 3 * (PER_MESSAGE + budget.count("가" * 100))
    assert budget.count("가" * 100) == pytest.approx(71 * MARGIN, abs=1)


@pytest.mark.parametrize(
    ("remaining", "level"),
    [(0, "core"), (999, "core"), (1000, "standard"), (4999, "standard"), (5000, "detailed")],
)
def test_compression_follows_what_is_left(remaining: int, level: str) -> None:
    assert compression(remaining) == level


def test_the_correction_is_learned_per_model() -> None:
    messages = [{"role": "user", "content": "가" * 1000}]
    seen = Calibration()
    assert seen.factor("a") == 1.0
    for _ in range(20):
        seen.observe("a", messages, 1420 + PER_MESSAGE)
    assert seen.factor("a") == 2.0
    assert seen.factor("b") == 1.0


def test_a_count_that_leaves_out_what_was_cached_is_ignored() -> None:
    messages = [{"role": "user", "content": "가" * 1000}]
    seen = Calibration()
    seen.observe("a", messages, 710 + PER_MESSAGE)
    for _ in range(50):
        seen.observe("a", messages, 100)
    assert seen.factor("a") == 1.0
    seen.observe("a", [{"role": "user", "content": ""}], 100)
    assert seen.factor("a") == 1.0


def test_a_tokenizer_without_korean_stays_within_bounds() -> None:
    seen = Calibration()
    for _ in range(10):
        seen.observe("a", [{"role": "user", "content": "가" * 100}], 100_000)
    assert seen.factor("a") == 6.0


def test_after_much_english_the_correction_still_holds_for_korean() -> None:
    seen = Calibration()
    seen.observe("a", [{"role": "user", "content": "가" * 1000}], 2000)
    for _ in range(20):
        seen.observe("a", [{"role": "user", "content": "hello " * 200}], 250)
    assert seen.factor("a") > 2.5
