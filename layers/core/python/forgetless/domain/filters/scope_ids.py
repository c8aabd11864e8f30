"""The scope ids in a filter: the ids that every match must have, and the conditions that name a scope id."""

from __future__ import annotations

from collections.abc import Iterator

from forgetless.domain.filters.ast import And, Compare, Filter, Not, Operator
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["named_entities", "pinned_ids"]

_NAMING = (Operator.EQ, Operator.IN, Operator.EXISTS)


def pinned_ids(where: Filter) -> dict[str, str]:
    """The scope ids that every matching memory has, so that a store needs to look only at memories with these ids."""
    match where:
        case And(items):
            pinned: dict[str, str] = {}
            for item in items:
                pinned = {**pinned_ids(item), **pinned}
            return pinned
        case Compare(field, Operator.EQ, str(value)) if value and not field.metadata and field.name in SCOPE_IDS:
            return {field.name: value}
        case _:
            return {}


def named_entities(where: Filter) -> Iterator[Compare]:
    """The EQ, IN and EXISTS conditions on a user, agent, app or run id, except those under a NOT."""
    match where:
        case Compare(field, operator, value):
            named = operator in _NAMING and value not in ((), "") and (value is not None or operator is _NAMING[2])
            if named and not field.metadata and field.name in SCOPE_IDS:
                yield where
        case Not():
            return
        case _:
            for item in where.items:
                yield from named_entities(item)
