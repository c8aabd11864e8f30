"""Users, agents and runs (the contract's endpoints 14 and 15)."""

from __future__ import annotations

from typing import Literal

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import check_identifier, check_trailing_slash
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.api.selfhosted.serialize import entity_item
from forgetless.domain.keys import Role

__all__ = ["ROUTES"]

_KINDS = frozenset({"user", "agent", "run"})


def list_entities(caller: CurrentCaller) -> Response:
    """List the users, agents and runs that have memories, with the number of memories and their times."""
    entities = (entity for entity in caller.services.reads.entities(caller.tenant) if entity.kind in _KINDS)
    return json_response([entity_item(entity) for entity in sorted(entities, key=lambda one: (one.kind, one.id))])


def delete_entity(caller: CurrentCaller, entity_type: Literal["user", "agent", "run"], entity_id: str) -> Response:
    """Delete everything of one user, agent or run permanently."""
    name = f"{entity_type}_id"
    id_ = check_identifier(name, entity_id)
    erased = caller.services.changes.delete_scope(caller.tenant, {name: id_})
    if not erased.deleted:
        check_trailing_slash(id_)
    return json_response({"message": "Entity deleted", "event_id": erased.event_id})


ROUTES = (
    Route("GET", "/entities", list_entities),
    Route("DELETE", "/entities/{entity_type}/{entity_id:id}", delete_entity, needs=Role.ADMIN),
)
