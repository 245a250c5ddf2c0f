"""What questions are looked up with, and the model: as the configuration describes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.clock import Clock, SystemClock
from bot.config import Config, packaged
from bot.store.store import Store
from bot.store.unmet import unmet
from brain.admission import Admission
from brain.aide import Aide, Wording
from brain.errors import KnowledgeError
from brain.knowledge.embed import open_embedder
from brain.knowledge.gaps import Gaps
from brain.knowledge.library import Library
from brain.knowledge.ranking import CrossEncoder
from brain.knowledge.thesaurus import Thesaurus
from brain.model.llm import Model, Timeouts
from brain.prompt.budget import Budget
from brain.second_look import SecondLook

UNMET = timedelta(days=90)
"""For so long a question that was not answered counts as a gap."""
WORDING = "retrieval.yaml"
"""What the model is told, in the prompts; a folder without it uses the packaged one."""


def library(config: Config, store: Store, clock: Clock | None = None) -> Library:
    """The knowledge of `config`, its vectors kept in `store`; by `clock` documents begin and expire."""
    folder = config.knowledge_folder
    now, timezone = (clock or SystemClock()).now, ZoneInfo(config.company.timezone)
    if not folder.is_dir():
        raise KnowledgeError(f"knowledge folder {folder} does not exist; set knowledge.folder")
    return Library(
        folder=folder,
        data=config.data,
        embedder=open_embedder(config.knowledge.embedder, ollama_host=config.model.host),
        vectors=store,
        kiwi=config.knowledge.morphemes,
        thesaurus=Thesaurus.load(config.prompts_folder / "thesaurus.yaml"),
        today=lambda: now().astimezone(timezone).date(),
    )


def knowledge_gaps(library: Library, store: Store, now: Callable[[], datetime]) -> Gaps:
    """What customers asked in `store` and the library does not answer."""
    return Gaps(library=library, asked=lambda: unmet(store.database, since=now() - UNMET))


def model_of(config: Config) -> Model:
    """The model of `config`; not asked for anything yet."""
    model = config.model
    limits = model.timeouts
    return Model(
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
    )


def budget(config: Config) -> Budget:
    """The room for prompts that `config` gives, before any model's own counts are known."""
    return Budget(num_ctx=config.model.num_ctx, reserve=config.model.num_predict)


def wording(config: Config) -> Wording:
    """What the model is told beside the answer. Raises PromptError."""
    path = config.prompts_folder / WORDING
    return Wording.load(path if path.is_file() else packaged("prompts") / WORDING)


def second_look(
    config: Config, library: Library, model: Model, admission: Admission | None = None
) -> SecondLook:
    """What `config` allows beyond the first look. Raises KnowledgeError for what is not here."""
    knowledge = config.knowledge
    ranker, _, name = knowledge.rerank.partition(":")
    return SecondLook(
        library,
        aide=Aide(model=model, wording=wording(config), admission=admission)
        if knowledge.asks_model
        else None,
        follow_ups=knowledge.follow_ups == "model",
        queries=knowledge.queries,
        rank=ranker == "model",
        cross_encoder=CrossEncoder(name) if name else None,
        seconds=knowledge.deadline,
    )
