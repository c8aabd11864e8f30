"""The history of a memory as mem0 shows it, read in portions: it may have thousands of versions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence

from forgetless.domain.memory import Event, EventKind, MessageRef
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.read_portions import history_in_portions, memories_in_portions
from forgetless.service.requests import HistoryItem

__all__ = ["history_items"]


def history_items(
    ledger: RequestLedger, tenant: str, memory_id: str, *, from_version: int = 1
) -> Iterator[list[HistoryItem]]:
    """The events from a version on, oldest first, in portions of which each is read when it is asked for.

    A portion may be empty although more follow. There is none if the memory is unknown.
    """
    earlier: Event | None = None
    # Each event tells the text before it.
    for events in history_in_portions(ledger, tenant, memory_id, first=max(1, from_version - 1)):
        superseding = _superseding(ledger, tenant, events)
        before = [earlier, *events]
        items = [_item(event, last, superseding) for last, event in zip(before, events, strict=False)]
        yield [item for item in items if item.memory.version >= from_version]
        earlier = events[-1]


def _superseding(ledger: RequestLedger, tenant: str, events: Sequence[Event]) -> dict[str, tuple[MessageRef, ...]]:
    """By the id of a memory that supersedes one of these, the messages that it was made from."""
    successors = sorted({event.memory.superseded_by for event in events if event.memory.superseded_by})
    found = memories_in_portions(ledger, tenant, successors)
    return {id_: memory.sources for _, portion in found for id_, memory in portion.items()}


def _item(event: Event, earlier: Event | None, superseding: Mapping[str, tuple[MessageRef, ...]]) -> HistoryItem:
    memory = event.memory
    gone = event.kind is EventKind.DELETE
    return HistoryItem(
        id=str(uuid.uuid5(_namespace(memory.id), f"event-{memory.version}")),
        memory_id=memory.id,
        event=event.kind,
        old_memory=earlier.memory.text or None if earlier else None,
        new_memory=None if gone else memory.text,
        created_at=memory.created_at,
        updated_at=None if event.kind is EventKind.ADD else memory.updated_at,
        is_deleted=gone,
        actor_id=memory.actor_id,
        role=memory.role,
        memory=memory,
        superseding=superseding.get(memory.superseded_by or "", ()),
    )


def _namespace(memory_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(memory_id)
    except ValueError:  # an imported memory may have an id that is not a UUID
        return uuid.uuid5(uuid.NAMESPACE_OID, memory_id)
