"""What the MCP tools do: each calls a use case with its arguments. They raise the same errors as the REST routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forgetless.api.caller import Caller
from forgetless.api.field_checks import check_all_named, check_filters, check_identifiers, check_moment
from forgetless.api.mcp import serialize
from forgetless.api.mcp import wire as given
from forgetless.api.memory_requests import add_request, update_request
from forgetless.api.named_entities import check_reader, note_entities
from forgetless.domain.errors import InvalidRequestError, NotFoundError
from forgetless.domain.filters.ast import EVERYTHING, And, Filter
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.scope_ids import all_ids, names_another, pinned_ids, pins_an_entity
from forgetless.domain.identifiers import named_identifier
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.domain.memory_fields import Dialect
from forgetless.domain.scope import Scope
from forgetless.ports.answer_notes import current_answer_notes
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

_NO_SCOPE = "Name whose memories: at least one of user_id, agent_id, app_id, run_id, and with OR one in each branch."


@dataclass(frozen=True, slots=True)
class Connection:
    """The caller, and the ids in the address of the connection, for what its calls leave out.

    They are no protection: whatever the ids of a call are in the end, what the key may reach is judged by the use case.
    """

    caller: Caller
    address_ids: dict[str, str]

    def new_ids(self, scope: given.ScopeIds) -> dict[str, str]:
        """The ids under which a call stores something; raises InvalidRequestError without any."""
        ids = check_identifiers(**{**self.address_ids, **scope.ids()})
        if not ids:
            raise InvalidRequestError(_NO_SCOPE)
        return ids

    def named_ids(self, scope: given.ScopeIds) -> dict[str, str]:
        """The ids of what a call erases: at least one must be named, because the address never says what to erase."""
        if not scope.ids():
            raise InvalidRequestError(_NO_SCOPE)
        return check_all_named(**{**self.address_ids, **scope.ids()})

    def where(self, scope: given.ScopeIds, filters: dict[str, Any] | None) -> Filter:
        """The filter of what a call reads.

        The address's id of a user does not count if `filters` names another user, and so for agents, apps and runs.
        Raises InvalidRequestError if nobody is named, or if the filter leaves the address by an OR with a branch that
        names nobody: what that branch matches would be everybody's.
        """
        check_filters(filters or {})
        wanted = parse_filter(filters) if filters else EVERYTHING
        in_address = {name: named_identifier(name, id_) for name, id_ in self.address_ids.items()}
        left = {name: id_ for name, id_ in in_address.items() if not names_another(wanted, name, id_)}
        where = And((all_ids({**left, **check_all_named(**scope.ids())}), wanted))
        if not note_entities(where) or (self.address_ids and not pins_an_entity(where)):
            raise InvalidRequestError(_NO_SCOPE)
        check_reader(self.caller, where)
        return where


def add_memory(connection: Connection, asked: given.AddMemory) -> serialize.Added:
    """Store a statement or a conversation; the conversation, if both are given, as mem0's own server does."""
    if asked.text is None and asked.messages is None:
        raise InvalidRequestError("Give text or messages: say what to remember.")
    messages = asked.messages or [IncomingMessage("user", asked.text or "")]
    if not any(message.content.strip() for message in messages):
        raise InvalidRequestError("text and messages must not be empty: say what to remember.")
    caller = connection.caller
    scope = Scope(caller.tenant, **connection.new_ids(asked))
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
        ignored=["text"] if asked.messages and asked.text is not None else None,
    )


def search_memories(connection: Connection, asked: given.SearchMemories) -> serialize.SomeMemories:
    """The memories that match a query, best first."""
    caller = connection.caller
    where = connection.where(asked, asked.filters)
    request = SearchRequest(
        tenant=caller.tenant,
        query=asked.query,
        where=where,
        ids=pinned_ids(where),
        top_k=asked.limit,
        threshold=asked.threshold,
        explain=asked.explain,
    )
    found = caller.services.at(check_moment(asked.as_of, asked.known_at)).search(request)
    shown = serialize.shown_memories([serialize.shown_hit(hit) for hit in found])
    notes = current_answer_notes()
    ranked_by = "words" if notes.ranked_by_words else None
    return shown.model_copy(update={"ranked_by": ranked_by, "truncated": shown.truncated or notes.ended_early or None})


def get_memories(connection: Connection, asked: given.GetMemories) -> serialize.SomeMemories:
    """The newest memories of a scope, by pages."""
    caller = connection.caller
    request = PageRequest(
        tenant=caller.tenant,
        where=connection.where(asked, asked.filters),
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
    caller = connection.caller
    request = update_request(
        caller.tenant,
        asked.memory_id,
        text=asked.text,
        metadata=asked.metadata,
        expiration_date=asked.expiration_date,
        source_key=caller.source_key,
        versions=None if asked.version is None else frozenset({asked.version}),
    )
    with caller.counting_updates():
        memory = caller.services.changes.update(request)
    return serialize.OneMemory(memory=serialize.shown_memory(memory))


def restore_memory(connection: Connection, asked: given.MemoryId) -> serialize.OneMemory:
    """Bring a superseded memory back."""
    caller = connection.caller
    with caller.restoring():
        memory = caller.services.restores.restore(caller.tenant, asked.memory_id)
    return serialize.OneMemory(memory=serialize.shown_memory(memory))


def delete_memory(connection: Connection, asked: given.MemoryId) -> serialize.Deleted:
    """Delete one memory permanently."""
    connection.caller.services.changes.delete(connection.caller.tenant, asked.memory_id)
    return serialize.Deleted(message="Memory deleted successfully.", deleted=1)


def delete_all_memories(connection: Connection, asked: given.DeletedScope) -> serialize.Deleted:
    """Delete every memory whose scope has all the ids, those that the call leaves out and the address has included."""
    ids = connection.named_ids(asked)
    erased = connection.caller.services.changes.delete_scope(connection.caller.tenant, ids)
    return serialize.Deleted(message="All relevant memories deleted.", deleted=erased.deleted, event_id=erased.event_id)


def delete_entities(connection: Connection, asked: given.DeletedEntity) -> serialize.Deleted:
    """Delete one user, agent, app or run with all its memories; so the ids in the address narrow nothing."""
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
