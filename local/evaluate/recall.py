"""What was found for a question, and recall: the share of its evidence among the first k results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from local.evaluate.conversations import mean

__all__ = ["BIN", "CUTS", "Answer", "Scores", "recall_at"]

#: The values of k for which recall@k is shown.
CUTS = (5, 10, 20)
#: The width of the bins in which the scores of what is no evidence are counted.
BIN = 0.01


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of all rows for one question: those of its evidence, and how many others lie in each bin."""

    evidence: tuple[float, ...]
    #: By the number of the bin, which holds scores from number · BIN on.
    others: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, scored: Iterable[tuple[str, float]], evidence: frozenset[str]) -> Self:
        """The scores of these rows, each with the id that it stands for."""
        rows = list(scored)
        others = Counter(int(score / BIN + 1e-9) for id_, score in rows if id_ not in evidence)
        return cls(tuple(score for id_, score in rows if id_ in evidence), dict(sorted(others.items())))


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of one question, best first, and the seconds of the search."""

    question: str
    category: str
    evidence: frozenset[str]
    #: The ids of turns or facts, and their scores.
    found: tuple[str, ...]
    scores: tuple[float, ...]
    seconds: float
    #: With `--calibrate`: the scores of all rows.
    all_scores: Scores | None = None

    def recall(self, k: int) -> float:
        """The share of the evidence among the first ``k`` results."""
        return len(self.evidence.intersection(self.found[:k])) / len(self.evidence)

    def as_object(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "question": self.question,
            "category": self.category,
            "evidence": sorted(self.evidence),
            "found": list(self.found),
            "scores": [round(score, 4) for score in self.scores],
            "seconds": round(self.seconds, 4),
            **({} if self.all_scores is None else {"all_scores": _plain(self.all_scores)}),
        }

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Self:
        """The answer that `as_object` gave; raises KeyError and the like for anything else."""
        scores = raw.get("all_scores")
        return cls(
            str(raw["question"]),
            str(raw["category"]),
            frozenset(map(str, raw["evidence"])),
            tuple(map(str, raw["found"])),
            tuple(map(float, raw["scores"])),
            float(raw["seconds"]),
            None if scores is None else _scores(scores),
        )


def recall_at(answers: Sequence[Answer], k: int) -> float:
    """The mean over all questions; not a number without any."""
    return mean([answer.recall(k) for answer in answers])


def _plain(scores: Scores) -> dict[str, Any]:
    others = {str(number): count for number, count in scores.others.items()}
    return {"evidence": [round(score, 4) for score in scores.evidence], "others": others}


def _scores(raw: dict[str, Any]) -> Scores:
    others = {int(number): int(count) for number, count in raw["others"].items()}
    return Scores(tuple(map(float, raw["evidence"])), others)
