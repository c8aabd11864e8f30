"""Members of a project: a list of addresses and roles that is stored but has no effect. Keys decide who may do what."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.platform.routes.projects import check_place, members_shown
from forgetless.api.routing import Route
from forgetless.api.size_limits import Word
from forgetless.domain.keys import Role

__all__ = ["ROUTES"]


class MemberBody(BaseModel):
    """The e-mail address and the role of a member."""

    email: Word
    role: Literal["READER", "OWNER"] = "READER"


def list_members(caller: CurrentCaller, org_id: str, project: str) -> Response:
    """List the members."""
    members = members_shown(caller, check_place(caller, org_id, project))
    return json_response({"members": [{"username": email, "role": role} for email, role in members.items()]})


def add_member(caller: CurrentCaller, org_id: str, project: str, body: MemberBody) -> Response:
    """Add a member; no e-mail is sent."""
    check_place(caller, org_id, project)
    caller.services.projects.set_member(caller.tenant, project, body.email, body.role)
    return json_response({"message": "User added to the project successfully."})


def update_member(caller: CurrentCaller, org_id: str, project: str, body: MemberBody) -> Response:
    """Change the role of a member."""
    check_place(caller, org_id, project)
    caller.services.projects.set_member(caller.tenant, project, body.email, body.role, known=True)
    return json_response({"message": "User role updated successfully."})


def remove_member(caller: CurrentCaller, org_id: str, project: str, email: str) -> Response:
    """Remove a member."""
    check_place(caller, org_id, project)
    caller.services.projects.set_member(caller.tenant, project, email, None, known=True)
    return json_response({"message": "Member removed from the project"})


_MEMBERS = "/api/v1/orgs/organizations/{org_id}/projects/{project}/members/"

ROUTES = (
    Route("GET", _MEMBERS, list_members),
    Route("POST", _MEMBERS, add_member, needs=Role.ADMIN),
    Route("PUT", _MEMBERS, update_member, needs=Role.ADMIN),
    Route("DELETE", _MEMBERS, remove_member, needs=Role.ADMIN),
)
