"""Slash-commands: parsed from text alike on every channel, admin ones by `channel:user_id`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.maintenance import Maintenance
from bot.store.store import Store
from brain.core import Brain, Show
from brain.errors import SangdamError
from brain.knowledge.gaps import Gaps
from brain.knowledge.reports import Report
from brain.knowledge.vectors import Progress
from brain.messages import Draft, Message, Passage, Turn

_COMMAND = re.compile(r"/([^\W\d_][\w-]*)(?:@\w+)?(?:\s|$)")
LOOKUP = (
    "question",
    "also",
    "after",
    "queries",
    "topics",
    "reranked",
    "signals",
    "language",
    "day",
)
"""Parts of a lookup that have a name in the customer's language; others are keys of metadata."""
LISTED = 8
"""Documents or questions named by a report in chat."""


class Reload(Protocol):
    """Re-reads documents and prompts; both or neither take effect."""

    async def __call__(
        self, *, dry_run: bool = False, force: bool = False, progress: Progress | None = None
    ) -> Report: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command as it was given."""

    message: Message
    """The message it came in."""
    arguments: tuple[str, ...]
    """The words after its name."""
    language: str
    """Language to answer in."""
    show: Show
    """Shows how far it has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One slash-command."""

    name: str
    """In English."""
    korean: str
    """In Korean, which works on every channel too."""
    admin: bool = False
    """Whether only admins may use it."""
    in_order: bool = False
    """Whether it waits for the conversation's turn under way, because it changes the conversation."""
    words: bool = False
    """Whether words may follow it."""


COMMANDS = (
    Command(name="help", korean="도움말"),
    Command(name="reset", korean="초기화", in_order=True),
    Command(name="whoami", korean="내정보"),
    Command(name="reload", korean="새로고침", admin=True, words=True),
    Command(name="rollback", korean="되돌리기", admin=True),
    Command(name="status", korean="상태", admin=True),
    Command(name="search", korean="검색", admin=True, words=True),
    Command(name="gaps", korean="빈틈", admin=True),
    Command(name="why", korean="왜", admin=True),
    Command(name="stats", korean="통계", admin=True),
    Command(name="prompt", korean="프롬프트", admin=True, words=True),
    Command(name="maintenance", korean="점검", admin=True, words=True),
)
"""Every command, in the order in which they are listed; channels with menus offer these."""
_BY_NAME = {name: command for command in COMMANDS for name in (command.name, command.korean)}


