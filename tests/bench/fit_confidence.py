"""Fits brain/knowledge/confidence.json on public questions and prints how far it can be trusted.

Run: python tests/bench/fit_confidence.py [--cache FOLDER] [--write]
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from public_retrieval import Vectors, data, korquad, para_kqc, pieces, welfare

from brain.knowledge.chunk import Chunk
from brain.knowledge.confidence import Signals
from brain.knowledge.embed import Vector
from brain.knowledge.lexical import Lexical
from brain.knowledge.retrieve import normalised, retrieve

SEED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One subject (a welfare service, an encyclopaedia article) that a knowledge base may hold."""

    title: str
    chunks: list[tuple[str, list[str]]]
    """Heading and pieces of every chunk."""
    questions: list[str]
    """Questions that the chunks answer."""


def welfare_prose(rng: random.Random) -> list[Source]:
    """Services as running text made of ten answers, asked with two of their questions."""
    sources = []
    for title, pairs in welfare().items():
        kept = rng.sample(pairs, len(pairs))[:10]
        text = [" ".join(answer for _, answer in kept[i : i + 5]) for i in range(0, len(kept), 5)]
        chunks = [(title, pieces(part)) for part in text]
        questions = [question for question, _ in rng.sample(kept, min(2, len(kept)))]
        sources.append(Source(title=title, chunks=chunks, questions=questions))
    return sources[:220]


def welfare_faq(rng: random.Random) -> list[Source]:
    """Services as five questions with answers, asked with two other people's questions."""
    sources = []
    for title, pairs in welfare().items():
        mixed = rng.sample(pairs, len(pairs))
        chunks = [(f"{title} > {question}", pieces(answer)) for question, answer in mixed[:5]]
        questions = [question for question, _ in mixed[10:12]]
        sources.append(Source(title=title, chunks=chunks, questions=questions))
    return sources[:160]


def encyclopaedia(rng: random.Random) -> list[Source]:
    """Articles of up to four paragraphs, asked with two questions a paragraph."""
    sources = []
    for title, paragraphs in korquad().items():
        kept = rng.sample(paragraphs, min(4, len(paragraphs)))
        chunks = [(title.replace("_", " "), pieces(text)) for text, _ in kept]
        questions = [q for _, asked_ in kept for q in rng.sample(asked_, min(2, len(asked_)))]
        sources.append(Source(title=title, chunks=chunks, questions=questions))
    return rng.sample(sources, 100)[:45]


def paraphrases(rng: random.Random) -> list[Source]:
    """One sentence each, asked in two other wordings: little but the meaning is shared."""
    groups = [(str(i), rng.sample(g, 3)) for i, g in enumerate(para_kqc())]
    return [
        Source(title=title, chunks=[("", [kept])], questions=others)
        for title, (kept, *others) in rng.sample(groups, 300)
    ]


def far_questions(rng: random.Random) -> list[tuple[str, str]]:
    """Small talk, commands to a phone, fragments: set and text."""
    smalltalk = [
        row["Q"]
        for row in csv.DictReader(
            data("chatbot_songys/ChatbotData.csv").open("r", encoding="utf-8")
        )
    ]
    typed = [
        line.split("\t")[1]
        for line in data("threei4k/fci_test.txt").read_text(encoding="utf-8").splitlines()
        if line.split("\t")[0] in "2345" and len(line.split("\t")[1]) >= 8
    ]
    return (
        [("parakqc", rng.choice(g)) for g in rng.sample(para_kqc(), 350)]
        + [("songys", q) for q in rng.sample(smalltalk, 250)]
        + [("3i4k", q) for q in rng.sample(typed, 250)]
    )


_ENDINGS = [
    (r"(하|되|있|없|받을 수 있|인|나|한)나요\?$", r"\1나여"),
    (r"인가요\?$", "인가여?"),
    (r"무엇인가요\?$", "뭔가요"),
    (r"어떻게 되나요\?$", "어케 되나요"),
    (r"어떻게 해야 하나요\?$", "어떻게 하죠?"),
    (r"할 수 있나요\?$", "할수있어요??"),
    (r"받을 수 있나요\?$", "받을수있음?"),
    (r"(은|는)\?$", "?"),
]
_FILLERS = ["저기요 ", "혹시 ", "안녕하세요 ", "문의드립니다 ", "아니 ", "근데 "]
_TAILS = ["ㅠㅠ", "~", "??", " 알려주세요", " 궁금해요", " 좀요", " 빨리요"]


def colloquial(text: str, rng: random.Random) -> str:
    """The question as somebody in a hurry types it."""
    for pattern, short in rng.sample(_ENDINGS, len(_ENDINGS)):
        changed = re.sub(pattern, short, text)
        if changed != text:
            text = changed
            break
    if rng.random() < 0.4:
        text = rng.choice(_FILLERS) + text
    if rng.random() < 0.4:
        text = text.rstrip("?.") + rng.choice(_TAILS)
    return typo(text, rng, 0.02)


