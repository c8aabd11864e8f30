"""Parses a client's filter (JSON) into the filter AST; a FilterError names what does not follow the grammar.

The grammar: `{"k": v}` equality · `{"k": "*"}` present and not null · `{"k": {op: v, …}}` all operators must match ·
`{"AND": […]}`, `{"OR": […]}`, `{"NOT": {…} or […]}` (none may match), nested · several keys: all must match ·
`{"metadata": {"k": v}}` means a key of the metadata, even if the memory itself has a field with that name.
A null matches an absent or null value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.ast import ATTRIBUTES, Compare, Field, Filter, Operator
from forgetless.domain.filters.parse_common import (
    MAX_CONDITIONS,
    MAX_LIST_VALUES,
    ORDER,
    FilterParser,
    Wording,
    check_printable,
    read_iso_time,
)
from forgetless.domain.filters.scope_ids import with_spellings
from forgetless.domain.identifiers import id_text
from forgetless.domain.limits import INT64
from forgetless.domain.memory_fields import FIELDS, Kind
from forgetless.domain.scope import SCOPE_IDS
from forgetless.domain.times import date_of

__all__ = ["parse_filter"]

#: Operators by the names that clients use. The wildcard `*` is not among them.
_OPERATORS = {operator.value: operator for operator in Operator if operator is not Operator.EXISTS}
_LISTS = frozenset({Operator.IN, Operator.NIN})
_TEXTS = frozenset({Operator.CONTAINS, Operator.ICONTAINS})


def parse_filter(raw: Mapping[str, Any]) -> Filter:
    """The AST of `raw`; an empty object matches everything. Raises FilterError, which names the key and the fix."""
    return with_spellings(_Parser().group(raw))


class _Parser(FilterParser):
    def __init__(self) -> None:
        super().__init__(
            Wording(
                no_object=lambda raw: f'a filter must be an object such as {{"user_id": "alice"}}, not {_kind(raw)}',
                too_many=f"the filter has more than {MAX_CONDITIONS} conditions; use in with a list",
                no_list=lambda value: f", not {_kind(value)}",
                lists=(list, tuple),
            )
        )

    def conditions(self, key: Any, value: Any) -> list[Filter]:
        if not isinstance(key, str):
            raise FilterError(f"filter keys must be text, not {_kind(key)}")
        if key == "metadata" and isinstance(value, Mapping):
            return [c for name, v in value.items() for c in self._field(Field(str(name), metadata=True), v)]
        return self._field(Field(key, metadata=key not in ATTRIBUTES), value)

    def _field(self, field: Field, value: Any) -> list[Filter]:
        if isinstance(value, Mapping):
            if not value:
                raise FilterError(f"{field.name}: an empty object compares nothing; write a value or {_known()}")
            return [self._condition(field, _operator(field, name), operand) for name, operand in value.items()]
        if value == "*":
            return [self._counted(Compare(field, Operator.EXISTS))]
        if isinstance(value, list | tuple):
            raise FilterError(f'{field.name}: the value must not be a list; write {{"in": […]}}')
        return [self._condition(field, Operator.EQ, value)]

    def _condition(self, field: Field, operator: Operator, value: Any) -> Filter:
        if operator in _LISTS:
            if not isinstance(value, list | tuple):
                raise FilterError(f"{field.name}: {operator} needs a list, not {_kind(value)}")
            if len(value) > MAX_LIST_VALUES:
                raise FilterError(f"{field.name}: {operator} takes at most {MAX_LIST_VALUES} values")
            value = tuple(_operand(field, Operator.EQ, item) for item in value)
        else:
            value = _operand(field, operator, value)
        return self._counted(Compare(field, operator, value))

    def _counted(self, condition: Compare) -> Compare:
        self.count()
        return condition


def _operator(field: Field, name: Any) -> Operator:
    operator = _OPERATORS.get(name) if isinstance(name, str) else None
    if operator is None:
        raise FilterError(f"{field.name}: unknown operator {name!r}; use one of {_known()}")
    return operator


def _known() -> str:
    return ", ".join(_OPERATORS)


def _operand(field: Field, operator: Operator, value: Any) -> Any:
    """One scalar, checked for the field and the operator; a time is normalised."""
    name = field.name
    if not (value is None or isinstance(value, str | bool | int | float)):
        raise FilterError(f"{name}: {operator} compares with text, a number, true, false or null, not {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"{name}: numbers must be finite")
    if isinstance(value, int) and value not in INT64:
        raise FilterError(f"{name}: whole numbers must lie within 64 bits")
    if operator in ORDER and (value is None or isinstance(value, bool)):
        raise FilterError(f"{name}: {operator} needs text or a number, not {_kind(value)}")
    if operator is Operator.ICONTAINS and not isinstance(value, str):
        raise FilterError(f"{name}: icontains needs text, not {_kind(value)}")
    if operator is Operator.CONTAINS and value is None:
        raise FilterError(f"{name}: contains needs a value, not null")
    return value if field.metadata or value is None else _attribute_operand(name, operator, value)


def _attribute_operand(name: str, operator: Operator, value: Any) -> str:
    """The value for a field of the memory, which is always text; times and dates have a special form."""
    if name in SCOPE_IDS:
        value = id_text(value)
    if not isinstance(value, str):
        raise FilterError(f"{name} is text; compare it with text, not with {_kind(value)}")
    normalise = _NORMALISERS.get(name)
    if normalise is None:
        return check_printable(name, value)
    if operator in _TEXTS:
        raise FilterError(f"{name} is a time; use gt, gte, lt, lte, eq, ne, in or nin, not {operator}")
    try:
        return normalise(value)
    except (ValueError, OverflowError) as exc:
        raise FilterError(f"{name}: {value[:40]!r} is not an ISO-8601 date or time, such as 2026-01-31") from exc


def _day(value: str) -> str:
    return date_of(read_iso_time(value))


_BY_KIND: dict[Kind, Callable[[str], str]] = {Kind.TIME: read_iso_time, Kind.DAY: _day}
#: The functions that turn a filter's text into the stored form of a field.
_NORMALISERS = {field.name: _BY_KIND[field.kind] for field in FIELDS if field.kind in _BY_KIND}


def _kind(value: Any) -> str:
    """The type of a JSON value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        (str, "text"),
        ((int, float), "a number"),
        (Mapping, "an object"),
        ((list, tuple), "a list"),
    ]
    return next((kind for types, kind in kinds if isinstance(value, types)), type(value).__name__)
