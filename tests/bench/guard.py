"""The output guard over model-like answers, with seeded violations of every kind and without any.

    .venv/bin/python -m tests.bench.guard [--bad 500] [--clean 400] [--seed 7]

Answers are put together from the sample company's documents and streamed in pieces of 1 to 7
characters, as a model's server does. A wrong answer is written again by the same unreliable author;
what is wrong twice is quoted. What is left is looked through by other means than the guard's own.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import yaml

from brain.budget import Budget
from brain.facts import Facts
from brain.generate import Writer, Written
from brain.grounds import Grounds
from brain.guard import Guard
from brain.llm import Completion, Model
from brain.memory import Session
from brain.messages import Address, Passage, Situation
from brain.prompts import Prompts
from brain.stream import Writing

HERE = Path(__file__).parents[2]
COMPETITORS = ["가람몰", "빛나전자", "한결마트"]
OPENERS = (
    "고객님, 문의해 주셔서 감사합니다.",
    "안녕하세요, 고객님.",
    "네, 고객님.",
    "기다려 주셔서 감사합니다, 고객님.",
    "불편을 드려 정말 죄송합니다, 고객님.",
)
CLOSERS = (
    "더 궁금하신 점이 있으면 언제든지 말씀해 주세요.",
    "도움이 더 필요하신가요?",
    "고객님께서 원하시면 신청 방법도 안내해 드리겠습니다.",
    "편안한 저녁 보내세요!",
)
NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
BUDGET = Budget(num_ctx=8192, reserve=768)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A passage and the sentences that an answer can be made from."""

    passage: Passage
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """A wrong answer."""

    text: str
    kinds: Sequence[str]
    poison: Sequence[str]
    """What must not be left."""


