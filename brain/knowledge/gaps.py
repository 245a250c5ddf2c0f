"""Questions that the knowledge does not answer, gathered by meaning, and answers to them as FAQ entries."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from brain.errors import KnowledgeError
from brain.knowledge.embed import Vector
from brain.knowledge.library import Library
from brain.knowledge.retrieve import Found
from brain.knowledge.strict_yaml import load_mapping
from brain.messages import Passage

ALIKE = 0.5
"""Cosine from which two questions ask the same, on the scale on which unlike ones lie around 0."""
ENOUGH = 8
"""Questions from which on their own cosines show where unlike ones lie."""
SHOWN = 8
"""Hexadecimal digits by which a gap is called: the last ones, as an id begins with its time."""
WORDINGS = 8
"""Other wordings that a FAQ entry takes over from the customers."""
FILE = Path("faq") / "from-gaps.yaml"
"""Where answers go, below the knowledge folder."""

_NAMED = re.compile(r"^\s*# gap: ([0-9a-f ]+)$", re.MULTILINE)
_ITEM = re.compile(r"^( *)- ", re.MULTILINE)
_MASKED = re.compile(r"\[[가-힣]+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question that was not answered, or not well."""

    id: str
    """Of its turn."""
    text: str
    """The customer's words, personal data masked."""
    at: datetime
    """Aware time."""
    kind: Literal["abstained", "disliked"]
    """What became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Questions that ask the same."""

    id: str
    """What `kb answer` calls it by."""
    question: str
    """The most typical wording."""
    asked: tuple[Asked, ...]
    """Every time it was asked, oldest first."""
    nearest: Passage | None
    """What the documents have that is most like it: no answer, or one that was not found to be one."""
    probability: float
    """That it answers, 0 to 1."""


class Gaps:
    """What is missing, as far as it still is."""

    def __init__(
        self, *, library: Library, asked: Callable[[], Awaitable[Sequence[Asked]]]
    ) -> None:
        """`asked` gives the questions that were abstained or disliked, oldest first."""
        self._library = library
        self._asked = asked

    async def open(self) -> list[Gap]:
        """The gaps, the one most asked first.

        An abstained question is none any more once the documents answer it, whoever wrote that; a
        disliked one once it was given an answer.
        """
        done = answered_ids(self._library.folder)
        waiting: list[tuple[Asked, Vector]] = []
        looked_up: dict[str, Found] = {}
        for each in await self._asked():
            if each.id[-SHOWN:] in done:
                continue
            vector = await self._library.embed(each.text)
            found = await self._library.search(each.text, vector=vector, k=1)
            if each.kind == "abstained" and found.confidence.level != "low":
                continue
            looked_up[each.id] = found
            waiting.append((each, vector))
        gaps = [_gap(group, looked_up) for group in clustered(waiting)]
        return sorted(gaps, key=lambda gap: (-len(gap.asked), -gap.asked[-1].at.timestamp()))

    async def find(self, name: str) -> Gap:
        """The gap that `name` calls; `KnowledgeError` when there is none."""
        for gap in await self.open():
            if len(name) >= 4 and any(each.id[-SHOWN:].startswith(name) for each in gap.asked):
                return gap
        raise KnowledgeError(f"no gap {name!r}; sangdam kb gaps lists them")

    async def answer(self, gap: Gap, text: str, *, question: str = "", title: str) -> None:
        """Write the answer into the knowledge folder and reload; both or neither.

        `question` is how the entry asks, if not as the gap does; `title` names a new file. Raises
        `KnowledgeError` when the file cannot take it or the reload is refused.
        """
        if not text.strip():
            raise KnowledgeError("an empty answer; nothing was written")
        asks = question.strip() or gap.question
        others = dict.fromkeys(each.text for each in gap.asked if not _MASKED.search(each.text))
        also = [other for other in others if other != asks][:WORDINGS]
        entry = {"question": asks} | ({"also": also} if also else {}) | {"answer": text.strip()}
        file = self._library.folder / FILE
        before = file.read_bytes() if file.is_file() else None
        try:
            _write(file, entry, ids=[each.id[-SHOWN:] for each in gap.asked], title=title)
            await self._library.reload()
        except BaseException:
            if before is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(before)
            raise


def clustered(asked: Sequence[tuple[Asked, Vector]]) -> list[list[tuple[Asked, Vector]]]:
    """Questions in groups of one meaning, each joining the group it is nearest to on average."""
    if not asked:
        return []
    vectors = np.stack([vector / max(float(np.linalg.norm(vector)), 1e-9) for _, vector in asked])
    distinct = np.stack(list({each.text: row for (each, _), row in zip(asked, vectors)}.values()))  # noqa: B905 - same length
    unlike = 0.0
    if len(distinct) >= ENOUGH:
        pairs = (distinct @ distinct.T)[np.triu_indices(len(distinct), 1)]
        unlike = float(np.median(pairs))
    border = unlike + (1 - unlike) * ALIKE
    groups: list[list[int]] = []
    for at, vector in enumerate(vectors):
        likeness = [float((vectors[group] @ vector).mean()) for group in groups]
        best = int(np.argmax(likeness)) if likeness else -1
        if best >= 0 and likeness[best] >= border:
            groups[best].append(at)
        else:
            groups.append([at])
    return [[asked[at] for at in group] for group in groups]


def _gap(group: Sequence[tuple[Asked, Vector]], looked_up: Mapping[str, Found]) -> Gap:
    middle = np.mean([vector for _, vector in group], axis=0)
    typical, _ = max(group, key=lambda pair: float(pair[1] @ middle))
    asked = tuple(sorted((each for each, _ in group), key=lambda each: each.at))
    found = looked_up[typical.id]
    return Gap(
        id=asked[0].id[-SHOWN:],
        question=typical.text,
        asked=asked,
        nearest=next(iter(found.passages), None),
        probability=found.confidence.probability,
    )


def answered_ids(folder: Path) -> set[str]:
    """What the entries of the file say which gaps they close: an entry taken out opens its gap again."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return set()
    return {id_ for line in _NAMED.findall(text) for id_ in line.split()}


def _write(file: Path, entry: dict[str, Any], *, ids: Sequence[str], title: str) -> None:
    """Append an entry to the file and leave the rest of it as it is."""
    try:
        text = file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{file}: cannot be read: {error}") from None
    if not text.strip():
        text = yaml.safe_dump({"title": title}, allow_unicode=True) + "faq:\n"
    before = _entries(file, text)
    indents = _ITEM.findall(text)
    block = f"# gap: {' '.join(ids)}\n" + yaml.dump(
        [entry], Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000
    )
    indent = indents[0] if indents else "  "
    block = "".join(f"{indent}{line}" if line.strip() else line for line in block.splitlines(True))
    joined = text if text.endswith("\n") else text + "\n"
    joined += block
    if _entries(file, joined) != [*before, entry]:
        raise KnowledgeError(
            f"{file}: its `faq:` list does not end the file; add the entry by hand"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(joined, encoding="utf-8")
    fresh.replace(file)


def _entries(file: Path, text: str) -> list[Any]:
    try:
        entries = load_mapping(text).get("faq") or []
    except KnowledgeError as error:
        raise KnowledgeError(f"{file}: {error}") from None
    if not isinstance(entries, list):
        raise KnowledgeError(f"{file}: `faq` is not a list")
    return entries


class _Dumper(yaml.SafeDumper):
    """Several lines as people write them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
