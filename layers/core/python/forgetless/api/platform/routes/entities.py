"""Users, agents, apps and runs: listed with totals, deleted by name or number. An id takes the rest of the path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import check_identifier
from forgetless.api.json_response import json_response
from forgetless.api.platform.pages import envelope
from forgetless.api.platform.serialize import entity_item, entity_number, erased_item, memory_item
from forgetless.api.platform.wire import MAX_PAGE_SIZE
from forgetless.api.routing import Route
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.ast import Compare, Field, Operator
from forgetless.domain.keys import Role
from forgetless.service.requests import PageRequest

__all__ = ["ROUTES"]

_KINDS = ("user", "agent", "app", "run")
_PAGE_SIZE = 100
_DELETED = "Entity deleted successfully!"


def list_entities(
    request: Request,
    caller: CurrentCaller,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int | None, Query(ge=1, le=1000)] = None,
) -> Response:
    """List all entities that have memories, or one page of them if a page is requested."""
    entities = caller.services.reads.entities(caller.tenant)
    size = page_size or max(len(entities), _PAGE_SIZE)
    shown = [entity_item(entity) for entity in entities[(page - 1) * size : page * size]]
    answer = envelope(request, shown, count=len(entities), number=page, size=size)
    totals = {f"total_{kind}s": sum(entity.kind == kind for entity in entities) for kind in _KINDS}
    return json_response({**answer, **totals})


def get_entity(caller: CurrentCaller, entity_type: str, entity_id: str) -> Response:
    """One entity, as a list, which is empty if the entity has no memories."""
    kind, name = _checked(entity_type, entity_id)
    entities = caller.services.reads.entities(caller.tenant)
    return json_response([entity_item(one) for one in entities if (one.kind, one.id) == (kind, name)])


def delete_entity(caller: CurrentCaller, entity_type: str, entity_id: str) -> Response:
    """Delete everything of one entity. It is gone for everybody when the answer is sent."""
    kind, name = _checked(entity_type, entity_id)
    return _delete(caller, kind, name)


def delete_numbered(caller: CurrentCaller, entity_type: str, entity_id: str) -> Response:
    """The same with the number that the list shows (deprecated by mem0)."""
    _check_kind(entity_type)
    if not (entity_id.isascii() and entity_id.isdigit()):
        raise InvalidRequestError("Invalid entity ID. Must be an integer.")
    for entity in caller.services.reads.entities(caller.tenant):
        if entity.kind == entity_type and str(entity_number(entity.kind, entity.id)) == entity_id:
            return _delete(caller, entity.kind, entity.id)
    raise NotFoundError("Entity not found!")


def _memories_of(kind: str) -> Callable[..., Response]:
    def entity_memories(
        request: Request,
        caller: CurrentCaller,
        entity_id: str,
        page: Annotated[int, Query(ge=1)] = 1,
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = _PAGE_SIZE,
    ) -> Response:
        """The memories of one entity, in pages."""
        _, name = _checked(kind, entity_id)
        where = Compare(Field(f"{kind}_id"), Operator.EQ, name)
        found = caller.services.reads.page(PageRequest(caller.tenant, where, page, page_size))
        items: list[dict[str, Any]] = [memory_item(memory) for memory in found.items]
        return json_response(envelope(request, items, count=found.count, number=page, size=page_size))

    return entity_memories


def _delete(caller: Caller, kind: str, name: str) -> Response:
    erased = caller.services.changes.delete_scope(caller.tenant, {f"{kind}_id": name})
    return json_response({"message": _DELETED, **erased_item(erased)})


def _checked(kind: str, name: str) -> tuple[str, str]:
    _check_kind(kind)
    return kind, check_identifier(f"{kind}_id", name, spaces=True)


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise InvalidRequestError("Invalid entity type")


ROUTES = (
    Route("GET", "/v1/entities/", list_entities),
    Route("DELETE", "/v1/entities/{entity_type}/{entity_id:path}/", delete_numbered, needs=Role.ADMIN),
    Route("GET", "/v2/entities/{entity_type}/{entity_id:path}/", get_entity),
    Route("DELETE", "/v2/entities/{entity_type}/{entity_id:path}/", delete_entity, needs=Role.ADMIN),
    # One route for each kind, so that none of them matches the path of a memory's history.
    *(Route("GET", f"/v1/memories/{kind}/{{entity_id:path}}/", _memories_of(kind)) for kind in _KINDS),
)
