"""Drops from imported memories the messages of others: who deletes such a memory would erase them with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetless.domain.memory import Event, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.request_ledger import MessageStore

__all__ = ["with_own_sources"]

#: How many messages are read at once, without what they say.
_READ_AT_ONCE = 50


def with_own_sources(ledger: MessageStore, tenant: str, events: Sequence[Event]) -> list[Event]:
    """The events without sources and context of another scope than their own.

    A memory of ours is made from messages of its own scope alone. What names a message that the ledger does not have
    stays as it is: it may have expired before the export was made.
    """
    refs = sorted({ref for event in events for ref in (*event.memory.sources, *event.memory.context)})
    scopes: dict[MessageRef, Scope] = {}
    for start in range(0, len(refs), _READ_AT_ONCE):
        found = ledger.read_messages(tenant, refs[start : start + _READ_AT_ONCE], most_chars=0)
        scopes |= {ref: message.scope for ref, message in found.items()}
    return [_with_own(event, scopes) for event in events]


def _with_own(event: Event, scopes: dict[MessageRef, Scope]) -> Event:
    memory = event.memory
    sources, context = (
        tuple(ref for ref in refs if scopes.get(ref, memory.scope) == memory.scope)
        for refs in (memory.sources, memory.context)
    )
    if (sources, context) == (memory.sources, memory.context):
        return event
    return replace(event, memory=replace(memory, sources=sources, context=context))
