"""The output guard over model-like answers, with seeded violations of every kind and without any.

    .venv/bin/python -m tests.bench.guard [--bad 500] [--clean 400] [--seed 7]

Answers are put together from the sample company's documents and streamed in pieces of 1 to 7
characters, as a model's server does. A wrong answer is written again by the same unreliable author;
what is wrong twice is quoted. What is left is looked through by other means than the guard's own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import yaml

from brain.facts import Facts
from brain.generate import Writer, Written
from brain.guard.grounds import Grounds
from brain.guard.guard import Guard
from brain.memory import Session
from brain.messages import Address, Situation
from brain.model.asked import Completion
from brain.model.llm import Model
from brain.model.stream import Writing
from brain.prompt.budget import Budget
from brain.prompt.compose import Composed
from brain.prompt.prompts import Prompts
from tests.bench.wrong_answers import (
    ANYWHERE,
    COMPETITORS,
    HERE,
    SEEDS,
    Source,
    bare,
    clean,
    seeded,
    sources,
)

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
BUDGET = Budget(num_ctx=8192, reserve=768)


LEFT: dict[str, re.Pattern[str]] = {
    "plain": re.compile(r"(?<![니])다[.!]|[가-힣](?:냐|니)\?|(?:능|필요|하|되|않|있|없)?[함됨임]\."),
    "familiar": re.compile(r"(?:이야|거야|해|돼|지 마|해 ?줘|있어|없어|보자|해 봐|알겠지|줄게)[.!?]|\b(?:가능|필요|제공)함\."),
    "customer": re.compile(r"(?<![가-힣])(?:당신|손님|고객(?=[은는이가을를께의도,.!]))"),
    "amount": re.compile(r"\d{4,}\s?원|[₩￦]|KRW"),
    "days": re.compile(r"근무일|업무일|워킹|working|business day"),
    "script": re.compile(r"[\u0400-\u04ff\u0600-\u06ff\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]"),
    "template": re.compile(r"<\|?/?(?:im_|think|s>|eot)|\[/?INST|###|(?m:^(?:상담원|고객|Assistant):)"),
    "competitor": re.compile("|".join(COMPETITORS)),
    "english": re.compile(r"(?:[A-Za-z]{2,}[ ,]+){6}"),
}  # fmt: skip


def left(text: str, poison: Sequence[str]) -> list[str]:
    """What is wrong with an answer still."""
    spoken = bare(text)
    return [
        *(kind for kind, pattern in LEFT.items() if pattern.search(spoken)),
        *(f"poison {bad!r}" for bad in poison if bad in text),
    ]


class Author:
    """Speaks like the model's client: scripted answers in random pieces through the stream's filter."""

    def __init__(self, answers: Sequence[str], rng: random.Random) -> None:
        self._answers = iter(answers)
        self._rng = rng

    async def generate(
        self, messages: Sequence[Mapping[str, str]], *, write: Callable[[str], None]
    ) -> Completion:
        """The next answer."""
        writing, text = Writing(), next(self._answers)
        for piece in pieces(text, self._rng):
            if shown := writing.add(piece):
                write(shown)
        if rest := writing.finish():
            write(rest)
        return Completion(
            text=writing.text.strip(), model="bench", prompt_tokens=None, reply_tokens=None,
            cut=False, load_ms=0, first_token_ms=0,
        )  # fmt: skip


def pieces(text: str, rng: random.Random) -> list[str]:
    """`text` in pieces of 1 to 7 characters."""
    found, at = [], 0
    while at < len(text):
        size = rng.randint(1, 7)
        found.append(text[at : at + size])
        at += size
    return found


def composed_for(source: Source, prompts: Prompts) -> Composed:
    """The prompt of a question that `source` answers."""
    return prompts.compose(
        situation=Situation(confidence="high"),
        session=Session(address=Address(channel="bench", conversation="1", user="1")),
        question="문의드립니다",
        passages=[source.passage],
        now=NOW,
        budget=BUDGET,
    )


def answered(
    source: Source, answers: Sequence[str], prompts: Prompts, rng: random.Random
) -> tuple[Written, list[str]]:
    """What is said in the end, and every draft that was shown."""
    composed = composed_for(source, prompts)
    drafts: list[str] = []
    writer = Writer(
        model=cast(Model, Author(answers, rng)),
        prompts=prompts,
        composed=composed,
        question="문의드립니다",
        language="ko",
        now=NOW,
        show=lambda draft: drafts.append(draft.text),
    )
    return asyncio.run(writer.write()), drafts


def run(bad: int, good: int, seed: int) -> dict[str, Any]:
    """Every count of one measurement."""
    rng = random.Random(seed)
    facts = Facts(
        {
            **yaml.safe_load((HERE / "kb/company.yaml").read_text(encoding="utf-8")),
            "competitors": COMPETITORS,
        }
    )
    prompts = Prompts.load(HERE / "prompts", facts)
    known = sources()
    system = composed_for(known[0], prompts).messages[0]["content"]
    rules = [line[2:] for line in system.splitlines() if re.match(r"- [가-힣\"].{32}", line)]
    counts: Counter[str] = Counter()
    kinds_seen: Counter[str] = Counter()
    wrong: list[str] = []
    every = list(SEEDS)
    for at in range(bad):
        kinds = [every[at % len(every)], *rng.sample(every, rng.randint(0, 2))]
        source, first = seeded(known, rng, rules, kinds)
        again = None
        if rng.random() < 0.5:
            _, again = seeded([source], rng, rules, [rng.choice(ANYWHERE), rng.choice(every)])
        second = again.text if again else clean(source, rng)
        kinds_seen.update(first.kinds)
        written, drafts = answered(source, [first.text, second], prompts, rng)
        poison = [*first.poison, *(again.poison if again else ())]
        counts["quoted" if not written.text else "again" if _refused(written) else "repaired"] += 1
        for text in [written.text, *drafts]:
            for what in left(text, poison):
                wrong.append(f"{what}: {text!r} from {first.text!r}")
                break
    changed: list[str] = []
    for _ in range(good):
        source = rng.choice(known)
        text = clean(source, rng)
        written, _ = answered(source, [text, text], prompts, rng)
        if written.text != text or written.guarded:
            changed.append(f"{written.guarded}: {text!r} -> {written.text!r}")
    return {"counts": counts, "kinds": kinds_seen, "wrong": wrong, "changed": changed,
            "cost": cost(known, prompts, rng)}  # fmt: skip


def _refused(written: Written) -> bool:
    return any(each.startswith("refused") for each in written.guarded)


def cost(known: Sequence[Source], prompts: Prompts, rng: random.Random) -> float:
    """Microseconds of processor time of the guard alone for a token of two characters, answers and their grounds new."""
    tokens = spent = 0.0
    for source in known:
        text = clean(source, rng)
        parts = [text[at : at + 2] for at in range(0, len(text), 2)]
        began = time.process_time()
        guard = Guard(
            terms=prompts.terms,
            secrets=prompts.secrets,
            grounds=Grounds((*prompts.public, source.passage.text)),
        )
        for part in parts:
            guard.add(part)
        guard.finish()
        spent += time.process_time() - began
        tokens += len(parts)
    return spent / tokens * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bad", type=int, default=500)
    parser.add_argument("--clean", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    found = run(options.bad, options.clean, options.seed)
    print(f"{options.bad} answers with seeded violations: {dict(found['kinds'])}")
    print(f"  became: {dict(found['counts'])}")
    print(f"  violations left: {len(found['wrong'])}")
    print(*found["wrong"][:20], sep="\n")
    print(f"{options.clean} clean answers, changed: {len(found['changed'])}")
    print(*found["changed"][:20], sep="\n")
    print(f"cost: {found['cost']:.1f} µs a token of two characters, reading the passages included")


if __name__ == "__main__":
    main()
