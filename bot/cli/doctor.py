"""Examining an installation: what is fine, what is not, and what to do about it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Literal

from bot import config as configuration
from bot.config import Config
from brain.errors import SangdamError

LITTLE_DISK = 500_000_000
"""Free bytes under which building an index may fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What."""
    level: Literal["ok", "warn", "fail"]
    """fail: Sangdam cannot run; warn: it runs with less."""
    detail: str
    """What was found, and what to do."""


async def examine(path: Path | None) -> list[Check]:
    """Every check, in the order in which things depend on one another."""
    try:
        config = configuration.load(path)
    except SangdamError as wrong:
        return [Check(name="configuration", level="fail", detail=str(wrong))]
    checks = [Check(name="configuration", level="ok", detail=f"data in {config.data.resolve()}")]
    steps: tuple[tuple[str, Callable[[Config], Awaitable[Check]]], ...] = (
        ("prompts", _prompts),
        ("knowledge", _knowledge),
        ("database", _database),
        ("index", _index),
        ("model", _model),
        ("retrieval", _retrieval),
        ("packages", _packages),
        ("disk", _disk),
    )
    for name, step in steps:
        try:
            checks.append(await step(config))
        except SangdamError as wrong:
            checks.append(Check(name=name, level="fail", detail=str(wrong)))
    return checks


async def _prompts(config: Config) -> Check:
    from bot.app import read_prompts

    prompts = await asyncio.to_thread(read_prompts, config)
    return Check(
        name="prompts", level="ok", detail=f"{config.prompts_folder}, version {prompts.version}"
    )


async def _knowledge(config: Config) -> Check:
    from brain.knowledge.read import read_folder

    documents, problems = await asyncio.to_thread(read_folder, config.knowledge_folder)
    found = f"{len(documents)} documents in {config.knowledge_folder}"
    if problems:
        first = problems[0]
        detail = f"{found}; {len(problems)} cannot be read, such as {first.path}: {first.reason}"
        return Check(name="knowledge", level="warn" if documents else "fail", detail=detail)
    return Check(name="knowledge", level="ok" if documents else "fail", detail=found)


async def _database(config: Config) -> Check:
    from bot.store.store import Store

    path = config.data / "sangdam.db"
    store = await Store.open(path)
    await store.close()
    return Check(name="database", level="ok", detail=str(path))


async def _index(config: Config) -> Check:
    from bot.knowledge import library
    from bot.store.store import Store

    store = await Store.open(config.data / "sangdam.db")
    try:
        opened = library(config, store)
        if not await opened.open():
            return Check(
                name="index", level="warn", detail="not built yet; sangdam kb reload builds it"
            )
        status = opened.status()
        await opened.close()
    finally:
        await store.close()
    if status.damage:
        detail = f"{status.damage}; sangdam kb reload mends it"
        return Check(name="index", level="warn", detail=detail)
    detail = f"version {status.version}: {status.documents} documents, {status.chunks} passages"
    return Check(name="index", level="ok", detail=detail)


async def _model(config: Config) -> Check:
    name, absent = await _found(config)
    if name:
        return Check(name="model", level="ok", detail=f"{name} at {config.model.host}")
    detail = f"{absent}; until then answers are quoted from the documents"
    return Check(name="model", level="warn", detail=detail)


async def _found(config: Config) -> tuple[str, str]:
    """The model that is there, or why there is none."""
    from bot.knowledge import model_of
    from brain.errors import ModelError

    model = model_of(config)
    try:
        return await model.find(), ""
    except ModelError as absent:
        return "", str(absent)
    finally:
        await model.close()


async def _retrieval(config: Config) -> Check:
    """What questions are looked up by beyond the index; fails for a cross-encoder that is not here."""
    from brain.knowledge.ranking import CrossEncoder

    knowledge = config.knowledge
    used = {
        "rerank": knowledge.rerank if knowledge.rerank != "off" else "",
        "queries": str(knowledge.queries) if knowledge.queries > 1 else "",
        "follow_ups": "model" if knowledge.follow_ups == "model" else "",
    }
    detail = ", ".join(f"{name}: {value}" for name, value in used.items() if value)
    if ranker := knowledge.rerank.partition(":")[2]:
        (await asyncio.to_thread(CrossEncoder, ranker)).close()
    if knowledge.asks_model and not (await _found(config))[0]:
        detail += "; without the model the first search stands"
        return Check(name="retrieval", level="warn", detail=detail)
    return Check(name="retrieval", level="ok", detail=detail or "one search, no model asked")


async def _packages(config: Config) -> Check:
    """Two distributions that install the same top-level name overwrite each other silently."""
    owners = packages_distributions()
    for name in ("adapters", "bot", "brain"):
        others = sorted(set(owners.get(name, ())) - {"sangdam"})
        if others:
            detail = f"{', '.join(others)} also installs {name!r}; give Sangdam its own environment"
            return Check(name="packages", level="fail", detail=detail)
    return Check(name="packages", level="ok", detail="no other package installs our names")


async def _disk(config: Config) -> Check:
    folder = next(each for each in (config.data, *config.data.resolve().parents) if each.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:.1f} GB free in {folder}"
    return Check(name="disk", level="ok" if free > LITTLE_DISK else "warn", detail=detail)
