"""Retrieval: dense and lexical candidates fused into ranked passages, with a confidence of their own.

The parts are fused by a weighted sum of their scores, each scaled to 0-1 over its own candidates
of this query. Rank fusion is not used: on Korean questions it falls below the best single part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from brain.keyboard import meant
from brain.knowledge.chunk import Chunk
from brain.knowledge.confidence import Fit, Signals, assess, margin, shipped
from brain.knowledge.embed import Vector
from brain.knowledge.lexical import Lexical, Scores, bigrams
from brain.knowledge.topics import Leaned, Subjects, Topics
from brain.knowledge.validity import Mask
from brain.messages import Confidence, Passage
from brain.utterance import essence

CANDIDATES = 100
"""Candidates that each part contributes."""
DENSE_SHARE = 0.7
"""Weight of the cosine; the lexical parts share the rest equally."""
AGREEMENT = 0.1
"""What a piece that is about the same as the question gains in cosine."""
FOREIGN = 0.1
"""What a passage in another language than the question's loses of its score."""
LONGEST = 400
"""Characters of a question that are looked up; of a longer one its beginning and its end."""

_LAUGHTER = re.compile(r"[ㅋㅎㅠㅜ]+")
_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[A-Za-z]")
_REPEATED = re.compile(r"([^\w\s])(?:\s*\1)+")


class Searchable(Protocol):
    """What retrieval needs of an open index."""

    @property
    def chunks(self) -> Sequence[Chunk]:
        """All chunks; results name them by position."""
        ...

    @property
    def lexical(self) -> Lexical:
        """The words of the same chunks, by the same positions."""
        ...

    def nearest(self, vector: Vector, n: int) -> list[tuple[int, int, float]]:
        """The `n` nearest pieces: chunk, piece within it, cosine; best first."""
        ...

    def subjects(self, bank: Topics) -> Subjects | None:
        """What the pieces are about; None if nobody knows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What retrieval says to a question."""

    passages: tuple[Passage, ...]
    """Best first; empty when nothing was asked or nothing is indexed."""
    confidence: Confidence
    """Whether the best passage answers."""
    rewritten: str
    """The question as it was looked up."""
    also: tuple[str, ...] = ()
    """Other words for what it says that were looked up too, for less."""
    after: str = ""
    """What the question was taken to follow on; empty for one that stands alone."""
    queries: tuple[str, ...] = ()
    """Other wordings of the whole question that were searched too."""
    topics: tuple[str, ...] = ()
    """What customers' questions are about that it is most like."""
    reranked: str = ""
    """What put the passages into another order; empty if nothing did."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """What kept passages out, or down, by name: `language`, `day` and what was asked for."""
    signals: Signals | None = None
    """What the confidence was computed from; None when nothing could be looked up."""
    fit: Fit | None = None
    """How it was computed; None: as shipped."""

    @property
    def lookup(self) -> dict[str, str]:
        """How it was looked for, by name: `question`, `also`, `after`, `queries`, `topics`,
        `reranked`, the `signals` of the confidence and the filters, as they applied.
        """
        said = {
            "question": self.rewritten,
            "also": ", ".join(self.also),
            "after": self.after,
            "queries": " / ".join(self.queries),
            "topics": ", ".join(self.topics),
            "reranked": self.reranked,
            "signals": self.signals.told() if self.signals else "",
        }
        return {name: value for name, value in (said | dict(self.filters)).items() if value}

    @property
    def related(self) -> bool:
        """Whether the documents hold something of the question's kind, be it no answer."""
        return bool(self.passages) and (self.fit or shipped()).is_related(self.confidence)


NOTHING = Confidence(level="low", probability=0.0)
"""Confidence in no passage at all."""


