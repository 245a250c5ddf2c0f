"""Fits what retrieval knows of language in general, from public texts and none of any company.

Run: python tests/bench/fit_retrieval.py [--write]

`centres.npz`: the mean vectors of questions and passages in Korean and in English. The bundled
model's vectors share a large common part, which differs between questions and passages and between
languages; without it what remains is the meaning. `function_words.npz`: how much each pair of
letters says in a question, less the more questions hold it (`나요`, `어떻게`, `알려 주세요`).
`topics.npz`: what customers ask companies about, from `topics.jsonl`, which was written
without sight of any company's documents or questions here; again whenever `centres.npz` has changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
from public_retrieval import ROOT, data, korquad, para_kqc, welfare

from brain.knowledge import embed
from brain.knowledge.embed import BundledEmbedder, raw_embedder
from brain.knowledge.lexical import bigrams
from brain.knowledge.retrieve import normalised

SEED = 7
EACH = 200
"""Questions of each public set, and passages, whose mean is taken."""
MIDDLE, STEEPNESS = 5.0, 2.0
"""Negative log of the share of questions at which a pair of letters counts half."""
PACKAGE = ROOT / "brain" / "knowledge"
TOPICS = Path(__file__).with_name("topics.jsonl")

ENGLISH_QUESTIONS = (
    """
where is my order|how do I return an item|what is your phone number|can I pay with a credit card
how long does delivery take|I want a refund|the product is broken|do you have this in stock
what are your opening hours|I forgot my password|how much is shipping|is there a warranty
can I change my address|thank you very much|how do I install it|when does the sale end
can I cancel my order|where is your store|does it support bluetooth|how do I contact support
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
ENGLISH_PASSAGES = """
You can return any item within 30 days of delivery for a full refund.
Shipping is free for orders over 50 dollars.
Our customer service is open on weekdays from 9 to 6.
To reset your password, click the link on the sign-in page.
The battery lasts up to ten hours on a full charge.
Refunds are made to the original payment method within five business days.
All products come with a one-year warranty against defects.
Please keep the original packaging and the receipt.
Members earn points with every purchase.
The device supports Bluetooth and Wi-Fi.
If the screen stays black, hold the power button for ten seconds.
Stores are open every day except on public holidays.
You can change the delivery address until the order is shipped.
We accept all major credit cards and bank transfer.
Installation is done by our own technicians.
""".strip().split("\n")


def questions() -> list[list[str]]:
    """Every public set of questions."""
    songys = [
        row["Q"]
        for row in csv.DictReader(data("chatbot_songys/ChatbotData.csv").open(encoding="utf-8"))
    ]
    intonation = [
        line.split("\t")[1]
        for line in data("threei4k/fci_test.txt").read_text(encoding="utf-8").splitlines()
    ]
    asked = [question for pairs in welfare().values() for question, _ in pairs]
    return [asked, songys, [text for group in para_kqc() for text in group], intonation]


def passages(rng: random.Random) -> list[str]:
    """Some two hundred letters of encyclopaedia articles, each under its title."""
    cut = [
        f"{title.replace('_', ' ')}\n{text[start : start + 220]}"
        for title, paragraphs in korquad().items()
        for text, _ in paragraphs
        for start in range(0, max(1, len(text) - 110), 220)
    ]
    return rng.sample(cut, 3 * EACH)


def centres() -> dict[str, np.ndarray]:
    """Mean vectors by role and language."""
    rng = random.Random(SEED)
    model = raw_embedder()
    asked = [normalised(q) for each in questions()[:3] for q in rng.sample(each, EACH)]
    return {
        "query_ko": np.mean([model.query(text) for text in asked], axis=0),
        "query_en": np.mean([model.query(text) for text in ENGLISH_QUESTIONS], axis=0),
        "passage_ko": np.mean(model.passages(passages(rng)), axis=0),
        "passage_en": np.mean(model.passages(ENGLISH_PASSAGES), axis=0),
    }


def function_words() -> tuple[np.ndarray, np.ndarray]:
    """Pairs of letters that say less than others, ascending, and how much they say."""
    every = [text for each in questions() for text in each]
    held: Counter[int] = Counter()
    for text in every:
        held.update(set(bigrams(text).tolist()))
    weights = {
        pair: 1 / (1 + math.exp(-STEEPNESS * (math.log(len(every) / (count + 1)) - MIDDLE)))
        for pair, count in held.items()
    }
    known = sorted(pair for pair, weight in weights.items() if weight < 0.95)
    return np.array(known, dtype=np.uint64), np.array([weights[pair] for pair in known])


def topics() -> dict[str, np.ndarray]:
    """Customers' wordings of each topic and the place between these and the documents', in 8 bits."""
    rows = [json.loads(line) for line in TOPICS.read_text(encoding="utf-8").splitlines()]
    embed._centres.cache_clear()  # they may have been written just now
    model = BundledEmbedder()
    said = [
        np.stack([model.query(normalised(text)) for text in dict.fromkeys(row["said"])])
        for row in rows
    ]
    written = [model.passages(row["written"]) for row in rows]
    about = np.stack(
        [_unit(_unit(a.mean(0)) + _unit(b.mean(0))) for a, b in zip(said, written, strict=True)]
    )
    every = np.concatenate(said)
    scale = np.float32(max(np.abs(every).max(), np.abs(about).max()) / 127)
    return {
        "said": np.round(every / scale).astype(np.int8),
        "topic": np.repeat(np.arange(len(rows), dtype=np.int16), [len(each) for each in said]),
        "about": np.round(about / scale).astype(np.int8),
        "scale": scale,
        "names": np.array([row["topic"] for row in rows]),
        "embedder": np.array(model.fingerprint),
    }


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the package's files")
    arguments = parser.parse_args()
    pairs, weights = function_words()
    least = [chr(int(p) >> 21) + chr(int(p) & 0x1FFFFF) for p in pairs[np.argsort(weights)[:25]]]
    print(f"{len(pairs)} pairs of letters say less than others, the least: {' '.join(least)}")
    found = centres()
    names = list(found)
    print("cosines between the centres:")
    for a in names:
        row = [
            found[a] @ found[b] / np.linalg.norm(found[a]) / np.linalg.norm(found[b]) for b in names
        ]
        print(f"  {a:11}", " ".join(f"{value:.3f}" for value in row))
    if arguments.write:
        np.savez_compressed(
            PACKAGE / "centres.npz", **{name: v.astype(np.float16) for name, v in found.items()}
        )
        np.savez_compressed(
            PACKAGE / "function_words.npz", pairs=pairs, weights=weights.astype(np.float16)
        )
        np.savez_compressed(PACKAGE / "topics.npz", **topics())
        for name in ("centres.npz", "function_words.npz", "topics.npz"):
            print(f"{name}: {Path(PACKAGE / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
