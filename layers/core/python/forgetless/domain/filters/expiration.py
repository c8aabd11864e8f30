"""The filter for memories that have not expired."""

from __future__ import annotations

from forgetless.domain.filters.ast import Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.times import date_of

__all__ = ["unexpired"]


def unexpired(now: str) -> Filter:
    """The filter for memories that have no expiration date or whose last day has not ended at `now`."""
    expiration = Field("expiration_date")
    return Or(
        (Not(Compare(expiration, Operator.EXISTS)), Compare(expiration, Operator.GTE, date_of(now))),
    )
