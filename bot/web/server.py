"""The one aiohttp server: chat page, widget, health, and the routes that channels bring along."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from brain.errors import ConfigError, PromptError

Ready = Callable[[], Mapping[str, str]]
"""What is not ready yet: part -> why. Empty when customers can be served."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY_BYTES = 64 * 1024
STOP_SECONDS = 5.0

_STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_SLOT = re.compile(r"\{\{([\w.]+)\}\}")
_QUOTED_SLOT = re.compile(r'"\{\{([\w.]+)\}\}"')


def build_server(
    *,
    routes: Iterable[web.AbstractRouteDef],
    texts: Mapping[str, str],
    company: str,
    longest: int,
    ready: Ready,
    frame_ancestors: Sequence[str] = (),
) -> web.Application:
    """Everything that answers on the one port.

    `texts` holds the phrases that the page names (`page_texts`), looked up at every request, so a
    live view works; `{company}` and `{longest}` (characters of one message) are filled in.
    `frame_ancestors` are further sites (`https://shop.example`) that may embed the page. Raises
    PromptError when a phrase is missing.
    """
    missing = sorted(page_texts() - set(texts))
    if missing:
        raise PromptError(f"the chat page needs phrases that are missing: {', '.join(missing)}")
    page, widget = _read("chat.html"), _read("widget.js")

    def text_of(name: str) -> str:
        if name == "initial":
            return company[:1]
        if name == "longest":
            return str(longest)
        return texts[name].replace("{company}", company).replace("{longest}", f"{longest:,}")

    async def serve_page(request: web.Request) -> web.StreamResponse:
        filled = _SLOT.sub(lambda slot: html.escape(text_of(slot[1])), page)
        return _document(request, filled, "text/html")

    async def serve_widget(request: web.Request) -> web.StreamResponse:
        filled = _QUOTED_SLOT.sub(lambda slot: json.dumps(text_of(slot[1])), widget)
        return _document(request, filled, "text/javascript")

    async def healthz(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.StreamResponse:
        waiting = dict(ready())
        body = {"status": "waiting" if waiting else "ready", "waiting_for": waiting}
        return web.json_response(body, status=503 if waiting else 200)

    application = web.Application(client_max_size=BODY_BYTES)
    application.add_routes(
        [
            web.get("/", serve_page),
            web.get("/widget.js", serve_widget),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            *(web.get(f"/static/{name}", _asset(name)) for name in _asset_names()),
            *routes,
        ]
    )
    application.on_response_prepare.append(_headers(frame_ancestors))
    return application


class Server:
    """Listens for an application built by `build_server`."""

    def __init__(self, application: web.Application) -> None:
        # No access log: it would keep customers' addresses.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_SECONDS)

    async def start(self, host: str, port: int) -> int:
        """Listen, and say on which port: port 0 takes a free one. Raises ConfigError if it cannot."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror}): "
                "set web.host and web.port to an address that is free"
            ) from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening and let open requests finish for a few seconds."""
        await self._runner.cleanup()


def page_texts() -> frozenset[str]:
    """Names of the phrases that page and widget are made of."""
    names = _SLOT.findall(_read("chat.html")) + _QUOTED_SLOT.findall(_read("widget.js"))
    return frozenset(name for name in names if name.startswith("web."))


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def _asset_names() -> list[str]:
    names = sorted(path.name for path in _STATIC.iterdir() if path.suffix in _TYPES)
    return [name for name in names if name != "widget.js"]


def _asset(name: str) -> Handler:
    text, media_type = _read(name), _TYPES[Path(name).suffix]

    async def serve(request: web.Request) -> web.StreamResponse:
        return _document(request, text, media_type)

    return serve


def _document(request: web.Request, text: str, media_type: str) -> web.StreamResponse:
    """The text, or 304 to a browser that has it."""
    body = text.encode()
    tag = hashlib.sha256(body).hexdigest()[:20]
    known = request.if_none_match or ()
    if any(etag.value == tag for etag in known):
        response = web.Response(status=304)
    else:
        response = web.Response(body=body, content_type=media_type, charset="utf-8")
    response.etag = tag
    response.headers["Cache-Control"] = "no-cache"
    return response


def _headers(
    frame_ancestors: Sequence[str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    ancestors = " ".join(("'self'", *frame_ancestors))
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            f"frame-ancestors {ancestors}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )

    async def add(_: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["Content-Security-Policy"] = policy
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers.setdefault("Cache-Control", "no-store")
        headers.pop("Server", None)

    return add
