"""From a client's filter (JSON) to the filter AST; whatever is outside the grammar is named in a FilterError.

The grammar: `{"k": v}` equality · `{"k": "*"}` present and not null · `{"k": {op: v, …}}` all of them ·
`{"AND": […]}`, `{"OR": […]}`, `{"NOT": {…} or […]}` (none of them), nested · several keys: all of them ·
`{"metadata": {"k": v}}` addresses metadata by name, even where the name is one of the memory's own.
A null asks for what is absent or null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.ast import ATTRIBUTES, And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.limits import INT64
from forgetless.domain.times import timestamp

__all__ = ["MAX_CONDITIONS", "MAX_DEPTH", "MAX_LIST_VALUES", "parse_filter"]

#: How deep AND, OR and NOT may nest.
MAX_DEPTH = 16
#: How many conditions one filter may have.
MAX_CONDITIONS = 400
#: How many values one `in` or `nin` may list.
MAX_LIST_VALUES = 1000

#: Operators by the names that clients write; the wildcard has its own sign.
_OPERATORS = {operator.value: operator for operator in Operator if operator is not Operator.EXISTS}
_ORDER = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})
_LISTS = frozenset({Operator.IN, Operator.NIN})
_TEXTS = frozenset({Operator.CONTAINS, Operator.ICONTAINS})
_TIMES = frozenset({"created_at", "updated_at"})
_LOGIC = ("AND", "OR", "NOT")


def parse_filter(raw: Mapping[str, Any]) -> Filter:
    """The AST of `raw`; an empty object lets everything pass. Raises FilterError, naming the key and the fix."""
    return _Parser().group(raw, depth=1)


class _Parser:
    def __init__(self) -> None:
        self._conditions = 0

    def group(self, raw: Any, *, depth: int) -> Filter:
        if not isinstance(raw, Mapping):
            raise FilterError(f'a filter must be an object such as {{"user_id": "alice"}}, not {_kind(raw)}')
        if depth > MAX_DEPTH:
            raise FilterError(f"the filter nests deeper than {MAX_DEPTH} levels; flatten it")
        items: list[Filter] = []
        for key, value in raw.items():
            if not isinstance(key, str):
                raise FilterError(f"filter keys must be text, not {_kind(key)}")
            items.extend(self._entry(key, value, depth))
        return items[0] if len(items) == 1 else And(tuple(items))

    def _entry(self, key: str, value: Any, depth: int) -> list[Filter]:
        if key in _LOGIC:
            return [self._logic(key, value, depth)]
        if key == "metadata" and isinstance(value, Mapping):
            return [c for name, v in value.items() for c in self._field(Field(str(name), metadata=True), v)]
        return self._field(Field(key, metadata=key not in ATTRIBUTES), value)

    def _logic(self, key: str, value: Any, depth: int) -> Filter:
        if key == "NOT" and isinstance(value, Mapping):
            return Not(self.group(value, depth=depth + 1))
        if not isinstance(value, list | tuple):
            raise FilterError(f"{key} needs a list of conditions, not {_kind(value)}")
        if not value and key != "AND":
            raise FilterError(f"{key} needs at least one condition")
        items = tuple(self.group(item, depth=depth + 1) for item in value)
        if key == "AND":
            return And(items)
        return Or(items) if key == "OR" else Not(Or(items))

    def _field(self, field: Field, value: Any) -> list[Filter]:
        if isinstance(value, Mapping):
            if not value:
                raise FilterError(f"{field.name}: an empty object compares nothing; write a value or {_known()}")
            return [self._condition(field, _operator(field, name), operand) for name, operand in value.items()]
        if value == "*":
            return [self._counted(Compare(field, Operator.EXISTS))]
        if isinstance(value, list | tuple):
            raise FilterError(f'{field.name}: a list is no value to equal; write {{"in": […]}}')
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
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise FilterError(f"the filter has more than {MAX_CONDITIONS} conditions; use in with a list")
        return condition


def _operator(field: Field, name: Any) -> Operator:
    operator = _OPERATORS.get(name) if isinstance(name, str) else None
    if operator is None:
        raise FilterError(f"{field.name}: unknown operator {name!r}; known are {_known()}")
    return operator


def _known() -> str:
    return ", ".join(_OPERATORS)


def _operand(field: Field, operator: Operator, value: Any) -> Any:
    """One scalar, checked against the field and the operator, normalised where it is a time."""
    name = field.name
    if not (value is None or isinstance(value, str | bool | int | float)):
        raise FilterError(f"{name}: {operator} compares with text, a number, true, false or null, not {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"{name}: numbers must be finite")
    if isinstance(value, int) and value not in INT64:
        raise FilterError(f"{name}: whole numbers must lie within 64 bits")
    if operator in _ORDER and (value is None or isinstance(value, bool)):
        raise FilterError(f"{name}: {operator} needs text or a number, not {_kind(value)}")
    if operator is Operator.ICONTAINS and not isinstance(value, str):
        raise FilterError(f"{name}: icontains needs text, not {_kind(value)}")
    if operator is Operator.CONTAINS and value is None:
        raise FilterError(f"{name}: contains needs a value, not null")
    return value if field.metadata or value is None else _attribute_operand(name, operator, value)


def _attribute_operand(name: str, operator: Operator, value: Any) -> str:
    """The memory's own fields hold text only, some of it in a form of its own."""
    if not isinstance(value, str):
        raise FilterError(f"{name} is text; compare it with text, not with {_kind(value)}")
    normalise = _NORMALISERS.get(name)
    if normalise is None:
        if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise FilterError(f"{name} must not hold control characters")
        return value
    if operator in _TEXTS:
        raise FilterError(f"{name} is a time; use gt, gte, lt, lte, eq, ne, in or nin, not {operator}")
    try:
        return normalise(value)
    except (ValueError, OverflowError) as exc:
        raise FilterError(f"{name}: {value[:40]!r} is no ISO-8601 date or time, such as 2026-01-31") from exc


def _time(value: str) -> str:
    moment = datetime.fromisoformat(value)
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _date(value: str) -> str:
    return _time(value)[:10]


_NORMALISERS: dict[str, Callable[[str], str]] = {**dict.fromkeys(_TIMES, _time), "expiration_date": _date}


def _kind(value: Any) -> str:
    """What a JSON value is, in words of JSON."""
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
