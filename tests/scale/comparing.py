"""Compares a case over a smaller and a larger ledger, and names the cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pytest

from tests.scale.stage import Stage
from tests.scale.work import Work, allowed, growth

__all__ = ["JOB_MOST", "REQUEST_MOST", "cases_of", "compare", "name_of"]

#: No request, and no run of a job, may cost more than this at any size.
REQUEST_MOST = Work({"ledger calls": 1_000, "index calls": 300, "SQLite steps": 330_000})
JOB_MOST = Work({"ledger calls": 5_000, "index calls": 3_000, "SQLite steps": 6_000_000})


class _Named(Protocol):
    @property
    def name(self) -> str: ...


C = TypeVar("C", bound=_Named)

_STEPS = "SQLite steps"


def name_of(what: str, case: _Named | None = None) -> str:
    """How a case is called in reports."""
    return f"{what} ({case.name})" if case is not None and case.name else what


def cases_of(table: Mapping[str, Sequence[C]]) -> list[Any]:
    """Every case of the table as a parameter of a test."""
    named = [(name_of(what, case), what, case) for what, cases in table.items() for case in cases]
    return [pytest.param(what, case, id=name) for name, what, case in named]


def compare(
    stages: tuple[Stage, Stage], measure: Callable[[Stage, Work], Work], most: Work, *, counts: bool = False
) -> None:
    """Measure in both ledgers; fail if the larger one costs more, and end it as soon as it does.

    `counts` says that it is there to count what is stored: the steps of SQLite in doing so may grow, nothing else.
    """
    small, large = stages
    # Both have seen the same cases before this one.
    small.spoilt = large.spoilt = small.spoilt or large.spoilt
    work = measure(small, most)
    assert not small.meter.exceeded, f"it costs more than {most[small.meter.exceeded]:,} {small.meter.exceeded}"
    bound = Work({kind: number for kind, number in allowed(work).items() if not (counts and kind == _STEPS)})
    more = measure(large, bound)
    if counts:
        more[_STEPS] = min(more[_STEPS], work[_STEPS])
    grown = growth(work, more)
    assert not grown, "\n".join(["it costs more in a larger ledger:", *grown])
