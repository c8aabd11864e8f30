"""Lists in three versions: v3 always in pages; v2 and v1 as a list without an envelope, unless a page is requested."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import check_moment
from forgetless.api.json_response import json_response
from forgetless.api.platform.pages import envelope
from forgetless.api.platform.query_objects import read_object
from forgetless.api.platform.scope_filter import also, scope_of
from forgetless.api.platform.serialize import memory_item
from forgetless.api.platform.wire import MAX_PAGE_SIZE, ListBody
from forgetless.api.routing import Route
from forgetless.api.size_limits import check_filter_size
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.ast import And
from forgetless.domain.keys import Role
from forgetless.service.requests import Page, PageRequest

__all__ = ["ROUTES"]

_DEFAULT_SIZE = 100

Number = Annotated[int | None, Query(ge=1)]
Size = Annotated[int | None, Query(ge=1, le=MAX_PAGE_SIZE)]


def list_v3(
    request: Request, caller: CurrentCaller, body: ListBody, page: Number = None, page_size: Size = None
) -> Response:
    """One page of the memories that match, newest first."""
    body = body.model_copy(update=_given(page=page, page_size=page_size))
    return _paged(request, body, _page(caller, body, top_level=False))


def list_v2(
    request: Request, caller: CurrentCaller, body: ListBody, page: Number = None, page_size: Size = None
) -> Response:
    """A list without an envelope, or one page if both page and page_size are given."""
    body = body.model_copy(update=_given(page=page, page_size=page_size))
    found = _page(caller, body, top_level=True)
    if body.page is not None and body.page_size is not None:
        return _paged(request, body, found)
    return _bare(body, found)


def list_v1(
    request: Request,
    caller: CurrentCaller,
    *,
    user_id: str | None = None,
    agent_id: str | None = None,
    app_id: str | None = None,
    run_id: str | None = None,
    filters: str | None = None,
    metadata: str | None = None,
    categories: Annotated[list[str] | None, Query()] = None,
    fields: Annotated[list[str] | None, Query()] = None,
    keywords: str | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    show_expired: bool = False,
    limit: int | None = None,
    as_of: str | None = None,
    known_at: str | None = None,
    page: Number = None,
    page_size: Size = None,
) -> Response:
    """The same with query parameters; `metadata` and `filters` are objects."""
    if limit is not None and not 1 <= limit <= MAX_PAGE_SIZE:
        raise InvalidRequestError(f"limit must be <= {MAX_PAGE_SIZE}")
    body = ListBody(
        user_id=user_id,
        agent_id=agent_id,
        app_id=app_id,
        run_id=run_id,
        filters=read_object("filters", filters),
        categories=categories,
        fields=fields,
        keywords=keywords,
        start_date=start_date,
        end_date=end_date,
        show_expired=show_expired,
        limit=limit,
        as_of=as_of,
        known_at=known_at,
        page=page,
        page_size=page_size,
    )
    found = _page(caller, body, top_level=True, metadata=read_object("metadata", metadata))
    if page is None or page_size is None:
        return _bare(body, found)
    if page > 1 and not found.items:
        raise NotFoundError("Invalid page.")
    return _paged(request, body, found)


def _page(caller: Caller, body: ListBody, *, top_level: bool, metadata: dict[str, Any] | None = None) -> Page:
    check_filter_size({"filters": body.filters, "metadata": metadata, "categories": body.categories}, caller.limits)
    whose = scope_of(caller, body.filters, body, top_level=top_level)
    beside = also(
        categories=body.categories,
        metadata=metadata,
        keywords=body.keywords,
        start=body.start_date,
        end=body.end_date,
    )
    request = PageRequest(
        tenant=caller.tenant,
        where=And((whose, *beside)),
        number=body.page or 1,
        size=body.page_size or body.limit or _DEFAULT_SIZE,
        show_expired=bool(body.show_expired),
        superseded=body.latest_only is False,
    )
    return caller.services.at(check_moment(body.as_of, body.known_at)).page(request)


def _paged(request: Request, body: ListBody, found: Page) -> Response:
    items = [memory_item(memory, body.fields) for memory in found.items]
    number, size = body.page or 1, body.page_size or body.limit or _DEFAULT_SIZE
    return json_response(envelope(request, items, count=found.count, number=number, size=size))


def _bare(body: ListBody, found: Page) -> Response:
    return json_response([memory_item(memory, body.fields) for memory in found.items])


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


ROUTES = (
    Route("POST", "/v3/memories/", list_v3, needs=Role.READ),
    Route("POST", "/v2/memories/", list_v2, needs=Role.READ),
    Route("GET", "/v1/memories/", list_v1),
)
