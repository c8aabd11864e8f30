"""The scope ids in a filter: the ids that every match must have, and the conditions that name a scope id."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.identifiers import one_identifier, spellings
from forgetless.domain.scope import NARROWEST_FIRST, SCOPE_IDS, Scope

__all__ = [
    "all_ids",
    "has_id",
    "limits_a_deletion",
    "named_entities",
    "named_memories",
    "names_another",
    "narrowest_id",
    "only_ids",
    "pinned_ids",
    "pinned_values",
    "pins_an_entity",
    "same_speaker",
    "with_spellings",
]

#: The fields that say who wrote a memory.
_SOURCES = ("source_key", "source_job")
_NAMING = (Operator.EQ, Operator.IN, Operator.EXISTS)
_LISTS = (Operator.IN, Operator.NIN)
#: The operators for a list of values instead of one value.
_LIST_OF = {Operator.EQ: Operator.IN, Operator.NE: Operator.NIN}


def pinned_ids(where: Filter) -> dict[str, str]:
    """The scope ids that every matching memory has, so that a store needs to look only at memories with these ids."""
    match where:
        case And(items):
            pinned: dict[str, str] = {}
            for item in items:
                pinned = {**pinned_ids(item), **pinned}
            return pinned
        case Compare(field, Operator.EQ | Operator.IN, value) if _is_scope_id(field):
            one = one_identifier([value] if where.op is Operator.EQ else value)
            return {} if one is None else {field.name: one}
        case _:
            return {}


def pinned_values(where: Filter, name: str) -> tuple[str, ...] | None:
    """The values of a scope id of which every matching memory has one; None if the filter does not say that."""
    match where:
        case Compare(field, Operator.EQ | Operator.IN, value) if _is_scope_id(field) and field.name == name:
            listed = value if isinstance(value, tuple) else (value,)
            named = tuple(dict.fromkeys(one for one in listed if isinstance(one, str) and one))
            return named if named and len(named) == len(set(listed)) else None
        case And(items):
            found = [pinned for item in items if (pinned := pinned_values(item, name)) is not None]
            return min(found, key=len, default=None)
        case Or(items):
            branches = [pinned_values(item, name) for item in items]
            if not branches or None in branches:
                return None
            return tuple(dict.fromkeys(value for branch in branches for value in branch or ()))
        case _:
            return None


def pins_an_entity(where: Filter) -> bool:
    """Whether every matching memory belongs to a user, agent, app or run that the filter names.

    So each branch of an OR must name one, and neither a NOT nor a wildcard names any.
    """
    return _pins(where, SCOPE_IDS)


def limits_a_deletion(where: Filter) -> bool:
    """Whether every matching memory has an entity that the filter names, or was written by a key or add that it names.

    Unlike for reads, a wildcard on an entity suffices: who writes it means everybody.
    """
    return _pins(where, (*SCOPE_IDS, *_SOURCES), wildcards=SCOPE_IDS)


def _pins(where: Filter, names: Collection[str], *, wildcards: Collection[str] = ()) -> bool:
    match where:
        case Compare(field, Operator.EXISTS):
            return not field.metadata and field.name in wildcards
        case Compare(field, Operator.EQ | Operator.IN, value):
            values = value if isinstance(value, tuple) else (value,)
            return not field.metadata and field.name in names and bool(values) and all(values)
        case And(items):
            return any(_pins(item, names, wildcards=wildcards) for item in items)
        case Or(items):
            return bool(items) and all(_pins(item, names, wildcards=wildcards) for item in items)
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
    """The filter for memories whose scope has all these ids, in any of their spellings."""
    return And(tuple(has_id(name, value) for name, value in ids.items()))


def has_id(name: str, value: str) -> Compare:
    """The condition that a scope id is this one, in any of its spellings."""
    return _with_spellings(Compare(Field(name), Operator.EQ, value))


def with_spellings(where: Filter) -> Filter:
    """The filter in which each condition on a scope id means all spellings of the ids that it names."""
    match where:
        case And(items):
            return And(tuple(map(with_spellings, items)))
        case Or(items):
            return Or(tuple(map(with_spellings, items)))
        case Not(item):
            return Not(with_spellings(item))
        case Compare(field) if _is_scope_id(field):
            return _with_spellings(where)
        case _:
            return where


def _with_spellings(condition: Compare) -> Compare:
    """The condition on a scope id; equality with one that has several spellings becomes a list."""
    operator, value = condition.op, condition.value
    if operator in _LISTS:
        more = [spellings(one) if isinstance(one, str) else (one,) for one in value]
        if all(len(each) == 1 for each in more):
            return condition
        return Compare(condition.field, operator, tuple(dict.fromkeys(chain.from_iterable(more))))
    found = spellings(value) if operator in _LIST_OF and isinstance(value, str) else ()
    return Compare(condition.field, _LIST_OF[operator], found) if len(found) > 1 else condition


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
    return (condition for condition in _naming(where) if _is_scope_id(condition.field))


def named_memories(where: Filter) -> Iterator[str]:
    """The memories that the filter names by their ids, except those under a NOT."""
    for condition in _naming(where):
        if condition.field == Field("id") and condition.op is not Operator.EXISTS:
            yield from condition.value if isinstance(condition.value, tuple) else (condition.value,)


def _naming(where: Filter) -> Iterator[Compare]:
    """The EQ, IN and EXISTS conditions that have a value, except those under a NOT."""
    match where:
        case Compare(_, operator, value):
            if operator in _NAMING and value not in ((), "") and (value is not None or operator is Operator.EXISTS):
                yield where
        case Not():
            return
        case _:
            for item in where.items:
                yield from _naming(item)


def names_another(where: Filter, name: str, value: str) -> bool:
    """Whether the filter names an id of this name other than the value: by EQ or IN, and not under a NOT."""
    same = spellings(value)
    return any(
        one not in same
        for condition in named_entities(where)
        if condition.field.name == name and condition.op is not Operator.EXISTS
        for one in (condition.value if isinstance(condition.value, tuple) else (condition.value,))
    )


def _is_scope_id(field: Field) -> bool:
    return not field.metadata and field.name in SCOPE_IDS
