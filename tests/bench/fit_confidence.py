"""Fits brain/knowledge/confidence.json on public questions and on `topics.jsonl`; prints how far to trust it.

Run: python tests/bench/fit_confidence.py [--cache FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from public_retrieval import ROOT, Base, Vectors, bank, data, korquad, para_kqc, pieces, welfare
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut

from brain.knowledge.confidence import Signals
from brain.knowledge.retrieve import normalised, retrieve
from brain.knowledge.topics import Subjects, Topics

SEED = 20
WEIGHTS = ROOT / "brain" / "knowledge" / "confidence.json"


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


def service(rng: random.Random) -> list[Source]:
    """Topics of customer service as documents put them, asked as customers do."""
    lines = Path(__file__).with_name("topics.jsonl").read_text(encoding="utf-8").splitlines()
    sources = []
    for number, row in enumerate(map(json.loads, lines)):
        heading, question, answer = row["written"]
        chunks = [(heading, pieces(f"{question} {answer}"))]
        asked_ = rng.sample(row["said"][:-1], 3)  # the last one is English
        sources.append(Source(title=str(number), chunks=chunks, questions=asked_))
    return sources


def strange(world: str, title: str) -> Topics | None:
    """The topics without the one that a question was written for: a customer's is not among them either."""
    topics = bank()
    if topics is None or world != "service" or not title.isdigit():
        return topics
    kept = topics.topic != int(title)
    return replace(topics, said=topics.said[kept], topic=topics.topic[kept])


class ServiceBase(Base):
    """Passages written for topics, about which the bank knows nothing: a company's are not in it either."""

    def subjects(self, bank: Topics) -> Subjects | None:
        """What the pieces are most like of all topics but their own."""
        if self._subjects is None and (found := super().subjects(bank)):
            for row, (chunk, _) in enumerate(self._owners):
                others = bank.about.copy()
                others[int(self.chunks[chunk].document)] = 0
                alone = replace(bank, about=others).subjects(self._vectors[row : row + 1], [1])
                found.topic[row], found.share[row] = alone.topic[0], alone.share[0]
        return self._subjects


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
        ("service", service(rng), far, (60, 100, 150, 200, 300)),
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
            make = ServiceBase if world == "service" else Base
            index = make([(s.title, h, p) for s in kept for h, p in s.chunks], vectors)
            texts = [(kind, title, normalised(t)) for kind, title, q in questions for t in asked(q)]
            found = vectors.queries([text for _, _, text in texts])
            for (kind, title, text), vector in zip(texts, found, strict=True):
                topics = strange(world, title)
                signals = retrieve(index, text, vector, topics=topics).signals
                if signals:
                    # Both welfare worlds know the same services.
                    group = f"{world.replace('prose', 'faq')}:{title}"
                    rows.append(
                        Row(world=world, base=base, kind=kind, group=group, signals=signals)
                    )
            base += 1
            print(f"  {world}: {size} subjects, {len(index.chunks)} passages", flush=True)
    return rows


PRIOR = {"answerable": 0.7, "near": 0.15, "far": 0.15}
"""How often each kind is taken to be asked: probabilities are calibrated to this mixture."""
FITTED = ("faq", "service")
"""Worlds that are like a company's: with the others the weights become those of encyclopaedias."""
LOST = 0.15
"""Share of answerable questions that may fall to the level low."""
FAR = 0.75
"""Share of far questions that must not count as related."""
SURE = 0.9
"""Probability from which the level is high."""


def fit(rows: Sequence[Row], names: Sequence[str]) -> LogisticRegression:
    """Weights by which every world counts alike and every kind by its prior."""
    counts = Counter((r.world, r.kind) for r in rows)
    weights = np.array([PRIOR[r.kind] / counts[r.world, r.kind] for r in rows])
    model = LogisticRegression(C=100.0, max_iter=5000)
    answerable = [r.kind == "answerable" for r in rows]
    return model.fit(_values(rows, names), answerable, weights * len(rows) / weights.sum())


def _values(rows: Sequence[Row], names: Sequence[str]) -> np.ndarray:
    # Comparable spreads, so that the regularisation does not favour one of them.
    return np.array([[getattr(r.signals, n) / SPREAD[n] for n in names] for r in rows])


