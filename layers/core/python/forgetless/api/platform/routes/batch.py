"""Batches: up to 1,000 changes or deletions in one request. All are checked before the first is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import check_metadata
from forgetless.api.json_response import json_response
from forgetless.api.memory_requests import IfMatch, check_no_if_match, check_something_changes
from forgetless.api.platform.routes.memories import check_memory_id
from forgetless.api.platform.wire import BatchDelete, BatchUpdate, most_of_batch
from forgetless.api.routing import Route
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.limits import ADD_BYTES
from forgetless.service.requests import UpdateRequest

__all__ = ["ROUTES"]


def update_batch(caller: CurrentCaller, body: BatchUpdate, if_match: IfMatch = None) -> Response:
    """Change text or metadata of several memories."""
    check_no_if_match(if_match)
    _check_size(_check(caller, [item.memory_id for item in body.memories], "updated"))
    requests = []
    for place, item in enumerate(body.memories):
        if item.text is not None and not item.text.strip():
            raise InvalidRequestError(f"memories[{place}].text must not be empty.")
        metadata = None if item.metadata is None else check_metadata(item.metadata, merges=True)
        request = UpdateRequest(
            caller.tenant, item.memory_id, text=item.text, metadata=metadata, source_key=caller.source_key
        )
        requests.append(check_something_changes(request, f"memories[{place}]: give text or metadata."))
    updated = len({request.memory_id for request in requests})  # a memory may be named more than once
    with caller.counting_updates(updated):
        caller.services.changes.update_many(requests, request_name=caller.idempotency_name)
    return json_response({"message": f"Successfully updated {updated} memories"})


def delete_batch(caller: CurrentCaller, body: BatchDelete, if_match: IfMatch = None) -> Response:
    """Delete several memories permanently."""
    check_no_if_match(if_match)
    ids = [item.memory_id for item in body.memories]
    _check(caller, ids, "deleted")
    deleted = caller.services.changes.delete_many(caller.tenant, ids)
    return json_response({"message": f"Successfully deleted {deleted} memories"})


def _check(caller: Caller, ids: Sequence[str], done: str) -> Mapping[str, int]:
    """How many bytes the texts of the memories have, by id; raises NotFoundError if one is missing."""
    most_of_batch(done)(len(ids), caller.limits)
    for memory_id in ids:
        check_memory_id(memory_id)
    known = caller.services.reads.text_bytes(caller.tenant, ids)
    missing = [memory_id for memory_id in ids if memory_id not in known]
    if missing:
        raise NotFoundError(f"Memory not found: {missing[0]}. Nothing was {done}.")
    return known


def _check_size(text_bytes: Mapping[str, int]) -> None:
    """Raise InvalidRequestError if these texts, which all changes store again, are larger than an add may be."""
    size = sum(text_bytes.values())
    if size > ADD_BYTES:
        raise InvalidRequestError(
            f"memories: a change stores the whole memory again, and the texts of these have {size} bytes together; at "
            f"most {ADD_BYTES} are allowed: change fewer at once. Nothing was updated."
        )


ROUTES = (Route("PUT", "/v1/batch/", update_batch), Route("DELETE", "/v1/batch/", delete_batch))