def normalised(question: str) -> str:
    """The question as it is looked up and should be embedded: in the letters that were meant, without
    greeting, laughter and repeated marks.
    """
    text = essence(meant(unicodedata.normalize("NFC", question)))
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} {text[-LONGEST // 2 :]}"
    return " ".join(_REPEATED.sub(r"\1", _LAUGHTER.sub(" ", text)).split())


def retrieve(
    index: Searchable,
    text: str,
    vector: Vector,
    *,
    also: Sequence[str] = (),
    k: int = 5,
    where: Mapping[str, str] | None = None,
    holds: Mask | None = None,
    topics: Topics | None = None,
) -> Found:
    """The `k` passages that answer a question best, and how sure it is that the first one does.

    `text` is the question as `normalised` made it, `vector` its embedding; `also` are other words
    for what it says. `where` keeps chunks whose metadata has these values; `document` is matched
    from its beginning, `locale` also by chunks that name none. `holds` keeps what holds today; None:
    everything does. `topics` are in vectors of the same embedder; None: there are none for it. Of two
    passages that are as good, the one in the question's language comes first.
    """
    allowed = _allowed(index.chunks, where)
    if holds is not None:
        allowed = allowed & holds
    language = _language(text)
    filters = ({"language": language} if language else {}) | dict(where or {})
    if not text or not allowed.any():
        return Found(
            passages=(), confidence=NOTHING, rewritten=text, also=tuple(also), filters=filters
        )
    leaned = topics.lean(vector) if topics else Leaned(vector)
    near = _nearest(index, leaned, index.subjects(topics) if topics else None, allowed)
    cosines = {chunk: cosine for chunk, (_, cosine) in near.items()}
    parts = {"cosine": cosines} | {
        name: _best(np.where(allowed, scores, 0))
        for name, scores in index.lexical.scores(text, also).items()
    }
    fused = _fused(parts)
    for chunk in fused:
        if _is_foreign(index.chunks[chunk], language):
            parts.setdefault("language", {})[chunk] = -FOREIGN
            fused[chunk] = max(0.0, fused[chunk] - FOREIGN)
    ranked = sorted(fused, key=lambda chunk: (-fused[chunk], chunk))
    signals = Signals(
        cosine=max(cosines.values(), default=0.0),
        margin=margin(list(cosines.values())),
        coverage=index.lexical.coverage(text, ranked[0]) if ranked else 0.0,
        familiar=leaned.familiar,
    )
    passages = tuple(
        _passage(index.chunks[chunk], fused[chunk], _raw(parts, chunk), text, near.get(chunk))
        for chunk in islice(_distinct(ranked, index.chunks), k)
    )
    return Found(
        passages=passages,
        confidence=assess(signals),
        rewritten=text,
        also=tuple(also),
        topics=leaned.towards,
        filters=filters,
        signals=signals,
    )


def _allowed(chunks: Sequence[Chunk], where: Mapping[str, str] | None) -> npt.NDArray[np.bool_]:
    if not where:
        return np.ones(len(chunks), dtype=bool)
    return np.array([all(_fits(c, k, v) for k, v in where.items()) for c in chunks], dtype=bool)


def _fits(chunk: Chunk, key: str, wanted: str) -> bool:
    if key == "document":
        return chunk.document.startswith(wanted)
    value = chunk.metadata.get(key)
    if key == "locale":
        return not value or str(value).split("-")[0] == wanted.split("-")[0]
    if isinstance(value, (list, tuple, set, frozenset)):
        return wanted in map(str, value)
    return value is not None and str(value) == wanted


def _language(text: str) -> str:
    """ko, en or, where no letters decide it, nothing."""
    if _HANGUL.search(text):
        return "ko"
    return "en" if len(_LATIN.findall(text)) > 2 else ""


def _is_foreign(chunk: Chunk, language: str) -> bool:
    """Whether a chunk says to be in another language, and is: pages are often labelled by accident."""
    locale = str(chunk.metadata.get("locale") or "").split("-")[0].casefold()
    if not language or not locale or locale == language:
        return False
    korean = 2 * len(_HANGUL.findall(chunk.text)) > len(_LATIN.findall(chunk.text))
    return korean != (language == "ko")


def _nearest(
    index: Searchable, leaned: Leaned, subjects: Subjects | None, allowed: npt.NDArray[np.bool_]
) -> dict[int, tuple[int, float]]:
    """The nearest pieces folded to their chunk: its best piece and cosine, best chunk first.

    What is about the same topics comes nearer.
    """
    wanted = CANDIDATES
    while True:
        near = index.nearest(leaned.vector, wanted)
        kept = [hit for hit in near if allowed[hit[0]]]
        # A filter may have thrown out the nearest ones: look further until there are enough.
        if len(kept) >= CANDIDATES or len(near) < wanted:
            break
        wanted *= 8
    kept = kept[:CANDIDATES]
    if subjects and kept:
        chunks, pieces, cosines = zip(*kept, strict=True)
        nearer = np.asarray(cosines) + AGREEMENT * leaned.agreement(subjects, chunks, pieces)
        order = np.argsort(-nearer, kind="stable")
        kept = [(chunks[at], pieces[at], float(nearer[at])) for at in order]
    folded: dict[int, tuple[int, float]] = {}
    for chunk, piece, cosine in kept:
        folded.setdefault(chunk, (piece, cosine))
    return folded


def _best(scores: Scores) -> dict[int, float]:
    """The highest positive scores by chunk, best first."""
    top = (
        np.argpartition(-scores, CANDIDATES - 1)[:CANDIDATES] if len(scores) > CANDIDATES else None
    )
    chunks = np.arange(len(scores)) if top is None else np.sort(top)
    order = chunks[np.argsort(-scores[chunks], kind="stable")]
    return {int(chunk): float(scores[chunk]) for chunk in order if scores[chunk] > 0}


def _fused(parts: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """The weighted sum of the parts, each scaled over its own candidates; an absent chunk adds 0."""
    lexical = [name for name, scores in parts.items() if name != "cosine" and scores]
    weights = {name: (1 - DENSE_SHARE) / len(lexical) for name in lexical}
    if parts["cosine"]:
        weights["cosine"] = DENSE_SHARE
    total = sum(weights.values())
    fused: dict[int, float] = {}
    for name, weight in weights.items():
        scores = parts[name]
        low, high = min(scores.values()), max(scores.values())
        for chunk, score in scores.items():
            scaled = (score - low) / (high - low) if high > low else 1.0
            fused[chunk] = fused.get(chunk, 0.0) + weight / total * scaled
    return fused


def _distinct(ranked: Iterable[int], chunks: Sequence[Chunk]) -> Iterator[int]:
    """The chunks in order without those whose text came before."""
    seen: set[str] = set()
    for chunk in ranked:
        text = " ".join(chunks[chunk].text.split())
        if text not in seen:
            seen.add(text)
            yield chunk


def _raw(parts: Mapping[str, Mapping[int, float]], chunk: int) -> dict[str, float]:
    return {name: scores[chunk] for name, scores in parts.items() if chunk in scores}


def _passage(
    chunk: Chunk,
    score: float,
    scores: Mapping[str, float],
    query: str,
    near: tuple[int, float] | None,
) -> Passage:
    best = chunk.pieces[near[0]] if near else _most_shared(query, chunk.pieces)
    return Passage(
        id=chunk.id,
        document=chunk.document,
        heading=chunk.heading,
        text=chunk.text,
        score=score,
        scores=scores,
        metadata=chunk.metadata,
        best=best,
        section=chunk.section(best),
    )


def _most_shared(query: str, pieces: Sequence[str]) -> str:
    """The piece with most of the question's bigrams, for a chunk that only its words brought up."""
    wanted = bigrams(query)
    return max(pieces, key=lambda piece: int(np.isin(wanted, bigrams(piece)).sum()), default="")
