"""Scores from 0 to 1. A score does not depend on the other results, so a threshold has a fixed meaning.

The score of recipe 3 is a sum, clipped to 0..1:

    0.60 · max(0, c) + 0.60 · b / (b + 20) + 0.06 · mass + 0.12 · [asks when, and the row has a time]
    + 0.30 · date - 0.07 · [the row is a question] - 0.10 · [an assistant said it]

Here c is the cosine of question and row, b the inner product of their words, and mass and date lie between 0 and 1. The
weights began as those of a linear model that was learned on LoCoMo and BEAM; words weigh less since long chats, LoCoMo
and facts of our own chose so with each tested conversation left out (docs/evaluation.md). Their scale is the one in
which a threshold of 0.1 loses none of the evidence that is among the first ten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.signals import (
    DAY_BITS,
    FLAG_BITS,
    QuestionSignals,
    RowSignals,
    date_part,
    masses,
    time_order,
)

__all__ = ["DEFAULT_THRESHOLD", "AddedScore", "ScoreParts", "Scorer", "probability", "saturate"]

#: The weights of the parts, as above.
MEANING_WEIGHT = 0.60
WORD_WEIGHT = 0.60
MASS_WEIGHT = 0.06
TIME_WEIGHT = 0.12
DATE_WEIGHT = 0.30
QUESTION_PENALTY = 0.07
ASSISTANT_PENALTY = 0.10
#: The inner product of words that counts one half: about that of three rare words in a short text.
WORD_MIDPOINT = 20.0
#: The threshold of a search that names none. It is mem0's, whose 0.1 acts on the cosine alone.
DEFAULT_THRESHOLD = 0.1
#: How probable it is that a row answers the question, by its score: a logistic curve, fitted to LoCoMo's development
#: conversations and our own for choosing constants. There, 2 % of the rows with a score of 0.4 to 0.5 were evidence,
#: 5 % of those of 0.5 to 0.6, 16 % of those of 0.6 to 0.7, 34 % of those of 0.7 to 0.8, and 46 % of those above.
_CURVE_OFFSET, _CURVE_SLOPE = 8.96, 11.2


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """What each part adds to a score; penalties are negative. Clipped to 0..1, the sum is the score."""

    meaning: float = 0.0
    words: float = 0.0
    mass: float = 0.0
    asks_when: float = 0.0
    date: float = 0.0
    question: float = 0.0
    assistant: float = 0.0

    @property
    def sum(self) -> float:
        """The sum of the parts, before it is clipped."""
        signals = self.mass + (self.asks_when + self.date + self.question + self.assistant)
        return self.meaning + self.words + signals


class Scorer(Protocol):
    """Scores rows for one question. A row's score never falls when its cosine or its words grow."""

    @property
    def most_added(self) -> float:
        """The most that the signals of any row can add to its score for this question."""

    def added(self, signals: Sequence[int]) -> list[float]:
        """What the signals of each row add to its score; negative if they lower it."""

    def scores(self, rows: Iterable[tuple[float, float, float]]) -> list[float]:
        """The score of each row, of which these are given: cosine, how well its words match, what its signals add."""

    def parts(self, cosine: float, words: float, signals: int) -> ScoreParts:
        """The parts of the same score."""

    def time(self, signals: int) -> int:
        """A number that grows with the time of a row, for rows with the same score."""

    def probability(self, score: float) -> float | None:
        """How probable it is that a row with this score answers the question; None if nobody has measured it."""


class AddedScore:
    """The score of recipe 3."""

    def __init__(self, question: QuestionSignals) -> None:
        self._question = question
        self._time = TIME_WEIGHT if question.asks_when else 0.0
        self._assistant = 0.0 if question.asks_assistant else ASSISTANT_PENALTY
        self.most_added = MASS_WEIGHT + self._time + (DATE_WEIGHT if question.dates else 0.0)
        #: What is added besides the mass, by the bits of a row that decide it: many rows have the same.
        self._besides: dict[int, float] = {}
        self._deciding = FLAG_BITS | DAY_BITS if question.dates else FLAG_BITS

    def added(self, signals: Sequence[int]) -> list[float]:
        known, deciding = self._besides, self._deciding
        decided = [packed & deciding for packed in signals]
        for bits in set(decided).difference(known):
            time, date, question, assistant = self._signal_parts(RowSignals.unpack(bits))
            known[bits] = time + date + question + assistant
        return [MASS_WEIGHT * mass + known[bits] for mass, bits in zip(masses(signals), decided, strict=True)]

    def scores(self, rows: Iterable[tuple[float, float, float]]) -> list[float]:
        # Written inline: each search scores hundreds of rows, and function calls would cost more than the arithmetic.
        return [
            0.0 if score < 0.0 else 1.0 if score > 1.0 else score
            for cosine, words, added in rows
            for score in (
                (MEANING_WEIGHT * cosine if cosine > 0.0 else 0.0)
                + (WORD_WEIGHT * words / (words + WORD_MIDPOINT) if words > 0.0 else 0.0)
                + added,
            )
        ]

    def parts(self, cosine: float, words: float, signals: int) -> ScoreParts:
        row = RowSignals.unpack(signals)
        meaning, matched = MEANING_WEIGHT * max(0.0, cosine), WORD_WEIGHT * saturate(words)
        return ScoreParts(meaning, matched, MASS_WEIGHT * row.mass, *self._signal_parts(row))

    def time(self, signals: int) -> int:
        return time_order(signals)

    def probability(self, score: float) -> float:
        return probability(score)

    def _signal_parts(self, row: RowSignals) -> tuple[float, float, float, float]:
        """What time, date, question and assistant add."""
        return (
            self._time if row.has_time else 0.0,
            DATE_WEIGHT * date_part(self._question, row),
            -QUESTION_PENALTY if row.question else 0.0,
            -self._assistant if row.assistant else 0.0,
        )


def saturate(words: float) -> float:
    """How well words match, mapped to 0..1."""
    return words / (words + WORD_MIDPOINT) if words > 0 else 0.0


def probability(score: float) -> float:
    """How probable it is that a row with this score answers the question: 1 / (1 + exp(8.96 - 11.2 · score))."""
    return 1.0 / (1.0 + math.exp(_CURVE_OFFSET - _CURVE_SLOPE * score))
