"""A second look at what was found: by the model where the first one is unsure, by a cross-encoder.

A question that may lean on the turn before is made to stand alone, one that found nothing for certain
is asked in other words too, and what was found is ranked again. Each is optional; when time is up,
what has been found until then stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final

from brain.aide import Aide, Asker
from brain.errors import KnowledgeError
from brain.followup import Before, Looked, look_up
from brain.knowledge.library import Library
from brain.knowledge.ranking import CrossEncoder, reranked, together
from brain.knowledge.retrieve import Found
from brain.messages import Level

log = logging.getLogger(__name__)

CANDIDATES: Final = 20
"""Passages that are put together and ranked again."""
UNSURE: Final[Mapping[Level, tuple[float, float]]] = {"low": (0.3, 1.0), "medium": (0.5, 0.8)}
"""From and to which probability of leaning on the turn before the model is asked, by what was found.

On 171 dialogues and 582 plain questions of four companies the rules do as well as they could outside
of these bounds. Inside there are 62 and 121 of them, and of these plain questions the rules find 63
where the question alone finds 81.
"""


class SecondLook:
    """Improves on the first look as far as it was given the means."""

    def __init__(
        self,
        library: Library,
        *,
        aide: Aide | None = None,
        follow_ups: bool = False,
        queries: int = 1,
        rank: bool = False,
        cross_encoder: CrossEncoder | None = None,
        seconds: float = 3.0,
    ) -> None:
        """What the `aide` is asked: about `follow_ups`, for `queries` - 1 other wordings, to `rank`.

        `seconds` is the time for all of it together.
        """
        self._library = library
        self.aide = aide
        """Asks the model; None: nobody does."""
        self._follow_ups = follow_ups
        self._others = queries - 1
        self._rank = rank
        self._cross_encoder = cross_encoder
        self._seconds = seconds

    async def search(
        self,
        question: str,
        *,
        leans_on: Before | None = None,
        k: int = 5,
        where: Mapping[str, str] | None = None,
    ) -> Found:
        """Both looks, for who asks outside of a conversation with a customer."""
        looked = await look_up(self._library, question, leans_on, k=k, where=where)
        return await self.look(looked, k=k, where=where)

    async def look(
        self,
        looked: Looked,
        *,
        k: int,
        where: Mapping[str, str] | None = None,
        asker: Asker | None = None,
    ) -> Found:
        """What is found at the second look, at worst what was `looked` up at the first."""
        found = looked.found
        try:
            async with asyncio.timeout(self._seconds):
                async for better in self._looks(looked, where, asker):
                    found = better
        except TimeoutError:
            log.info("the second look took longer than %g s", self._seconds)
            if self.aide:
                self.aide.rest()
        except KnowledgeError as failed:
            log.warning("no second look: %s", failed)
        return replace(found, passages=found.passages[:k])

    async def _looks(
        self, looked: Looked, where: Mapping[str, str] | None, asker: Asker | None
    ) -> AsyncIterator[Found]:
        """Better and better."""
        aide, found = self.aide, looked.found
        if aide and self._follow_ups and unsure(looked):
            looked = await self._restated(aide, looked, where, asker)
            yield (found := looked.found)
        doubted = found.confidence.level != "high"
        reworded, ranked = aide and doubted and self._others, aide and doubted and self._rank
        if not (reworded or ranked or self._cross_encoder):
            return
        deeper = await self._library.search(
            looked.query, vector=looked.vector, k=CANDIDATES, where=where
        )
        found = replace(deeper, after=found.after)
        if aide and reworded:
            wordings = await aide.rephrased(looked.query, self._others, asker)
            searches = (self._library.search(each, k=CANDIDATES, where=where) for each in wordings)
            found = together(found, [await search for search in searches])
            yield found
        if self._cross_encoder and found.passages:
            judged = await self._cross_encoder.judge(looked.query, found.passages[:CANDIDATES])
            yield reranked(found, judged, by="cross-encoder")
        elif aide and ranked and found.related:
            judged = await aide.ranked(looked.query, found.passages, asker)
            yield reranked(found, judged, by="model")

    async def _restated(
        self, aide: Aide, looked: Looked, where: Mapping[str, str] | None, asker: Asker | None
    ) -> Looked:
        """As the model understands the question, unless nothing of the kind is in the documents."""
        before = looked.leans_on
        alone = await aide.restated(looked.question, before, asker) if before else ""
        if not before or not alone:
            return looked
        vector = await self._library.embed(alone)
        found = await self._library.search(alone, vector=vector, k=CANDIDATES, where=where)
        if looked.found.related and not found.related:
            return looked
        leaned = found.rewritten != self._library.rewritten(looked.question)
        found = replace(found, after=before.asked if leaned else "")
        return replace(looked, found=found, query=alone, vector=vector)

    def close(self) -> None:
        """Let go of the cross-encoder's thread."""
        if self._cross_encoder:
            self._cross_encoder.close()


def unsure(looked: Looked) -> bool:
    """Whether the rules may have taken a question wrongly for one that leans, or for none."""
    least, most = UNSURE.get(looked.found.confidence.level, (1.0, 0.0))
    return least <= looked.leaning <= most
