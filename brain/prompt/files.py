"""Reading the parts of a prompt set strictly from the YAML files under `prompts/`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from brain.errors import PromptError
from brain.facts import Facts, slots_of, suggest
from brain.prompt.abbreviations import Abbreviations
from brain.prompt.adjustments import Adjustments
from brain.prompt.conditions import conditions
from brain.prompt.parts import (
    Example,
    Frame,
    Layer,
    Module,
    PromptSet,
    Rule,
    wording,
)
from brain.prompt.schema import (
    Change,
    ExampleFile,
    FrameFile,
    LayerFile,
    ModuleFile,
    PersonaFile,
    RuleEntry,
)
from brain.strict import Document, Place

LAYERS = ("identity", "knowledge", "behaviour", "format", "exceptions", "adaptation")
"""Names of the six layers; their files are `1_identity.yaml` and so on."""
DYNAMIC = ("now",)
"""Slots that texts of one turn may use; the static layers may use none."""


class Reader:
    """Reads the files of a folder into parts, facts put in."""

    def __init__(self, folder: Path, facts: Facts, overlay: Path | None = None) -> None:
        """Files of `overlay` stand before those of `folder` with the same name."""
        self._folder = folder
        self._overlay = overlay
        self._facts = facts
        self._adjustments = Adjustments.load(folder)
        self._short = Abbreviations.load(folder)
        self._worded: set[str] = set()
        self._switched: set[str] = set()

    def parts(self, persona: str) -> PromptSet:
        """Everything that the model reads. Raises PromptError with file, line and what to write."""
        examples = (self.example(path) for path in self.files("examples"))
        layers = self.layers(persona)
        parts = PromptSet(
            layers=layers,
            modules=tuple(self.module(path) for path in self.files("modules")),
            examples=tuple(example for example in examples if example),
            adjustments=self._adjustments,
            abbreviations=self._short,
            frame=self.frame(self._folder / "frame.yaml"),
            facts=tuple(self._facts.lines(without=self._worded)),
        )
        self._adjustments.check_used(self._folder, self._switched)
        return parts

    def files(self, kind: str) -> list[Path]:
        """The YAML files of a subfolder, in order."""
        found = {path.name: path for path in (self._folder / kind).glob("*.yaml")}
        if self._overlay:
            found |= {path.name: path for path in (self._overlay / kind).glob("*.yaml")}
        return [found[name] for name in sorted(found)]

    def _path(self, kind: str, name: str) -> Path:
        own = self._overlay / kind / name if self._overlay else None
        return own if own and own.is_file() else self._folder / kind / name

    def layers(self, persona: str) -> tuple[Layer, ...]:
        """The six layers as `persona` changes them."""
        expected = {f"{number}_{name}.yaml" for number, name in enumerate(LAYERS, 1)}
        for path in self.files("layers"):
            if path.name not in expected:
                hint = suggest(path.name, sorted(expected))
                raise PromptError(f"{path}: no such layer; {hint}")
        rules: dict[tuple[int, str], tuple[RuleEntry, Document, Place]] = {}
        titles: dict[int, str] = {}
        for number, name in enumerate(LAYERS, 1):
            document = Document(self._path("layers", f"{number}_{name}.yaml"), error=PromptError)
            file = document.parse(LayerFile)
            if (file.layer, file.name) != (number, name):
                raise document.fault(("layer",), f"this file is layer {number}, {name}")
            titles[number] = file.title
            document.check_distinct(("rules",), [rule.id for rule in file.rules], "id")
            for at, rule in enumerate(file.rules):
                rules[number, rule.id] = (rule, document, ("rules", at))
        for document, changes in self._ancestry(persona):
            for at, change in enumerate(changes):
                place: Place = ("rules", at)
                number, rule = self._changed(change, rules, document, place)
                rules[number, rule.id] = (rule, document, place)
        return tuple(
            Layer(
                number=number,
                name=name,
                title=titles[number],
                rules=self._rules(
                    (entry for (layer, _), entry in rules.items() if layer == number),
                    dynamic=number == len(LAYERS),
                ),
            )
            for number, name in enumerate(LAYERS, 1)
        )

    def _ancestry(self, persona: str) -> list[tuple[Document, list[Change]]]:
        """The personas that `persona` extends, the most general first, and itself."""
        names = [path.stem for path in self.files("personas")]
        if persona not in names:
            raise PromptError(
                f"{self._folder / 'personas'}: unknown persona {persona!r}; "
                + suggest(persona, names)
            )
        line: list[tuple[Document, list[Change]]] = []
        seen: list[str] = []
        following: str | None = persona
        while following:
            document = Document(self._path("personas", f"{following}.yaml"), error=PromptError)
            file = document.parse(PersonaFile)
            if file.persona != following:
                raise document.fault(("persona",), f"this file is the persona {following!r}")
            document.check_distinct(("rules",), [change.id for change in file.rules], "id")
            line.insert(0, (document, file.rules))
            seen.append(following)
            following = file.extends
            if following and (following not in names or following in seen):
                what = "extends itself" if following in seen else f"unknown persona {following!r}"
                others = [name for name in names if name not in seen]
                raise document.fault(("extends",), f"{what}; {suggest(following, others)}")
        return line

    def _changed(
        self,
        change: Change,
        rules: Mapping[tuple[int, str], tuple[RuleEntry, Document, Place]],
        document: Document,
        place: Place,
    ) -> tuple[int, RuleEntry]:
        """The rule that a persona adds or overrides, and its layer."""
        homes = [number for number, name in rules if name == change.id]
        number = change.layer or (homes[0] if homes else 0)
        if number == 1:
            raise document.fault(place, f"rule {change.id!r}: layer 1 cannot be changed")
        if number == 0:
            known = [name for layer, name in rules if layer > 1]
            raise document.fault(
                place,
                f"rule {change.id!r} is new: it needs a layer from 2 to 6, or "
                + suggest(change.id, known),
            )
        if not 2 <= number <= len(LAYERS):
            raise document.fault((*place, "layer"), f"there is no layer {number}")
        given = {
            name: value
            for name in ("priority", "text", "when")
            if (value := getattr(change, name)) is not None
        }
        if (number, change.id) in rules:
            return number, rules[number, change.id][0].model_copy(update=given)
        for name in ("priority", "text"):
            if name not in given:
                raise document.fault(place, f"the new rule {change.id!r} needs {name!r}")
        return number, RuleEntry.model_construct(id=change.id, **{"when": {}, **given})

    def module(self, path: Path) -> Module:
        """The module in `path`."""
        document = Document(path, error=PromptError)
        file = document.parse(ModuleFile)
        document.check_distinct(("rules",), [rule.id for rule in file.rules], "id")
        entries = ((rule, document, ("rules", at)) for at, rule in enumerate(file.rules))
        return Module(
            name=file.module,
            title=file.title,
            priority=file.priority,
            when=conditions(document, ("when",), file.when),
            rules=self._rules(entries, dynamic=True),
            adjustment=self._adjustment(document, file.adjustment),
        )

    def example(self, path: Path) -> Example | None:
        """The example in `path`; None if it needs facts that are not known."""
        document = Document(path, error=PromptError)
        file = document.parse(ExampleFile)
        when = conditions(document, ("when",), file.when)
        customer = self._fill(document, ("customer",), file.customer, DYNAMIC)
        assistant = {
            level: self._fill(document, ("assistant", level), text, DYNAMIC)
            for level, text in file.assistant.written().items()
        }
        known = {level: text for level, text in assistant.items() if text is not None}
        if customer is None or known != assistant:
            return None
        return Example(
            name=file.example,
            priority=file.priority,
            when=when,
            customer=customer,
            assistant=known,
            adjustment=self._adjustment(document, file.adjustment),
        )

    def _adjustment(self, document: Document, name: str | None) -> str:
        if name and name not in self._adjustments.names:
            near = suggest(name, self._adjustments.names)
            raise document.fault(("adjustment",), f"unknown adjustment {name!r}; {near}")
        self._switched.add(name or "")
        return name or ""

    def frame(self, path: Path) -> Frame:
        """The words between the parts."""
        file = Document(path, error=PromptError).parse(FrameFile)
        words = file.model_dump(exclude={"strengths"})
        strengths = file.strengths
        return Frame(
            **words,
            strengths={
                "MUST": strengths.MUST,
                "SHOULD": strengths.SHOULD,
                "MAY": strengths.MAY,
            },
        )

    def _rules(
        self, entries: Iterable[tuple[RuleEntry, Document, Place]], *, dynamic: bool
    ) -> tuple[Rule, ...]:
        """The rules whose facts are known; only `dynamic` ones may depend on the situation."""
        ready: list[Rule] = []
        for rule, document, place in entries:
            if rule.when and not dynamic:
                raise document.fault(
                    (*place, "when"),
                    f"rule {rule.id!r}: only layer 6, modules and examples may have 'when'; "
                    "layers 1 to 5 are the same for everybody",
                )
            texts = {}
            slots = DYNAMIC if dynamic else ()
            written = rule.text.written()
            factual = any("{" in text for text in written.values())
            if not dynamic and not factual:
                for level in self._short.levels:
                    written[level] = self._short.shorter(wording(written, level))
            for level, text in written.items():
                filled = self._fill(document, (*place, "text", level), text, slots)
                if filled is not None:
                    if not dynamic:
                        self._worded.update(slots_of(text))
                    texts[level] = filled if dynamic else filled.format_map({})
            if texts:
                when = conditions(document, (*place, "when"), rule.when)
                ready.append(
                    Rule(
                        id=rule.id,
                        priority=rule.priority,
                        texts=texts,
                        when=when,
                        where=f"{document.path}:{document.line(place)}",
                        factual=factual,
                    )
                )
        return tuple(ready)

    def _fill(
        self, document: Document, place: Place, text: str, slots: Collection[str]
    ) -> str | None:
        try:
            return self._facts.fill(text.strip(), slots)
        except ValueError as wrong:
            raise document.fault(place, str(wrong)) from None
