from __future__ import annotations

import pytest

from brain.model import installed

GB = 10**9


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({}, ""),
        ({"nomic-embed-text:latest": GB, "bge-m3:latest": GB, "llama-guard3:8b": 5 * GB}, ""),
        ({"llama3.1:8b": 5 * GB, "qwen3:8b": 5 * GB, "gemma3:4b": 3 * GB}, "qwen3:8b"),
        ({"qwen3:8b": 5 * GB, "hf.co/LGAI-EXAONE/EXAONE-3.5-7.8B:Q4": 5 * GB}, "hf.co/LGAI-EXAONE/EXAONE-3.5-7.8B:Q4"),
        ({"qwen3:4b": 3 * GB, "qwen3:14b": 9 * GB, "qwen3:32b": 20 * GB}, "qwen3:14b"),
        ({"qwen3:0.6b": GB // 2, "llama3.2:3b": 2 * GB}, "llama3.2:3b"),
        ({"qwen3-coder:30b": 19 * GB, "tinyllama:latest": GB // 2}, "tinyllama:latest"),
        ({"qwen2.5-coder:7b": 5 * GB}, "qwen2.5-coder:7b"),
        ({"gpt-oss:120b-cloud": 384, "kimi-k2:cloud": 384}, ""),
    ],
)  # fmt: skip
def test_best(names: dict[str, int], chosen: str) -> None:
    assert installed.best(names) == chosen


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("gemma3", "gemma3:latest"),
        ("gemma3:latest", "gemma3:latest"),
        ("qwen3:8b", "qwen3:8b"),
        ("QWEN3:8B", "qwen3:8b"),
        ("qwen3", ""),
        ("hf.co:443/a/b", "hf.co:443/a/b:latest"),
    ],
)
def test_named(wanted: str, found: str) -> None:
    there = {"gemma3:latest": GB, "qwen3:8b": GB, "hf.co:443/a/b:latest": GB}
    assert installed.named(wanted, there) == found
