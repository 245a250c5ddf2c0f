"""The application: `build` wires every part once, `App` runs and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog

from adapters.base import Adapter
from bot.admission import Admission
from bot.clock import Clock, SystemClock
from bot.commands import Commands
from bot.config import Config
from bot.files import Files
from bot.gateway import Gateway, Milestone, Observer
from bot.knowledge import budget, knowledge_gaps, library, model_of, second_look, wording
from bot.maintenance import Maintenance
from bot.prompts.desk import PromptDesk
from bot.prompts.versions import Versions
from bot.store.prompt_history import PromptHistory
from bot.store.store import Store
from bot.supervise import Supervisor
from bot.telemetry import log_turn
from bot.turns import Patience
from brain.aide import Wording
from brain.clock import CompanyClock
from brain.core import Brain
from brain.emotion import EmotionHead
from brain.errors import SangdamError
from brain.facts import Facts
from brain.intent import Intents
from brain.knowledge.embed import Vector, open_embedder
from brain.knowledge.reports import Report
from brain.knowledge.thesaurus import Thesaurus
from brain.knowledge.watch import Watch
from brain.prompt.prompts import Prompts
from brain.summary import Background

if TYPE_CHECKING:
    from bot.limits import Limits

log = structlog.get_logger(__name__)

Progress = Callable[[int, int], None]
WATCH_SECONDS = 3.0
"""Between two looks at the knowledge; its documents must stand still for so long before a reload."""
SWEEP_SECONDS = 30.0
"""Between two attempts at replies that a channel could not send."""
PRUNE_SECONDS = 3600.0
"""Between two removals of what is over."""
NOTICE_SECONDS = 5.0
"""Between two looks whether the command line chose another prompt set."""
ADJUST_SECONDS = 900.0
"""Between two measurements of what the adjustments of the prompt go by."""
REDELIVERED = timedelta(hours=72)
"""No channel delivers an event again after so long; Telegram keeps them for 24 hours."""


class App:
    """Every part of a running Sangdam, and the order in which they start and stop."""

    def __init__(
        self,
        *,
        config: Config,
        store: Store,
        brain: Brain,
        observers: Sequence[Observer],
        clock: Clock,
        milestone: Milestone,
        versions: Versions,
        files: Files,
        background: Background,
    ) -> None:
        self.config = config
        self.store = store
        self.brain = brain
        self.versions = versions
        self.files = files
        self.background = background
        self.prompts = PromptDesk(
            brain=brain,
            versions=versions,
            database=store.database,
            now=clock.now,
            reload=self.reload_prompts,
        )
        self.adapters: dict[str, Adapter] = {}
        self._limits = _limits(config)
        maintenance = Maintenance(config.data / "maintenance")
        self.gateway = Gateway(
            store=store,
            brain=brain,
            commands=Commands(
                brain=brain,
                store=store,
                reload=self.reload,
                admins={*config.admins, "console:operator"},
                language=config.language,
                gaps=knowledge_gaps(brain.library, store, clock.now),
                prompts=self.prompts.command,
                maintenance=maintenance,
            ),
            adapters=self.adapters,
            clock=clock,
            patience=Patience(
                fragment=config.turns.fragment,
                most=config.turns.most,
                follow_on=config.turns.follow_on,
                policy=config.turns.policy,
            ),
            limits=self._limits,
            maintenance=maintenance,
            background=background,
            answer_within=timedelta(minutes=config.turns.answer_within),
            observers=(log_turn, *observers),
            milestone=milestone,
        )
        self._clock = clock
        self._channels: dict[str, Supervisor] = {}
        self._upkeep: list[asyncio.Task[None]] = []

    async def index(self, progress: Progress | None = None) -> Report | None:
        """Open the knowledge index, building it if there is none that fits; the report of a build."""
        if await self.brain.library.open():
            return None
        return await self.brain.library.reload(progress=progress)

    def missing(self) -> dict[str, str]:
        """What is not ready yet, and why; empty when customers can be served."""
        waiting = {name: each.problem for name, each in self._channels.items() if each.problem}
        if not self.brain.library.status().version:
            waiting["index"] = "being built"
        return waiting

    async def reload(
        self, *, dry_run: bool = False, force: bool = False, progress: Progress | None = None
    ) -> Report:
        """Re-read prompts and documents; a mistake in either leaves both as they were."""
        config, prompts = await self.versions.load()
        words = read_words(config)
        report = await self.brain.library.reload(dry_run=dry_run, force=force, progress=progress)
        if not dry_run:
            await self._adopt(config, prompts, *words)
        return report

    async def reload_prompts(self) -> None:
        """Re-read the prompts alone; a mistake leaves them as they were."""
        config, prompts = await self.versions.load()
        words = read_words(config)
        await self._adopt(config, prompts, *words)

    async def _adopt(
        self,
        config: Config,
        prompts: Prompts,
        thesaurus: Thesaurus,
        intents: Intents,
        told: Wording,
    ) -> None:
        await self.versions.found(config)
        prompts.adjusted = self.brain.prompts.adjusted
        self.brain.prompts = prompts
        self.brain.library.words.general = thesaurus
        self.brain.intents = intents
        if aide := self.brain.second_look.aide:
            aide.wording = told

    def connect(self, adapter: Adapter) -> asyncio.Task[None]:
        """Open a channel; it is started again when it fails. The task ends when the channel is done."""
        self.adapters[adapter.name] = adapter
        self._channels[adapter.name] = Supervisor(adapter, self.gateway.accept)
        return self._channels[adapter.name].start()

    async def resume(self) -> None:
        """Take up what an earlier run left, and from now on what has to be done now and then."""
        if self._limits and self.config.limits.daily_quota:
            midnight = self._clock.now().astimezone(ZoneInfo(self.config.company.timezone))
            midnight = midnight.replace(hour=0, minute=0, second=0, microsecond=0)
            asked = await self.store.asked_since(midnight)
            await self._limits().start(asked, self._clock.now())
        await self.gateway.resume()
        watch = Watch(
            self.brain.library, reload=self.reload if self.config.knowledge.watch else None
        )
        self._upkeep = [
            asyncio.create_task(_every(WATCH_SECONDS, watch.look)),
            asyncio.create_task(_every(NOTICE_SECONDS, self.prompts.refresh)),
            asyncio.create_task(_every(ADJUST_SECONDS, self.prompts.adjust)),
            asyncio.create_task(_every(SWEEP_SECONDS, self.gateway.sweep)),
            asyncio.create_task(_every(PRUNE_SECONDS, self._prune)),
        ]

    async def _prune(self) -> None:
        now = self._clock.now()
        everything = now - timedelta(days=self.config.store.keep_days)
        await self.store.prune(settled=now - REDELIVERED, everything=everything)
        await self.files.prune()

    async def close(self) -> None:
        """Stop intake, let turns under way finish, close what is open."""
        for task in self._upkeep:
            task.cancel()
        await asyncio.gather(*(channel.stop() for channel in self._channels.values()))
        await self.gateway.drain(self.config.turns.drain)
        await self.background.close()
        await self.brain.model.close()
        self.brain.second_look.close()
        await self.brain.library.close()
        await self.store.close()


async def _every(seconds: float, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await task()
        except SangdamError as failed:
            log.warning("upkeep_failed", reason=str(failed))


def _limits(config: Config) -> Callable[[], Limits] | None:
    """What one customer may ask; made when the first customer asks, as its library loads slowly."""
    limits = config.limits
    if not (limits.customer_rate or limits.global_rate or limits.daily_quota):
        return None

    @cache
    def made() -> Limits:
        from bot.limits import Limits

        return Limits(
            customer=limits.customer_rate,
            everybody=limits.global_rate,
            quota=limits.daily_quota,
            timezone=config.company.timezone,
        )

    return made


def company_facts(config: Config) -> Facts:
    """The facts in `company.yaml` of the knowledge folder; none without that file."""
    path = config.knowledge_folder / "company.yaml"
    return Facts.load(path if path.is_file() else None)


def read_prompts(config: Config) -> Prompts:
    """The prompt set that `config` names. Raises PromptError."""
    prompts = Prompts.load(
        config.prompts_folder, company_facts(config), persona=config.prompts.persona
    )
    prompts.check(budget(config))
    return prompts


def prompt_versions(config: Config, store: Store, now: Callable[[], datetime]) -> Versions:
    """The prompt sets that `config` and the log in `store` know of."""
    history = PromptHistory(store.database)
    return Versions(config=config, history=history, now=now, read=read_prompts)


def read_words(config: Config) -> tuple[Thesaurus, Intents, Wording]:
    """What questions are understood by. Raises PromptError."""
    folder = config.prompts_folder
    thesaurus = Thesaurus.load(folder / "thesaurus.yaml")
    return thesaurus, Intents.load(folder / "intents.yaml"), wording(config)


async def build(
    config: Config,
    *,
    observers: Sequence[Observer] = (),
    clock: Clock | None = None,
    database: Path | None = None,
    milestone: Milestone = lambda name: None,
) -> App:
    """The application that `config` describes; the only function that knows every part.

    `database` is another place for conversations than the data folder, such as a test's own.
    """
    clock = clock or SystemClock()
    path = database or config.data / "sangdam.db"
    files = Files(config.data / "files")
    store = await Store.open(path, synchronous=config.store.synchronous)
    try:
        versions = prompt_versions(config, store, clock.now)
        used, prompts = await versions.load()
        await versions.found(used)
        admission = Admission(parallel=used.model.parallel, queue=used.model.queue)
        brain = _brain(used, prompts, company_facts(config), store, files, admission, clock)
        app = App(
            config=config,
            store=store,
            brain=brain,
            observers=observers,
            clock=clock,
            milestone=milestone,
            versions=versions,
            files=files,
            background=Background(brain=brain, idle=admission),
        )
        await app.prompts.refresh()
        return app
    except BaseException:
        await store.close()
        raise


def _brain(
    config: Config,
    prompts: Prompts,
    facts: Facts,
    store: Store,
    files: Files,
    admission: Admission,
    clock: Clock,
) -> Brain:
    model, knowledge = model_of(config), library(config, store, clock)
    return Brain(
        library=knowledge,
        prompts=prompts,
        model=model,
        second_look=second_look(config, knowledge, model, admission),
        clock=CompanyClock(config.company.timezone, facts.hours),
        emotions=EmotionHead.bundled(),
        intents=Intents.load(config.prompts_folder / "intents.yaml"),
        budget=budget(config),
        admission=admission,
        mood=_mood(config),
        language=config.language,
        longest=config.limits.longest_message,
        contents=files,
    )


def _mood(config: Config) -> Callable[[str], Vector] | None:
    """The bundled embedder for the emotion detector, unless the library uses it anyway."""
    if config.knowledge.embedder == "bundled":
        return None
    return open_embedder("bundled", ollama_host="").query
