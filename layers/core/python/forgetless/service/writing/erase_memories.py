"""MemoryEraser: deletes memories for good, many at once, with their raw messages, feedback and index rows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from forgetless.domain.erasures import Erasure
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.requests import ErasedScope
from forgetless.service.webhooks.outbox import WebhookOutbox
from forgetless.service.writing.indexer import Change, Indexer

__all__ = ["FilteredDelete", "MatchEraser", "MemoryEraser", "ScopeEraser", "request_event_id"]

#: The namespace of event ids that are derived from a request's name.
_REQUESTS = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000002")


def request_event_id(request_name: str, memory_id: str) -> str:
    """The id of the event with which a request changes a memory; it is the same each time the request is repeated."""
    return str(uuid.uuid5(_REQUESTS, f"{request_name}\x00{memory_id}"))


class ScopeEraser(Protocol):
    """Removes what an erasure covers, after its marker was written (service/jobs/erase.py)."""

    def begin(self, erasure: Erasure) -> ErasedScope:
        """Remove as much as a request has time for, and leave the rest to a bulk job."""


@dataclass(frozen=True, slots=True)
class FilteredDelete:
    """A delete of all memories that have these ids, any value for each of `names`, and match these conditions."""

    tenant: str
    ids: Mapping[str, str]
    names: tuple[str, ...]
    #: In the Platform's language, and valid: a job keeps them until it ends.
    filters: Mapping[str, Any]


class MatchEraser(Protocol):
    """Deletes what matches a filter (service/jobs/delete_matching.py)."""

    def begin(self, asked: FilteredDelete) -> ErasedScope:
        """Delete as much as a request has time for, and leave the rest to a bulk job."""


class MemoryEraser:
    """Deletes memories that the caller has read."""

    def __init__(self, *, ledger: RequestLedger, indexer: Indexer, clock: Clock, outbox: WebhookOutbox) -> None:
        self._ledger = ledger
        self._indexer = indexer
        self._clock = clock
        self._outbox = outbox

    def erase(self, memories: Sequence[Memory], *, request_name: str, announced: bool = True) -> None:
        """Delete these memories, all or none; raises VersionConflictError when one has changed since it was read.

        Unless `announced`, no webhook is told, because the caller records one delivery for more than these.
        """
        now = self._clock.now()
        refs = [ref for memory in memories for ref in memory.sources]
        tombstones = [memory.tombstone(now, event_id=request_event_id(request_name, memory.id)) for memory in memories]
        events = [Event(EventKind.DELETE, tombstone) for tombstone in tombstones]
        if announced:
            self._outbox.record(events)
        self._ledger.append(events, erasing=refs)
        changes = [Change(before, after) for before, after in zip(memories, tombstones, strict=True)]
        self._indexer.write([], changes=changes)