class Commands:
    """The table of commands and what each does."""

    def __init__(
        self,
        *,
        brain: Brain,
        store: Store,
        reload: Reload,
        admins: Collection[str],
        language: str,
        gaps: Gaps | None = None,
        prompts: Callable[[Call], Awaitable[str]] | None = None,
        maintenance: Maintenance | None = None,
    ) -> None:
        """`gaps` are for `/gaps`; `prompts` answers `/prompt`."""
        self._brain = brain
        self._store = store
        self._reload = reload
        self._admins = frozenset(admins)
        self._language = language
        self._missing = gaps
        self._maintenance = maintenance
        self._does: Mapping[str, Callable[[Call], Awaitable[str]]] = {
            "help": self._help,
            "reset": self._reset,
            "whoami": self._whoami,
            "reload": self._reload_all,
            "rollback": self._rollback,
            "status": self._status,
            "search": self._search,
            "gaps": self._gaps,
            "why": self._why,
            "stats": self._stats,
            "prompt": prompts or self._off,
            "maintenance": self._maintain,
        }

    @staticmethod
    def meant(text: str) -> bool:
        """Whether `text` is a command rather than words for the brain."""
        return _COMMAND.match(text.strip()) is not None

    def keeps_order(self, text: str) -> bool:
        """Whether the command has to wait for the turn under way; the others bypass it."""
        found = _COMMAND.match(text.strip())
        command = _BY_NAME.get(found[1].lower()) if found else None
        return command is not None and command.in_order

    async def run(self, message: Message, *, show: Show = lambda draft: None) -> str:
        """The answer to a command; an unknown, forbidden or failing one gets one clear line.

        `show` gets what is said meanwhile.
        """
        text = message.text.strip()
        found = _COMMAND.match(text)
        name = found[1].lower() if found else ""
        command = _BY_NAME.get(name)
        language = "en" if name.isascii() and message.locale.startswith("en") else self._language
        if command is None:
            return self._say("commands.unknown", language, name=name)
        if command.admin and message.address.person not in self._admins:
            return self._say("commands.forbidden", language, person=message.address.person)
        rest = text[found.end() :] if found else ""
        try:
            arguments = tuple(shlex.split(rest))
        except ValueError:
            arguments = tuple(rest.split())
        try:
            return await self._does[command.name](
                Call(message=message, arguments=arguments, language=language, show=show)
            )
        except SangdamError as wrong:
            return self._say("commands.failed", language, reason=wrong)

    def _say(self, phrase: str, language: str, /, **slots: object) -> str:
        return self._brain.prompts.phrase(phrase, language, **slots)

    async def _off(self, call: Call) -> str:
        return self._say("commands.unknown", call.language, name="prompt")

    def _admin(self, call: Call) -> bool:
        return call.message.address.person in self._admins

    async def _help(self, call: Call) -> str:
        allowed = [command for command in COMMANDS if not command.admin or self._admin(call)]
        lines = [
            f"• /{command.name} /{command.korean}: "
            + self._say(f"commands.help_{command.name}", call.language)
            for command in allowed
        ]
        return self._say("commands.help", call.language, commands="\n".join(lines))

    async def _reset(self, call: Call) -> str:
        await self._store.reset(call.message.address)
        return self._say("commands.reset", call.language)

    async def _whoami(self, call: Call) -> str:
        role = "commands.role_admin" if self._admin(call) else "commands.role_customer"
        return self._say(
            "commands.whoami",
            call.language,
            person=call.message.address.person,
            role=self._say(role, call.language),
        )

    async def _reload_all(self, call: Call) -> str:
        dry = "--dry-run" in call.arguments

        def progress(done: int, total: int) -> None:
            text = self._say("commands.reload_progress", call.language, done=done, total=total)
            call.show(Draft(text=text))

        report = await self._reload(
            dry_run=dry, force="--force" in call.arguments, progress=progress
        )
        return self._say(
            "commands.reload_dry_run" if dry else "commands.reload",
            call.language,
            added=len(report.added),
            changed=len(report.changed),
            removed=len(report.removed),
            unchanged=report.unchanged,
            chunks=report.chunks,
            seconds=f"{report.seconds:.1f}",
            version=report.version,
            details=_details(report),
        ).strip()

    async def _rollback(self, call: Call) -> str:
        version = await self._brain.library.rollback()
        return self._say("commands.rollback", call.language, version=version)

    async def _status(self, call: Call) -> str:
        await self._brain.library.open()  # another process may have reloaded it
        index = self._brain.library.status()
        try:
            model = await self._brain.model.find()
        except SangdamError as absent:
            model = self._say("commands.no_model", call.language, reason=absent)
        return self._say(
            "commands.status",
            call.language,
            version=index.version or "-",
            documents=index.documents,
            chunks=index.chunks,
            embedder=index.embedder,
            model=model,
            prompts=self._brain.prompts.version,
        )

    async def _maintain(self, call: Call) -> str:
        switch = self._maintenance
        word, *period = call.arguments or ("",)
        if switch and word in ("on", "켜기"):
            switch.begin(" ".join(period))
        elif switch and word in ("off", "끄기"):
            switch.end()
        now = switch.period if switch else None
        name = "commands.maintenance_off" if now is None else "commands.maintenance_on"
        return self._say(name, call.language, period=now or "-")

    async def _search(self, call: Call) -> str:
        query = " ".join(call.arguments)
        if not query:
            return self._say("commands.search_usage", call.language)
        found = await self._brain.second_look.search(query)
        return self._say(
            "commands.search",
            call.language,
            level=found.confidence.level,
            probability=f"{found.confidence.probability:.2f}",
            lookup=self._lookup(found.lookup, call.language),
            passages=_passages(found.passages),
        )

    def _lookup(self, lookup: Mapping[str, str], language: str) -> str:
        """How something was looked for, each part by its name."""
        named = {name: f"commands.lookup_{name}" for name in LOOKUP}
        return " · ".join(
            f"{self._say(named[name], language) if name in named else name}: {value}"
            for name, value in lookup.items()
        )

    async def _gaps(self, call: Call) -> str:
        gaps = await self._missing.open() if self._missing else []
        if not gaps:
            return self._say("commands.gaps_none", call.language)
        lines = [f"{each.id} ({len(each.asked)}) {each.question}" for each in gaps[:LISTED]]
        return self._say("commands.gaps", call.language, n=len(gaps), gaps="\n".join(lines))

    async def _why(self, call: Call) -> str:
        turn = await self._store.last_turn(call.message.address)
        if turn is None:
            return self._say("commands.why_nothing", call.language)
        lookup = self._lookup(turn.lookup, call.language) or "-"
        return self._say("commands.why", call.language, lookup=lookup, **_explanation(turn))

    async def _stats(self, call: Call) -> str:
        stats = await self._store.stats()
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(stats.turns.items()))
        return self._say(
            "commands.stats",
            call.language,
            messages=stats.messages,
            conversations=stats.conversations,
            kinds=kinds or "-",
            median="-" if stats.response_ms is None else f"{stats.response_ms:.0f} ms",
            up=stats.up,
            down=stats.down,
        )


def _details(report: Report) -> str:
    lines: list[str] = []
    for sign, documents in (("+", report.added), ("~", report.changed), ("-", report.removed)):
        lines += [f"{sign} {document}" for document in documents[:LISTED]]
        if len(documents) > LISTED:
            lines.append(f"{sign} … {len(documents) - LISTED}")
    lines += [f"! {problem.path}: {problem.reason}" for problem in report.problems[:LISTED]]
    return "\n".join(lines)


def _passages(passages: Sequence[Passage]) -> str:
    return "\n".join(
        f"{at}. {passage.score:.2f} {passage.document} · {passage.heading} ("
        + ", ".join(f"{part} {score:.3f}" for part, score in passage.scores.items())
        + ")"
        for at, passage in enumerate(passages, 1)
    )


def _explanation(turn: Turn) -> dict[str, object]:
    confidence = turn.confidence
    return {
        "kind": turn.reply.kind,
        "level": confidence.level if confidence else "-",
        "probability": f"{confidence.probability:.2f}" if confidence else "-",
        "emotion": f"{turn.situation.emotion} {turn.situation.intensity:.2f}",
        "intent": turn.situation.intent,
        "daypart": turn.situation.daypart,
        "model": turn.model or "-",
        "variant": turn.variant,
        "layers": ", ".join(turn.layers) or "-",
        "dropped": ", ".join(turn.dropped) or "-",
        "guarded": ", ".join(turn.guarded) or "-",
        "timings": ", ".join(f"{step} {ms:.0f} ms" for step, ms in turn.timings.items()),
        "passages": _passages(turn.passages) or "-",
    }
