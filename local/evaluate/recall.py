"""Recall: which share of the turns that answer a question stands among the first k results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from local.evaluate.locomo import Question

__all__ = ["CUTS", "Answer", "Recall", "score"]

#: The k of every recall@k that is shown.
CUTS = (5, 10, 20)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question brought: ids of turns, best first, and how long it took."""

    question: Question
    found: tuple[str, ...]
    seconds: float

    def recall(self, k: int) -> float:
        """The share of the evidence among the first ``k`` results."""
        evidence = self.question.evidence
        return len(evidence.intersection(self.found[:k])) / len(evidence)


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall at each cut, averaged over questions."""

    questions: int
    at: dict[int, float]


def score(answers: Sequence[Answer], cuts: Iterable[int] = CUTS) -> Recall:
    """Average over the questions, each counting the same; no questions score 0."""
    return Recall(len(answers), {k: fmean([answer.recall(k) for answer in answers] or [0.0]) for k in cuts})
