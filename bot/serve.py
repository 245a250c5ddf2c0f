"""Serving: the web server and every channel, until told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import structlog

from adapters.webchat import TEXTS, WebChat
from bot.app import App, build, company_facts
from bot.channels.connect import LiveTexts, Webhook, configured
from bot.cli.terminal import Progress
from bot.config import Config
from bot.telemetry import set_up_logs
from bot.web.server import Server, build_server, page_texts

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
        server = await open_web(app)
        try:
            with Progress() as progress:
                await app.index(progress)
            await app.resume()
            warming = asyncio.create_task(_warm(app))
            await stop.wait()
            warming.cancel()
        finally:
            await server.stop()
    finally:
        await app.close()


async def _warm(app: App) -> None:
    await app.brain.warm()
    spare_collector()
    await app.background.read_ahead()


def spare_collector() -> None:
    """Take what is loaded for good out of the collector's sight.

    Libraries and knowledge are some hundred thousand objects. Every full collection would walk
    through them and hold everything else up for 50 to 100 ms.
    """
    gc.collect()
    gc.freeze()


async def open_web(app: App) -> Server:
    """Open the web chat and listen; raises ConfigError when the port is taken."""
    web = app.config.web
    longest = app.config.limits.longest_message
    texts = LiveTexts(app.brain, page_texts() | set(TEXTS), app.config.language)
    chat = WebChat(
        history=app.store.history,
        texts=texts,
        allowed_origins=web.allowed_origins,
        longest=longest,
    )
    others = configured(app)
    routes = [
        route for each in (chat, *others) if isinstance(each, Webhook) for route in each.routes()
    ]
    server = Server(
        build_server(
            routes=routes,
            texts=texts,
            company=company_facts(app.config).name,
            longest=longest,
            ready=app.missing,
            frame_ancestors=web.allowed_origins,
        )
    )
    for channel in (chat, *others):
        app.connect(channel)
    port = await server.start(web.host, web.port)
    print(f"Sangdam: http://{web.host}:{port}", file=sys.stderr, flush=True)  # noqa: T201 - where to look
    return server