def typo(text: str, rng: random.Random, rate: float = 0.08) -> str:
    """Some syllables with another vowel, another final consonant, or missing."""
    out = []
    for letter in text:
        if not "가" <= letter <= "힣" or rng.random() >= rate:
            out.append(letter)
            continue
        code = ord(letter) - 0xAC00
        lead, vowel, coda = code // 588, code % 588 // 28, code % 28
        kind = rng.random()
        if kind < 0.4:
            vowel = {0: 4, 4: 0, 8: 13, 13: 8, 1: 5, 5: 1, 18: 13, 20: 18}.get(vowel, vowel)
        elif kind < 0.8:
            coda = rng.choice([0, 4, 8, 16, 21])
        else:
            continue
        out.append(chr(0xAC00 + lead * 588 + vowel * 28 + coda))
    return "".join(out)


def shortened(text: str, rng: random.Random) -> str:
    """Two to five words of it, the longer ones rather, in order."""
    words = text.rstrip("?. ").split()
    keep = min(len(words), rng.choice([2, 3, 3, 4, 5]))
    ranked = sorted(range(len(words)), key=lambda i: -len(words[i]) - rng.random() * 3)[:keep]
    return " ".join(words[i] for i in sorted(ranked))


def asked(text: str) -> list[str]:
    """The question as written, and one way in which a customer would have typed it."""
    rng = random.Random(f"{SEED} {text}")
    how = rng.choice([colloquial, typo, shortened, shortened, lambda t, _: t.replace(" ", "")])
    return [text, how(text, rng)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question put to one knowledge base."""

    world: str
    base: int
    """Which knowledge base."""
    kind: str
    """answerable, near (its subject was taken out) or far."""
    group: str
    """The subject asked about: training and test never share one."""
    signals: Signals


class Base:
    """A knowledge base in memory, searched as an index on disk is."""

    def __init__(self, sources: Sequence[Source], vectors: Vectors) -> None:
        made = [(s.title, h, p) for s in sources for h, p in s.chunks]
        self.chunks = [
            Chunk(id=str(i), document=t, heading=h, text=" ".join(p), pieces=tuple(p), metadata={})
            for i, (t, h, p) in enumerate(made)
        ]
        self.lexical = Lexical.build([f"{c.heading}\n{c.text}" for c in self.chunks])
        self._owners = [(i, p) for i, c in enumerate(self.chunks) for p in range(len(c.pieces))]
        self._rows = vectors.passages([f"{c.heading}\n{p}" for c in self.chunks for p in c.pieces])

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        cosines = self._rows @ vector
        return [(*self._owners[i], float(cosines[i])) for i in np.argsort(-cosines)[:n]]


def observe(vectors: Vectors) -> list[Row]:
    """Asks knowledge bases of many sizes what they hold, what was taken out, and what is far away."""
    rng = random.Random(SEED)
    prose, articles, faq = welfare_prose(rng), encyclopaedia(rng), welfare_faq(rng)
    far = far_questions(rng)
    foreign = [(name, question) for name, question in far if name != "parakqc"]
    worlds = [
        ("prose", prose, far, (25, 25, 40, 40, 60, 60, 100, 140)),
        ("encyclopaedia", articles, far, (10, 15, 20, 25, 30, 30)),
        ("faq", faq, far, (25, 40, 40, 60, 60, 100)),
        ("paraphrase", paraphrases(rng), foreign, (40, 60, 100, 150, 200)),
    ]
    rows: list[Row] = []
    base = 0
    for world, sources, far_away, sizes in worlds:
        for size in sizes:
            mixed = rng.sample(sources, len(sources))
            kept, removed = mixed[:size], mixed[size : size + 80]
            held = [("answerable", s.title, q) for s in kept for q in s.questions]
            near = [("near", s.title, q) for s in removed for q in s.questions]
            questions = rng.sample(held, min(150, len(held)))
            questions += rng.sample(near, min(150, len(near)))
            questions += [("far", name, q) for name, q in rng.sample(far_away, 120)]
            index = Base(kept, vectors)
            texts = [(kind, title, normalised(t)) for kind, title, q in questions for t in asked(q)]
            found = vectors.queries([text for _, _, text in texts])
            for (kind, title, text), vector in zip(texts, found, strict=True):
                signals = retrieve(index, text, vector).signals
                if signals:
                    # Both welfare worlds know the same services.
                    group = f"{world.replace('prose', 'faq')}:{title}"
                    rows.append(
                        Row(world=world, base=base, kind=kind, group=group, signals=signals)
                    )
            base += 1
            print(f"  {world}: {size} subjects, {len(index.chunks)} passages", flush=True)
    return rows


if __name__ == "__main__":
    import pickle

    rows = observe(Vectors(Path("/tmp/conf")))
    pickle.dump(
        [(r.world, r.base, r.kind, r.group, asdict(r.signals)) for r in rows],
        open("/tmp/conf/obs.pkl", "wb"),
    )
