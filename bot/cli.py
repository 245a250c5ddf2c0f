"""The `sangdam` command: one clear line on standard error when something is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from bot import config as configuration
from bot.progress import Progress
from brain.errors import ConfigError, SangdamError

if TYPE_CHECKING:
    from bot.app import App
    from bot.clock import SystemClock
    from brain.knowledge.library import Library, Report
    from brain.messages import Turn

cli = typer.Typer(
    help="Sangdam: a self-hosted customer-support gateway.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
kb = typer.Typer(help="The knowledge base.", no_args_is_help=True)
prompt = typer.Typer(help="The layered prompts.", no_args_is_help=True)
emotion = typer.Typer(help="The emotion detector.", no_args_is_help=True)
cli.add_typer(kb, name="kb")
cli.add_typer(prompt, name="prompt")
cli.add_typer(emotion, name="emotion")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; default: ./sangdam.yaml if present."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="sangdam")
    except SangdamError as wrong:
        print(f"sangdam: {wrong}", file=sys.stderr)  # noqa: T201 - the one line a person gets
        raise SystemExit(1) from None


def _run(task: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(task)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _print(document: object) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _say(line: str) -> None:
    typer.echo(line)


@cli.command()
def init(folder: Annotated[Path, typer.Argument(help="Where to start.")] = Path()) -> None:
    """Write a commented sangdam.yaml, kb/ and prompts/ to start one's own company from."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / name for name in (configuration.DEFAULT_FILE, "kb", "prompts")]
    taken = [str(target) for target in targets if target.exists()]
    if taken:
        raise ConfigError(f"{', '.join(taken)} already there; nothing was written")
    shutil.copytree(configuration.packaged("kb"), folder / "kb")
    shutil.copytree(configuration.packaged("prompts"), folder / "prompts")
    text = configuration.example({"knowledge.folder": "./kb", "prompts.folder": "./prompts"})
    (folder / configuration.DEFAULT_FILE).write_text(text, encoding="utf-8")
    _say(f"Wrote {', '.join(str(target) for target in targets)}. Next: sangdam run")


@cli.command()
def run(config: ConfigFile = None) -> None:
    """Index the documents if needed and serve every channel."""
    from bot.serve import serve

    _run(serve(configuration.load(config)))


@cli.command()
def chat(config: ConfigFile = None) -> None:
    """A conversation in the terminal; /quit leaves."""
    from adapters.console import Console

    async def converse() -> None:
        async with _app(configuration.load(config)) as app:
            await app.connect(Console())

    _run(converse())


