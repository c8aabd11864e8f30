"""Add, read, change and delete memories (the contract's endpoints 1 to 3 and 5 to 9)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from forgetless.api.answer_size import fitting_items, share, whole_or_shortened
from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import (
    ENTITY_IDS,
    Cursor,
    check_all_named,
    check_identifiers,
    check_moment,
    check_trailing_slash,
)
from forgetless.api.history_answer import FromVersion, history_answer
from forgetless.api.json_response import json_response
from forgetless.api.memory_requests import (
    IfMatch,
    add_request,
    check_something_changes,
    etag,
    expected_versions,
    ids_of,
    update_request,
)
from forgetless.api.routing import Route
from forgetless.api.selfhosted.serialize import add_answer, get_item, history_item, list_item, raw_item
from forgetless.api.selfhosted.wire import MemoryCreate, MemoryUpdate
from forgetless.domain.errors import ForbiddenError, InvalidRequestError
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.keys import Role
from forgetless.domain.limits import MAX_TOP_K
from forgetless.domain.memory_fields import Dialect
from forgetless.domain.scope import Scope
from forgetless.domain.usage import UsageKind
from forgetless.service.requests import AddRequest, PageRequest, UpdateRequest
from forgetless.service.writing.change import NOTHING_TO_CHANGE

__all__ = ["ROUTES"]

_SCOPED_LIMIT = 20
_UNSCOPED_LIMIT = MAX_TOP_K
_PROCEDURAL = "procedural_memory"


def add_memories(caller: CurrentCaller, body: MemoryCreate) -> Response:
    """Store the facts in these messages, or with `infer: false` the messages themselves."""
    request = _add_request(caller, body)
    caller.check_add(request)
    return json_response(add_answer(caller.services.add.add(request)))


def list_memories(
    caller: CurrentCaller,
    *,
    user_id: str | None = None,
    agent_id: str | None = None,
    run_id: str | None = None,
    top_k: Annotated[int | None, Query(ge=0, le=MAX_TOP_K)] = None,
    show_expired: bool = False,
    as_of: str | None = None,
    known_at: str | None = None,
    cursor: Cursor = None,
) -> Response:
    """The newest memories of a scope; without an id, those of the whole tenant (only for administrators).

    If more follow, `next_cursor` continues the list.
    """
    ids = check_all_named(user_id=user_id, agent_id=agent_id, run_id=run_id)
    if not ids and not caller.admin:
        raise ForbiddenError("Admin role required to list all memories.")
    default = _SCOPED_LIMIT if ids else _UNSCOPED_LIMIT
    limit = default if top_k is None else top_k
    moment = check_moment(as_of, known_at)
    item = list_item if ids else raw_item
    request = PageRequest(
        tenant=caller.tenant,
        where=all_ids(ids),
        size=limit,
        number=None,
        cursor=cursor,
        show_expired=show_expired,
        counted=False,
        weigh=lambda memory: share(item(memory)),
    )
    found = caller.services.at(moment).page(request)
    answer: dict[str, Any] = {"results": fitting_items([item(memory) for memory in found.items])}
    return json_response(answer | ({"next_cursor": found.cursor} if found.cursor is not None else {}))


def get_memory(
    caller: CurrentCaller, memory_id: str, as_of: str | None = None, known_at: str | None = None
) -> Response:
    """One memory; `null` if it does not exist, or did not exist at the requested moment."""
    memory = caller.services.at(check_moment(as_of, known_at)).get(caller.tenant, memory_id)
    if memory is None:
        check_trailing_slash(memory_id)
        return json_response(None)
    return json_response(whole_or_shortened(get_item(memory)), headers=etag(memory))


def update_memory(caller: CurrentCaller, memory_id: str, body: MemoryUpdate, if_match: IfMatch = None) -> Response:
    """Change the text, merge metadata, or set or (with null) clear the expiration date. If-Match demands a version."""
    request = _update_request(caller, memory_id, body, expected_versions(if_match))
    with caller.counting_updates():
        memory = caller.services.changes.update(request, request_name=caller.idempotency_name)
    answer = {"message": "Memory updated successfully!", "version": memory.version}
    return json_response(answer, headers=etag(memory))


def delete_memory(caller: CurrentCaller, memory_id: str, if_match: IfMatch = None) -> Response:
    """Delete one memory permanently. If-Match demands a version."""
    caller.services.changes.delete(
        caller.tenant,
        memory_id,
        expected_versions=expected_versions(if_match),
        request_name=caller.idempotency_name,
    )
    return json_response({"message": "Memory deleted successfully"})


def delete_memories(
    caller: CurrentCaller, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
) -> Response:
    """Delete everything of a scope permanently."""
    if not (user_id or agent_id or run_id):
        raise InvalidRequestError("At least one identifier is required.")
    ids = check_all_named(user_id=user_id, agent_id=agent_id, run_id=run_id)
    erased = caller.services.changes.delete_scope(caller.tenant, ids)
    return json_response({"message": "All relevant memories deleted", "event_id": erased.event_id})


def memory_history(caller: CurrentCaller, memory_id: str, from_version: FromVersion = 1) -> Response:
    """The events of one memory, oldest first. A long history continues at the version in X-Next-Version."""
    reads, tenant = caller.services.reads, caller.tenant
    portions = reads.history(tenant, memory_id, from_version=from_version)
    return history_answer(portions, history_item, newest=partial(reads.newest, tenant, memory_id))


def reset(caller: CurrentCaller) -> Response:
    """Delete everything of the key's tenant permanently."""
    erased = caller.services.changes.reset(caller.tenant)
    return json_response({"message": "All memories reset", "event_id": erased.event_id})


