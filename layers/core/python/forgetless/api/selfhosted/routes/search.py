"""Search (the contract's endpoint 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import Response

from forgetless.api.answer_size import results_object
from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import ENTITY_IDS, check_filters, check_moment, check_named
from forgetless.api.named_entities import note_entities
from forgetless.api.routing import Route
from forgetless.api.selfhosted.search_wire import SearchBody
from forgetless.api.selfhosted.serialize import search_item
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import Compare, Filter, Not, Operator
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.keys import Role
from forgetless.domain.scope import SCOPE_IDS
from forgetless.domain.scoring import DEFAULT_THRESHOLD
from forgetless.domain.usage import UsageKind
from forgetless.service.requests import SearchRequest

__all__ = ["ROUTES"]

_DEFAULT_TOP_K = 20
_NO_ENTITY = "filters must contain at least one of: user_id, agent_id, run_id at the top level."


def search_memories(caller: CurrentCaller, body: SearchBody) -> Response:
    """The memories that match a query, best first."""
    request = _search_request(caller, body)
    moment = check_moment(body.as_of, body.known_at)
    found = caller.services.at(moment).search(request)
    return results_object([search_item(hit) for hit in found])


def _search_request(caller: Caller, body: SearchBody) -> SearchRequest:
    query = body.query.strip()
    if not query:
        raise InvalidRequestError("query must not be empty.")
    top_k = _DEFAULT_TOP_K if body.top_k is None else body.top_k
    if top_k < 0:
        raise InvalidRequestError("top_k must not be negative.")
    threshold = DEFAULT_THRESHOLD if body.threshold is None else body.threshold
    if not 0 <= threshold <= 1:
        raise InvalidRequestError("threshold must lie between 0 and 1.")
    filters = _filters(body)
    return SearchRequest(
        tenant=caller.tenant,
        query=query,
        where=_parsed(filters),
        ids={name: filters[name] for name in ENTITY_IDS if isinstance(filters.get(name), str)},
        top_k=top_k,
        threshold=threshold,
        show_expired=body.show_expired,
        explain=body.explain,
    )


def _filters(body: SearchBody) -> dict[str, Any]:
    """The filter, with the deprecated top-level ids added, and with all ids checked and trimmed."""
    given = {"user_id": body.user_id, "agent_id": body.agent_id, "run_id": body.run_id}
    filters = {**(body.filters or {}), **{name: value for name, value in given.items() if value is not None}}
    check_filters(filters)
    if not any(name in filters for name in ENTITY_IDS):
        raise InvalidRequestError(_NO_ENTITY)
    for name in ENTITY_IDS:
        if name in filters:
            filters[name] = _entity_condition(name, filters[name])
    if not any(_names_entities(filters.get(name)) for name in ENTITY_IDS):
        raise InvalidRequestError(f"{_NO_ENTITY} One of them must be a value, eq or in.")
    return filters


def _entity_condition(name: str, condition: Any) -> Any:
    if not isinstance(condition, Mapping):
        return check_named(name, condition)
    if set(condition) == {"eq"}:
        return check_named(name, condition["eq"])
    for operand in condition.values():
        for value in operand if isinstance(operand, list) else [operand]:
            check_named(name, value)
    return condition


def _names_entities(condition: Any) -> bool:
    return isinstance(condition, str) or (isinstance(condition, Mapping) and "in" in condition)


def _parsed(filters: Mapping[str, Any]) -> Filter:
    where = parse_filter(filters)
    note_entities(where)
    for condition in _conditions(where):
        field = condition.field
        if condition.op is Operator.EXISTS and not field.metadata and field.name in SCOPE_IDS:
            raise InvalidRequestError(f"Invalid {field.name}: '*' is not an identifier; name one.")
    return where


def _conditions(where: Filter) -> Iterator[Compare]:
    if isinstance(where, Compare):
        yield where
    else:
        for item in (where.item,) if isinstance(where, Not) else where.items:
            yield from _conditions(item)


ROUTES = (Route("POST", "/search", search_memories, needs=Role.READ, counts=UsageKind.SEARCHES),)
