"""Prompt sets as they are written, and the experiment that gives customers different ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from brain.errors import PromptError
from brain.messages import Address
from brain.strict import Document

EXPERIMENTS = "experiments.yaml"
"""The file in a prompt folder that names the experiment."""
OVERLAID = ("layers", "personas", "modules", "examples")
"""Folders of a prompt set of which a variant may have its own files."""
IDENTITY = "1_identity.yaml"
"""The layer that nothing changes."""
MINIMUM = 1000
"""Samples of each variant before any verdict, unless the experiment says otherwise."""

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFiles:
    """A prompt set as it is written: what its id stands for. The company's facts are no part of it."""

    texts: Mapping[str, str]
    """Every YAML file by its path within the folder."""
    persona: str
    """The persona in use."""

    @classmethod
    def read(cls, folder: Path, persona: str) -> PromptFiles:
        """The set in `folder`. Raises PromptError for what is no UTF-8 text."""
        texts = {}
        for path in sorted(folder.rglob("*.yaml")):
            try:
                texts[path.relative_to(folder).as_posix()] = path.read_bytes().decode()
            except UnicodeDecodeError:
                raise PromptError(f"{path}: not UTF-8 text; save it as UTF-8") from None
        return cls(texts=texts, persona=persona)

    @property
    def id(self) -> str:
        """A short hash of every file and the persona."""
        digest = sha256(f"{self.persona}\n".encode())
        for path, text in sorted(self.texts.items()):
            digest.update(f"{path}\n{len(text)}\n{text}".encode())
        return digest.hexdigest()[:10]

    def write(self, folder: Path) -> None:
        """Write every file below `folder`, as it was read."""
        for name, text in self.texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())

    def changes(self, earlier: PromptFiles) -> tuple[str, ...]:
        """What is different since `earlier`, a line each: `+` added, `-` removed, `~` changed."""
        lines = []
        for path in sorted(self.texts.keys() | earlier.texts.keys()):
            before, after = earlier.texts.get(path), self.texts.get(path)
            if before != after:
                lines.append(f"{'+' if before is None else '-' if after is None else '~'} {path}")
        if self.persona != earlier.persona:
            lines.append(f"~ persona {earlier.persona} -> {self.persona}")
        return tuple(lines)

    def difference(self, earlier: PromptFiles) -> str:
        """The changed lines since `earlier` as a unified diff; empty if there are none."""
        lines: list[str] = []
        for path in sorted(self.texts.keys() | earlier.texts.keys()):
            before, after = earlier.texts.get(path), self.texts.get(path)
            if before == after:
                continue
            lines += difflib.unified_diff(
                (before or "").splitlines(),
                (after or "").splitlines(),
                f"{path} ({earlier.id})" if before is not None else "/dev/null",
                f"{path} ({self.id})" if after is not None else "/dev/null",
                lineterm="",
            )
        if self.persona != earlier.persona:
            lines += [f"-persona {earlier.persona}", f"+persona {self.persona}"]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One side of an experiment."""

    name: str
    """As in the file; the first one is what the others are compared with."""
    weight: int
    """Its share of the customers, relative to the other weights."""
    overlay: str
    """Folder whose files stand before those of the set; empty: none."""
    persona: str
    """Persona in use; empty: that of the set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Different prompts for different customers, and always the same for one."""

    name: str
    """A new name divides the customers anew."""
    minimum: int
    """Samples of each variant before any verdict."""
    variants: tuple[Variant, ...]
    """At least two."""

    @classmethod
    def load(cls, folder: Path) -> Experiment | None:
        """The experiment of the prompt set in `folder`; None without one. Raises PromptError."""
        path = folder / EXPERIMENTS
        if not path.is_file():
            return None
        document = Document(path, error=PromptError)
        file = document.parse(_File)
        if not file.variants:
            return None
        if not file.experiment:
            raise document.fault((), "an experiment with variants needs a name: `experiment: name`")
        if len(file.variants) < 2:
            raise document.fault(("variants",), "one variant is no comparison; add another")
        document.check_distinct(("variants",), [each.name for each in file.variants])
        for at, each in enumerate(file.variants):
            if each.overlay:
                _check_overlay(document, at, folder, Path(each.overlay))
        return cls(
            name=file.experiment,
            minimum=file.minimum,
            variants=tuple(
                Variant(
                    name=each.name, weight=each.weight, overlay=each.overlay, persona=each.persona
                )
                for each in file.variants
            ),
        )

    def of(self, address: Address) -> Variant:
        """The variant of this customer, whatever the conversation."""
        key = "\0".join((self.name, address.channel, address.user)).encode()
        ticket = int.from_bytes(sha256(key).digest()[:8]) % sum(v.weight for v in self.variants)
        for variant in self.variants:
            ticket -= variant.weight
            if ticket < 0:
                return variant
        raise AssertionError("the weights cover every ticket")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Variant(_Strict):
    name: Id
    weight: int = Field(ge=1, le=1000)
    overlay: str = ""
    persona: str = ""


class _File(_Strict):
    experiment: Id | None = None
    minimum: int = Field(MINIMUM, ge=1)
    variants: list[_Variant] = []


def _check_overlay(document: Document, at: int, base: Path, overlay: Path) -> None:
    """Whether `overlay` lies in the prompt set and holds nothing but what a variant may change."""
    place = ("variants", at, "overlay")
    folder = base / overlay
    files = sorted(folder.rglob("*.yaml"))
    if overlay.is_absolute() or ".." in overlay.parts or not files:
        raise document.fault(place, f"{overlay}: no folder with YAML files within {base}")
    for path in files:
        kind, *rest = path.relative_to(folder).parts
        if kind not in OVERLAID or len(rest) != 1:
            valid = ", ".join(f"{name}/" for name in OVERLAID)
            raise document.fault(place, f"{path}: a variant may only have files in {valid}")
        if (kind, rest[0]) == ("layers", IDENTITY):
            raise document.fault(place, f"{path}: layer 1 cannot be changed")
