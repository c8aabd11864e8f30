"""What the MCP tools do: each calls a use case with its arguments. They raise the same errors as the REST routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forgetless.api.caller import Caller
from forgetless.api.field_checks import check_all_named, check_filters, check_identifiers, check_moment
from forgetless.api.mcp import serialize
from forgetless.api.mcp import wire as given
from forgetless.api.memory_requests import add_request, update_request
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.domain.memory_fields import Dialect
from forgetless.domain.scope import Scope
from forgetless.service.requests import IncomingMessage, PageRequest, SearchRequest

__all__ = [
    "Connection",
    "add_memory",
    "delete_all_memories",
    "delete_entities",
    "delete_memory",
    "get_memories",
    "get_memory",
    "list_entities",
    "restore_memory",
    "search_memories",
    "update_memory",
]

_NO_SCOPE = "Name whose memories: at least one of user_id, agent_id, app_id, run_id."


@dataclass(frozen=True, slots=True)
class Connection:
    """The caller, and the ids in the address of the connection, for calls that name none."""

    caller: Caller
    default_ids: dict[str, str]

    def ids(self, scope: given.ScopeIds, *, new: bool = False) -> dict[str, str]:
        """The ids of a call, checked; `new` if something is stored under them. Without any: InvalidRequestError."""
        check = check_identifiers if new else check_all_named
        ids = check(**scope.ids()) or check(**self.default_ids)
        if not ids:
            raise InvalidRequestError(_NO_SCOPE)
        return ids


def add_memory(connection: Connection, asked: given.AddMemory) -> serialize.Added:
    """Store a statement or a conversation."""
    if (asked.text is None) == (asked.messages is None):
        raise InvalidRequestError("Give either text or messages.")
    said = [given.Message(role="user", content=asked.text)] if asked.text is not None else asked.messages or []
    if not any(message.content.strip() for message in said):
        raise InvalidRequestError("text and messages must not be empty: say what to remember.")
    caller = connection.caller
    scope = Scope(caller.tenant, **connection.ids(asked, new=True))
    messages = (IncomingMessage(message.role, message.content) for message in said)
    request = add_request(Dialect.MCP, asked, scope, messages, infer=asked.infer, source_key=caller.source_key)
    caller.check_add(request)
    outcome = caller.services.add.add(request)
    return serialize.Added(
        results=serialize.shown_added(
            [
                serialize.AddedMemory(id=one.id, memory=one.memory, version=one.version, event=one.event)
                for one in outcome.results
            ]
        ),
        event_id=outcome.job.id,
        indexed=outcome.indexed,
        extraction=outcome.extraction,
    )


def search_memories(connection: Connection, asked: given.SearchMemories) -> serialize.SomeMemories:
    """The memories that match a query, best first."""
    ids = connection.ids(asked)
    caller = connection.caller
    request = SearchRequest(
        tenant=caller.tenant,
        query=asked.query,
        where=_where(ids, asked.filters),
        ids=ids,
        top_k=asked.limit,
        threshold=asked.threshold,
    )
    found = caller.services.at(check_moment(asked.as_of, asked.known_at)).search(request)
    return serialize.shown_memories([serialize.shown_memory(hit.memory, hit.score) for hit in found])


def get_memories(connection: Connection, asked: given.GetMemories) -> serialize.SomeMemories:
    """The newest memories of a scope, by pages."""
    ids = connection.ids(asked)
    caller = connection.caller
    request = PageRequest(
        tenant=caller.tenant,
        where=_where(ids, asked.filters),
        size=asked.page_size,
        number=asked.page if asked.cursor is None else None,
        cursor=asked.cursor,
        asker=caller.asker,
        counted=False,
        weigh=lambda memory: serialize.answer_bytes(serialize.shown_memory(memory)) / ANSWER_BYTES,
    )
    found = caller.services.at(check_moment(asked.as_of, asked.known_at)).page(request)
    return serialize.shown_memories([serialize.shown_memory(memory) for memory in found.items], found.cursor)


def get_memory(connection: Connection, asked: given.GetMemory) -> serialize.OneMemory:
    """One memory by its id."""
    caller = connection.caller
    moment = check_moment(asked.as_of, asked.known_at)
    memory = caller.services.at(moment).get(caller.tenant, asked.memory_id)
    if memory is None:
        then = "" if moment is None else " at that moment"
        raise NotFoundError(f"Memory with id {asked.memory_id} not found{then}.")
    return serialize.OneMemory(memory=serialize.shown_memory(memory))


def update_memory(connection: Connection, asked: given.UpdateMemory) -> serialize.OneMemory:
    """Change one memory."""
    memory = connection.caller.services.changes.update(
        update_request(
            connection.caller.tenant,
            asked.memory_id,
            text=asked.text,
            metadata=asked.metadata,
            expiration_date=asked.expiration_date,
            source_key=connection.caller.source_key,
            versions=None if asked.version is None else frozenset({asked.version}),
        )
    )
    return serialize.OneMemory(memory=serialize.shown_memory(memory))


def restore_memory(connection: Connection, asked: given.MemoryId) -> serialize.OneMemory:
    """Bring a superseded memory back."""
    memory = connection.caller.services.restores.restore(connection.caller.tenant, asked.memory_id)
    return serialize.OneMemory(memory=serialize.shown_memory(memory))


def delete_memory(connection: Connection, asked: given.MemoryId) -> serialize.Deleted:
    """Delete one memory permanently."""
    connection.caller.services.changes.delete(connection.caller.tenant, asked.memory_id)
    return serialize.Deleted(message="Memory deleted successfully.", deleted=1)


def delete_all_memories(connection: Connection, asked: given.ScopeIds) -> serialize.Deleted:
    """Delete every memory whose scope has all the ids."""
    ids = check_all_named(**asked.ids())
    if not ids:
        # The ids in the address do not count here: a call must name what it deletes.
        raise InvalidRequestError(_NO_SCOPE)
    erased = connection.caller.services.changes.delete_scope(connection.caller.tenant, ids)
    return serialize.Deleted(message="All relevant memories deleted.", deleted=erased.deleted, event_id=erased.event_id)


def delete_entities(connection: Connection, asked: given.ScopeIds) -> serialize.Deleted:
    """Delete one user, agent, app or run with all its memories."""
    ids = check_all_named(**asked.ids())
    if len(ids) != 1:
        raise InvalidRequestError("Name exactly one of user_id, agent_id, app_id, run_id.")
    erased = connection.caller.services.changes.delete_scope(connection.caller.tenant, ids)
    return serialize.Deleted(message="Entity deleted.", deleted=erased.deleted, event_id=erased.event_id)


def list_entities(connection: Connection, asked: given.ListEntities) -> serialize.Entities:
    """List the users, agents, apps and runs that have memories."""
    caller = connection.caller
    found = caller.services.reads.entities(caller.tenant, size=asked.limit, number=None, cursor=asked.cursor)
    return serialize.shown_entities(found.items, found.cursor)


def _where(ids: dict[str, str], filters: dict[str, Any] | None) -> Filter:
    scope = all_ids(ids)
    if not filters:
        return scope
    check_filters(filters)
    return And((scope, parse_filter(filters)))
