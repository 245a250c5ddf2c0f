"""The `sangdam prompt` commands: checking, showing, comparing and choosing prompt sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot import config as configuration
from bot.cli.terminal import AsJson, ConfigFile, pretended, print_json, say, stored
from bot.cli.terminal import run as run_task
from brain.errors import SangdamError

if TYPE_CHECKING:
    from bot.prompts.adjusting import Standing
    from bot.prompts.versions import Versions
    from bot.store.prompt_history import Entry
    from bot.store.store import Store
    from brain.knowledge.retrieve import Found
    from brain.messages import Situation
    from brain.prompt.compose import Composed
    from brain.prompt.prompts import Prompts

prompt = typer.Typer(help="The layered prompts.", no_args_is_help=True)

Note = Annotated[str, typer.Option("--note", help="Why, for the history.")]
LISTED = 20
"""Lines of the history that `prompt status` shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    config: configuration.Config
    store: Store
    versions: Versions


@asynccontextmanager
async def _opened(config: Path | None) -> AsyncIterator[_Opened]:
    from bot.app import prompt_versions

    async with stored(config) as (settings, store):
        versions = prompt_versions(settings, store, lambda: datetime.now(UTC))
        yield _Opened(config=settings, store=store, versions=versions)


@prompt.command("lint")
def prompt_lint(config: ConfigFile = None) -> None:
    """Check every prompt file; the first mistake is named with file and line."""
    from bot.app import read_prompts, read_words

    settings = configuration.load(config)
    prompts = read_prompts(settings)
    read_words(settings)
    say(f"{settings.prompts_folder}: fine, version {prompts.version}")


