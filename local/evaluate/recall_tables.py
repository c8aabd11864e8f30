"""What an evaluation found: as tables, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from local.evaluate.calibration import bands, cuts, fit
from local.evaluate.intervals import interval
from local.evaluate.recall import CUTS, Answer, recall_at
from local.evaluate.runs import AnsweredConversation, Run
from local.results.report import Table

__all__ = ["calibration_tables", "recall_figures", "recall_table"]


def recall_table(run: Run) -> Table:
    """One row for each conversation and group, one for all questions, and one for each kind of question."""
    rows: list[tuple[str, ...]] = []
    ruled: list[int] = []
    for name, tested in run.groups():
        ruled.append(len(rows))
        rows += [_cells(one.name, [one]) for one in tested]
        if len(tested) > 1:
            rows.append(_cells(f"{name}: all", tested))
    total = len(rows)
    rows.append(_cells("all", run.conversations))
    rows += [_cells(kind, tested) for kind, tested in _by_category(run.conversations).items()]
    headings = ("conversation", "questions", *(f"recall@{k}" for k in CUTS), "@10, 95 %", "p50, ms")
    title = "Recall of what answers a question"
    return Table(headings, tuple(rows), marked=total, title=title, ruled=(*ruled, total, total + 1))


def calibration_tables(run: Run) -> list[Table]:
    """The share of evidence by score, and what thresholds keep; nothing if not all rows were scored."""
    answers = run.answers
    curve = fit(answers)
    if curve is None:
        return []
    by_score = tuple(
        (f"{band.low:.1f}", str(band.rows), str(band.evidence), f"{band.share:.4f}", f"{curve.at(band.low + 0.05):.4f}")
        for band in bands(answers)
    )
    title = f"P(evidence) by score; fitted: 1 / (1 + exp({-curve.intercept:.2f} - {curve.slope:.2f} · score))"
    by_threshold = tuple(
        (
            f"{cut.threshold:g}",
            f"{cut.rows:.1f}",
            f"{cut.recall:.3f}",
            f"{cut.precision:.3f}",
            f"{cut.recall_shown:.3f}",
            f"{cut.precision_shown:.3f}",
        )
        for cut in cuts(answers)
    )
    headings = ("threshold", "rows a question", "recall", "precision", "recall@10", "precision@10")
    return [
        Table(("score from", "rows", "evidence", "P", "fitted P"), by_score, title=title),
        Table(headings, by_threshold, title="What a threshold keeps"),
    ]


def recall_figures(run: Run) -> dict[str, Any]:
    """The same figures as plain data."""
    answers = run.answers
    curve = fit(answers)
    calibration = (
        {
            "fitted": asdict(curve),
            "bands": [asdict(band) for band in bands(answers)],
            "thresholds": [asdict(cut) for cut in cuts(answers)],
        }
        if curve
        else {}
    )
    return {
        "about": dict(run.about),
        "all": _figures(run.conversations),
        "conversations": {one.name: _figures([one]) for one in run.conversations},
        "groups": {name: _figures(tested) for name, tested in run.groups()},
        "categories": {name: _figures(tested) for name, tested in _by_category(run.conversations).items()},
        **({"calibration": calibration} if calibration else {}),
    }


def _by_category(conversations: Sequence[AnsweredConversation]) -> dict[str, list[AnsweredConversation]]:
    kinds = sorted({answer.category for one in conversations for answer in one.answers})
    return {
        kind: [
            AnsweredConversation(one.name, one.group, [answer for answer in one.answers if answer.category == kind])
            for one in conversations
        ]
        for kind in kinds
    }


def _figures(tested: Sequence[AnsweredConversation]) -> dict[str, Any]:
    answers = _all(tested)
    low, high = _interval(tested)
    return {
        "questions": len(answers),
        **{f"recall@{k}": round(recall_at(answers, k), 4) for k in CUTS},
        "recall@10_interval": [round(low, 4), round(high, 4)],
        "search_p50_ms": _p50_ms(answers),
    }


def _cells(name: str, tested: Sequence[AnsweredConversation]) -> tuple[str, ...]:
    answers = _all(tested)
    low, high = _interval(tested)
    recalls = (f"{recall_at(answers, k):.3f}" for k in CUTS)
    return (name, str(len(answers)), *recalls, f"[{low:.3f}, {high:.3f}]", f"{_p50_ms(answers):.1f}")


def _all(tested: Sequence[AnsweredConversation]) -> list[Answer]:
    return [answer for one in tested for answer in one.answers]


def _interval(tested: Sequence[AnsweredConversation]) -> tuple[float, float]:
    return interval([[answer.recall(10) for answer in one.answers] for one in tested])


def _p50_ms(answers: Sequence[Answer]) -> float:
    return round(median([answer.seconds for answer in answers] or [0.0]) * 1000, 1)
