"""What a score means: how likely a row is evidence at its score, and what a threshold keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from local.evaluate.conversations import mean
from local.evaluate.recall import BIN, Answer

__all__ = ["Band", "Cut", "Logistic", "bands", "cuts", "fit"]

#: The widest step of the bands, and the thresholds that are tried.
_BAND = 0.1
_THRESHOLDS = (0.0, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
_SHOWN = 10
_STEPS = 50
_LEAST_STEP = 1e-7


@dataclass(frozen=True, slots=True)
class Band:
    """The rows with scores from `low` on, below the next band."""

    low: float
    rows: int
    evidence: int

    @property
    def share(self) -> float:
        """The share of evidence among these rows."""
        return self.evidence / self.rows if self.rows else math.nan


@dataclass(frozen=True, slots=True)
class Logistic:
    """P = 1 / (1 + exp(-(intercept + slope · score))): how likely a row is evidence."""

    intercept: float
    slope: float

    def at(self, score: float) -> float:
        """The probability at a score."""
        exponent = max(-700.0, min(700.0, -(self.intercept + self.slope * score)))
        return 1 / (1 + math.exp(exponent))


@dataclass(frozen=True, slots=True)
class Cut:
    """What a threshold keeps: of all rows, and among the first ten results."""

    threshold: float
    rows: float
    recall: float
    precision: float
    recall_shown: float
    precision_shown: float


@dataclass(frozen=True, slots=True)
class _Counted:
    """How many rows have a score, and how many of them are evidence."""

    score: float
    rows: int
    evidence: int


def _counted(answers: Sequence[Answer]) -> Iterator[_Counted]:
    for answer in answers:
        if answer.all_scores is not None:
            yield from (_Counted(score, 1, 1) for score in answer.all_scores.evidence)
            yield from (_Counted((bin_ + 0.5) * BIN, n, 0) for bin_, n in answer.all_scores.others.items())


def bands(answers: Sequence[Answer]) -> list[Band]:
    """The bands that have rows, the lowest first."""
    counts: dict[int, list[int]] = {}
    for one in _counted(answers):
        held = counts.setdefault(int(one.score / _BAND + 1e-9), [0, 0])
        held[0] += one.rows
        held[1] += one.evidence
    return [Band(number * _BAND, *counts[number]) for number in sorted(counts)]


def fit(answers: Sequence[Answer]) -> Logistic | None:
    """The most likely logistic curve, by Newton's method; None if rows of one kind are missing."""
    counted = list(_counted(answers))
    evidence, rows = sum(one.evidence for one in counted), sum(one.rows for one in counted)
    if not 0 < evidence < rows:
        return None
    curve = Logistic(math.log(evidence / (rows - evidence)), 0.0)
    likelihood = _likelihood(counted, curve)
    for _ in range(_STEPS):
        step = _newton(counted, curve)
        # A whole step may leap beyond the top, where the curve is flat.
        while max(map(abs, step)) > _LEAST_STEP:
            tried = Logistic(curve.intercept + step[0], curve.slope + step[1])
            if (found := _likelihood(counted, tried)) >= likelihood:
                curve, likelihood = tried, found
                break
            step = (step[0] / 2, step[1] / 2)
        else:
            break
    return curve


def _likelihood(counted: Sequence[_Counted], curve: Logistic) -> float:
    """The logarithm of how likely the rows are if the curve is true."""
    total = 0.0
    for one in counted:
        logit = curve.intercept + curve.slope * one.score
        # log(1 + exp(x)) without overflow; log P = logit - this, log(1 - P) = -this.
        softplus = max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))
        total += one.evidence * logit - one.rows * softplus
    return total


def _newton(counted: Sequence[_Counted], curve: Logistic) -> tuple[float, float]:
    g0 = g1 = 0.0
    # A little of a ridge, so that perfectly separated rows have a curve, too.
    h00, h01, h11 = 1e-6, 0.0, 1e-6
    for one in counted:
        p = curve.at(one.score)
        miss, weight = one.evidence - one.rows * p, one.rows * p * (1 - p)
        g0, g1 = g0 + miss, g1 + miss * one.score
        h00, h01, h11 = h00 + weight, h01 + weight * one.score, h11 + weight * one.score**2
    determinant = h00 * h11 - h01**2
    return (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant


def cuts(answers: Sequence[Answer]) -> list[Cut]:
    """What each threshold keeps."""
    counted = list(_counted(answers))
    return [_cut(answers, counted, threshold) for threshold in _THRESHOLDS] if counted else []


def _cut(answers: Sequence[Answer], counted: Sequence[_Counted], threshold: float) -> Cut:
    kept = [one for one in counted if one.score >= threshold]
    rows, evidence = sum(one.rows for one in kept), sum(one.evidence for one in kept)
    shown = [_shown(answer, threshold) for answer in answers]
    found = [len(answer.evidence.intersection(ids)) for answer, ids in zip(answers, shown, strict=True)]
    return Cut(
        threshold,
        rows / len(answers),
        evidence / sum(len(answer.evidence) for answer in answers),
        evidence / rows if rows else math.nan,
        mean([count / len(answer.evidence) for answer, count in zip(answers, found, strict=True)]),
        sum(found) / total if (total := sum(map(len, shown))) else math.nan,
    )


def _shown(answer: Answer, threshold: float) -> list[str]:
    rows = zip(answer.found[:_SHOWN], answer.scores, strict=False)
    return [id_ for id_, score in rows if score >= threshold]
