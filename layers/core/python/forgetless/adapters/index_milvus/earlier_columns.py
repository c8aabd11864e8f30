"""A collection with the columns of an earlier version: which of ours it lacks, and filters that do without them."""

from __future__ import annotations

from collections.abc import Collection

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Or
from forgetless.domain.memory_fields import COLUMNS, FIELDS

__all__ = ["lacking", "without_columns"]

#: A field that no row has: conditions on it let every row pass, and the evaluator decides.
_NOT_IN_ROWS = Field("text")


def lacking(version: int) -> frozenset[str]:
    """The columns of the present version that this version of the columns does not have."""
    return frozenset(field.column for field in FIELDS if field.column) - frozenset(COLUMNS[version])


def without_columns(where: Filter, missing: Collection[str]) -> Filter:
    """The filter for a collection without these columns; it finds at least the rows that `where` accepts."""
    if not missing:
        return where
    names = {field.name for field in FIELDS if field.column in missing}
    return _without(where, names)


def _without(where: Filter, names: Collection[str]) -> Filter:
    match where:
        case And(items):
            return And(tuple(_without(item, names) for item in items))
        case Or(items):
            return Or(tuple(_without(item, names) for item in items))
        case Not(item):
            return Not(_without(item, names))
        case Compare(field, operator, value) if not field.metadata and field.name in names:
            return Compare(_NOT_IN_ROWS, operator, value)
        case _:
            return where
