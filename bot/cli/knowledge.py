"""The `sangdam kb` commands: the knowledge base from the command line, also beside a running server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot import config as configuration
from bot.cli.terminal import AsJson, ConfigFile, Progress, print_json, say, stored
from bot.cli.terminal import run as run_task
from brain.errors import ConfigError

if TYPE_CHECKING:
    from bot.config import Config
    from bot.store.store import Store
    from brain.knowledge.gaps import Gap, Gaps
    from brain.knowledge.library import Library
    from brain.knowledge.reports import Report
    from brain.second_look import SecondLook

kb = typer.Typer(help="The knowledge base.", no_args_is_help=True)


@kb.command("reload")
def kb_reload(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Build a version whatever changed, and whatever it lost."),
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
            print_json(report_document(report))
            return
        say(
            f"version {report.version}: {len(report.added)} added, {len(report.changed)} changed, "
            f"{len(report.removed)} removed, {report.unchanged} unchanged, "
            f"{report.chunks} passages, {report.seconds:.1f} s"
        )
        for problem in report.problems:
            typer.echo(f"{problem.path}: {problem.reason}", err=True)

    run_task(reload())


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
        print_json({"version": version}) if as_json else say(f"version {version} is live")

    run_task(rollback())


@kb.command("status")
def kb_status(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say which index version is live."""

    async def status() -> None:
        async with _library(config) as library:
            await library.open()
            found = asdict(library.status())
        if as_json:
            print_json(json.loads(json.dumps(found, default=str)))
            return
        for name, value in found.items():
            say(f"{name}: {value}")

    run_task(status())


