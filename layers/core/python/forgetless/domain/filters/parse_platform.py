"""The filter language of mem0's Platform (v2 and v3), compiled to the filter AST; errors name the field and the fix.

`{"user_id": "a"}`, several keys (all must hold), `{"AND": […]}`, `{"OR": […]}` and `{"NOT": {…} or […]}` may be nested
up to MAX_DEPTH and stand beside each other. A field takes a value, `"*"` (not null) or `{operator: value, …}`, with
the operators that the field supports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from forgetless.domain.errors import FilterError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.filters.parse_common import (
    LOGIC,
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
from forgetless.domain.memory_fields import FIELDS, Dialect, Kind
from forgetless.domain.scope import SCOPE_IDS
from forgetless.domain.times import timestamp

__all__ = ["KEYS", "parse_moment", "parse_platform_filter"]

_TEXTS = ("text", "keywords", "keywords_search")
#: The keys that the Platform allows at the top of an object, in its order.
_PLATFORM_KEYS = (
    *LOGIC,
    *SCOPE_IDS,
    "created_at",
    "updated_at",
    "timestamp",
    "expiration_date",
    "text",
    "categories",
    "metadata",
    "keywords_search",
    "memory_ids",
    "keywords",
)
_FILTERED = tuple(field for field in FIELDS if Dialect.PLATFORM in field.filtered)
#: All keys that we allow there; fields that the Platform does not have come last.
KEYS = (*_PLATFORM_KEYS, *(field.name for field in _FILTERED if field.name not in _PLATFORM_KEYS))

_ORDER = {operator.value: operator for operator in ORDER}
_DAY_CHARS = len("2026-01-31")


def parse_platform_filter(raw: Any) -> Filter:
    """The AST of `raw`; raises FilterError."""
    return with_spellings(_Parser().group(raw))


def parse_moment(name: str, value: Any) -> str:
    """The timestamp of a client's time, in Unix seconds or ISO 8601; raises FilterError."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return timestamp(datetime.fromtimestamp(value, UTC))
        if isinstance(value, str):
            return read_iso_time(value.strip())
    except (ValueError, OverflowError, OSError):
        pass
    raise FilterError(f"{name} must be Unix seconds or an ISO-8601 date or time, such as 2026-01-31T12:00:00Z")


class _Parser(FilterParser):
    def __init__(self) -> None:
        super().__init__(
            Wording(
                no_object=lambda _: 'filters must be an object, such as {"user_id": "alice"}',
                too_many=f"filters have more than {MAX_CONDITIONS} conditions; use in with a list",
                no_list=lambda _: "",
            )
        )

    def conditions(self, key: Any, value: Any) -> list[Filter]:
        compiler = _COMPILERS.get(key)
        if compiler is None:
            raise FilterError(f"Top-level key must be a logical operator or an allowed field: {list(KEYS)}")
        condition = compiler(key, value)
        self.count(_size(condition))
        return [condition]


def _entity(name: str, value: Any) -> Filter:
    field = Field(name)
    return _conditions(
        name,
        value,
        {
            "eq": lambda one: Compare(field, Operator.EQ, _id(name, one)),
            "ne": lambda one: Compare(field, Operator.NE, _id(name, one)),
            "in": lambda many: Compare(field, Operator.IN, tuple(_id(name, one) for one in _list(name, many))),
        },
        bare="eq",
        exists=field,
    )


def _time(name: str, value: Any) -> Filter:
    field = Field("created_at" if name == "timestamp" else name)
    return _conditions(
        name,
        value,
        {
            **{op: _ordered(name, field, operator) for op, operator in _ORDER.items()},
            "ne": lambda one: Not(_at(name, field, one)),
            "in": lambda many: Or(tuple(_at(name, field, one) for one in _list(name, many))),
            "": lambda one: _at(name, field, one),
        },
        bare="",
        exists=field,
    )


def _day_field(name: str, value: Any) -> Filter:
    field = Field(name)
    return _conditions(
        name,
        value,
        {
            **{op: _ordered_day(name, field, operator) for op, operator in _ORDER.items()},
            "ne": lambda one: Compare(field, Operator.NE, _day(name, one)),
            "in": lambda many: Compare(field, Operator.IN, tuple(_day(name, one) for one in _list(name, many))),
            "": lambda one: Compare(field, Operator.EQ, _day(name, one)),
        },
        bare="",
        exists=field,
    )


def _categories(name: str, value: Any) -> Filter:
    field = Field(name)
    return _conditions(
        name,
        value,
        {
            "in": lambda many: Compare(field, Operator.IN, tuple(_text(name, one) for one in _list(name, many))),
            "contains": lambda one: Compare(field, Operator.ICONTAINS, _text(name, one)),
        },
        bare=None,
        exists=field,
    )


