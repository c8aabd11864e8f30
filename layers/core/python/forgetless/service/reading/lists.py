"""Reads without a query: get, list, history, entities and jobs, all from the ledger, so that they see every write."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence

from forgetless.domain.filters.ast import EVERYTHING, And, Filter
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.scope_ids import pinned_ids
from forgetless.domain.jobs import Job
from forgetless.domain.memory import Event, EventKind, Memory, Message
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import Entity, RequestLedger
from forgetless.service.reading.search import unexpired
from forgetless.service.requests import HistoryItem, Page, PageRequest

__all__ = ["ReadService", "page_of"]

#: Memories read from the ledger at once, before the filter is applied.
_PAGE = 500


class ReadService:
    """Reads memories, their history, entities and jobs from the ledger."""

    def __init__(self, *, ledger: RequestLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The memory, even if it is superseded or expired; None if it is unknown or deleted."""
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

    def page(self, request: PageRequest) -> Page:
        """One page of the memories that match, newest first, and how many match in all.

        To count them, it reads all memories of the narrowest scope that the filter names.
        """
        judged = unexpired(self._clock.now())
        where = request.where if request.show_expired else And((request.where, judged))
        return page_of(self.matching(request.tenant, where, superseded=request.superseded), request)

    def matching(self, tenant: str, where: Filter, *, superseded: bool = False) -> Iterator[Memory]:
        """Every live memory that matches, newest first; with `superseded`, superseded ones as well."""
        ids = pinned_ids(where)
        cursor: str | None = None
        while True:
            page = self._ledger.list_memories(tenant, ids, limit=_PAGE, cursor=cursor, superseded=superseded)
            yield from (memory for memory in page.items if evaluate(where, memory))
            cursor = page.cursor
            if cursor is None:
                return

    def said(self, tenant: str, memories: Sequence[Memory]) -> dict[str, Sequence[Message]]:
        """For each memory id, the raw messages it was made from, without those that were erased."""
        refs = sorted({ref for memory in memories for ref in memory.sources})
        found = self._ledger.read_messages(tenant, refs) if refs else {}
        return {memory.id: [found[ref] for ref in memory.sources if ref in found] for memory in memories}

    def history(self, tenant: str, memory_id: str) -> Sequence[HistoryItem]:
        """Every event of the memory, oldest first; empty if the memory is unknown."""
        events = self._ledger.history(tenant, memory_id)
        return [_item(event, earlier) for earlier, event in zip([None, *events], events, strict=False)]

    def entities(self, tenant: str) -> Sequence[Entity]:
        """Users, agents, apps and runs with the number of their memories."""
        return self._ledger.entities(tenant)

    def texts(self, tenant: str, ids: Sequence[str]) -> dict[str, str]:
        """The texts by memory id, without memories that are deleted or unknown."""
        return {id_: memory.text for id_, memory in self._ledger.read(tenant, ids).items() if not memory.deleted}

    def jobs(self, tenant: str, *, number: int, size: int) -> tuple[Sequence[Job], int]:
        """Page `number` (from 1) of the tenant's jobs, newest first, and the number of all jobs."""
        first, count, cursor = (number - 1) * size, 0, None
        found: MutableSequence[Job] = []
        while True:
            jobs, cursor = self._ledger.jobs(tenant, limit=_PAGE, cursor=cursor)
            found += jobs[max(0, first - count) : max(0, first + size - count)]
            count += len(jobs)
            if cursor is None:
                return found, count

    def job(self, tenant: str, job_id: str) -> Job | None:
        """The job, which mem0's clients know as an event; None if it is unknown."""
        return self._ledger.job(tenant, job_id)


def page_of(memories: Iterable[Memory], request: PageRequest) -> Page:
    """The requested page of these memories, and how many there are in all."""
    first = (request.number - 1) * request.size
    found: list[Memory] = []
    count = 0
    for memory in memories:
        if first <= count < first + request.size:
            found.append(memory)
        count += 1
    return Page(tuple(found), count)


def _item(event: Event, earlier: Event | None) -> HistoryItem:
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
    )


def _namespace(memory_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(memory_id)
    except ValueError:  # an imported memory may have an id that is not a UUID
        return uuid.uuid5(uuid.NAMESPACE_OID, memory_id)
