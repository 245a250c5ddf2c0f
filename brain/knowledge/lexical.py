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

FORMAT = 1
K1 = 1.5
B = 0.75
CONTENT_TAGS = ("NN", "NR", "SL", "SN", "SH", "XR", "VV", "VA", "MAG")
"""Parts of speech that carry what a question is about: nouns, numbers, foreign words, verbs."""

_NOISE = re.compile(r"[^\w]+")


class Lexical:
    """The words of all chunks, searchable; immutable."""

    def __init__(self, parts: dict[str, Postings], *, size: int) -> None:
        self._parts = parts
        self.size = size
        """Number of chunks."""

    @classmethod
    def build(cls, texts: Sequence[str], *, kiwi: bool = False) -> Lexical:
        """Indexes one text a chunk; with `kiwi`, morphemes beside bigrams (0.3-0.5 GB of memory).

        Raises KnowledgeError when the analyser is wanted and not installed.
        """
        parts = {"bigram": Postings.build([bigrams(text) for text in texts])}
        if kiwi:
            parts["morpheme"] = Postings.build([morphemes(text) for text in texts])
        return cls(parts, size=len(texts))

    @property
    def kiwi(self) -> bool:
        """Whether morphemes are indexed."""
        return "morpheme" in self._parts

    def scores(self, query: str) -> dict[str, Scores]:
        """BM25 of every chunk by part: `bigram` and, if indexed, `morpheme`; 0 where nothing fits."""
        return {
            name: part.scores(_SPLIT[name](query), self.size) for name, part in self._parts.items()
        }

    def coverage(self, query: str, chunks: Sequence[int]) -> float:
        """Share of the query's bigrams, weighted by rarity, that occur in any of these chunks."""
        part = self._parts["bigram"]
        terms = np.unique(bigrams(query))
        rarity = part.rarity(terms, self.size)
        total = float(rarity.sum())
        return float(rarity[part.occurs(terms, chunks)].sum()) / total if total else 0.0

    def save(self, folder: Path) -> None:
        """Writes the index into a folder, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in self._parts.items():
            for field in Postings.__slots__:
                np.save(folder / f"{name}.{field}.npy", getattr(part, field), allow_pickle=False)
        header = {"format": FORMAT, "size": self.size, "parts": list(self._parts)}
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
            return cls(parts, size=header["size"])
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise KnowledgeError(f"{folder}: no readable lexical index ({error})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Postings:
    """Which chunks hold a term, and what it adds to their score."""

    terms: Terms
    """All terms, ascending."""
    offsets: npt.NDArray[np.int64]
    """Where a term's entries begin; one longer than `terms`."""
    chunks: npt.NDArray[np.int32]
    """Chunk of every entry, ascending within a term."""
    weights: Scores
    """BM25 of the term in that chunk."""

    @classmethod
    def build(cls, documents: Sequence[Terms]) -> Postings:
        """Counts and weighs the terms of every document."""
        lengths = np.array([len(d) for d in documents], dtype=np.float64)
        counted = [np.unique(d, return_counts=True) for d in documents]
        owners = np.repeat(np.arange(len(documents), dtype=np.int32), [len(t) for t, _ in counted])
        every = _joined([t for t, _ in counted], np.uint64)
        counts = _joined([c for _, c in counted], np.float64)
        order = np.argsort(every, kind="stable")
        terms, frequencies = np.unique(every, return_counts=True)
        norms = K1 * (1 - B + B * lengths / max(lengths.mean(), 1.0)) if len(documents) else lengths
        idf = np.repeat(_idf(frequencies, len(documents)), frequencies)
        owners, counts = owners[order], counts[order]
        return cls(
            terms=terms,
            offsets=np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int64),
            chunks=owners,
            weights=(idf * counts / (counts + norms[owners])).astype(np.float32),
        )

    def scores(self, query: Terms, size: int) -> Scores:
        """The sum over the query's terms, repeated ones counted again, for each of `size` chunks."""
        terms, repeats = np.unique(query, return_counts=True)
        found = [(self._entries(t), n) for t, n in zip(terms, repeats, strict=True)]
        chunks = _joined([self.chunks[s] for s, _ in found], np.int32)
        weights = _joined([self.weights[s] * n for s, n in found], np.float32)
        return np.bincount(chunks, weights=weights, minlength=size).astype(np.float32)

    def rarity(self, terms: Terms, size: int) -> npt.NDArray[np.float64]:
        """IDF of terms, the highest for those that no chunk holds."""
        frequencies = np.array(
            [s.stop - s.start for s in map(self._entries, terms)], dtype=np.int64
        )
        return _idf(frequencies, size)

    def occurs(self, terms: Terms, chunks: Sequence[int]) -> npt.NDArray[np.bool_]:
        """For each term, whether any of the chunks holds it."""
        wanted = np.unique(np.asarray(chunks, dtype=np.int32))
        return np.array([self._holds(self._entries(t), wanted) for t in terms], dtype=bool)

    def _holds(self, entries: slice, wanted: npt.NDArray[np.int32]) -> bool:
        held = self.chunks[entries]
        if not len(held):
            return False
        places = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
        return bool((held[places] == wanted).any())

    def _entries(self, term: np.uint64) -> slice:
        at = int(np.searchsorted(self.terms, term))
        if at == len(self.terms) or self.terms[at] != term:
            return slice(0, 0)
        return slice(int(self.offsets[at]), int(self.offsets[at + 1]))


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
