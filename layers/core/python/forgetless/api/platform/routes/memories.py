"""One memory by its id: read, change, delete and history; and the deletion of a whole scope."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from starlette.responses import Response

from forgetless.api.answer_size import whole_or_shortened
from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import check_filters, check_moment
from forgetless.api.history_answer import FromVersion, history_answer
from forgetless.api.json_response import json_response
from forgetless.api.memory_requests import (
    IfMatch,
    check_something_changes,
    etag,
    expected_versions,
    update_request,
)
from forgetless.api.named_entities import note_entities
from forgetless.api.platform.query_objects import read_object
from forgetless.api.platform.scope_filter import named_ids
from forgetless.api.platform.search_wire import Ids
from forgetless.api.platform.serialize import erased_item, history_item, memory_item
from forgetless.api.platform.wire import UpdateBody
from forgetless.api.routing import Route
from forgetless.api.size_limits import check_filter_size
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.parse_platform import parse_moment, parse_platform_filter
from forgetless.domain.filters.scope_ids import limits_a_deletion
from forgetless.domain.keys import Role
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.scope import SCOPE_IDS
from forgetless.ports.named_ids import note_id
from forgetless.service.requests import UpdateRequest
from forgetless.service.writing.erase_memories import FilteredDelete

__all__ = ["ROUTES", "check_memory_id", "memory_of"]

_UNKNOWN = "Memory not found!"
_NOTHING_TO_CHANGE = "At least one of text, metadata, timestamp, or expiration_date must be provided."


def get_memory(
    caller: CurrentCaller, memory_id: str, as_of: str | None = None, known_at: str | None = None
) -> Response:
    """One memory, even if it is expired or superseded."""
    moment = check_moment(as_of, known_at)
    memory = memory_of(caller, memory_id, moment)
    return json_response(whole_or_shortened(memory_item(memory)), headers=etag(memory))


def update_memory(caller: CurrentCaller, memory_id: str, body: UpdateBody, if_match: IfMatch = None) -> Response:
    """Change the text, merge metadata, change the time, or set or (with null) clear the expiration date."""
    memory_of(caller, memory_id)
    request = _update(caller, memory_id, body, expected_versions(if_match))
    with caller.counting_updates():
        memory = caller.services.changes.update(request, request_name=caller.idempotency_name)
    return json_response(whole_or_shortened(memory_item(memory)), headers=etag(memory))


def restore_memory(caller: CurrentCaller, memory_id: str, if_match: IfMatch = None) -> Response:
    """Bring a superseded memory back. The memory that superseded it stays as it is."""
    check_memory_id(memory_id)
    try:
        with caller.restoring():
            memory = caller.services.restores.restore(
                caller.tenant,
                memory_id,
                expected_versions=expected_versions(if_match),
                request_name=caller.idempotency_name,
            )
    except NotFoundError:
        raise NotFoundError(_UNKNOWN) from None
    return json_response(whole_or_shortened(memory_item(memory)), headers=etag(memory))


def delete_memory(
    caller: CurrentCaller, memory_id: str, delete_linked: bool = False, if_match: IfMatch = None
) -> Response:
    """Delete one memory permanently; with `delete_linked`, also the memories that it superseded."""
    check_memory_id(memory_id)
    changes, versions = caller.services.changes, expected_versions(if_match)
    answer: dict[str, Any] = {"message": "Memory deleted successfully!"}
    try:
        if delete_linked:
            answer["cascade_count"] = changes.delete_linked(
                caller.tenant, memory_id, most=caller.limits.batch, expected_versions=versions
            )
        else:
            name = caller.idempotency_name
            changes.delete(caller.tenant, memory_id, expected_versions=versions, request_name=name)
    except NotFoundError:
        raise NotFoundError(_UNKNOWN) from None
    return json_response(answer)


def memory_history(caller: CurrentCaller, memory_id: str, from_version: FromVersion = 1) -> Response:
    """The events of one memory, oldest first. A long history continues at the version in X-Next-Version."""
    check_memory_id(memory_id)
    reads = caller.services.reads
    newest = reads.newest(caller.tenant, memory_id)
    if newest is None:
        raise NotFoundError(_UNKNOWN)
    portions = reads.history(caller.tenant, memory_id, from_version=min(from_version, newest.version + 1))
    first = next(portions, None)
    if first is None:  # it waits to be removed
        raise NotFoundError(_UNKNOWN)
    said = reads.said(caller.tenant, [newest]).get(memory_id, [])
    return history_answer(chain([first], portions), lambda item: history_item(item, said), newest=lambda: newest)


def delete_memories(
    caller: CurrentCaller,
    *,
    user_id: str | None = None,
    agent_id: str | None = None,
    app_id: str | None = None,
    run_id: str | None = None,
    metadata: str | None = None,
    filters: str | None = None,
) -> Response:
    """Delete everything of a scope; `*` stands for any value. It is gone for everybody when the answer is sent.

    A delete by filter that is too large for one request goes on after the answer, until the event SUCCEEDED.
    """
    ids = named_ids(Ids(user_id=user_id, agent_id=agent_id, app_id=app_id, run_id=run_id))
    conditions = read_object("filters", filters) or {}
    if given := read_object("metadata", metadata):
        beside = {"metadata": given}
        conditions = {"AND": [conditions, beside]} if "metadata" in conditions else {**conditions, **beside}
    check_filter_size({"filters": conditions}, caller.limits)
    check_filters(conditions)
    where = parse_platform_filter(conditions)
    note_entities(where)
    if not ids and not limits_a_deletion(where):
        raise InvalidRequestError(
            "At least one of user_id, agent_id, app_id, run_id is required, and with OR one in each branch; to delete "
            "from everybody's memories, give user_id=*."
        )
    return json_response({"message": "Memories deleted successfully!", **_delete(caller, ids, conditions)})


def _delete(caller: Caller, ids: dict[str, str], conditions: Mapping[str, Any]) -> dict[str, Any]:
    changes, tenant = caller.services.changes, caller.tenant
    named = {name: value for name, value in ids.items() if value != "*"}
    any_value = [name for name in ids if name not in named]
    if conditions:
        return erased_item(changes.delete_matching(FilteredDelete(tenant, named, tuple(any_value), conditions)))
    if any_value == list(SCOPE_IDS):
        return erased_item(changes.reset(tenant))
    if any_value:
        return erased_item(changes.delete_kinds(tenant, any_value, named))
    return erased_item(changes.delete_scope(tenant, named))


def memory_of(caller: Caller, memory_id: str, moment: Moment | None = None) -> Memory:
    """The memory; raises InvalidRequestError for an invalid id, and NotFoundError if there is none at the moment."""
    memory = caller.services.at(moment).get(caller.tenant, check_memory_id(memory_id))
    if memory is None:
        raise NotFoundError(_UNKNOWN)
    return memory


def check_memory_id(memory_id: str) -> str:
    """The id, noted for the audit list; raises InvalidRequestError if it is not a UUID."""
    try:
        if str(uuid.UUID(memory_id)) == memory_id.lower():
            return note_id("memory_id", memory_id)
    except ValueError:
        pass
    raise InvalidRequestError("memory_id should be a valid UUID")


def _update(caller: Caller, memory_id: str, body: UpdateBody, versions: frozenset[int] | None) -> UpdateRequest:
    clear = "expiration_date" in body.model_fields_set and body.expiration_date is None
    change = update_request(
        caller.tenant,
        memory_id,
        text=body.text,
        metadata=body.metadata,
        expiration_date=body.expiration_date,
        clear_expiration=clear,
        source_key=caller.source_key,
        versions=versions,
    )
    if body.timestamp is not None:
        change = replace(change, timestamp=parse_moment("timestamp", body.timestamp))
    return check_something_changes(change, _NOTHING_TO_CHANGE)


ROUTES = (
    Route("DELETE", "/v1/memories/", delete_memories, needs=Role.ADMIN),
    Route("GET", "/v1/memories/{memory_id:path}/history/", memory_history),
    Route("POST", "/v1/memories/{memory_id:path}/restore/", restore_memory),
    Route("GET", "/v1/memories/{memory_id:path}/", get_memory),
    Route("PUT", "/v1/memories/{memory_id:path}/", update_memory),
    Route("DELETE", "/v1/memories/{memory_id:path}/", delete_memory),
)
