"""The tenant's keys (the contract's endpoints 25 to 27, and rotation), only for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import Cursor, check_time
from forgetless.api.json_response import json_response
from forgetless.api.next_cursor import NEXT_CURSOR_HEADER
from forgetless.api.routing import Route
from forgetless.api.selfhosted.wire import KeyCreate, KeyRotate
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.identifiers import new_identifier
from forgetless.domain.key_limits import ANY, KeyLimits
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.limits import MOST_KEYS
from forgetless.ports.named_ids import note_id

__all__ = ["ROUTES"]


def list_keys(
    caller: CurrentCaller, limit: Annotated[int, Query(ge=1, le=MOST_KEYS)] = MOST_KEYS, cursor: Cursor = None
) -> Response:
    """List the tenant's keys that are not revoked, newest first, without their secrets.

    If more follow, the header X-Next-Cursor holds the cursor of the next ones. A page has fewer than `limit` if its
    keys are large.
    """
    found, following = caller.all_services.keys.page(caller.tenant, limit=limit, cursor=cursor)
    items = [{**_item(one.key), "last_used_at": one.last_used_at} for one in found]
    return json_response(items, headers={NEXT_CURSOR_HEADER: following} if following is not None else {})


def create_key(caller: CurrentCaller, body: KeyCreate) -> Response:
    """Create a key. Its secret is shown only in this answer."""
    if body.user_ids is not None and not body.user_ids:
        raise InvalidRequestError("user_ids: the list is empty; leave it out for a key that is not limited to users.")
    limits = KeyLimits(
        tuple(_checked("user_ids", id_) for id_ in body.user_ids or ()),
        _listed("agent_ids", body.agent_ids),
        _listed("app_ids", body.app_ids),
    )
    key, secret = caller.all_services.keys.create(
        caller.tenant,
        label=body.label,
        role=Role(body.role),
        limits=limits,
        expires_at=check_time("expires_at", body.expires_at),
    )
    return json_response({"id": key.id, "key": secret, **_item(key)}, status=201)


def rotate_key(caller: CurrentCaller, key_id: str, body: KeyRotate | None = None) -> Response:
    """Create a successor with the same rights. The old key stays valid for `overlap_seconds`."""
    overlap_s = (body or KeyRotate()).overlap_seconds
    key, secret, old = caller.all_services.keys.rotate(caller.tenant, key_id, overlap_s=overlap_s)
    replaces = {"id": old.id, "expires_at": old.ends_at}
    return json_response({"id": key.id, "key": secret, **_item(key), "replaces": replaces}, status=201)


def revoke_key(caller: CurrentCaller, key_id: str) -> Response:
    """Revoke a key permanently."""
    caller.all_services.keys.revoke(caller.tenant, key_id)
    return json_response({"message": "API key revoked."})


def _item(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "label": key.label,
        "key_prefix": key.prefix,
        "created_at": key.created_at,
        "role": str(key.role),
        "user_ids": list(key.users),
        "agent_ids": list(key.agents),
        "app_ids": list(key.apps),
        "expires_at": key.ends_at,
    }


def _listed(name: str, ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(ANY if id_.strip() == ANY else _checked(name, id_) for id_ in ids)


def _checked(name: str, id_: str) -> str:
    """The id; it is noted under the name by which the audit list is searched."""
    return note_id(name.removesuffix("s"), new_identifier(name, id_))


ROUTES = (
    Route("GET", "/api-keys", list_keys, needs=Role.ADMIN),
    Route("POST", "/api-keys", create_key, needs=Role.ADMIN, kept=False),
    Route("POST", "/api-keys/{key_id}/rotate", rotate_key, needs=Role.ADMIN, kept=False),
    Route("DELETE", "/api-keys/{key_id}", revoke_key, needs=Role.ADMIN),
)