def left_out(rows: Sequence[Row], names: Sequence[str], key: str) -> np.ndarray:
    """Probability of every row by a model that saw none of its groups (or none of its world)."""
    folds = LeaveOneGroupOut() if key == "world" else GroupKFold(5)
    probabilities = np.zeros(len(rows))
    for train, test in folds.split(rows, groups=[getattr(r, key) for r in rows]):
        model = fit([rows[i] for i in train], names)
        probabilities[test] = model.predict_proba(_values([rows[i] for i in test], names))[:, 1]
    return probabilities


def threshold(rows: Sequence[Row], probabilities: np.ndarray) -> float:
    """The probability below which LOST of the answerable questions lie, averaged over worlds."""
    worlds = {r.world for r in rows}
    kept = {w: [p for r, p in zip(rows, probabilities, strict=True) if _held(r, w)] for w in worlds}
    return float(np.mean([np.quantile(ps, LOST) for ps in kept.values()]))


def unrelated(rows: Sequence[Row], probabilities: np.ndarray) -> float:
    """The probability below which FAR of the far questions lie, averaged over worlds."""
    worlds = {r.world for r in rows}
    far = {
        w: [p for r, p in zip(rows, probabilities, strict=True) if r.world == w and r.kind == "far"]
        for w in worlds
    }
    return float(np.mean([np.quantile(ps, FAR) for ps in far.values()]))


def _held(row: Row, world: str) -> bool:
    return row.world == world and row.kind == "answerable"


def show(rows: Sequence[Row], probabilities: np.ndarray, low: float) -> None:
    """Prints by world how well answerable questions are told from the others."""
    print(f"    {'world':14s} AUROC near/far   below {low:.3f}: answerable  near   far    ECE")
    for world in sorted({r.world for r in rows}):
        kinds = np.array([r.kind if r.world == world else "" for r in rows])
        part = {k: probabilities[kinds == k] for k in PRIOR}
        auroc = [
            roc_auc_score(
                np.r_[np.ones(len(part["answerable"])), np.zeros(len(part[other]))],
                np.r_[part["answerable"], part[other]],
            )
            for other in ("near", "far")
        ]
        below = [float((part[k] < low).mean()) for k in PRIOR]
        print(
            f"    {world:14s} {auroc[0]:.3f} / {auroc[1]:.3f}              "
            f"{below[0]:6.3f}   {below[1]:6.3f} {below[2]:6.3f}  {_ece(part):.3f}"
        )


def _ece(part: dict[str, np.ndarray]) -> float:
    """Mean difference of stated and true probability over ten bins, kinds mixed by their prior."""
    stated = np.concatenate(list(part.values()))
    truth = np.concatenate([np.full(len(v), k == "answerable") for k, v in part.items()])
    weight = np.concatenate([np.full(len(v), PRIOR[k] / len(v)) for k, v in part.items()])
    bins = np.minimum((stated * 10).astype(int), 9)
    return float(
        sum(abs((weight * (truth - stated))[bins == b].sum()) for b in range(10)) / weight.sum()
    )


SPREAD = {"cosine": 0.1, "margin": 0.08, "coverage": 0.2, "familiar": 0.1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="folder that keeps embeddings between runs")
    parser.add_argument("--write", action="store_true", help="write the weights into the package")
    arguments = parser.parse_args()
    rows = observe(Vectors(arguments.cache))
    names = list(SPREAD)
    print(f"{len(rows)} observations")
    for title, key in (("same worlds, other subjects", "group"), ("another world", "world")):
        print(title)
        probabilities = left_out(rows, names, key)
        show(rows, probabilities, threshold(rows, probabilities))
    rows = [row for row in rows if row.world in FITTED]
    print("fitted worlds, other subjects")
    unseen = left_out(rows, names, "group")
    low = threshold(rows, unseen)
    show(rows, unseen, low)
    model = fit(rows, names)
    probabilities = model.predict_proba(_values(rows, names))[:, 1]
    fitted = {
        "weights": {
            n: round(float(w) / SPREAD[n], 3) for n, w in zip(names, model.coef_[0], strict=True)
        },
        "intercept": round(float(model.intercept_[0]), 3),
        "related": round(min(low, unrelated(rows, unseen)), 3),
        "medium": round(low, 3),
        "high": SURE,
    }
    print(
        "high for",
        {
            k: round(
                float(
                    np.mean(
                        [p >= SURE for r, p in zip(rows, probabilities, strict=True) if r.kind == k]
                    )
                ),
                3,
            )
            for k in PRIOR
        },
    )
    print(json.dumps(fitted))
    if arguments.write:
        WEIGHTS.write_text(json.dumps(fitted, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
