"""What customers read that no model wrote: phrases by name and language."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brain.errors import PromptError
from brain.facts import Facts, shown, slots_of, suggest
from brain.strict import Document

STANDING = "standing."
"""Phrases that begin like this are left out when a fact that they need is not known."""
LANGUAGES = ("ko", "en")
"""The first is the reference: the other must have every phrase of it."""

_GREETINGS = {
    f"greeting.{customer}_{daypart}": ()
    for customer in ("new", "returning", "vip")
    for daypart in ("morning", "business", "evening", "night")
}
SLOTS: Mapping[str, tuple[str, ...]] = {
    **_GREETINGS,
    "disclosure.first": (),
    "disclosure.label": (),
    "thanks.reply": (),
    "closing.reply": (),
    "quoted.answer": ("heading", "text"),
    "quoted.source": ("document", "heading"),
    "quoted.caveat": (),
    "quoted.more": ("headings",),
    "abstained.open": (),
    "abstained.closed": (),
    "abstained.nothing": (),
    "abstained.near": ("headings",),
    "busy.queue": ("ahead",),
    "busy.slow_down": (),
    "delivery.again": (),
    "delivery.late": (),
    "delivery.joined": (),
    "web.title": ("company",),
    "web.greeting": ("company",),
    "web.error_too_long": ("longest",),
    **{
        f"web.{name}": ()
        for name in (
            "notice",
            "assistant",
            "person",
            "connecting",
            "online",
            "offline",
            "skip",
            "log",
            "label",
            "placeholder",
            "send",
            "sending",
            "failed",
            "retry",
            "writing",
            "latest",
            "sources",
            "choices",
            "feedback",
            "feedback_up",
            "feedback_down",
            "thanks",
            "close",
            "noscript",
            "widget_open",
            "widget_close",
            "error_bad_frame",
            "error_slow_down",
            "error_not_accepted",
            "error_no_history",
            "error_too_many",
        )
    },
    "discord.thread": (),
    "discord.argument": (),
    **{
        f"kakao.{name}": ()
        for name in (
            "waiting",
            "holding",
            "nothing",
            "view_answer",
            "view_more",
            "helpful",
            "unhelpful",
            "operator",
            "operator_hint",
        )
    },
}
"""Phrases that every set must have, with the slots that the product fills in. A phrase that is not
listed here may use any slot, the same ones in every language."""


class Phrases:
    """The phrases of every language, facts put in."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self._texts = texts

    @classmethod
    def load(cls, folder: Path, facts: Facts) -> Phrases:
        """Read `<language>.yaml` for every language. Raises PromptError with file and line."""
        files = {language: _File(folder / f"{language}.yaml") for language in LANGUAGES}
        reference = files[LANGUAGES[0]]
        for name in SLOTS:
            if name not in reference.alternatives:
                raise reference.missing(name)
        for file in files.values():
            for name in reference.alternatives:
                if name not in file.alternatives:
                    raise file.missing(name)
            for name in file.alternatives:
                if name not in reference.alternatives:
                    raise file.document.fault(
                        tuple(name.split(".")),
                        f"phrase {name!r} is not in {reference.document.path.name}; "
                        + suggest(name, list(reference.alternatives)),
                    )
        slots = {
            name: SLOTS[name] if name in SLOTS else reference.slots(name)
            for name in reference.alternatives
        }
        return cls({language: file.fill(facts, slots) for language, file in files.items()})

    def standing(self, topic: str, language: str) -> str | None:
        """The standing answer on `topic`; None where there is none, or not without facts."""
        texts = self._texts.get(language or LANGUAGES[0], self._texts["en"])
        text = texts.get(f"{STANDING}{topic}")
        return None if text is None else text.format_map({})

    def text(self, name: str, language: str, slots: Mapping[str, object]) -> str:
        """The phrase `name` with `slots` put in. Raises PromptError if either is unknown."""
        texts = self._texts.get(language or LANGUAGES[0], self._texts["en"])
        if name not in texts:
            raise PromptError(f"unknown phrase {name!r}; {suggest(name, list(texts))}")
        try:
            return texts[name].format_map({slot: shown(value) for slot, value in slots.items()})
        except KeyError as missing:
            raise PromptError(f"phrase {name!r} needs the slot {missing}") from None


class _File:
    """One language: the alternatives of every phrase, as written."""

    def __init__(self, path: Path) -> None:
        self.document = Document(path, error=PromptError)
        self.alternatives: dict[str, list[str]] = {}
        sections = self.document.value
        if not isinstance(sections, Mapping):
            raise self.document.fault((), "expected sections of phrases")
        for section, phrases in sections.items():
            if phrases is None:
                continue
            if not isinstance(phrases, Mapping):
                raise self.document.fault((section,), f"{section!r} must be a section of phrases")
            for name, value in phrases.items():
                self.alternatives[f"{section}.{name}"] = self._texts(section, name, value)

    def _texts(self, section: str, name: str, value: Any) -> list[str]:
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise self.document.fault(
                (section, name), f"phrase '{section}.{name}' must be a text or a list of texts"
            )
        return [text.rstrip("\n") for text in texts]

    def missing(self, name: str) -> Exception:
        """The error for a phrase that is not there."""
        section = name.split(".")[0]
        return self.document.fault(
            (section,), f"phrase {name!r} is missing; {suggest(name, list(self.alternatives))}"
        )

    def slots(self, name: str) -> tuple[str, ...]:
        """The slots that the alternatives of `name` use."""
        found: list[str] = []
        for at, text in enumerate(self.alternatives[name]):
            try:
                found += slots_of(text)
            except ValueError as stray:
                raise self._fault(name, at, stray) from None
        return tuple(slot for slot in found if not slot.startswith("company."))

    def _fault(self, name: str, at: int, what: object) -> Exception:
        section, _, key = name.partition(".")
        return self.document.fault((section, key, at), f"{name}: {what}")

    def fill(self, facts: Facts, slots: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
        """Of every phrase the first alternative whose facts are known; all are checked."""
        filled: dict[str, str] = {}
        for name, texts in self.alternatives.items():
            usable: list[str] = []
            for at, text in enumerate(texts):
                try:
                    done = facts.fill(text, slots[name])
                except ValueError as wrong:
                    raise self._fault(name, at, wrong) from None
                if done is not None:
                    usable.append(done)
            if not usable and name.startswith(STANDING):
                continue
            if not usable:
                raise self._fault(
                    name, len(texts) - 1, "add an alternative that needs no absent company fact"
                )
            filled[name] = usable[0]
        return filled
