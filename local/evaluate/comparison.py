"""Two runs over the same questions: recall before and after, and the interval of the difference."""

from __future__ import annotations

from collections.abc import Sequence

from local.client import ToolError
from local.evaluate.conversations import mean
from local.evaluate.intervals import interval
from local.evaluate.recall import CUTS, Answer
from local.evaluate.runs import AnsweredConversation, Run
from local.results.report import Table

__all__ = ["comparison_table"]

#: The answers to one question before and after.
_Pair = tuple[Answer, Answer]


def comparison_table(before: Run, after: Run) -> Table:
    """A row for each conversation, group and kind of question; raises ToolError if they have no question in common."""
    paired = [(one, _pairs(one, other)) for one, other in _common(before, after)]
    if not any(pairs for _, pairs in paired):
        raise ToolError("the two runs have no question in common")
    rows: list[tuple[str, ...]] = []
    ruled: list[int] = []
    for group in dict.fromkeys(one.group for one, _ in paired):
        within = [(one.name, pairs) for one, pairs in paired if one.group == group]
        ruled.append(len(rows))
        rows += [_cells(name, [pairs]) for name, pairs in within] if len(within) > 1 else []
        rows.append(_cells(f"{group}: all" if len(within) > 1 else group, [pairs for _, pairs in within]))
    ruled.append(len(rows))
    marked = len(rows)
    everything = [pairs for _, pairs in paired]
    rows.append(_cells("all", everything))
    for kind in dict.fromkeys(one.category for pairs in everything for one, _ in pairs):
        rows.append(_cells(kind, _of_kind(everything, kind)))
    headings = ("", "questions", *(f"recall@{k}" for k in CUTS), "difference at 10, 95 %")
    return Table(headings, tuple(rows), marked=marked, title="Before and after", ruled=tuple(ruled))


def _common(before: Run, after: Run) -> list[tuple[AnsweredConversation, AnsweredConversation]]:
    others = {one.name: one for one in after.conversations}
    return [(one, others[one.name]) for one in before.conversations if one.name in others]


def _pairs(before: AnsweredConversation, after: AnsweredConversation) -> list[_Pair]:
    later = {(answer.question, answer.evidence): answer for answer in after.answers}
    keyed = [((answer.question, answer.evidence), answer) for answer in before.answers]
    return [(answer, later[key]) for key, answer in keyed if key in later]


def _of_kind(conversations: Sequence[Sequence[_Pair]], kind: str) -> list[list[_Pair]]:
    return [[pair for pair in pairs if pair[0].category == kind] for pairs in conversations]


def _cells(name: str, conversations: Sequence[Sequence[_Pair]]) -> tuple[str, ...]:
    pairs = [pair for one in conversations for pair in one]
    cells = [name, str(len(pairs))]
    for k in CUTS:
        before, after = (mean([pair[side].recall(k) for pair in pairs]) for side in (0, 1))
        cells.append(f"{before:.3f} → {after:.3f}")
    differences = [[after.recall(10) - before.recall(10) for before, after in one] for one in conversations]
    low, high = interval(differences)
    total = mean([value for one in differences for value in one])
    return (*cells, f"{total:+.3f} [{low:+.3f}, {high:+.3f}]")
