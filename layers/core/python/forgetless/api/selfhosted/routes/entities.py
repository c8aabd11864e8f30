"""Users, agents and runs (the contract's endpoints 14 and 15)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import Cursor, check_named, check_trailing_slash
from forgetless.api.json_response import json_response
from forgetless.api.next_cursor import next_cursor
from forgetless.api.routing import Route
from forgetless.api.selfhosted.serialize import entity_item
from forgetless.domain.keys import Role

__all__ = ["ROUTES"]

_KINDS = ("agent", "run", "user")
#: The most entities in one answer.
_MOST = 1000


def list_entities(
    caller: CurrentCaller, limit: Annotated[int, Query(ge=1, le=_MOST)] = _MOST, cursor: Cursor = None
) -> Response:
    """List the users, agents and runs that have memories, with the number of memories and their times.

    If there are more than `limit`, the header X-Next-Cursor holds the cursor of the next ones.
    """
    found = caller.services.reads.entities(caller.tenant, size=limit, number=None, cursor=cursor, kinds=_KINDS)
    entities = sorted(found.items, key=lambda one: (one.kind, one.id))
    return json_response([entity_item(entity) for entity in entities], headers=next_cursor(found))


def delete_entity(caller: CurrentCaller, entity_type: Literal["user", "agent", "run"], entity_id: str) -> Response:
    """Delete everything of one user, agent or run permanently."""
    name = f"{entity_type}_id"
    id_ = check_named(name, entity_id)
    erased = caller.services.changes.delete_scope(caller.tenant, {name: id_})
    if not erased.deleted:
        check_trailing_slash(id_)
    return json_response({"message": "Entity deleted", "event_id": erased.event_id})


ROUTES = (
    Route("GET", "/entities", list_entities),
    Route("DELETE", "/entities/{entity_type}/{entity_id:id}", delete_entity, needs=Role.ADMIN),
)