def _words(name: str, value: Any) -> Filter:
    field = Field("text")
    compilers: dict[str, Callable[[Any], Filter]] = {
        "contains": lambda one: Compare(field, Operator.CONTAINS, _text(name, one)),
        "icontains": lambda one: Compare(field, Operator.ICONTAINS, _text(name, one)),
    }
    return _conditions(name, value, compilers, bare="icontains", exists=field)


def _metadata(name: str, value: Any) -> Filter:
    if not isinstance(value, Mapping) or not value:
        raise FilterError('metadata must be an object of keys, such as {"topic": "tea"}')
    items = tuple(_metadata_key(f"{name}.{key}", Field(str(key), metadata=True), one) for key, one in value.items())
    return items[0] if len(items) == 1 else And(items)


def _metadata_key(name: str, field: Field, value: Any) -> Filter:
    compilers: dict[str, Callable[[Any], Filter]] = {
        "eq": lambda one: Compare(field, Operator.EQ, _scalar(name, one)),
        "ne": lambda one: Compare(field, Operator.NE, _scalar(name, one)),
        "contains": lambda one: Compare(field, Operator.CONTAINS, _scalar(name, one)),
    }
    return _conditions(name, value, compilers, bare="eq", exists=field)


def _memory_ids(name: str, value: Any) -> Filter:
    ids = value["in"] if isinstance(value, Mapping) and set(value) == {"in"} else value
    return Compare(Field("id"), Operator.IN, tuple(_text(name, one) for one in _list(name, ids)))


#: How a field of the table is compared, by its kind.
_BY_KIND: dict[Kind, Callable[[str, Any], Filter]] = {
    Kind.STRING: _entity,
    Kind.TEXT: _entity,
    Kind.TIME: _time,
    Kind.DAY: _day_field,
    Kind.TEXTS: _categories,
}

_COMPILERS: dict[str, Callable[[str, Any], Filter]] = {
    **dict.fromkeys(SCOPE_IDS, _entity),
    **{field.name: _BY_KIND[field.kind] for field in _FILTERED},
    **dict.fromkeys(_TEXTS, _words),
    "timestamp": _time,
    "metadata": _metadata,
    "memory_ids": _memory_ids,
}


def _conditions(
    name: str,
    value: Any,
    compilers: Mapping[str, Callable[[Any], Filter]],
    *,
    bare: str | None,
    exists: Field,
) -> Filter:
    """The condition for a bare value, or the conditions for an object of operators, all of which must hold."""
    if value == "*":
        return Compare(exists, Operator.EXISTS)
    known = [op for op in compilers if op]
    if not isinstance(value, Mapping):
        if bare is None:
            raise FilterError(f"{name} cannot be compared with a bare value; use {{operator: value}} with {known}")
        return compilers[bare](value)
    if not value:
        raise FilterError(f"{name}: an empty object compares nothing; use {known}")
    items = []
    for op, operand in value.items():
        if op not in known:
            raise FilterError(f"{name}: unsupported operator {op!r}; use one of {known}")
        items.append(compilers[op](operand))
    return items[0] if len(items) == 1 else And(tuple(items))


def _ordered(name: str, field: Field, operator: Operator) -> Callable[[Any], Filter]:
    return lambda one: Compare(field, operator, parse_moment(name, one))


def _ordered_day(name: str, field: Field, operator: Operator) -> Callable[[Any], Filter]:
    return lambda one: Compare(field, operator, _day(name, one))


def _at(name: str, field: Field, value: Any) -> Filter:
    """The moment, or the whole day if only a day is given."""
    start = parse_moment(name, value)
    if not isinstance(value, str) or len(value.strip()) > _DAY_CHARS:
        return Compare(field, Operator.EQ, start)
    try:
        end = timestamp(datetime.fromisoformat(start) + timedelta(days=1))
    except OverflowError:
        return Compare(field, Operator.GTE, start)
    return And((Compare(field, Operator.GTE, start), Compare(field, Operator.LT, end)))


def _day(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FilterError(f"{name} must be a date, such as 2026-01-31")
    return parse_moment(name, value)[:_DAY_CHARS]


def _id(name: str, value: Any) -> str:
    value = id_text(value) if name in SCOPE_IDS else value
    if not isinstance(value, str) or not value.strip():
        whole = ", or a whole number" if name in SCOPE_IDS else ""
        raise FilterError(f"{name} must be text that is not empty{whole}")
    if value.strip() == "*":
        raise FilterError(f'{name}: "*" stands alone, as {{"{name}": "*"}}')
    return check_printable(name, value.strip())


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise FilterError(f"{name} must be text that is not empty")
    return check_printable(name, value)


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, Mapping | list):
        raise FilterError(f"{name} compares with text, a number, true, false or null; nested values are not supported")
    return value


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError(f"{name}: in needs a list")
    if len(value) > MAX_LIST_VALUES:
        raise FilterError(f"{name}: in takes at most {MAX_LIST_VALUES} values")
    return value


def _size(condition: Filter) -> int:
    match condition:
        case Compare():
            return 1
        case Not(item):
            return _size(item)
        case _:
            return sum(_size(item) for item in condition.items)
