"""Lexical search: BM25 over character bigrams and, where enabled, over Kiwi morphemes.

Character bigrams need no analyser and survive typos and missing spaces, which words between
spaces do not in Korean. The arrays below are what bm25s computes (method `lucene`); written out
because importing it costs 0.4 s (scipy, tqdm) at every cold start, and these load in a millisecond.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from brain.errors import KnowledgeError

Terms: TypeAlias = npt.NDArray[np.uint64]
"""Terms as numbers: two code points for a bigram, a hash for a morpheme."""
Scores: TypeAlias = npt.NDArray[np.float32]

Weighed: TypeAlias = Callable[[Terms], npt.NDArray[np.float64]]
"""How much each term of a question counts."""

FORMAT = 2
K1 = 1.5
B = 0.75
ALSO = 0.3
"""What another word for something in the question counts, as a share of the word itself."""
CONTENT_TAGS = ("NN", "NR", "SL", "SN", "SH", "XR", "VV", "VA", "MAG")
"""Parts of speech that carry what a question is about: nouns, numbers, foreign words, verbs."""

_NOISE = re.compile(r"[^\w]+")


class Lexical:
    """The words of all chunks, searchable; immutable. A chunk scores as its best piece does."""

    def __init__(self, parts: dict[str, Postings], starts: npt.NDArray[np.int64]) -> None:
        self._parts = parts
        self._starts = starts

    @classmethod
    def build(cls, chunks: Sequence[Sequence[str]], *, kiwi: bool = False) -> Lexical:
        """Indexes the pieces of every chunk; with `kiwi`, morphemes too (0.3-0.5 GB of memory).

        Raises KnowledgeError when the analyser is wanted and not installed.
        """
        pieces = [piece for chunk in chunks for piece in chunk]
        parts = {"bigram": Postings.build([bigrams(text) for text in pieces])}
        if kiwi:
            parts["morpheme"] = Postings.build([morphemes(text) for text in pieces])
        starts = np.cumsum([0, *(len(chunk) for chunk in chunks)]).astype(np.int64)
        return cls(parts, starts)

    @property
    def size(self) -> int:
        """Number of chunks."""
        return len(self._starts) - 1

    @property
    def kiwi(self) -> bool:
        """Whether morphemes are indexed."""
        return "morpheme" in self._parts

    def scores(self, query: str, also: Sequence[str] = ()) -> dict[str, Scores]:
        """BM25 of every chunk by part: `bigram` and, if indexed, `morpheme`; 0 where nothing fits.

        `also` are other words for what the query says; they count less.
        """
        found = {}
        for name, part in self._parts.items():
            scores = part.scores(_SPLIT[name](query), _WEIGHED[name])
            for words in also:
                scores = scores + ALSO * part.scores(_SPLIT[name](words), _WEIGHED[name])
            found[name] = self._by_chunk(scores)
        return found

    def _by_chunk(self, scores: Scores) -> Scores:
        if not len(scores):
            return np.zeros(self.size, dtype=np.float32)
        return np.maximum.reduceat(scores, self._starts[:-1]).astype(np.float32)

    def coverage(self, query: str, chunk: int) -> float:
        """Share of the query's bigrams, weighted by what they say, that occur in this chunk."""
        part = self._parts["bigram"]
        terms = np.unique(bigrams(query))
        weights = part.rarity(terms) * said(terms)
        total = float(weights.sum())
        if not total:
            return 0.0
        inside = part.occurs(terms, int(self._starts[chunk]), int(self._starts[chunk + 1]))
        return float(weights[inside].sum()) / total

    def save(self, folder: Path) -> None:
        """Writes the index into a folder, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in self._parts.items():
            for field in Postings.__slots__:
                np.save(folder / f"{name}.{field}.npy", getattr(part, field), allow_pickle=False)
        np.save(folder / "starts.npy", self._starts, allow_pickle=False)
        header = {"format": FORMAT, "parts": list(self._parts)}
        (folder / "lexical.json").write_text(json.dumps(header), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Lexical:
        """Maps a saved index into memory.

        Raises KnowledgeError when the folder holds none, or one of another format.
        """
        try:
            header = json.loads((folder / "lexical.json").read_text(encoding="utf-8"))
            if header["format"] != FORMAT:
                raise KnowledgeError(f"{folder}: lexical index of another format; reload --force")
            parts = {
                name: Postings(
                    **{
                        field: np.load(folder / f"{name}.{field}.npy", mmap_mode="r")
                        for field in Postings.__slots__
                    }
                )
                for name in header["parts"]
            }
            return cls(parts, np.load(folder / "starts.npy"))
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise KnowledgeError(f"{folder}: no readable lexical index ({error})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """Which pieces hold a term, and what it adds to their score."""

    terms: Terms
    """All terms, ascending."""
    offsets: npt.NDArray[np.int64]
    """Where a term's entries begin; one longer than `terms`."""
    pieces: npt.NDArray[np.int32]
    """Piece of every entry, ascending within a term."""
    weights: Scores
    """BM25 of the term in that piece."""
    lengths: npt.NDArray[np.int32]
    """Terms of every piece."""

    @classmethod
    def build(cls, texts: Sequence[Terms]) -> Postings:
        """Counts and weighs the terms of every piece."""
        lengths = np.array([len(terms) for terms in texts], dtype=np.int32)
        counted = [np.unique(terms, return_counts=True) for terms in texts]
        owners = np.repeat(np.arange(len(texts), dtype=np.int32), [len(t) for t, _ in counted])
        every = _joined([t for t, _ in counted], np.uint64)
        counts = _joined([c for _, c in counted], np.float64)
        order = np.argsort(every, kind="stable")
        terms, frequencies = np.unique(every, return_counts=True)
        norms = K1 * (1 - B + B * lengths / max(lengths.mean(), 1.0)) if len(texts) else lengths
        idf = np.repeat(_idf(frequencies, len(texts)), frequencies)
        owners, counts = owners[order], counts[order]
        return cls(
            terms=terms,
            offsets=np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int64),
            pieces=owners,
            weights=(idf * counts / (counts + norms[owners])).astype(np.float32),
            lengths=lengths,
        )

    def scores(self, query: Terms, weighed: Weighed) -> Scores:
        """The sum over the query's terms, repeated ones counted again, for every piece."""
        terms, repeats = np.unique(query, return_counts=True)
        factors = repeats * weighed(terms)
        found = [(self._entries(term), factor) for term, factor in zip(terms, factors, strict=True)]
        pieces = _joined([self.pieces[entries] for entries, _ in found], np.int32)
        weights = _joined([self.weights[entries] * f for entries, f in found], np.float32)
        return np.bincount(pieces, weights=weights, minlength=len(self.lengths)).astype(np.float32)

    def rarity(self, terms: Terms) -> npt.NDArray[np.float64]:
        """IDF of terms, the highest for those that no piece holds."""
        frequencies = np.array(
            [entries.stop - entries.start for entries in map(self._entries, terms)], dtype=np.int64
        )
        return _idf(frequencies, len(self.lengths))

    def occurs(self, terms: Terms, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """For each term, whether any of the pieces from `start` to before `stop` holds it."""
        return np.array([self._within(self._entries(t), start, stop) for t in terms], dtype=bool)

    def _within(self, entries: slice, start: int, stop: int) -> bool:
        first, last = np.searchsorted(self.pieces[entries], (start, stop))
        return bool(first < last)

    def _entries(self, term: np.uint64) -> slice:
        at = int(np.searchsorted(self.terms, term))
        if at == len(self.terms) or self.terms[at] != term:
            return slice(0, 0)
        return slice(int(self.offsets[at]), int(self.offsets[at + 1]))


def said(terms: Terms) -> npt.NDArray[np.float64]:
    """How much each pair of letters says, 0 to 1: little, if it is in every other question.

    Fitted by `tests/bench/fit_retrieval.py`.
    """
    pairs, weights = _function_words()
    places = np.minimum(np.searchsorted(pairs, terms), len(pairs) - 1)
    return np.where(pairs[places] == terms, weights[places], 1.0)


@cache
def _function_words() -> tuple[Terms, npt.NDArray[np.float64]]:
    with np.load(Path(__file__).with_name("function_words.npz")) as stored:
        return stored["pairs"], stored["weights"].astype(np.float64)


def _alike(terms: Terms) -> npt.NDArray[np.float64]:
    return np.ones(len(terms))


def bigrams(text: str) -> Terms:
    """Pairs of neighbouring letters and digits, across word borders; a lone letter stands alone."""
    folded = _NOISE.sub("", unicodedata.normalize("NFC", text).casefold())
    points = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    letters = points.astype(np.uint64)
    if len(letters) < 2:
        return letters
    return letters[:-1] << np.uint64(21) | letters[1:]


def morphemes(text: str) -> Terms:
    """Content morphemes as Kiwi analyses them."""
    analyser = _kiwi()
    with _kiwi_lock:
        tokens = analyser.tokenize(unicodedata.normalize("NFC", text).casefold())
    return np.array([_hash(t.form) for t in tokens if t.tag.startswith(CONTENT_TAGS)], np.uint64)


_SPLIT: dict[str, Callable[[str], Terms]] = {"bigram": bigrams, "morpheme": morphemes}
_WEIGHED: dict[str, Weighed] = {"bigram": said, "morpheme": _alike}
_kiwi_lock = threading.Lock()


@cache
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise KnowledgeError(
            "morphemes are wanted, but the analyser is not installed: pip install 'sangdam[kiwi]'"
        ) from error
    # Without the dictionary of multi-word names: 0.2 GB less, the same content morphemes.
    return Kiwi(load_multi_dict=False)


def _hash(form: str) -> int:
    return int.from_bytes(blake2b(form.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _idf(frequencies: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float64]:
    idf: npt.NDArray[np.float64] = np.log1p((size - frequencies + 0.5) / (frequencies + 0.5))
    return idf


def _joined(arrays: Iterable[npt.NDArray[Any]], kind: Any) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=kind), *arrays]).astype(kind, copy=False)
