"""What every command shares: its options, its output, a progress bar for what takes long."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot import config as configuration

if TYPE_CHECKING:
    import rich.progress

    from bot.clock import SystemClock
    from bot.store.store import Store

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; default: ./sangdam.yaml if present."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def run(task: Coroutine[Any, Any, None]) -> None:
    """Run `task`; Ctrl-C ends with 130."""
    try:
        asyncio.run(task)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """One line for a person."""
    typer.echo(line)


@asynccontextmanager
async def stored(config: Path | None) -> AsyncIterator[tuple[configuration.Config, Store]]:
    """The configuration and its store, open; logs are quiet."""
    from bot.store.store import Store
    from bot.telemetry import set_up_logs

    set_up_logs(quiet=True)
    settings = configuration.load(config)
    store = await Store.open(settings.data / "sangdam.db")
    try:
        yield settings, store
    finally:
        await store.close()


def pretended(now: datetime | None, settings: configuration.Config) -> SystemClock:
    """The pretended time, in the company's zone unless it names one; the real time without it."""
    from bot.clock import SystemClock

    if now is None:
        return SystemClock()
    from zoneinfo import ZoneInfo

    fixed = now if now.tzinfo else now.replace(tzinfo=ZoneInfo(settings.company.timezone))
    return SystemClock(lambda: fixed)


class Progress:
    """`with Progress() as step`: the bar appears with the first `step(done, total)`."""

    def __init__(self, label: str = "Reading the documents") -> None:
        self._label = label
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` steps are behind us."""
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task(self._label)
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
