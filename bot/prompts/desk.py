"""The running side of prompt versions: `/prompt` in chat, and noticing what was switched elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from bot.commands import Call
from bot.prompts.adjusting import Adjuster, Standing
from bot.prompts.experiments import Comparison, Side, Verdict, compare
from bot.prompts.versions import Versions, adjusted, in_use, latest_sets
from bot.store.database import Database
from bot.store.prompt_history import Entry
from brain.core import Brain

LISTED = 5
"""Lines of the log that `/prompt` shows."""
WORDS = {
    "status": "status",
    "상태": "status",
    "use": "use",
    "사용": "use",
    "rollback": "rollback",
    "되돌리기": "rollback",
    "reload": "reload",
    "새로고침": "reload",
}
"""What may follow `/prompt`."""


class PromptDesk:
    """Keeps the brain's prompts as the log says, and answers for it in chat."""

    def __init__(
        self,
        *,
        brain: Brain,
        versions: Versions,
        database: Database,
        now: Callable[[], datetime],
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        """`reload` gives the brain the set that `versions` names."""
        self._brain = brain
        self._versions = versions
        self._database = database
        self._now = now
        self._reload = reload
        self._adjuster = Adjuster(database=database, history=versions.history, now=now)
        self._seen = -1

    async def refresh(self) -> None:
        """Take up what was chosen and switched since the last time, here or on the command line.

        A set that another process merely found in the folder waits for `/reload`.
        """
        length = await self._versions.history.length()
        if length == self._seen:
            return
        entries = await self._versions.history.entries()
        new = [entry.kind for entry in entries if entry.seq > self._seen]
        chosen = "chosen" in new or "back" in new
        if chosen and self._seen >= 0:
            await self._reload()
        self._brain.prompts.adjusted = frozenset(adjusted(entries))
        self._seen = length

    async def adjust(self) -> None:
        """Switch the adjustments that what was measured asks for."""
        if await self._adjuster.adjust(self._brain.prompts.adjustments):
            await self.refresh()

    async def command(self, call: Call) -> str:
        """The answer to `/prompt`. Raises PromptError for what cannot be used."""
        word, *rest = call.arguments or ("status",)
        note = f"/prompt {call.message.address.person}"
        match WORDS.get(word.lower()), rest:
            case "status", []:
                return await self._status(call)
            case "use", [name]:
                return await self._used(call, await self._versions.use(name, note))
            case "rollback", []:
                return await self._used(call, await self._versions.rollback(note))
            case "reload", []:
                await self._reload()
                return await self._status(call)
            case _:
                return self._say("prompt_usage", call)

    def _say(self, name: str, call: Call, /, **slots: object) -> str:
        return self._brain.prompts.phrase(f"commands.{name}", call.language, **slots)

    async def _used(self, call: Call, entry: Entry) -> str:
        await self.refresh()
        return self._say(
            "prompt_used",
            call,
            version=entry.what,
            source=self._source(call, entry),
            changes="\n".join(entry.changes) or "-",
        )

    def _source(self, call: Call, entry: Entry | None) -> str:
        pinned = entry is not None and entry.pinned
        return self._say("prompt_pinned" if pinned else "prompt_follows", call)

    async def _status(self, call: Call) -> str:
        entries = await self._versions.history.entries()
        standings = await self._adjuster.standings(self._brain.prompts.adjustments)
        comparison = await compare(
            self._database,
            experiment=self._brain.prompts.experiment,
            sets=latest_sets(entries),
            now=self._now(),
        )
        lines = [
            f"{entry.at:%Y-%m-%d %H:%M} {entry.kind} {entry.what} {entry.note}".rstrip()
            for entry in reversed(entries[-LISTED:])
        ]
        return self._say(
            "prompt_status",
            call,
            version=self._brain.prompts.version,
            source=self._source(call, in_use(entries)),
            comparison=self._compared(call, comparison),
            adjustments="\n".join(self._standing(call, each) for each in standings) or "-",
            history="\n".join(lines) or "-",
        )

    def _compared(self, call: Call, comparison: Comparison | None) -> str:
        if comparison is None:
            return self._say("prompt_alone", call)
        if comparison.randomised:
            head = self._say("prompt_experiment", call, name=comparison.experiment)
        else:
            head = self._say("prompt_one_after_another", call)
        sides = [self._side(call, side) for side in comparison.sides]
        verdicts = [
            self._verdict(call, verdict, comparison.minimum) for verdict in comparison.verdicts
        ]
        return "\n".join([head, *sides, *verdicts])

    def _side(self, call: Call, side: Side) -> str:
        return self._say(
            "prompt_side",
            call,
            name=side.name,
            conversations=side.resolution.n,
            resolution=_percent(side.resolution.value),
            feedback=_percent(side.feedback.value),
            votes=side.feedback.n,
            handoff=_percent(side.handoff.value),
            median="-" if side.response_ms is None else f"{side.response_ms:.0f} ms",
        )

    def _verdict(self, call: Call, verdict: Verdict, minimum: int) -> str:
        if verdict.word == "too_few":
            word = self._say("prompt_too_few", call, n=verdict.n, minimum=minimum)
        else:
            word = self._say(f"prompt_{verdict.word}", call, p=f"{verdict.p:.4f}")
        measure = self._say(f"prompt_{verdict.measure}", call)
        return f"• {verdict.name} · {measure}: {word}"

    def _standing(self, call: Call, standing: Standing) -> str:
        return self._say(
            "prompt_adjustment",
            call,
            name=standing.rule.name,
            state=self._say("prompt_on" if standing.on else "prompt_off", call),
            measure=self._say(f"prompt_{standing.rule.measure}", call),
            value=_percent(standing.measured.value),
            n=standing.measured.n,
            minimum=standing.minimum,
            below=_percent(standing.rule.below),
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
