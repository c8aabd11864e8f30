"""Reads: get, list, history, entities and jobs; all from the ledger, so that they see every write."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from forgetless.domain.filter_evaluation import evaluate
from forgetless.domain.filters import EVERYTHING, And, Filter
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Entity, Ledger
from forgetless.service.requests import HistoryItem
from forgetless.service.searching import unexpired

__all__ = ["ReadService"]

#: Memories read at once while a filter looks for enough of them.
_PAGE = 500


class ReadService:
    """What is there, without a query."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The memory, superseded or expired too; None when unknown or deleted."""
        memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
        return None if memory is None or memory.deleted else memory

    def list(
        self,
        tenant: str,
        ids: Mapping[str, str],
        *,
        limit: int,
        show_expired: bool = False,
        where: Filter = EVERYTHING,
    ) -> list[Memory]:
        """The newest `limit` live memories that have all `ids` and match `where`."""
        wanted = where if show_expired else And((where, unexpired(self._clock.now())))
        found: list[Memory] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self._ledger.list_memories(tenant, ids, limit=min(_PAGE, limit), cursor=cursor)
            found += [memory for memory in page.items if evaluate(wanted, memory)]
            cursor = page.cursor
            if cursor is None:
                break
        return found[:limit]

    def history(self, tenant: str, memory_id: str) -> Sequence[HistoryItem]:
        """Every event of the memory, oldest first; empty when unknown."""
        events = self._ledger.history(tenant, memory_id)
        return [_item(event, events[:place]) for place, event in enumerate(events)]

    def entities(self, tenant: str) -> Sequence[Entity]:
        """Users, agents, apps and runs with the number of their memories."""
        return self._ledger.entities(tenant)

    def job(self, tenant: str, job_id: str) -> Job | None:
        """The job behind an event id, or None."""
        return self._ledger.job(tenant, job_id)


def _item(event: Event, earlier: Sequence[Event]) -> HistoryItem:
    memory = event.memory
    gone = event.kind is EventKind.DELETE
    return HistoryItem(
        id=str(uuid.uuid5(uuid.UUID(memory.id), f"event-{memory.version}")),
        memory_id=memory.id,
        event=event.kind,
        old_memory=earlier[-1].memory.text or None if earlier else None,
        new_memory=None if gone else memory.text,
        created_at=memory.created_at,
        updated_at=None if event.kind is EventKind.ADD else memory.updated_at,
        is_deleted=gone,
        actor_id=memory.actor_id,
        role=memory.role,
    )
