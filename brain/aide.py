"""Small questions to the model beside the answer: what a question means, how else it is asked, what answers it.

Whatever goes wrong, there is just no help; nothing that was found before is lost by it.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

from brain.admission import Admission, Unlimited
from brain.errors import Busy, ModelError, PromptError
from brain.facts import slots_of
from brain.followup import Before
from brain.knowledge.recent import Recent
from brain.messages import Address, Passage
from brain.model.asked import Form
from brain.model.llm import Model
from brain.prompt.budget import Budget
from brain.prompt.compose import Composed
from brain.prompt.last_message import TEMPLATE_TOKENS, new_marker
from brain.strict import Document

log = logging.getLogger(__name__)

LISTED: Final = 8
"""Passages that the model is shown: a small window has room for no more, nor a customer patience."""
NAMED: Final = 5
"""Passages that it may name."""
EXCERPT: Final = 200
"""Characters of each text that it is shown."""
LONGEST: Final = 150
"""Characters of a question that it may write."""
PAUSE: Final = 30.0
"""Seconds for which nothing more is asked after the model failed or was late: the answers need it."""
REMEMBERED: Final = 512
"""Answers kept for when the same is asked again."""

NOBODY: Final = Address(channel="", conversation="", user="")
"""Somebody at a command line."""

_BORDER = re.compile(TEMPLATE_TOKENS, re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_HANGUL = re.compile(r"[가-힣]")

_Message = Mapping[str, Any]


def _only(*slots: str) -> AfterValidator:
    def check(text: str) -> str:
        for field in slots_of(text):
            if field not in slots:
                raise ValueError(f"unknown field {field!r}; valid are {', '.join(slots) or 'none'}")
        return text

    return AfterValidator(check)


class Wording(BaseModel):
    """What the model is told: `retrieval.yaml` of a prompt set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    restate: Annotated[str, _only()]
    rephrase: Annotated[str, _only("n")]
    rank: Annotated[str, _only("n")]
    data: Annotated[str, _only()]
    fence: Annotated[str, _only()]
    question: Annotated[str, _only()]
    customer: Annotated[str, _only()]
    assistant: Annotated[str, _only()]

    @classmethod
    def load(cls, path: Path) -> Wording:
        """Read the file. Raises PromptError with file, line and what to write."""
        return Document(path, error=PromptError).parse(cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The customer on whose behalf the model is asked."""

    address: Address
    """Whose place in the queue it is."""
    compose: Callable[[str], Composed]
    """The prompt of the answer to come, for a model of that name."""
    budget: Callable[[str], Budget]
    """How that model counts."""

    def around(self, model: str, task: _Message) -> Sequence[_Message]:
        """A prompt that begins as the answer's will: the server keeps what it has read until there."""
        try:
            begun = self.compose(model).messages[:-1]
        except PromptError:
            return (task,)
        budget = self.budget(model)
        fits = budget.count_messages((*begun, task)) <= budget.limit
        return (*begun, task) if fits else (task,)


class Aide:
    """Asks the model, as one customer among others: never where one waits for it already."""

    def __init__(
        self, *, model: Model, wording: Wording, admission: Admission | None = None
    ) -> None:
        self.wording = wording
        """What it is told; may be replaced while it serves."""
        self._model = model
        self._admission = admission or Unlimited()
        self._known = Recent[Hashable, Any](REMEMBERED)
        self._resting = 0.0  # until then

    def rest(self) -> None:
        """Ask nothing for a while."""
        self._resting = time.monotonic() + PAUSE

    async def restated(self, question: str, leans_on: Before, asker: Asker | None) -> str:
        """The question with what it leans on, so that it stands alone; empty without help."""
        words = self.wording
        lines = (
            f"{words.customer}: {leans_on.asked[:EXCERPT]}",
            f"{words.assistant}: {leans_on.answered[:EXCERPT]}",
            f"{words.customer}: {question[:EXCERPT]}",
        )
        form = _form("question", {"type": "string", "maxLength": LONGEST}, longest=160)
        found = await self._answer(words.restate, lines, form, asker)
        said = " ".join((leans_on.asked, leans_on.answered, question))
        return next(_questions([found], said), "")

    async def rephrased(self, question: str, n: int, asker: Asker | None) -> tuple[str, ...]:
        """Up to `n` other wordings of a question; none without help."""
        items = {"type": "string", "maxLength": LONGEST}
        schema = {"type": "array", "items": items, "minItems": 1, "maxItems": n}
        form = _form("questions", schema, longest=40 + 120 * n)
        told = self.wording.rephrase.format(n=n)
        found = await self._answer(told, (question[: 2 * EXCERPT],), form, asker)
        others = dict.fromkeys(_questions(found if isinstance(found, list) else (), question))
        others.pop(_one_line(question), None)
        return tuple(others)[:n]

    async def ranked(
        self, question: str, passages: Sequence[Passage], asker: Asker | None
    ) -> dict[str, float]:
        """The passages that answer, by id: 1 for the best, never under one half; none without help.

        The model names them in order. Scores of its own would be no better, and take longer.
        """
        shown = passages[:LISTED]
        lines = [f"{self.wording.question}: {question[:EXCERPT]}"]
        for at, passage in enumerate(shown, 1):
            text = _one_line(passage.best or passage.text)[:EXCERPT]
            lines.append(f"{at}. ({passage.heading[-EXCERPT // 2 :]}) {text}")
        items = {"type": "integer", "minimum": 1, "maximum": len(shown)}
        form = _form("numbers", {"type": "array", "items": items, "maxItems": NAMED}, longest=60)
        found = await self._answer(self.wording.rank.format(n=NAMED), lines, form, asker)
        named = [
            shown[number - 1].id
            for number in (found if isinstance(found, list) else ())
            if type(number) is int and 1 <= number <= len(shown)
        ]
        best_first = list(dict.fromkeys(named))[:NAMED]
        return {name: 1 - at / (2 * NAMED) for at, name in enumerate(best_first)}

    async def _answer(
        self, told: str, lines: Iterable[str], form: Form, asker: Asker | None
    ) -> Any:
        """What stands under the one key of the form; None without help."""
        inside = "\n".join(_BORDER.sub(" ", line) for line in lines)
        key = (told, inside)
        if (known := self._known.get(key)) is not None:
            return known
        if self._admission.waiting or time.monotonic() < self._resting:
            return None
        fence = f"{self.wording.fence} {new_marker()}"
        content = f"{told}\n\n{self.wording.data}\n<{fence}>\n{inside}\n</{fence}>"
        try:
            name = await self._model.find()
            task = {"role": "user", "content": content}
            prompt = asker.around(name, task) if asker else (task,)
            async with self._admission.slot(asker.address if asker else NOBODY):
                said = await self._model.generate(prompt, write=lambda piece: None, form=form)
            (found,) = json.loads(said.text).values()
        except (ModelError, Busy, ValueError, AttributeError) as failed:
            log.info("no help by the model: %s", type(failed).__name__)
            if isinstance(failed, ModelError):
                self.rest()
            return None
        self._known.keep(key, found)
        return found


def _form(key: str, schema: Mapping[str, Any], *, longest: int) -> Form:
    return Form(
        schema={"type": "object", "properties": {key: schema}, "required": [key]}, longest=longest
    )


def _questions(found: Iterable[Any], said: str) -> Iterator[str]:
    """Those that can be looked up: of a sensible length, in the script of what was `said`, and with
    no number that was not.
    """
    numbers, korean = set(_NUMBER.findall(said)), bool(_HANGUL.search(said))
    for each in found:
        text = _one_line(each) if isinstance(each, str) else ""
        told = set(_NUMBER.findall(text)) <= numbers and bool(_HANGUL.search(text)) == korean
        if told and 0 < len(text) <= LONGEST:
            yield text


def _one_line(text: str) -> str:
    return " ".join(text.split())
