"""Profiles: Forgetless has none, and every route says so in the form that clients know."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.api.size_limits import MAX_WORD_CHARS, JsonBytes
from forgetless.domain.errors import NotFoundError
from forgetless.ports.named_ids import note_id

__all__ = ["ROUTES"]

_STATUS = "not_enabled"


def get_profile(caller: CurrentCaller, entity_id: str) -> Response:
    """Answer that there is no profile."""
    del caller
    note_id("user_id", entity_id)
    profile = {"profile": None, "status": _STATUS, "entity_type": "user", "entity_id": entity_id}
    return json_response({**profile, "updated_at": None, "generation_count": 0})


class ProfileJob(BaseModel):
    """The job to start; what it would need further is ignored."""

    operation: Annotated[Any, JsonBytes(MAX_WORD_CHARS)] = None
    entity_type: Annotated[Any, JsonBytes(MAX_WORD_CHARS)] = None


class ProfileSettings(BaseModel):
    """The settings to store, all of which are ignored."""


def start_job(caller: CurrentCaller, body: ProfileJob) -> Response:
    """Answer that no job was started."""
    del caller
    return json_response(
        {
            "job_id": None,
            "status": _STATUS,
            "status_url": None,
            "operation": body.operation,
            "entity_type": body.entity_type,
            "entity_count_reserved": 0,
            "entity_ids": [],
            "sampled": 0,
            "event_id": None,
            "replayed": False,
        }
    )


def get_job(caller: CurrentCaller, job_id: str) -> Response:
    """Answer 404, because there are no profile jobs."""
    del caller, job_id
    raise NotFoundError("Profile job not found: profiles are not enabled here.")


def get_settings(caller: CurrentCaller) -> Response:
    """Answer that profiles are not enabled."""
    del caller
    return json_response({"enabled": False, "status": _STATUS, "entities": {}})


def refuse_settings(caller: CurrentCaller, body: ProfileSettings) -> Response:
    """Store nothing, and answer that profiles are not enabled."""
    del body
    return get_settings(caller)


ROUTES = (
    Route("GET", "/v2/entities/user/{entity_id:path}/profile/", get_profile),
    Route("POST", "/v2/profiles/jobs/", start_job),
    Route("GET", "/v2/profiles/jobs/{job_id}/", get_job),
    Route("GET", "/v2/profiles/settings/", get_settings),
    Route("POST", "/v2/profiles/settings/", refuse_settings),
)
