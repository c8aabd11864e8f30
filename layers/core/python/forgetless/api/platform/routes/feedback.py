"""Feedback on memories. The list of feedback is an addition of Forgetless."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.named_entities import check_may_list
from forgetless.api.platform.routes.memories import check_memory_id
from forgetless.api.platform.wire import FeedbackBody
from forgetless.api.routing import Route
from forgetless.service.projects.feedback import feedback_id

__all__ = ["ROUTES"]


def give_feedback(caller: CurrentCaller, body: FeedbackBody) -> Response:
    """Store feedback on a memory, in place of earlier feedback."""
    memory_id = check_memory_id(body.memory_id)
    caller.services.feedback.give(caller.tenant, memory_id, body.feedback, body.feedback_reason)
    answer = {"id": feedback_id(memory_id), "feedback": body.feedback, "feedback_reason": body.feedback_reason}
    return json_response(answer)


def list_feedback(caller: CurrentCaller, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """The newest feedback of the tenant (administrators), or of what a limited key may read."""
    check_may_list(caller, "feedback")
    found = caller.services.feedback.list(caller.tenant, limit=limit)
    items = [
        {"id": feedback_id(one.id), "memory_id": one.id, **one.body, "created_at": one.created_at} for one in found
    ]
    return json_response({"results": items})


ROUTES = (Route("POST", "/v1/feedback/", give_feedback, harmless=True), Route("GET", "/v1/feedback/", list_feedback))
