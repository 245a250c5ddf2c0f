"""Serving: the web server and every channel, until told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog

from adapters.webchat import WebChat
from bot.app import App, build
from bot.config import Config
from bot.telemetry import set_up_logs
from bot.web.server import Server, build_server

log = structlog.get_logger(__name__)


async def serve(config: Config) -> None:
    """Index what is new, open every channel, run until SIGINT or SIGTERM."""
    set_up_logs()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    app = await build(config)
    try:
        server = await _open(app)
        try:
            await stop.wait()
        finally:
            await server.stop()
    finally:
        await app.close()


async def _open(app: App) -> Server:
    web = app.config.web
    ready = False
    chat = WebChat(
        history=app.store.history,
        allowed_origins=web.allowed_origins,
        longest=app.config.limits.longest_message,
    )
    server = Server(
        build_server(routes=chat.routes(), phrases=app.brain.prompts, ready=lambda: ready)
    )
    await server.start(web.host, web.port)
    _announce(f"Sangdam: http://{web.host}:{server.port}")
    return server


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the line that says where to look