def _add_request(caller: Caller, body: MemoryCreate) -> AddRequest:
    ids = ids_of(body, ENTITY_IDS)
    if not any(ids.values()):
        raise InvalidRequestError("At least one identifier (user_id, agent_id, run_id) is required.")
    ids = check_identifiers(**ids)
    if body.memory_type not in {None, _PROCEDURAL}:
        raise InvalidRequestError(f"Invalid memory_type: only '{_PROCEDURAL}' is supported.")
    scope = Scope(caller.tenant, **ids)
    # mem0's own server reads no names.
    messages = (replace(message, name=None) for message in body.messages)
    return replace(
        add_request(Dialect.SELFHOSTED, body, scope, messages, infer=body.infer, source_key=caller.source_key),
        memory_type=body.memory_type,
        prompt=body.prompt,
        idempotency_key=caller.idempotency_name,
    )


def _update_request(
    caller: Caller, memory_id: str, body: MemoryUpdate, versions: frozenset[int] | None
) -> UpdateRequest:
    clear = "expiration_date" in body.model_fields_set and body.expiration_date is None
    request = update_request(
        caller.tenant,
        memory_id,
        text=body.text,
        metadata=body.metadata,
        expiration_date=body.expiration_date,
        clear_expiration=clear,
        source_key=caller.source_key,
        versions=versions,
    )
    return check_something_changes(request, NOTHING_TO_CHANGE)


ROUTES = (
    Route("POST", "/memories", add_memories, counts=UsageKind.ADDS),
    Route("GET", "/memories", list_memories),
    Route("DELETE", "/memories", delete_memories, needs=Role.ADMIN),
    # It comes before the path of a memory, whose id takes the rest of the path.
    Route("GET", "/memories/{memory_id:id}/history", memory_history),
    Route("GET", "/memories/{memory_id:id}", get_memory),
    Route("PUT", "/memories/{memory_id:id}", update_memory),
    Route("DELETE", "/memories/{memory_id:id}", delete_memory),
    Route("POST", "/reset", reset, needs=Role.ADMIN),
)
