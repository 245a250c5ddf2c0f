"""The system message: what is said to every customer in every turn, byte for byte the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from brain.prompt.abbreviations import replaced
from brain.prompt.budget import PER_MESSAGE, Budget, Compression, weigh
from brain.prompt.parts import PRIORITIES, STRENGTHS, PromptSet, Strength

WORDINESS: tuple[tuple[Compression, Compression], ...] = (
    ("detailed", "detailed"),
    ("standard", "standard"),
    ("standard", "core"),
    ("core", "core"),
)
"""Wordings of the static part, the fullest first: of its MUST rules and of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """The system message at one size."""

    blocks: Mapping[str, str]
    """Its parts by name, in order."""
    dropped: tuple[str, ...]
    """What did not fit, with its priority."""
    levels: tuple[Compression, Compression]
    """Wordings of MUST and of other rules."""
    complete: bool
    """Whether all MUST and SHOULD rules fitted."""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n\n".join(self.blocks.values())


class SystemMessage:
    """Composes the system message of one prompt set; keeps that of each window."""

    def __init__(self, parts: PromptSet) -> None:
        self._parts = parts
        self._known: dict[int, Static] = {}

    def at(self, budget: Budget) -> Static:
        """The system message: the wordiest version whose rules fit its share, alike for everybody.

        It depends on the window alone, not on the model's correction, so that it never changes.
        """
        share = budget.system
        if share not in self._known:
            for musts, others in WORDINESS:
                static = self._static_at(musts, others, share)
                if static.complete:
                    break
            self._known[share] = static
        return self._known[share]

    def _static_at(self, musts: Compression, others: Compression, share: int) -> Static:
        """At these wordings, with the codes that pay in the rules which fit."""
        plain = self._fitted(musts, others, share, {})
        texts = [
            text
            for _, name, text in self._rules(*STRENGTHS, musts=musts, others=others, codes=None)
            if not any(dropped.endswith(f" {name}") for dropped in plain.dropped)
        ]
        codes = self._parts.abbreviations.worthwhile(texts)
        return self._fitted(musts, others, share, codes) if codes else plain

    def _fitted(
        self, musts: Compression, others: Compression, share: int, codes: Mapping[str, str]
    ) -> Static:
        """All MUST rules; then SHOULD rules, facts and MAY rules as long as they fit `share`."""
        said = partial(self._rules, musts=musts, others=others, codes=codes)
        legend = self._parts.abbreviations.explained(codes)
        chosen = {name: text for _, name, text in said("MUST")}
        should = said("SHOULD")
        facts = [("P2", f"fact:{line.partition(':')[0]}", line) for line in self._parts.facts]
        optional = [*should, *facts, *said("MAY")]
        left = share - PER_MESSAGE - weigh("\n\n".join(self._blocks(chosen, legend).values()))
        for _, name, line in optional:
            cost = weigh(f"- {line}\n")
            if cost <= left:
                left -= cost
                chosen[name] = line
        return Static(
            blocks=self._blocks(chosen, legend),
            dropped=tuple(f"{keep} {name}" for keep, name, _ in optional if name not in chosen),
            levels=(musts, others),
            complete=left >= 0 and all(name in chosen for _, name, _ in should),
        )

    def _rules(
        self,
        *strengths: Strength,
        musts: Compression,
        others: Compression,
        codes: Mapping[str, str] | None,
    ) -> list[tuple[str, str, str]]:
        """Priority, name and text of the rules for everybody; without `codes` those that take them."""
        found: list[tuple[str, str, str]] = []
        for layer in self._parts.layers[:-1]:
            for rule in layer.rules:
                level = musts if rule.priority == "MUST" else others
                codable = level in self._parts.abbreviations.levels and not rule.factual
                if rule.priority in strengths and (codable or codes is not None):
                    text = rule.text(level)
                    if codable and codes:
                        text = replaced(text, codes)
                    found.append((PRIORITIES[rule.priority], f"{layer.name}.{rule.id}", text))
        return found

    def _blocks(self, chosen: Mapping[str, str], legend: str) -> dict[str, str]:
        """The system message with the rules and facts of `chosen`, in the order of the files."""
        frame = self._parts.frame
        blocks = {"frame": "\n".join(filter(None, (frame.reading, legend)))}
        for layer in self._parts.layers[:-1]:
            lines = [f"# {layer.number}. {layer.title}"]
            for strength in STRENGTHS:
                names = [
                    f"{layer.name}.{rule.id}" for rule in layer.rules if rule.priority == strength
                ]
                said = [f"- {chosen[name]}" for name in names if name in chosen]
                if said:
                    lines += [f"{frame.strengths[strength]}:", *said]
            if len(lines) > 1:
                blocks[layer.name] = "\n".join(lines)
        facts = [f"- {line}" for name, line in chosen.items() if name.startswith("fact:")]
        if facts:
            blocks["facts"] = "\n".join([f"# {frame.facts}", *facts])
        return blocks
