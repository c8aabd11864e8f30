"""The recall that an evaluation found: as a table, and as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from local.evaluate.recall import CUTS, Answer, score
from local.results.report import Table

__all__ = ["recall_figures", "recall_table"]

#: The names of LoCoMo's kinds of questions, by number.
CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}


def recall_table(answers: Mapping[str, Sequence[Answer]]) -> Table:
    """One row for each file, one for all questions, and one for each kind of question."""
    everything = [answer for some in answers.values() for answer in some]
    rows = [*(_cells(name, some) for name, some in answers.items()), _cells("all", everything)]
    total = len(rows) - 1
    rows += [_cells(category, some) for category, some in _by_category(everything).items()]
    headings = ("conversation", "questions", *(f"recall@{k}" for k in CUTS), "search p50, ms")
    title = "Recall of the turns that answer a question"
    return Table(headings, tuple(rows), marked=total, title=title, ruled=(total, total + 1))


def recall_figures(answers: Mapping[str, Sequence[Answer]]) -> dict[str, Any]:
    """The same figures as plain data."""
    everything = [answer for some in answers.values() for answer in some]
    return {
        "all": _figures(everything),
        "conversations": {name: _figures(some) for name, some in answers.items()},
        "categories": {name: _figures(some) for name, some in _by_category(everything).items()},
    }


def _by_category(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    groups: dict[int, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.question.category, []).append(answer)
    return {CATEGORIES.get(number, f"category {number}"): groups[number] for number in sorted(groups)}


def _figures(answers: Sequence[Answer]) -> dict[str, float]:
    recall = score(answers)
    return {
        "questions": recall.questions,
        **{f"recall@{k}": round(value, 4) for k, value in recall.at.items()},
        "search_p50_ms": _p50_ms(answers),
    }


def _cells(name: str, answers: Sequence[Answer]) -> tuple[str, ...]:
    recall = score(answers)
    return (name, str(recall.questions), *(f"{recall.at[k]:.3f}" for k in CUTS), f"{_p50_ms(answers):.1f}")


def _p50_ms(answers: Sequence[Answer]) -> float:
    return round(median([answer.seconds for answer in answers] or [0.0]) * 1000, 1)
