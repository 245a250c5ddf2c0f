"""The application: `build` wires every part once, `App` runs and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from adapters.base import Adapter
from bot.commands import Commands
from bot.config import Config
from bot.gateway import Gateway, Observer
from bot.store.store import Store
from bot.telemetry import log_turn
from brain.budget import Budget
from brain.clock import CompanyClock
from brain.core import Brain
from brain.emotion import EmotionHead
from brain.errors import KnowledgeError
from brain.facts import Facts
from brain.intent import Intents
from brain.knowledge.embed import open_embedder
from brain.knowledge.library import Library, Report
from brain.llm import Model, Timeouts
from brain.prompts import Prompts

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]
GRACE = 15.0
"""Seconds that turns under way get when the application stops."""


class App:
    """Every part of a running Sangdam, and the order in which they start and stop."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        brain: Brain,
        observers: Sequence[Observer],
        now: Callable[[], datetime],
    ) -> None:
        self.config = config
        self.store = store
        self.brain = brain
        self.adapters: dict[str, Adapter] = {}
        self.gateway = Gateway(
            store=store,
            brain=brain,
            commands=Commands(
                brain=brain,
                store=store,
                reload=self.reload,
                admins={*config.admins, "console:operator"},
                language=config.language,
            ),
            adapters=self.adapters,
            observers=(log_turn, *observers),
            now=now,
        )
        self._running: list[asyncio.Task[None]] = []

    async def index(self, progress: Progress | None = None) -> Report | None:
        """Open the knowledge index, building it if there is none that fits; the report of a build."""
        if await self.brain.library.open():
            return None
        return await self.brain.library.reload(progress=progress)

    def missing(self) -> dict[str, str]:
        """What is not ready yet, and why; empty when customers can be served."""
        if self.brain.library.status().version:
            return {}
        return {"index": "being built"}

    async def reload(
        self, *, dry_run: bool = False, force: bool = False, progress: Progress | None = None
    ) -> Report:
        """Re-read prompts and documents; a mistake in either leaves both as they were."""
        prompts = await asyncio.to_thread(read_prompts, self.config)
        report = await self.brain.library.reload(dry_run=dry_run, force=force, progress=progress)
        if not dry_run:
            self.brain.prompts = prompts
        return report

    def connect(self, adapter: Adapter) -> asyncio.Task[None]:
        """Open a channel."""
        self.adapters[adapter.name] = adapter
        task = asyncio.create_task(adapter.run(self.gateway.accept), name=adapter.name)
        self._running.append(task)
        return task

    async def close(self) -> None:
        """Stop intake, let turns under way finish, close what is open."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.gateway.drain(GRACE)
        await self.brain.model.close()
        await self.brain.library.close()
        await self.store.close()


def company_facts(config: Config) -> Facts:
    """The facts in `company.yaml` of the knowledge folder; none without that file."""
    path = config.knowledge_folder / "company.yaml"
    return Facts.load(path if path.is_file() else None)


def read_prompts(config: Config) -> Prompts:
    """The prompt set that `config` names. Raises PromptError."""
    return Prompts.load(
        config.prompts_folder, company_facts(config), persona=config.prompts.persona
    )


async def build(
    config: Config,
    *,
    observers: Sequence[Observer] = (),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> App:
    """The application that `config` describes; the only function that knows every part."""
    prompts = await asyncio.to_thread(read_prompts, config)
    facts = company_facts(config)
    store = await Store.open(config.data / "sangdam.db", synchronous=config.store.synchronous)
    try:
        return App(
            config=config,
            store=store,
            brain=_brain(config, prompts, facts, store),
            observers=observers,
            now=now,
        )
    except BaseException:
        await store.close()
        raise


def _brain(config: Config, prompts: Prompts, facts: Facts, store: Store) -> Brain:
    model = config.model
    limits = model.timeouts
    return Brain(
        library=library(config, store),
        prompts=prompts,
        model=Model(
            host=model.host,
            name=model.name,
            num_ctx=model.num_ctx,
            num_predict=model.num_predict,
            temperature=model.temperature,
            fallback=model.fallback,
            timeouts=Timeouts(
                connect=limits.connect,
                first_token=limits.first_token,
                silence=limits.silence,
                total=limits.total,
            ),
        ),
        clock=CompanyClock(config.company.timezone, facts.hours),
        emotions=EmotionHead.bundled(),
        intents=Intents.load(config.prompts_folder / "intents.yaml"),
        budget=Budget(num_ctx=model.num_ctx, reserve=model.num_predict),
        language=config.language,
        longest=config.limits.longest_message,
    )


def library(config: Config, store: Store) -> Library:
    """The knowledge of `config`, its vectors kept in `store`."""
    folder = config.knowledge_folder
    if not folder.is_dir():
        raise KnowledgeError(f"knowledge folder {folder} does not exist; set knowledge.folder")
    return Library(
        folder=folder,
        data=config.data,
        embedder=open_embedder(config.knowledge.embedder, ollama_host=config.model.host),
        vectors=store,
        kiwi=config.knowledge.morphemes,
    )
