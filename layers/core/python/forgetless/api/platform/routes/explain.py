"""Explanations, which only Forgetless has: why a search did not return a memory, and what a memory superseded."""

from __future__ import annotations

from dataclasses import asdict

from starlette.responses import Response

from forgetless.api.answer_size import results_object
from forgetless.api.caller import CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.platform.routes.memories import check_memory_id, memory_of
from forgetless.api.platform.routes.search import search_request
from forgetless.api.platform.serialize import memory_item, score_breakdown
from forgetless.api.platform.wire import ExplainBody
from forgetless.api.routing import Route
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.keys import Role
from forgetless.domain.usage import UsageKind

__all__ = ["ROUTES"]

_UNKNOWN = "Memory not found!"
#: So many superseded memories are shown, the nearest first.
_MOST_SUPERSEDED = 20


def explain(caller: CurrentCaller, body: ExplainBody) -> Response:
    """What became of a memory in a search: each step with what was compared, and the first one that it did not pass."""
    check_memory_id(body.memory_id)
    for name in ("as_of", "known_at"):
        if getattr(body, name) is not None:
            raise InvalidRequestError(f"{name} is not explained: a search of the present is followed; leave it out")
    request = search_request(caller, body, top_level=True)
    try:
        found = caller.services.explain.explain(request, body.memory_id)
    except NotFoundError:
        raise NotFoundError(_UNKNOWN) from None
    details = found.details
    return json_response(
        {
            "memory_id": found.memory_id,
            "found": found.fell_at is None,
            "fell_at": found.fell_at,
            "steps": [asdict(step) for step in found.steps],
            "score": None if details is None else details.final_score,
            "score_breakdown": None if details is None else score_breakdown(details),
        }
    )


def superseded(caller: CurrentCaller, memory_id: str) -> Response:
    """The memories that this one superseded, directly or through others, the nearest first; at most 20."""
    memory_of(caller, memory_id)
    found = caller.services.reads.superseded(caller.tenant, memory_id, limit=_MOST_SUPERSEDED)
    return results_object([memory_item(memory) for memory in found])


ROUTES = (
    Route("POST", "/v1/memories/explain/", explain, needs=Role.READ, counts=UsageKind.SEARCHES),
    Route("GET", "/v1/memories/{memory_id:path}/superseded/", superseded),
)
