"""Users, agents, apps and runs: listed with totals, deleted by name or number. An id takes the rest of the path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.answer_size import fitting_items, share
from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import Cursor, check_named
from forgetless.api.json_response import json_response
from forgetless.api.platform.pages import envelope, page_number
from forgetless.api.platform.serialize import entity_item, entity_number, erased_item, memory_item
from forgetless.api.platform.wire import MAX_PAGE_SIZE
from forgetless.api.routing import Route
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.scope_ids import has_id
from forgetless.domain.keys import Role
from forgetless.domain.limits import SCANNED_ROWS
from forgetless.ports.named_ids import note_id
from forgetless.service.requests import PageRequest

__all__ = ["ROUTES"]

_KINDS = ("user", "agent", "app", "run")
_PAGE_SIZE = 100
_MOST_ENTITIES = 1000
_BY_NAME = "DELETE /v2/entities/{entity_type}/{entity_id}/"
_DELETED = "Entity deleted successfully!"


def list_entities(
    request: Request,
    caller: CurrentCaller,
    page: Annotated[int | None, Query(ge=1)] = None,
    page_size: Annotated[int, Query(ge=1, le=_MOST_ENTITIES)] = _MOST_ENTITIES,
    cursor: Cursor = None,
) -> Response:
    """One page of the entities that have memories: agents, apps, runs, users."""
    reads, number = caller.services.reads, page_number(page, cursor)
    counts = reads.count_entities(caller.tenant)
    found = reads.entities(
        caller.tenant, size=page_size, number=number, cursor=cursor, counts=counts, asker=caller.asker
    )
    answer = envelope(request, [entity_item(one) for one in found.items], found, number=number, size=page_size)
    return json_response({**answer, **{f"total_{kind}s": counts.by_kind.get(kind, 0) for kind in _KINDS}})


def get_entity(caller: CurrentCaller, entity_type: str, entity_id: str) -> Response:
    """One entity, as a list, which is empty if the entity has no memories."""
    kind, name = _checked(entity_type, entity_id)
    entity = caller.services.reads.entity(caller.tenant, kind, name)
    return json_response([entity_item(entity)] if entity is not None else [])


def delete_entity(caller: CurrentCaller, entity_type: str, entity_id: str) -> Response:
    """Delete everything of one entity. It is gone for everybody when the answer is sent."""
    kind, name = _checked(entity_type, entity_id)
    return _delete(caller, kind, name)


def delete_numbered(caller: CurrentCaller, entity_type: str, entity_id: str) -> Response:
    """The same with the number that the list shows (deprecated by mem0)."""
    _check_kind(entity_type)
    if not (entity_id.isascii() and entity_id.isdigit()):
        raise InvalidRequestError("Invalid entity ID. Must be an integer.")
    reads, cursor, looked_at = caller.services.reads, None, 0
    if reads.entity(caller.tenant, entity_type, entity_id) is not None:
        # Users choose their names, and one may have taken the number of another.
        raise InvalidRequestError(
            f"There is an entity of this name, too: use {_BY_NAME} with the name of the one you mean."
        )
    while looked_at < SCANNED_ROWS:
        found = reads.entities(caller.tenant, size=_MOST_ENTITIES, number=None, cursor=cursor, kinds=(entity_type,))
        for entity in found.items:
            if str(entity_number(entity.kind, entity.id)) == entity_id:
                return _delete(caller, entity.kind, note_id(f"{entity.kind}_id", entity.id))
        looked_at, cursor = looked_at + _MOST_ENTITIES, found.cursor
        if cursor is None:
            raise NotFoundError("Entity not found!")
    raise InvalidRequestError(f"Too many entities to find one by its number: use {_BY_NAME} with its name.")


def _memories_of(kind: str) -> Callable[..., Response]:
    def entity_memories(
        request: Request,
        caller: CurrentCaller,
        entity_id: str,
        *,
        page: Annotated[int | None, Query(ge=1)] = None,
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = _PAGE_SIZE,
        cursor: Cursor = None,
    ) -> Response:
        """The memories of one entity, in pages."""
        _, name = _checked(kind, entity_id)
        where = has_id(f"{kind}_id", name)
        number = page_number(page, cursor)
        asked = PageRequest(
            tenant=caller.tenant,
            where=where,
            size=page_size,
            number=number,
            cursor=cursor,
            asker=caller.asker,
            weigh=lambda memory: share(memory_item(memory)),
        )
        found = caller.services.reads.page(asked)
        items = fitting_items([memory_item(memory) for memory in found.items])
        return json_response(envelope(request, items, found, number=number, size=page_size))

    return entity_memories


def _delete(caller: Caller, kind: str, name: str) -> Response:
    erased = caller.services.changes.delete_scope(caller.tenant, {f"{kind}_id": name})
    return json_response({"message": _DELETED, **erased_item(erased)})


def _checked(kind: str, name: str) -> tuple[str, str]:
    _check_kind(kind)
    return kind, check_named(f"{kind}_id", name)


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
