"""How an add that went on in the background stands (the platform's path, with its slash)."""

from __future__ import annotations

from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.presenting import event_item
from forgetless.api.render import json_response
from forgetless.api.routing import Route

__all__ = ["ROUTES"]

_UNKNOWN = "Event not found or you don't have permission to access it."


def get_event(caller: CurrentCaller, event_id: str) -> Response:
    """The job behind an `event_id`: its status, and its results once it has succeeded."""
    reads = caller.services.reads
    job = reads.job(caller.tenant, event_id)
    if job is None:
        return json_response({"error": _UNKNOWN}, status=404)
    found = [reads.get(caller.tenant, result["id"]) for result in job.results]
    return json_response(event_item(job, {memory.id: memory.text for memory in found if memory is not None}))


ROUTES = (Route("GET", "/v1/event/{event_id}/", get_event),)
