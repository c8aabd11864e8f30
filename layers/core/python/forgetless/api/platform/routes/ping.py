"""Ping: the request that every client of mem0 sends in its constructor."""

from __future__ import annotations

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.service.projects.settings import organization_id, project_id

__all__ = ["ROUTES"]


def ping(caller: CurrentCaller) -> Response:
    """The organization and project of the key, its role, and whether it is limited.

    There is never an e-mail address, which clients would send to their telemetry.
    """
    return json_response(
        {
            "status": "ok",
            "org_id": organization_id(caller.tenant),
            "project_id": project_id(caller.tenant),
            "user_email": None,
            "role": None if caller.key is None else str(caller.key.role),
            "limited": caller.key_limits is not None,
        }
    )


ROUTES = (Route("GET", "/v1/ping/", ping),)
