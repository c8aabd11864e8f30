"""Projects: settings for extractions. A key always works in its tenant's own project, even if there are others."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response

from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.api.size_limits import CustomCategories, Instructions, JsonBytes, Note, Word
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.keys import Role
from forgetless.service.projects.settings import Project, organization_id, project_id

__all__ = ["ROUTES", "check_place", "members_shown"]

_UNKNOWN = "Organization or project not found"

#: The value of each setting that was never set.
_DEFAULTS: dict[str, Any] = {
    "name": "default",
    "description": None,
    "usecase": None,
    "usecase_setting": None,
    "memory_depth": None,
    "inclusion_prompt": None,
    "exclusion_prompt": None,
    "custom_categories": None,
    "custom_instructions": None,
    "agent_custom_instructions": None,
    "update_custom_instructions": None,
    "summary_custom_instructions": None,
    "summary_batch_size": None,
    "summary_max_tokens": None,
    "expiration_date": None,
    "retrieval_criteria": None,
    "enable_graph": False,
    "multilingual": True,
    "version": None,
    "active_prompt_profile": None,
    "decay": None,
}


class ProjectCreate(BaseModel):
    """The further project to create."""

    name: Word
    description: Note | None = None


class ProjectUpdate(BaseModel):
    """The changes of a project. A missing setting stays as it is; null clears it."""

    name: Word | None = None
    description: Note | None = None
    custom_instructions: Instructions | None = None
    agent_custom_instructions: Instructions | None = None
    custom_categories: CustomCategories | None = None
    inclusion_prompt: Instructions | None = None
    exclusion_prompt: Instructions | None = None
    multilingual: bool | None = None
    memory_depth: Note | None = None
    decay: Annotated[Any, JsonBytes()] = None
    enable_graph: bool | None = None
    version: Word | None = None
    usecase_setting: Annotated[Any, JsonBytes()] = None
    retrieval_criteria: Annotated[Any, JsonBytes()] = None


def get_project(
    caller: CurrentCaller, org_id: str, project: str, fields: Annotated[list[str] | None, Query()] = None
) -> Response:
    """The project; with `fields`, only these settings."""
    found = check_place(caller, org_id, project)
    shown = _shown(found, caller)
    return json_response({name: shown.get(name) for name in fields} if fields else shown)


def update_project(caller: CurrentCaller, org_id: str, project: str, body: ProjectUpdate) -> Response:
    """Change settings of the project. They apply to later adds."""
    check_place(caller, org_id, project)
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        raise InvalidRequestError(f"Give at least one of: {', '.join(ProjectUpdate.model_fields)}.")
    caller.services.projects.update(caller.tenant, project, changes)
    return json_response({"message": "Project updated successfully"})


def create_project(caller: CurrentCaller, org_id: str, body: ProjectCreate) -> Response:
    """Create a further project. It only holds settings, because no key works in it."""
    _check_organization(caller, org_id)
    id_ = f"proj_{secrets.token_hex(12)}"
    caller.services.projects.create(caller.tenant, id_, body.model_dump())
    return json_response({"message": "Project created successfully.", "project_id": id_})


def delete_project(caller: CurrentCaller, org_id: str, project: str) -> Response:
    """Delete a further project."""
    check_place(caller, org_id, project)
    caller.services.projects.delete(caller.tenant, project)
    return json_response({"message": "Project and related data deleted successfully."})


def check_place(caller: Caller, org_id: str, project: str) -> Project:
    """The project; raises NotFoundError if it, or the organization, does not belong to the tenant."""
    _check_organization(caller, org_id)
    return caller.services.projects.get(caller.tenant, project)


def _check_organization(caller: Caller, org_id: str) -> None:
    if org_id != organization_id(caller.tenant):
        raise NotFoundError(_UNKNOWN)


def members_shown(caller: Caller, project: Project) -> dict[str, str]:
    """The members' addresses and roles; addresses of other people are nothing for a limited key."""
    members: dict[str, str] = project.settings.get("members", {})
    return members if caller.key_limits is None else {}


def _shown(project: Project, caller: Caller) -> dict[str, Any]:
    members = members_shown(caller, project)
    return {
        "project_id": project.id,
        **_DEFAULTS,
        **project.settings,
        "members": [{"username": email, "role": role, "email": email} for email, role in members.items()],
        "is_default": project.id == project_id(caller.tenant),
        "user_role": "OWNER" if caller.admin else "READER",
        "created_at": project.created_at,
        "updated_at": project.updated_at,
    }


_PROJECTS = "/api/v1/orgs/organizations/{org_id}/projects/"

ROUTES = (
    Route("POST", _PROJECTS, create_project, needs=Role.ADMIN),
    Route("GET", f"{_PROJECTS}{{project}}/", get_project),
    Route("PATCH", f"{_PROJECTS}{{project}}/", update_project, needs=Role.ADMIN),
    Route("DELETE", f"{_PROJECTS}{{project}}/", delete_project, needs=Role.ADMIN),
)
