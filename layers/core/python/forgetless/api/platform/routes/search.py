"""Search in three versions: v3 returns an object, v2 a list, and v1 the form that `output_format` names."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from forgetless.api.answer_size import bare_list, results_object
from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import check_moment
from forgetless.api.platform.scope_filter import also, scope_of
from forgetless.api.platform.search_wire import SearchBody
from forgetless.api.platform.serialize import search_item
from forgetless.api.routing import Route
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.ast import And
from forgetless.domain.filters.parse_platform import parse_moment
from forgetless.domain.filters.scope_ids import pinned_ids
from forgetless.domain.keys import Role
from forgetless.domain.scoring import DEFAULT_THRESHOLD
from forgetless.domain.usage import UsageKind
from forgetless.service.requests import ScoredMemory, SearchRequest

__all__ = ["ROUTES", "search_request"]

_DEFAULT_TOP_K = 10
_NOBODY_V1 = "At least one of the filters: agent_id, user_id, app_id, run_id is required!"


def search_v3(caller: CurrentCaller, body: SearchBody) -> Response:
    """The memories that match a query, best first; `filters` must name the scope."""
    found = _found(caller, body, search_request(caller, body, top_level=False))
    return results_object(_items(found, body))


def search_v2(caller: CurrentCaller, body: SearchBody) -> Response:
    """The same as a list without an envelope; ids outside `filters` are accepted as well."""
    found = _found(caller, body, search_request(caller, body, top_level=True))
    return bare_list(_items(found, body))


def search_v1(caller: CurrentCaller, body: SearchBody) -> Response:
    """The same as a list without an envelope, or with `output_format: "v1.1"` as an object."""
    found = _found(caller, body, search_request(caller, body, top_level=True, nobody=_NOBODY_V1))
    items = _items(found, body)
    return results_object(items, relations=[]) if body.output_format == "v1.1" else bare_list(items)


def _found(caller: Caller, body: SearchBody, request: SearchRequest) -> list[ScoredMemory]:
    return caller.services.at(check_moment(body.as_of, body.known_at)).search(request)


def _items(found: list[ScoredMemory], body: SearchBody) -> list[dict[str, Any]]:
    return [search_item(hit, body.fields) for hit in found]


def search_request(caller: Caller, body: SearchBody, *, top_level: bool, nobody: str | None = None) -> SearchRequest:
    """The search that a body asks for; `top_level` and `nobody` as in `scope_of`."""
    query = body.query.strip()
    if not query:
        raise InvalidRequestError("query must not be empty.")
    options = {} if nobody is None else {"nobody": nobody}
    whose = scope_of(caller, body.filters, body, top_level=top_level, **options)
    where = And((whose, *also(categories=body.categories, metadata=body.metadata)))
    reference = body.reference_date
    return SearchRequest(
        tenant=caller.tenant,
        query=query,
        where=where,
        ids=pinned_ids(where),
        top_k=body.top_k or body.limit or _DEFAULT_TOP_K,
        threshold=DEFAULT_THRESHOLD if body.threshold is None else body.threshold,
        show_expired=bool(body.show_expired),
        explain=True,
        reference=None if reference is None else parse_moment("reference_date", reference),
    )


ROUTES = (
    Route("POST", "/v3/memories/search/", search_v3, needs=Role.READ, counts=UsageKind.SEARCHES),
    Route("POST", "/v2/memories/search/", search_v2, needs=Role.READ, counts=UsageKind.SEARCHES),
    Route("POST", "/v1/memories/search/", search_v1, needs=Role.READ, counts=UsageKind.SEARCHES),
)
