"""The `sangdam` command: one clear line on standard error when something is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from bot import config as configuration
from bot.cli.knowledge import indexed, kb
from bot.cli.prompts import prompt
from bot.cli.terminal import AsJson, ConfigFile, Progress, pretended, print_json, say
from bot.cli.terminal import run as run_task
from brain.errors import ConfigError, SangdamError

if TYPE_CHECKING:
    from bot.app import App
    from brain.messages import Turn

TOLD_WITHIN = 10.0
"""Seconds from a reply until its turn is recorded, which takes milliseconds unless it failed."""

cli = typer.Typer(
    help="Sangdam: a self-hosted customer-support gateway.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
emotion = typer.Typer(help="The emotion detector.", no_args_is_help=True)
cli.add_typer(kb, name="kb")
cli.add_typer(prompt, name="prompt")
cli.add_typer(emotion, name="emotion")


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="sangdam")
    except SangdamError as wrong:
        print(f"sangdam: {wrong}", file=sys.stderr)  # noqa: T201 - the one line a person gets
        raise SystemExit(1) from None


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
    say(f"Wrote {', '.join(str(target) for target in targets)}. Next: sangdam run")


@cli.command()
def run(config: ConfigFile = None) -> None:
    """Index the documents if needed and serve every channel."""
    from bot.serve import serve

    run_task(serve(configuration.load(config)))


@cli.command()
def chat(config: ConfigFile = None) -> None:
    """A conversation in the terminal; /quit leaves."""
    from adapters.console import Console

    async def converse() -> None:
        async with _app(configuration.load(config)) as app:
            await app.connect(Console())

    run_task(converse())


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
        clock = pretended(now, settings)
        turns: asyncio.Queue[Turn] = asyncio.Queue()
        async with _app(settings, observers=[turns.put_nowait], clock=clock) as app:
            fake = Fake(name=channel, now=clock.now)
            app.connect(fake)
            for line in sys.stdin if text == "-" else [text]:
                new = uuid4().hex[:12]
                reply = await fake.say(
                    line.rstrip("\n"), user=user or new, conversation=conversation or new
                )
                try:
                    turn = await asyncio.wait_for(turns.get(), TOLD_WITHIN)
                except TimeoutError:
                    raise SangdamError("the turn failed; the log above says why") from None
                if as_json or text == "-":
                    print_json(turn_document(turn))
                else:
                    say("\n".join(part for part in (reply.notice, reply.text) if part))
                    for source in reply.sources:
                        say(f"  ↳ {source.heading} ({source.document})")

    run_task(converse())


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
        "follow_ups": list(turn.follow_ups),
        "escalation": turn.escalation,
        "handoff": turn.handoff,
        "model": turn.model,
        "variant": turn.variant,
        "layers": list(turn.layers),
        "timings": dict(turn.timings),
    }


@cli.command()
def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check configuration, model, index, prompts and disk."""
    from bot.cli.doctor import examine

    checks = asyncio.run(examine(config))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            say(f"{check.level:4}  {check.name}: {check.detail}")
    if any(check.level == "fail" for check in checks):
        raise SystemExit(1)


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
        async with indexed(config):
            pass
        outcome = await run_all(settings, files)
        if as_json:
            print_json(asdict(outcome))
        else:
            for each in outcome.failures:
                say(f"{each.file} step {each.step}: {each.said!r}")
                say(f"  expected {each.expected}, got: {each.got}")
            say(f"{outcome.passed} passed, {outcome.failed} failed in {outcome.seconds} s")
        if outcome.failed:
            raise SystemExit(1)

    run_task(play())


@emotion.command("eval")
def emotion_eval(
    file: Annotated[Path, typer.Argument(help="Rows {text, label} as JSON lines.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure the emotion detector on labelled utterances."""
    from bot.cli.evaluate import evaluate_emotion

    configuration.load(config)
    result = evaluate_emotion(file)
    print_json(result) if as_json else say(json.dumps(result, ensure_ascii=False, indent=2))


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
