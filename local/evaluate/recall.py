"""Recall: the share of the turns that answer a question among the first k results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from local.evaluate.locomo import Question

__all__ = ["CUTS", "Answer", "Recall", "score"]

#: The values of k for which recall@k is shown.
CUTS = (5, 10, 20)


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of one question: ids of turns, best first, and the seconds of the search."""

    question: Question
    found: tuple[str, ...]
    seconds: float

    def recall(self, k: int) -> float:
        """Return the share of the evidence among the first ``k`` results."""
        evidence = self.question.evidence
        return len(evidence.intersection(self.found[:k])) / len(evidence)


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall at each cut, averaged over questions."""

    questions: int
    at: dict[int, float]


def score(answers: Sequence[Answer], cuts: Iterable[int] = CUTS) -> Recall:
    """Return the mean over all questions; without questions it is 0."""
    return Recall(len(answers), {k: fmean([answer.recall(k) for answer in answers] or [0.0]) for k in cuts})