@prompt.command("show")
def prompt_show(
    situation: Annotated[
        str, typer.Option(help="What is going on: emotion=angry,daypart=night,repeats=2 ...")
    ] = "",
    question: Annotated[str, typer.Option(help="The customer's words.")] = "",
    variant: Annotated[
        str, typer.Option(help="A variant of the experiment, or the id of an earlier set.")
    ] = "",
    now: Annotated[datetime | None, typer.Option(help="ISO 8601 time to pretend.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print what the model would get, with the tokens of every part.

    A question is looked up in the index, if one is built, and its mood, intent and language are read.
    Time of day and opening hours are those of `now`. What the situation names comes before all that.
    """
    from brain.prompt.conditions import situation_of

    given = situation_of(situation)

    async def show() -> None:
        async with _opened(config) as opened:
            prompts, side = await _chosen(opened, variant)
            found = await _look_up(opened, question) if question else None
            shown, composed = _compose(opened.config, prompts, side, given, question, found, now)
        if as_json:
            print_json(
                {
                    "version": prompts.version,
                    "variant": side,
                    "adjusted": sorted(prompts.adjusted),
                    "situation": asdict(shown),
                    "messages": list(composed.messages),
                    "layers": list(composed.layers),
                    "parts": [asdict(part) for part in composed.parts],
                    "levels": dict(composed.levels),
                    "dropped": list(composed.dropped),
                    "tokens": dict(composed.tokens),
                }
            )
            return
        said = ", ".join(f"{name}={value}" for name, value in asdict(shown).items() if value != "")
        say(f"=== situation\n{said}\n")
        for message in composed.messages:
            say(f"=== {message['role']}\n{message['content']}\n")
        say("=== parts: tokens, priority (P3 goes first, P0 never), name")
        for part in composed.parts:
            say(f"{part.tokens:6}  {part.priority or '  '}  {part.name}")
        say("\n=== left out or shortened for want of room")
        say("\n".join(composed.dropped) or "-")
        of = composed.levels
        say("\n=== wordings")
        say(
            f"layers 1 to 5, facts (a seventh of the room): MUST {of['MUST']}, others {of['others']}"
        )
        say(f"layer 6, modules, examples: {of['turn']}, or core where that does not fit")
        say("\n=== tokens, estimated")
        model = opened.config.model
        for kind, n in composed.tokens.items():
            say(f"{n:6}  {kind}")
        say(
            f"{model.num_ctx - model.num_predict:6}  at most: {model.num_ctx} - {model.num_predict}"
        )

    run_task(show())


async def _chosen(opened: _Opened, name: str) -> tuple[Prompts, str]:
    """The set and the variant that `name` stands for: `variant`, `set` or `set:experiment.variant`."""
    from bot.app import read_prompts
    from bot.prompts.versions import adjusted

    async def read(set_id: str) -> Prompts:
        versions = opened.versions
        used = await (versions.config_of(set_id) if set_id else versions.config())
        prompts = await asyncio.to_thread(read_prompts, used)
        prompts.adjusted = frozenset(adjusted(await versions.history.entries()))
        return prompts

    set_id, colon, side = name.partition(":")
    if colon:
        return await read(set_id), side.rpartition(".")[2]
    prompts = await read("")
    if prompts.experiment and name in {each.name for each in prompts.experiment.variants}:
        return prompts, name
    return (await read(name) if name else prompts), ""


async def _look_up(opened: _Opened, question: str) -> Found | None:
    from bot.knowledge import library

    knowledge = library(opened.config, opened.store)
    try:
        if await knowledge.open():
            return await knowledge.search(question)
        typer.echo("No index yet, so no passages; sangdam kb reload builds it.", err=True)
        return None
    finally:
        await knowledge.close()


def _compose(
    config: configuration.Config,
    prompts: Prompts,
    side: str,
    given: dict[str, Any],
    question: str,
    found: Found | None,
    now: datetime | None,
) -> tuple[Situation, Composed]:
    from bot.app import company_facts
    from bot.knowledge import budget
    from brain.clock import CompanyClock
    from brain.memory import Session
    from brain.messages import Address, Situation

    clock = CompanyClock(config.company.timezone, company_facts(config).hours)
    moment = pretended(now, config).now()
    situation = Situation(
        daypart=clock.daypart(moment),
        open=clock.is_open(moment),
        confidence=found.confidence.level if found else "low",
    )
    if question:
        situation = _read(config, question, situation)
    situation = replace(situation, **given)
    composed = prompts.compose(
        situation=situation,
        session=Session(address=Address(channel="console", conversation="show", user="show")),
        question=question,
        passages=found.passages if found else (),
        now=clock.local(moment),
        budget=budget(config),
        variant=side,
    )
    return situation, composed


def _read(config: configuration.Config, question: str, situation: Situation) -> Situation:
    """`situation` with what a turn reads off the words alone."""
    from brain.emotion import EmotionHead
    from brain.intent import Intents
    from brain.knowledge.embed import open_embedder
    from brain.knowledge.retrieve import normalised
    from brain.situation import detect_language

    vector = open_embedder("bundled", ollama_host="").query(normalised(question))
    emotion = EmotionHead.bundled().read(vector)
    return replace(
        situation,
        emotion=emotion.label,
        intensity=round(emotion.intensity, 2),
        intent=Intents.load(config.prompts_folder / "intents.yaml").classify(question),
        language=detect_language(question, config.language),
    )


@prompt.command("status")
def prompt_status(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say which set is in use, what runs on it and what was switched when."""

    async def status() -> None:
        from bot.prompts.report import entry_document, standing_document, standing_line
        from bot.prompts.versions import FOLDER, in_use

        async with _opened(config) as opened:
            entries = await opened.versions.history.entries()
            current = in_use(entries)
            folder = (await opened.versions.files(FOLDER)).id
            prompts, _ = await _chosen(opened, "")
            standings = await _standings(opened, prompts)
        recent = [entry_document(entry) for entry in reversed(entries[-LISTED:])]
        document: dict[str, Any] = {
            "version": current.what if current else folder,
            "pinned": current is not None and current.pinned,
            "folder": folder,
            "experiment": asdict(prompts.experiment) if prompts.experiment else None,
            "adjustments": [standing_document(each) for each in standings],
            "history": recent,
        }
        if as_json:
            print_json(document)
            return
        how = "pinned" if document["pinned"] else "follows the folder, which is read by /reload"
        say(f"version {document['version']} ({how}; the folder holds {folder})")
        say(f"experiment: {prompts.experiment.name if prompts.experiment else '-'}")
        for each in standings:
            say(standing_line(each))
        for line in recent:
            say(f"{line['at']}  {line['kind']:6} {line['what']}  {line['note']}".rstrip())
            for change in line["changes"]:
                say(f"    {change}")

    run_task(status())


@prompt.command("diff")
def prompt_diff(
    earlier: Annotated[str, typer.Argument(help="A set; default: the one in use.")] = "",
    later: Annotated[str, typer.Argument(help="A set; default: the folder.")] = "folder",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two prompt sets."""

    async def diff() -> None:
        from bot.prompts.versions import FOLDER, in_use

        async with _opened(config) as opened:
            current = in_use(await opened.versions.history.entries())
            before = await opened.versions.files(earlier or (current.what if current else FOLDER))
            after = await opened.versions.files(later)
        if as_json:
            print_json(
                {
                    "from": before.id,
                    "to": after.id,
                    "changes": list(after.changes(before)),
                    "diff": after.difference(before),
                }
            )
            return
        say(after.difference(before) or f"no difference: both are {after.id}")

    run_task(diff())


@prompt.command("use")
def prompt_use(
    version: Annotated[str, typer.Argument(help="Id of a set, or folder to follow it again.")],
    note: Note = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Use an earlier prompt set; a running server takes it up within seconds."""

    async def use() -> None:
        async with _opened(config) as opened:
            _say_used(await opened.versions.use(version, note), as_json)

    run_task(use())


@prompt.command("rollback")
def prompt_rollback(note: Note = "", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Return to the prompt set that was in use before this one."""

    async def rollback() -> None:
        async with _opened(config) as opened:
            _say_used(await opened.versions.rollback(note), as_json)

    run_task(rollback())


def _say_used(entry: Entry, as_json: bool) -> None:
    if as_json:
        from bot.prompts.report import entry_document

        print_json(entry_document(entry))
        return
    pinned = "; pinned until `sangdam prompt use folder`" if entry.pinned else ""
    say(f"version {entry.what} is in use{pinned}")
    for change in entry.changes:
        say(f"  {change}")


@prompt.command("compare")
def prompt_compare(
    versions: Annotated[
        list[str] | None,
        typer.Argument(help="Sets to compare; default: the experiment, else the last two sets."),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare variants by response time, resolution, feedback and hand-over."""

    async def compare_them() -> None:
        from bot.prompts.experiments import compare
        from bot.prompts.report import (
            comparison_document,
            comparison_lines,
            standing_document,
            standing_line,
        )
        from bot.prompts.versions import latest_sets

        async with _opened(config) as opened:
            prompts, _ = await _chosen(opened, "")
            history = opened.versions.history
            sets = [(await history.files(name)).id for name in versions or ()]
            found = await compare(
                opened.store.database,
                experiment=None if sets else prompts.experiment,
                sets=sets or latest_sets(await history.entries()),
                now=datetime.now(UTC),
            )
            standings = await _standings(opened, prompts)
        if found is None:
            raise SangdamError("nothing to compare: no experiment, and only one set was in use")
        if as_json:
            adjustments = [standing_document(each) for each in standings]
            print_json(comparison_document(found) | {"adjustments": adjustments})
            return
        for line in (*comparison_lines(found), *map(standing_line, standings)):
            say(line)

    run_task(compare_them())


async def _standings(opened: _Opened, prompts: Prompts) -> list[Standing]:
    from bot.prompts.adjusting import Adjuster

    adjuster = Adjuster(
        database=opened.store.database,
        history=opened.versions.history,
        now=lambda: datetime.now(UTC),
    )
    return await adjuster.standings(prompts.adjustments)
