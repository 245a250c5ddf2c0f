"""The one server: headers, page, health, start and stop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from bot.web.server import BODY_BYTES, Server, build_server, page_texts
from brain.errors import ConfigError, PromptError

TEXTS = {name: f'{name} "<b>' for name in page_texts()} | {"web.title": "{company} · {longest}"}
WAITING: dict[str, str] = {}


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


def build(**changes: object) -> web.Application:
    arguments: dict[str, object] = {
        "routes": [web.post("/echo", echo)],
        "texts": TEXTS,
        "company": "<테크마켓>",
        "longest": 4000,
        "ready": lambda: WAITING,
    }
    return build_server(**arguments | changes)  # type: ignore[arg-type]  # a table of arguments


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    server = Server(build(frame_ancestors=["https://shop.example"]))
    port = await server.start("127.0.0.1", 0)
    async with ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session
    await server.stop()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200), ("/static/chat.js", 200), ("/static/chat.css", 200), ("/static/icon.svg", 200),
        ("/widget.js", 200), ("/healthz", 200), ("/readyz", 200), ("/echo", 405),
        ("/nothing", 404), ("/static/chat.html", 404), ("/static/..%2fserver.py", 404),
        ("/static/../server.py", 404),
    ],
)  # fmt: skip
async def test_every_answer_carries_the_security_headers(
    client: ClientSession, path: str, status: int
) -> None:
    async with client.get(path) as answer:
        assert answer.status == status
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= set(policy)
        assert "frame-ancestors 'self' https://shop.example" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Cache-Control" in answer.headers
        assert "Server" not in answer.headers


async def test_texts_are_escaped_where_they_stand(client: ClientSession) -> None:
    async with client.get("/") as answer:
        page = await answer.text()
    assert "<h1>&lt;테크마켓&gt; · 4,000</h1>" in page
    assert "web.notice &quot;&lt;b&gt;" in page
    assert "{{" not in page
    async with client.get("/widget.js") as answer:
        assert r'openLabel = "web.widget_open \"<b>"' in await answer.text()


async def test_a_browser_that_has_the_file_is_told_so(client: ClientSession) -> None:
    async with client.get("/static/chat.css") as answer:
        tag = answer.headers["ETag"]
    async with client.get("/static/chat.css", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


async def test_health_and_readiness(client: ClientSession) -> None:
    WAITING["index"] = "building"
    try:
        async with client.get("/readyz") as answer:
            assert answer.status == 503
            assert await answer.json() == {
                "status": "waiting",
                "waiting_for": {"index": "building"},
            }
        async with client.get("/healthz") as answer:
            assert await answer.json() == {"status": "ok"}
    finally:
        WAITING.clear()
    async with client.get("/readyz") as answer:
        assert await answer.json() == {"status": "ready", "waiting_for": {}}


async def test_large_bodies_are_refused(client: ClientSession) -> None:
    async with client.post("/echo", data=b"x" * BODY_BYTES) as answer:
        assert answer.status == 200
    async with client.post("/echo", data=b"x" * (BODY_BYTES + 1)) as answer:
        assert answer.status == 413


async def test_a_taken_port_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} .*web.port"):
            await Server(build()).start("127.0.0.1", port)


def test_missing_phrases_are_named() -> None:
    with pytest.raises(PromptError, match=r"missing: web\.notice, web\.send$"):
        build(texts={k: v for k, v in TEXTS.items() if k not in ("web.notice", "web.send")})
