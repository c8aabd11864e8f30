"""The scope ids in a filter: the ids that every match must have, and the conditions that name a scope id."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.scope import NARROWEST_FIRST, SCOPE_IDS, Scope

__all__ = [
    "all_ids",
    "named_entities",
    "narrowest_id",
    "only_ids",
    "pinned_ids",
    "pins_a_source",
    "pins_an_entity",
    "same_speaker",
]

#: The fields that say who wrote a memory.
_SOURCES = ("source_key", "source_job")
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


def pins_an_entity(where: Filter) -> bool:
    """Whether every matching memory belongs to a user, agent, app or run that the filter names.

    So each branch of an OR must name one, and neither a NOT nor a wildcard names any.
    """
    return _pins(where, SCOPE_IDS)


def pins_a_source(where: Filter) -> bool:
    """Whether every matching memory was written by a key or an add that the filter names."""
    return _pins(where, _SOURCES)


def _pins(where: Filter, names: Collection[str]) -> bool:
    match where:
        case Compare(field, Operator.EQ | Operator.IN, value):
            values = value if isinstance(value, tuple) else (value,)
            return not field.metadata and field.name in names and bool(values) and all(values)
        case And(items):
            return any(_pins(item, names) for item in items)
        case Or(items):
            return bool(items) and all(_pins(item, names) for item in items)
        case _:
            return False


def only_ids(where: Filter) -> dict[str, str] | None:
    """The scope ids if the filter asks for nothing else than these; otherwise None."""
    match where:
        case And(items):
            ids: dict[str, str] = {}
            for item in items:
                more = only_ids(item)
                if more is None or any(ids.get(name, value) != value for name, value in more.items()):
                    return None
                ids |= more
            return ids
        case _:
            return pinned_ids(where) or None


def all_ids(ids: Mapping[str, str]) -> And:
    """The filter for memories whose scope has all these ids."""
    return And(tuple(Compare(Field(name), Operator.EQ, value) for name, value in ids.items()))


def same_speaker(scope: Scope) -> And:
    """The filter for memories of scopes with the same speaker: the same user, agent and app, or none as well."""
    speaker = scope.speaker()
    names = [name for name in SCOPE_IDS if name != "run_id" or speaker.run_id]
    return And(tuple(Compare(Field(name), Operator.EQ, getattr(speaker, name) or None) for name in names))


def narrowest_id(ids: Mapping[str, str]) -> dict[str, str]:
    """The one of these ids that the fewest memories have."""
    name = next((name for name in NARROWEST_FIRST if ids.get(name)), None)
    return {} if name is None else {name: ids[name]}


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
