"""The tenant's keys (the contract's endpoints 25 to 27), only for administrators."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import check_identifier
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.api.selfhosted.wire import KeyCreate
from forgetless.domain.keys import ApiKey, Role

__all__ = ["ROUTES"]


def list_keys(caller: CurrentCaller) -> Response:
    """List the tenant's keys that are not revoked, newest first, without their secrets."""
    found = caller.all_services.keys.list(caller.tenant)
    return json_response([{**_item(one.key), "last_used_at": one.last_used_at} for one in found])


def create_key(caller: CurrentCaller, body: KeyCreate) -> Response:
    """Create a key. Its secret is shown only in this answer."""
    users = [check_identifier("user_ids", user) for user in body.user_ids]
    key, secret = caller.all_services.keys.create(caller.tenant, label=body.label, role=Role(body.role), users=users)
    return json_response({"id": key.id, "key": secret, **_item(key)}, status=201)


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
    }


ROUTES = (
    Route("GET", "/api-keys", list_keys, needs=Role.ADMIN),
    Route("POST", "/api-keys", create_key, needs=Role.ADMIN, kept=False),
    Route("DELETE", "/api-keys/{key_id}", revoke_key, needs=Role.ADMIN),
)
