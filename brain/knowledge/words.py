"""How questions are worded for looking up: general words, and the company's own beside its documents."""

from __future__ import annotations

import logging
from pathlib import Path

from brain.errors import PromptError
from brain.knowledge.bare import thing
from brain.knowledge.retrieve import normalised
from brain.knowledge.thesaurus import FILE, Thesaurus

_log = logging.getLogger(__name__)


class Words:
    """Rewrites and widens questions; both kinds of words may be replaced while it serves."""

    def __init__(self, folder: Path, general: Thesaurus) -> None:
        self.file = folder / FILE
        """The company's own words; need not exist."""
        self._own = Thesaurus()
        self.general = general

    @property
    def general(self) -> Thesaurus:
        """Words of customer service in any company."""
        return self._general

    @general.setter
    def general(self, general: Thesaurus) -> None:
        self._general = general
        self._both = general.with_own(self._own)

    def check(self) -> None:
        """Raise `PromptError` for a mistake in the company's own words, naming file and line."""
        Thesaurus.load(self.file)

    def read(self) -> None:
        """The company's own words as they are now; as they were, where there is a mistake in them."""
        try:
            self._own = Thesaurus.load(self.file)
        except PromptError as mistake:
            _log.warning("%s; the words before serve on", mistake)
        self._both = self._general.with_own(self._own)

    def rewritten(self, query: str) -> str:
        """A question as it is looked up."""
        return thing(self._both.rewritten(normalised(query)))

    def also(self, text: str) -> tuple[str, ...]:
        """Other words for what a rewritten question says."""
        return self._both.also(text)
