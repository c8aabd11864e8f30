"""The scope of a Platform request: checks its `filters` and its ids and combines them into one filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forgetless.api.caller import Caller
from forgetless.api.field_checks import check_filters, check_json, check_named
from forgetless.api.named_entities import check_reader, note_entities
from forgetless.api.platform.search_wire import Ids
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Operator
from forgetless.domain.filters.parse_platform import parse_moment, parse_platform_filter
from forgetless.domain.filters.scope_ids import has_id
from forgetless.domain.scope import SCOPE_IDS

__all__ = ["NO_ENTITY", "also", "named_ids", "scope_of"]

NO_ENTITY = "One of the filters: app_id, user_id, agent_id, run_id is required!"
_NOT_HERE = "Entity ids at the top level are not supported here; put them into filters: {}."


def scope_of(
    caller: Caller,
    filters: Mapping[str, Any] | None,
    ids: Ids,
    *,
    top_level: bool,
    nobody: str = NO_ENTITY,
) -> Filter:
    """The filter of a search or a list; `top_level` says whether ids are allowed outside `filters`.

    Raises InvalidRequestError (with the message `nobody` if no entity is named) and FilterError. Raises ForbiddenError
    unless the request names an entity on each branch, or the key is an administrator's.
    """
    beside = named_ids(ids)
    if beside and not top_level:
        raise InvalidRequestError(_NOT_HERE.format(", ".join(beside)))
    check_filters(filters or {})
    parts = [parse_platform_filter(filters)] if filters else []
    where = And((*parts, *(_condition(name, value) for name, value in beside.items())))
    if not note_entities(where):
        raise InvalidRequestError(nobody)
    check_reader(caller, where)
    return where


def named_ids(ids: Ids) -> dict[str, str]:
    """The ids of what is read or erased, as they are spelled; `*` is allowed and stands for any value."""
    return {
        name: value.strip() if value.strip() == "*" else check_named(name, value)
        for name in SCOPE_IDS
        if (value := getattr(ids, name)) is not None
    }


def also(
    *,
    categories: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    keywords: str | None = None,
    start: Any = None,
    end: Any = None,
) -> list[Filter]:
    """The conditions outside `filters`: any of the categories, all of the metadata, the keywords, the time span."""
    conditions: list[Filter] = []
    if categories:
        conditions.append(parse_platform_filter({"categories": {"in": list(categories)}}))
    if metadata:
        check_json("metadata", dict(metadata))
        conditions.append(parse_platform_filter({"metadata": dict(metadata)}))
    if keywords:
        conditions.append(parse_platform_filter({"keywords": {"icontains": keywords}}))
    if start is not None:
        conditions.append(Compare(Field("created_at"), Operator.GTE, parse_moment("start_date", start)))
    if end is not None:
        conditions.append(_until(end))
    return conditions


def _until(end: Any) -> Filter:
    """The filter for times up to and including the moment or, if `end` is a day, the whole day."""
    moment = parse_moment("end_date", end)
    day = parse_platform_filter({"created_at": end}) if isinstance(end, str) else None
    if isinstance(day, And):
        return day.items[1]
    return Compare(Field("created_at"), Operator.LTE, moment)


def _condition(name: str, value: str) -> Filter:
    if value == "*":
        return Compare(Field(name), Operator.EXISTS)
    return has_id(name, value)
