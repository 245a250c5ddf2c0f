"""Rankings of passages put together, and ranked again by what reads them with the question."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from brain.errors import KnowledgeError
from brain.knowledge.confidence import shipped
from brain.knowledge.retrieve import Found
from brain.messages import Confidence, Level, Passage

JUST_BELOW = 1e-4
"""By how much what only other wordings find stays below a high confidence."""


def together(first: Found, others: Sequence[Found]) -> Found:
    """What the customer's words and other wordings of them found, best first.

    By the mean of the scores: all come from the same parts over the same passages, so they compare.
    Ranks would throw away by how much one passage is better, and what one wording alone finds could
    win by the best score. The confidence is that of the customer's words, or of a wording that found
    the same best passage, but then never high: the words are not the customer's.
    """
    if not others:
        return first
    seen: dict[str, Passage] = {}
    for found in (first, *others):
        for passage in found.passages:
            seen.setdefault(passage.id, passage)
    own, reworded = _scores(first), [_scores(found) for found in others]
    passages = []
    for passage in seen.values():
        alone = own.get(passage.id, 0.0)
        added = sum(scores.get(passage.id, 0.0) for scores in reworded)
        scores = {**passage.scores, "question": alone, "queries": added / len(others)}
        score = (alone + added) / (1 + len(others))
        passages.append(replace(passage, score=score, scores=scores))
    passages.sort(key=lambda passage: -passage.score)
    agreeing = [each for each in others if each.passages[:1] and _best(each) == passages[0].id]
    return replace(
        first,
        passages=tuple(passages),
        confidence=max(
            (first.confidence, *(_reserved(each) for each in agreeing)),
            key=lambda confidence: confidence.probability,
        ),
        queries=tuple(each.rewritten for each in others),
    )


def _scores(found: Found) -> dict[str, float]:
    return {passage.id: passage.score for passage in found.passages}


def _best(found: Found) -> str:
    return found.passages[0].id


def _reserved(found: Found) -> Confidence:
    fit, probability = found.fit or shipped(), found.confidence.probability
    probability = min(probability, fit.high - JUST_BELOW)
    level: Level = "medium" if probability >= fit.medium else "low"
    return Confidence(level=level, probability=round(probability, 4))


def reranked(found: Found, judged: Mapping[str, float], by: str) -> Found:
    """The passages in the order of what was `judged` of them: 0 to 1, by id.

    What was not judged comes after, in the order it had. The confidence stays: it was fitted to
    what the first ranking sees.
    """
    judged = {name: score for name, score in judged.items() if math.isfinite(score)}
    if not judged:
        return found
    lowest = min(judged.values())
    passages = [
        replace(
            passage,
            score=judged.get(passage.id, passage.score * lowest),
            scores={**passage.scores, "first": passage.score}
            | ({"rerank": judged[passage.id]} if passage.id in judged else {}),
        )
        for passage in found.passages
    ]
    passages.sort(key=lambda passage: (passage.id not in judged, -passage.score))
    return replace(found, passages=tuple(passages), reranked=by)


class CrossEncoder:
    """Any sentence-transformers cross-encoder on this machine; never downloads."""

    def __init__(self, model: str) -> None:
        """Raises `KnowledgeError` when the extra or the model is not here."""
        try:
            import sentence_transformers
        except ImportError as error:
            raise KnowledgeError(
                f"knowledge.rerank: {model!r} needs an extra that is not installed: "
                "pip install 'sangdam[sentence-transformers]'"
            ) from error
        try:
            self._model: Any = sentence_transformers.CrossEncoder(model, local_files_only=True)
        except (OSError, ValueError) as error:
            raise KnowledgeError(
                f"knowledge.rerank: no model {model!r} on this machine; give the folder it lies "
                "in, or fetch it once into the Hugging Face cache"
            ) from error
        if self._model.num_labels != 1:
            raise KnowledgeError(
                f"knowledge.rerank: {model!r} sorts pairs into {self._model.num_labels} classes; "
                "a re-ranker gives one score"
            )
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="rerank")

    async def judge(self, question: str, passages: Sequence[Passage]) -> dict[str, float]:
        """How well each passage answers, 0 to 1, by id. One question is judged at a time.

        Raises `KnowledgeError` when the model cannot.
        """
        pairs = [(question, f"{passage.heading}\n{passage.text}") for passage in passages]
        scores = await asyncio.wrap_future(self._worker.submit(self._scores, pairs))
        return {passage.id: score for passage, score in zip(passages, scores, strict=True)}

    def _scores(self, pairs: list[tuple[str, str]]) -> list[float]:
        try:
            logits = self._model.predict(
                pairs, activation_fn=lambda logits: logits, show_progress_bar=False
            )
        except RuntimeError as failed:
            raise KnowledgeError(f"knowledge.rerank: {failed}") from failed
        return [1 / (1 + math.exp(-max(-50.0, min(50.0, float(logit))))) for logit in logits]

    def close(self) -> None:
        """Let go of the thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)