@cli.command()
def ask(
    text: Annotated[str, typer.Argument(help="The message; - reads one message a line.")],
    user: Annotated[str, typer.Option(help="Customer id.")] = "",
    conversation: Annotated[str, typer.Option(help="Conversation id; remembered.")] = "",
    channel: Annotated[str, typer.Option(help="Channel to speak as.")] = "fake",
    now: Annotated[datetime | None, typer.Option(help="ISO 8601 time to pretend.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send one message through the whole path and print the reply."""
    from adapters.fake import Fake

    async def converse() -> None:
        settings = configuration.load(config)
        clock = _clock(now, settings)
        turns: asyncio.Queue[Turn] = asyncio.Queue()
        async with _app(settings, observers=[turns.put_nowait], clock=clock) as app:
            fake = Fake(name=channel, now=clock.now)
            app.connect(fake)
            for line in sys.stdin if text == "-" else [text]:
                new = uuid4().hex[:12]
                reply = await fake.say(
                    line.rstrip("\n"), user=user or new, conversation=conversation or new
                )
                turn = await turns.get()
                if as_json or text == "-":
                    _print(turn_document(turn))
                else:
                    _say("\n".join(part for part in (reply.notice, reply.text) if part))
                    for source in reply.sources:
                        _say(f"  ↳ {source.heading} ({source.document})")

    _run(converse())


def turn_document(turn: Turn) -> dict[str, Any]:
    """A turn as the JSON that `ask --json` prints."""
    return {
        "text": turn.reply.text,
        "notice": turn.reply.notice,
        "kind": turn.reply.kind,
        "sources": [asdict(source) for source in turn.reply.sources],
        "confidence": asdict(turn.confidence) if turn.confidence else None,
        "emotion": asdict(turn.emotion) if turn.emotion else None,
        "daypart": turn.situation.daypart,
        "open": turn.situation.open,
        "intent": turn.situation.intent,
        "exceptions": list(turn.exceptions),
        "handoff": turn.handoff,
        "model": turn.model,
        "variant": turn.variant,
        "layers": list(turn.layers),
        "timings": dict(turn.timings),
    }


def _clock(now: datetime | None, settings: configuration.Config) -> SystemClock:
    """The pretended time, in the company's zone unless it names one; the real time without it."""
    from bot.clock import SystemClock

    if now is None:
        return SystemClock()
    from zoneinfo import ZoneInfo

    fixed = now if now.tzinfo else now.replace(tzinfo=ZoneInfo(settings.company.timezone))
    return SystemClock(lambda: fixed)


@cli.command()
def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check configuration, model, index, prompts and disk."""
    from bot.doctor import examine

    checks = asyncio.run(examine(config))
    if as_json:
        _print({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _say(f"{check.level:4}  {check.name}: {check.detail}")
    if any(check.level == "fail" for check in checks):
        raise SystemExit(1)


@kb.command("reload")
def kb_reload(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build a version whatever changed.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Re-read changed documents and switch to the new index."""

    async def reload() -> None:
        async with _library(config) as library:
            await library.open()
            with Progress() as progress:
                report = await library.reload(dry_run=dry_run, force=force, progress=progress)
        if as_json:
            _print(report_document(report))
            return
        _say(
            f"version {report.version}: {len(report.added)} added, {len(report.changed)} changed, "
            f"{len(report.removed)} removed, {report.unchanged} unchanged, "
            f"{report.chunks} passages, {report.seconds:.1f} s"
        )
        for problem in report.problems:
            typer.echo(f"{problem.path}: {problem.reason}", err=True)

    _run(reload())


def report_document(report: Report) -> dict[str, Any]:
    """A reload's report as the JSON that `kb reload --json` prints."""
    return {
        "version": report.version,
        "added": list(report.added),
        "changed": list(report.changed),
        "removed": list(report.removed),
        "unchanged": report.unchanged,
        "chunks": report.chunks,
        "seconds": report.seconds,
        "problems": [{"path": str(each.path), "reason": each.reason} for each in report.problems],
    }


@kb.command("rollback")
def kb_rollback(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Return to the index version before the live one."""

    async def rollback() -> None:
        async with _library(config) as library:
            await library.open()
            version = await library.rollback()
        _print({"version": version}) if as_json else _say(f"version {version} is live")

    _run(rollback())


@kb.command("status")
def kb_status(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say which index version is live."""

    async def status() -> None:
        async with _library(config) as library:
            await library.open()
            found = asdict(library.status())
        if as_json:
            _print(json.loads(json.dumps(found, default=str)))
            return
        for name, value in found.items():
            _say(f"{name}: {value}")

    _run(status())


@kb.command("search")
def kb_search(
    query: str,
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="Passages.")] = 5,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="key=value")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look a question up and show how each passage came to its score."""
    where = dict(_pair(each) for each in filters or ())

    async def search() -> None:
        async with _indexed(config) as library:
            found = await library.search(query, k=k, where=where or None)
        results = [
            {
                "document": passage.document,
                "heading": passage.heading,
                "text": passage.text,
                "score": passage.score,
                "scores": dict(passage.scores),
            }
            for passage in found.passages
        ]
        if as_json:
            _print(
                {
                    "results": results,
                    "confidence": asdict(found.confidence),
                    "rewritten": found.rewritten,
                }
            )
            return
        _say(f"confidence {found.confidence.level} ({found.confidence.probability:.2f})")
        for at, passage in enumerate(found.passages, 1):
            parts = ", ".join(f"{part} {score:.3f}" for part, score in passage.scores.items())
            _say(f"\n{at}. {passage.score:.3f}  {passage.document} · {passage.heading}  ({parts})")
            _say(passage.text)

    _run(search())


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"write key=value, not {text!r}")
    return key, value


@kb.command("eval")
def kb_eval(
    file: Annotated[Path, typer.Argument(help="Rows {q, source, must[]} as JSON lines.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on questions whose answers are known."""
    from bot.evaluate import evaluate_retrieval

    async def evaluate() -> None:
        async with _indexed(config) as library:
            result = await evaluate_retrieval(library, file)
        if as_json:
            _print(result)
            return
        for name, value in result.items():
            if name != "misses":
                _say(f"{name}: {value if isinstance(value, int) else format(value, '.4f')}")
        for miss in result["misses"]:
            _say(f"  miss: {miss['q']}  wanted {miss['source']}, got {miss['got']}")

    _run(evaluate())


@cli.command("test")
def play_conversations(
    files: Annotated[list[Path], typer.Argument(help="Conversations in YAML.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Play conversations through the fake channel and compare the replies."""
    from bot.scenario import read, run_all

    async def play() -> None:
        settings = configuration.load(config)
        for file in files:
            read(file)
        async with _indexed(config):
            pass
        outcome = await run_all(settings, files)
        if as_json:
            _print(asdict(outcome))
        else:
            for each in outcome.failures:
                _say(f"{each.file} step {each.step}: {each.said!r}")
                _say(f"  expected {each.expected}, got: {each.got}")
            _say(f"{outcome.passed} passed, {outcome.failed} failed in {outcome.seconds} s")
        if outcome.failed:
            raise SystemExit(1)

    _run(play())


@prompt.command("lint")
def prompt_lint(config: ConfigFile = None) -> None:
    """Check every prompt file; the first mistake is named with file and line."""
    from bot.app import read_prompts

    settings = configuration.load(config)
    prompts = read_prompts(settings)
    _say(f"{settings.prompts_folder}: fine, version {prompts.version}")


@emotion.command("eval")
def emotion_eval(
    file: Annotated[Path, typer.Argument(help="Rows {text, label} as JSON lines.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure the emotion detector on labelled utterances."""
    from bot.evaluate import evaluate_emotion

    configuration.load(config)
    result = evaluate_emotion(file)
    _print(result) if as_json else _say(json.dumps(result, ensure_ascii=False, indent=2))


@asynccontextmanager
async def _app(settings: configuration.Config, **wiring: Any) -> AsyncIterator[App]:
    from bot.app import build
    from bot.telemetry import set_up_logs

    set_up_logs(quiet=True)
    app = await build(settings, **wiring)
    try:
        with Progress() as progress:
            await app.index(progress)
        yield app
    finally:
        await app.close()


@asynccontextmanager
async def _library(config: Path | None) -> AsyncIterator[Library]:
    from bot.app import library
    from bot.store.store import Store
    from bot.telemetry import set_up_logs

    set_up_logs(quiet=True)
    settings = configuration.load(config)
    store = await Store.open(settings.data / "sangdam.db")
    try:
        opened = library(settings, store)
        yield opened
        await opened.close()
    finally:
        await store.close()


@asynccontextmanager
async def _indexed(config: Path | None) -> AsyncIterator[Library]:
    async with _library(config) as library:
        if not await library.open():
            with Progress() as progress:
                await library.reload(progress=progress)
        yield library