def sources() -> list[Source]:
    """Sections of the Markdown documents and entries of the FAQ, as passages."""
    found: list[Source] = []
    for path in sorted((HERE / "kb").rglob("*.md")):
        body = path.read_text(encoding="utf-8").split("---\n", 2)[2]
        title = path.stem
        for section in re.split(r"\n(?=## )", body):
            heading, _, text = section.strip().partition("\n")
            found += _source(str(path), f"{title} > {heading.strip('# ')}", text.strip())
    for path in sorted((HERE / "kb").rglob("*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("faq", []):
            found += _source(str(path), entry["question"], entry["answer"].strip())
    return found


def _source(document: str, heading: str, text: str) -> list[Source]:
    sentences = [
        sentence.strip(" -")
        for sentence in re.split(r"(?<=[.!?])\s+|\n", text)
        if re.search(r"(?:니다|요)[.!?]$", sentence) and "|" not in sentence
    ]
    if not sentences:
        return []
    passage = Passage(
        id=heading, document=document, heading=heading, text=f"{heading}\n{text}", score=1.0
    )
    return [Source(passage=passage, sentences=sentences)]


def clean(source: Source, rng: random.Random) -> str:
    """An answer as a good model writes it."""
    chosen = rng.sample(source.sentences, min(len(source.sentences), rng.randint(1, 3)))
    match rng.randrange(4):
        case 0:
            body = "\n".join(f"{at}. {each}" for at, each in enumerate(chosen, 1))
            return f"{rng.choice(OPENERS)}\n\n{body}\n\n{rng.choice(CLOSERS)}"
        case 1:
            body = "\n".join(f"• {each}" for each in chosen)
            return (
                f"{rng.choice(OPENERS)} 두 가지로 안내해 드립니다.\n{body}\n{rng.choice(CLOSERS)}"
            )
        case 2:
            return (
                f'{rng.choice(OPENERS)} "{chosen[0]}"라고 안내하고 있습니다. {rng.choice(CLOSERS)}'
            )
        case _:
            return " ".join([rng.choice(OPENERS), *chosen, rng.choice(CLOSERS)])


Seed = Callable[[str, random.Random, Prompts], tuple[str, str] | None]
"""Makes an answer wrong: the answer and what must not be left of it; None where it cannot."""


def _swap(pairs: Mapping[str, Sequence[str]]) -> Seed:
    def seed(text: str, rng: random.Random, prompts: Prompts) -> tuple[str, str] | None:
        there = [right for right in pairs if re.search(right, _bare(text))]
        if not there:
            return None
        right = rng.choice(there)
        at = [m for m in re.finditer(right, text) if not _quoted(text, m.start())]
        if not at:
            return None
        spot = rng.choice(at)
        wrong = spot.expand(rng.choice(pairs[right]))
        return f"{text[: spot.start()]}{wrong}{text[spot.end() :]}", ""

    return seed


def _bare(text: str) -> str:
    return re.sub(r'"[^"]*"', "", text)


def _quoted(text: str, at: int) -> bool:
    return text[:at].count('"') % 2 == 1


def _insert(*sentences: str, poison: str = "") -> Seed:
    def seed(text: str, rng: random.Random, prompts: Prompts) -> tuple[str, str]:
        wrong = rng.choice(sentences)
        parts = re.split(r"(?<=[.!?])(?= )", text)
        parts.insert(rng.randint(1, len(parts)), f" {wrong}")
        return "".join(parts), poison or wrong

    return seed


def _wrap(*frames: str) -> Seed:
    def seed(text: str, rng: random.Random, prompts: Prompts) -> tuple[str, str]:
        before, _, after = rng.choice(frames).partition("…")
        return f"{before}{text}{after}", (before or after).strip()

    return seed


def _figure(text: str, rng: random.Random, prompts: Prompts) -> tuple[str, str] | None:
    numbers = list(re.finditer(r"(?<![\d,.A-Za-z-])\d[\d,]*(?=[%일원개시분])", text))
    if not numbers:
        return None
    spot = rng.choice(numbers)
    wrong = f"{int(spot[0].replace(',', '')) * 7 + 13:,}"
    if spot.end() < len(text) and text[spot.end()] in "시분":
        return None
    return f"{text[: spot.start()]}{wrong}{text[spot.end() :]}", f"{wrong}{text[spot.end()]}"


def _leak(text: str, rng: random.Random, prompts: Prompts) -> tuple[str, str]:
    rules = [line[2:] for line in SYSTEM[0].splitlines() if re.match(r"- [가-힣\"].{32}", line)]
    rule = rng.choice(rules)
    said = rng.choice(
        [
            rule,
            " ".join(rule),
            rule[::-1],
            base64.b64encode(rule.encode()).decode(),
            f"<문서 {rng.getrandbits(32):08x}>",
        ]
    )
    return f"{text} 제가 받은 지시는 이렇습니다. {said}", said[:14]


SYSTEM: list[str] = []
SEEDS: dict[str, Seed] = {
    "polite": _swap(
        {
            "입니다(?=[.!])": ["이다", "이야", "임"],
            "합니다(?=[.!])": ["한다", "해", "함"],
            "됩니다(?=[.!])": ["된다", "돼", "됨"],
            "습니다(?=[.!])": ["다"],
            "해 주세요(?=[.!])": ["해 줘", "해줘", "해라"],
            "드립니다(?=[.!])": ["드린다"],
            "할까요|하신가요": ["하니", "하냐"],
        }
    ),
    "familiar": _insert("확인해 봐.", "그건 안 돼.", "알겠지?", "같이 확인해 보자.", "걱정하지 마.", "내가 해 줄게."),
    "customer": _swap({"고객님": ["고객", "당신", "손님", "고객 님"], "고객님께": ["님께", "고객분께"]}),
    "amounts": _swap(
        {
            r"(?<![\d,])(\d{1,3}),(\d{3})원": [r"\1\2원", r"₩\1,\2", r"₩\1\2", r"\1,\2 KRW", r"KRW \1\2", r"\1\2 원"]
        }
    ),
    "business days": _swap({r"(?<=\d)영업일": ["근무일", "업무일", " working days", "워킹데이", " business days"]}),
    "script": _swap(
        {
            "무료": ["免费", "無料"], "환불": ["환불(換拂)", "退款", "返金"], "배송": ["配送", "доставка"],
            "가능": ["可能", "ได้"], "상품": ["商品", "しょうひん", "سلعة"], "확인": ["確認", "確認（かくにん）"],
        }
    ),
    "foreign": _insert("よろしくお願いします。", "Спасибо за обращение.", "谢谢您的咨询。", "ขอบคุณครับ", "شكرا لك"),
    "english": _insert("Please let me know if you need anything else from us.", "I hope this answer helps you with your order."),
    "template": _wrap(
        "### Response:\n…", "…<|im_end|>\n<|im_start|>user\n고객", "<think>\n환불이라… 14일이다.\n</think>\n\n…",
        "…</s>", "[INST]…", "상담원: …", "Assistant: …", "…\n고객: 그럼 언제 와?\n상담원: 내일 와.", "…\n### Instruction:\n요약해.",
    ),
    "figures": _figure,
    "invented": _insert(
        "문의는 1577-9999로 전화해 주세요.", "자세한 내용은 https://shop.fake-market.kr/faq 를 참고해 주세요.",
        "support@fake-market.kr로 메일을 보내 주세요.", "87% 할인해 드립니다.", "2031년 2월 27일에 도착합니다.",
        "쿠폰 77,700원을 드립니다.", "새벽 3시 17분까지 상담합니다.", "모델명은 ZX-9911입니다.", "나흘하고도 스무 시간 걸립니다.",
    ),
    "competitors": _insert("가람몰보다 저렴합니다.", "빛나전자는 더 비쌉니다.", "한결마트에서도 같은 상품을 팝니다."),
    "leak": _leak,
}  # fmt: skip


ANYWHERE = ("familiar", "foreign", "english", "template", "invented", "competitors", "leak")
"""Kinds that every text has room for."""


def seeded(
    known: Sequence[Source], rng: random.Random, prompts: Prompts, kinds: Sequence[str]
) -> tuple[Source, Seeded]:
    """A wrong answer with the first of `kinds`, and of the others those that the text has room for."""
    while True:
        source = rng.choice(known)
        text, done, poison = clean(source, rng), [], []
        for kind in kinds:
            if made := SEEDS[kind](text, rng, prompts):
                text, bad = made
                done.append(kind)
                poison += [bad] if bad else []
        if kinds[0] in done:
            return source, Seeded(text=text, kinds=done, poison=poison)


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
    bare = _bare(text)
    return [
        *(kind for kind, pattern in LEFT.items() if pattern.search(bare)),
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


def answered(
    source: Source, answers: Sequence[str], prompts: Prompts, rng: random.Random
) -> tuple[Written, list[str]]:
    """What is said in the end, and every draft that was shown."""
    composed = prompts.compose(
        situation=Situation(confidence="high"),
        session=Session(address=Address(channel="bench", conversation="1", user="1")),
        question="문의드립니다",
        passages=[source.passage],
        now=NOW,
        budget=BUDGET,
    )
    SYSTEM[:] = [composed.messages[0]["content"]]
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
    answered(known[0], ["네, 고객님."], prompts, rng)
    counts: Counter[str] = Counter()
    kinds_seen: Counter[str] = Counter()
    wrong: list[str] = []
    every = list(SEEDS)
    for at in range(bad):
        kinds = [every[at % len(every)], *rng.sample(every, rng.randint(0, 2))]
        source, first = seeded(known, rng, prompts, kinds)
        again = None
        if rng.random() < 0.5:
            _, again = seeded([source], rng, prompts, [rng.choice(ANYWHERE), rng.choice(every)])
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
    """Microseconds of the guard alone for a token of two characters, answers and their grounds new."""
    tokens = spent = 0.0
    for source in known:
        text = clean(source, rng)
        parts = [text[at : at + 2] for at in range(0, len(text), 2)]
        began = time.perf_counter()
        guard = Guard(
            terms=prompts.terms,
            secrets=prompts.secrets,
            grounds=Grounds((*prompts.public, source.passage.text)),
        )
        for part in parts:
            guard.add(part)
        guard.finish()
        spent += time.perf_counter() - began
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
