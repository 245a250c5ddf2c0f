"""Fits brain/knowledge/confidence.json on public questions and prints how far it can be trusted.

Run: python tests/bench/fit_confidence.py [--cache FOLDER] [--write]
"""

from __future__ import annotations

import csv
import random
import re
from dataclasses import dataclass

from public_retrieval import Vectors, _data, korquad, para_kqc, pieces, welfare

SEED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One subject (a welfare service, an encyclopaedia article) that a knowledge base may hold."""

    title: str
    chunks: list[tuple[str, list[str]]]
    """Heading and pieces of every chunk."""
    questions: list[tuple[str, int]]
    """Question and index of the chunk that answers it (-1: only the subject is known)."""


def welfare_prose(rng: random.Random) -> list[Source]:
    """A service as running text made of ten answers; their questions, and ones about the rest."""
    sources = []
    for title, pairs in welfare().items():
        pairs = rng.sample(pairs, len(pairs))
        kept, rest = pairs[:10], pairs[10:]
        chunks, owner = [], {}
        for start in range(0, len(kept), 5):
            part = kept[start : start + 5]
            chunks.append((title, pieces(" ".join(answer for _, answer in part))))
            owner |= {question: len(chunks) - 1 for question, _ in part}
        asked = [(q, owner[q]) for q, _ in rng.sample(kept, min(2, len(kept)))]
        asked += [(q, -1) for q, _ in rest[:1]]
        sources.append(Source(title=title, chunks=chunks, questions=asked))
    return sources


def welfare_faq(rng: random.Random) -> list[Source]:
    """A service as five questions with answers; other people's wordings of such questions."""
    sources = []
    for title, pairs in welfare().items():
        pairs = rng.sample(pairs, len(pairs))
        chunks = [(f"{title} > {q}", pieces(a)) for q, a in pairs[:5]]
        asked = [(q, -1) for q, _ in pairs[10:12]]
        sources.append(Source(title=title, chunks=chunks, questions=asked))
    return sources


def encyclopaedia(rng: random.Random) -> list[Source]:
    """An article as up to four paragraphs."""
    sources = []
    for title, paragraphs in korquad().items():
        kept = rng.sample(paragraphs, min(4, len(paragraphs)))
        chunks = [(title.replace("_", " "), pieces(text)) for text, _ in kept]
        asked = [
            (q, i) for i, (_, qs) in enumerate(kept) for q in rng.sample(qs, min(2, len(qs)))
        ]
        sources.append(Source(title=title, chunks=chunks, questions=asked))
    return rng.sample(sources, 100)


def far_questions(rng: random.Random) -> list[tuple[str, str]]:
    """Small talk, commands to a phone, fragments: set and text."""
    smalltalk = [
        row["Q"] for row in csv.DictReader(_data("chatbot_songys/ChatbotData.csv").open("r", encoding="utf-8"))
    ]
    typed = [
        line.split("\t")[1]
        for line in _data("threei4k/fci_test.txt").read_text(encoding="utf-8").splitlines()
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


def asked(text: str, rng: random.Random) -> dict[str, str]:
    """The question as written, and one way in which a customer would have typed it."""
    how = rng.choice(["colloquial", "typo", "short", "short", "nospace"])
    changed = {
        "colloquial": lambda: colloquial(text, rng),
        "typo": lambda: typo(text, rng),
        "short": lambda: shortened(text, rng),
        "nospace": lambda: text.replace(" ", ""),
    }[how]()
    return {"clean": text, how: changed}


if __name__ == "__main__":
    import sys
    from pathlib import Path

    vectors = Vectors(Path(sys.argv[1]))
    rng = random.Random(SEED)
    worlds = [welfare_prose(rng), encyclopaedia(rng), welfare_faq(rng)]
    far = far_questions(rng)
    qs = [t for w in worlds for s in w for q, _ in s.questions for t in asked(q, rng).values()]
    qs += [t for _, q in far for t in asked(q, rng).values()]
    ps = [f"{h}\n{p}" for w in worlds for s in w for h, pp in s.chunks for p in pp]
    print(len(qs), len(ps))
    for a in qs[100:140]: print(a)
    vectors.queries(qs)
    vectors.passages(ps)
    print("done")
