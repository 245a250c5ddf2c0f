"""Answers as a model writes them, put together from the sample company's documents, right and wrong ones."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from brain.messages import Passage

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


Seed = Callable[[str, random.Random, Sequence[str]], tuple[str, str] | None]
"""Makes an answer wrong: the answer and what must not be left of it; None where it cannot."""


def _swap(pairs: Mapping[str, Sequence[str]]) -> Seed:
    def seed(text: str, rng: random.Random, rules: Sequence[str]) -> tuple[str, str] | None:
        there = [right for right in pairs if re.search(right, bare(text))]
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


def bare(text: str) -> str:
    return re.sub(r'"[^"]*"', "", text)


def _quoted(text: str, at: int) -> bool:
    return text[:at].count('"') % 2 == 1


def _insert(*sentences: str, poison: str = "") -> Seed:
    def seed(text: str, rng: random.Random, rules: Sequence[str]) -> tuple[str, str]:
        wrong = rng.choice(sentences)
        parts = re.split(r"(?<=[.!?])(?= )", text)
        parts.insert(rng.randint(1, len(parts)), f" {wrong}")
        return "".join(parts), poison or wrong

    return seed


def _wrap(*frames: str) -> Seed:
    def seed(text: str, rng: random.Random, rules: Sequence[str]) -> tuple[str, str]:
        before, _, after = rng.choice(frames).partition("…")
        return f"{before}{text}{after}", (before or after).strip()

    return seed


def _figure(text: str, rng: random.Random, rules: Sequence[str]) -> tuple[str, str] | None:
    numbers = list(re.finditer(r"(?<![\d,.A-Za-z-])\d[\d,]*(?=[%일원개시분])", text))
    if not numbers:
        return None
    spot = rng.choice(numbers)
    wrong = f"{int(spot[0].replace(',', '')) * 7 + 13:,}"
    if spot.end() < len(text) and text[spot.end()] in "시분":
        return None
    return f"{text[: spot.start()]}{wrong}{text[spot.end() :]}", f"{wrong}{text[spot.end()]}"


def _leak(text: str, rng: random.Random, rules: Sequence[str]) -> tuple[str, str]:
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
    known: Sequence[Source], rng: random.Random, rules: Sequence[str], kinds: Sequence[str]
) -> tuple[Source, Seeded]:
    """A wrong answer with the first of `kinds`, and of the others those that the text has room for."""
    while True:
        source = rng.choice(known)
        text, done, poison = clean(source, rng), [], []
        for kind in kinds:
            if made := SEEDS[kind](text, rng, rules):
                text, bad = made
                done.append(kind)
                poison += [bad] if bad else []
        if kinds[0] in done:
            return source, Seeded(text=text, kinds=done, poison=poison)