@kb.command("search")
def kb_search(
    query: str,
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="Passages.")] = 5,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="key=value")] = None,
    history: Annotated[
        list[str] | None,
        typer.Option("--history", help="What was asked before; a second one: what was answered."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look a question up and show how each passage came to its score."""
    from brain.followup import Before

    where = dict(_pair(each) for each in filters or ())
    said = history or []
    if len(said) > 2:
        raise typer.BadParameter("give --history once or twice: what was asked, what was answered")
    before = Before(asked=said[0], answered=said[-1] if said[1:] else "") if said else None

    async def search() -> None:
        async with searching(config) as look:
            found = await look.search(query, leans_on=before, k=k, where=where or None)
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
            print_json(
                {
                    "results": results,
                    "confidence": asdict(found.confidence),
                    "rewritten": found.rewritten,
                    "also": list(found.also),
                    "after": found.after,
                    "queries": list(found.queries),
                    "topics": list(found.topics),
                    "reranked": found.reranked,
                    "signals": asdict(found.signals) if found.signals else None,
                    "filters": dict(found.filters),
                }
            )
            return
        say(f"confidence {found.confidence.level} ({found.confidence.probability:.2f})")
        for name, value in found.lookup.items():
            say(f"{name}: {value}")
        for at, passage in enumerate(found.passages, 1):
            parts = ", ".join(f"{part} {score:.3f}" for part, score in passage.scores.items())
            say(f"\n{at}. {passage.score:.3f}  {passage.document} · {passage.heading}  ({parts})")
            say(passage.text)

    run_task(search())


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
    from bot.cli.evaluate import evaluate_retrieval

    async def evaluate() -> None:
        async with searching(config) as look:
            result = await evaluate_retrieval(look, file)
        if as_json:
            print_json(result)
            return
        for name, value in result.items():
            if name != "misses":
                say(f"{name}: {value if isinstance(value, int) else format(value, '.4f')}")
        for miss in result["misses"]:
            say(f"  miss: {miss['q']}  wanted {miss['source']}, got {miss['got']}")

    run_task(evaluate())


@kb.command("calibrate")
def kb_calibrate(
    file: Annotated[
        Path,
        typer.Argument(help="Rows {q, source, must[]}, and {q, kind} for what nothing answers."),
    ],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Fit the confidence to these documents with questions whose answers are known."""
    from brain.knowledge.calibrate import calibrate
    from brain.knowledge.questions import read_questions

    async def fit() -> None:
        questions = read_questions(file)
        async with indexed(config) as library:
            found = await calibrate(library, questions)
            await library.calibrated(found.fit)
        if as_json:
            print_json(asdict(found))
            return
        say(f"{found.questions} questions, {found.answered} answered by the best passage")
        say(f"calibration error {found.error:.3f}, as shipped {found.error_shipped:.3f}")
        for kind, share in found.declined.items():
            say(f"declined, {kind}: {share:.1%}, as shipped {found.declined_shipped[kind]:.1%}")

    run_task(fit())


@kb.command("gaps")
def kb_gaps(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List what customers asked and the documents do not answer, the most asked first."""

    async def gaps() -> None:
        async with _gaps(config) as (_, missing):
            found = await missing.open()
        if as_json:
            print_json({"gaps": [gap_document(gap) for gap in found]})
            return
        for gap in found:
            say(f"{gap.id}  {len(gap.asked):3} x  {gap.asked[-1].at:%Y-%m-%d}  {gap.question}")
            if near := gap.nearest:
                say(f"          nearest: {near.document} · {near.heading} ({gap.probability:.2f})")
        if not found:
            say("no unanswered questions")

    run_task(gaps())


def gap_document(gap: Gap) -> dict[str, Any]:
    """A gap as the JSON that `kb gaps --json` prints."""
    return {
        "id": gap.id,
        "question": gap.question,
        "count": len(gap.asked),
        "first": gap.asked[0].at.isoformat(),
        "last": gap.asked[-1].at.isoformat(),
        "kinds": sorted({each.kind for each in gap.asked}),
        "nearest": {"document": gap.nearest.document, "heading": gap.nearest.heading}
        if gap.nearest
        else None,
        "probability": gap.probability,
        "wordings": list(dict.fromkeys(each.text for each in gap.asked)),
    }


@kb.command("answer")
def kb_answer(
    gap_id: Annotated[str, typer.Argument(metavar="ID", help="As `kb gaps` shows it.")],
    text: Annotated[
        str, typer.Option("--text", help="The answer; without it standard input.")
    ] = "",
    question: Annotated[
        str, typer.Option("--question", help="How the entry asks, if not as customers did.")
    ] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Answer a gap: an entry in faq/from-gaps.yaml of the knowledge folder, then a reload."""

    async def answer() -> None:
        from bot.app import read_prompts

        settings = configuration.load(config)
        if settings.knowledge.folder is None:
            raise ConfigError(
                "knowledge.folder is not set: answers go into your own documents, not into the "
                "sample company's; sangdam init writes a folder to start from"
            )
        async with _gaps(config) as (library, missing):
            title = read_prompts(settings).phrase("commands.gaps_title", settings.language)
            gap = await missing.find(gap_id)
            words = text or await asyncio.to_thread(_written, question or gap.question)
            await missing.answer(gap, words, question=question, title=title)
            version = library.status().version
        written = {
            "version": version,
            "document": FILE.as_posix(),
            "question": question or gap.question,
        }
        print_json(written) if as_json else say(
            f"written to {written['document']}; {version} is live"
        )

    from brain.knowledge.gaps import FILE

    run_task(answer())


def _written(question: str) -> str:
    """The answer from standard input; asked for in one line where somebody sits there."""
    return str(typer.prompt(question, err=True)) if sys.stdin.isatty() else sys.stdin.read()


@asynccontextmanager
async def _stored(config: Path | None) -> AsyncIterator[tuple[Config, Library, Store]]:
    from bot.knowledge import library

    async with stored(config) as (settings, store):
        opened = library(settings, store)
        try:
            yield settings, opened, store
        finally:
            await opened.close()


@asynccontextmanager
async def _library(config: Path | None) -> AsyncIterator[Library]:
    async with _stored(config) as (_, library, _):
        yield library


@asynccontextmanager
async def _gaps(config: Path | None) -> AsyncIterator[tuple[Library, Gaps]]:
    from bot.clock import SystemClock
    from bot.knowledge import knowledge_gaps

    async with _stored(config) as (_, library, store):
        await _index(library)
        yield library, knowledge_gaps(library, store, SystemClock().now)


@asynccontextmanager
async def indexed(config: Path | None) -> AsyncIterator[Library]:
    """The knowledge, its index built if there is none."""
    async with _library(config) as library:
        await _index(library)
        yield library


@asynccontextmanager
async def searching(config: Path | None) -> AsyncIterator[SecondLook]:
    """What customers' questions are looked up with."""
    from bot.knowledge import model_of, second_look

    async with _stored(config) as (settings, library, _):
        await _index(library)
        model = model_of(settings)
        look = second_look(settings, library, model)
        try:
            yield look
        finally:
            look.close()
            await model.close()


async def _index(library: Library) -> None:
    if not await library.open():
        with Progress() as progress:
            await library.reload(progress=progress)
