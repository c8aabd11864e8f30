"""Reads without a query: get, list, history, entities and jobs, all from the ledger, so that they see every write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat

from forgetless.domain.cursors import after_memory, to_cursor
from forgetless.domain.filters.ast import And
from forgetless.domain.filters.evaluate import Matcher
from forgetless.domain.filters.expiration import unexpired
from forgetless.domain.filters.scope_ids import narrowest_id, only_ids, pinned_ids
from forgetless.domain.identifiers import all_spellings, spellings
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.limits import JOB_S, LEASE_MARGIN_S, SCANNED_ROWS
from forgetless.domain.memory import Memory, Message
from forgetless.domain.metadata import metadata_bytes
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import ENTITY_KINDS, Entity, EntityCounts, RequestLedger
from forgetless.service.merged_lists import list_spelled
from forgetless.service.pages import LEAST_READ, MOST_READ, PageAsk, Pager, Source, all_rows, chunk_of, itself
from forgetless.service.read_portions import memories_in_portions
from forgetless.service.reading.history_items import history_items
from forgetless.service.reading.job_lists import AnyJob, JobChoice, after_any_job, any_jobs, count_any_jobs
from forgetless.service.requests import Count, HistoryItem, PageOf, PageRequest

__all__ = ["ReadService", "Row", "after_row", "page_ask", "row_cost", "rows_of"]

#: So many characters and bytes of metadata cost as much as a short memory.
_LONG = 4096
#: Rows that cost more than this are not read at once; the least number of rows may.
_READ_AT_ONCE = 1000

#: A memory that was read, or the cursor after one that is hidden.
Row = Memory | str


class ReadService:
    """Reads memories, their history, entities and jobs from the ledger."""

    def __init__(self, *, ledger: RequestLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pager = Pager(ledger=ledger, clock=clock)

    def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The memory, even if it is superseded or expired; None if it is unknown or deleted."""
        memory = self._ledger.read(tenant, [memory_id]).get(memory_id)
        return None if memory is None or memory.deleted else memory

    def page(self, request: PageRequest) -> PageOf[Memory]:
        """One page of the memories that match, newest first, and how many match in all."""
        where = request.where if request.show_expired else And((request.where, unexpired(self._clock.now())))
        matcher = Matcher(where)
        source = Source(
            rows=partial(self._rows, request, matcher),
            after=after_row,
            count=self._kept_count(request) if request.counted else None,
            counts=request.counted,
            weigh=request.weigh,
            exhausted=lambda: matcher.exhausted,
            cost=row_cost,
        )
        return self._pager.page(page_ask(request), source)

    def _kept_count(self, request: PageRequest) -> Count | None:
        """The kept total, if it is exactly the number of memories that match."""
        ids = only_ids(request.where)
        if ids is None or len(ids) > 1 or request.superseded:
            return None
        live = 0
        for spelled in all_spellings(ids):
            totals = self._ledger.kept_totals(request.tenant, spelled)
            if totals is None or (totals.expiring and not request.show_expired):
                return None
            live += totals.live
        return Count(live)

    def _rows(self, request: PageRequest, matches: Matcher, cursor: str | None) -> Iterator[tuple[Row, Memory | None]]:
        # Superseded memories and other scope ids are judged here, so that every row that is read counts.
        for row in rows_of(self._ledger, request, cursor):
            if isinstance(row, str):
                yield row, None
            else:
                shown = (row.live or request.superseded) and matches(row)
                yield row, row if shown else None

    def said(self, tenant: str, memories: Sequence[Memory]) -> dict[str, Sequence[Message]]:
        """For each memory id, the raw messages it was made from, without those that were erased."""
        refs = sorted({ref for memory in memories for ref in memory.sources})
        found = self._ledger.read_messages(tenant, refs) if refs else {}
        said = {memory.id: [found[ref] for ref in memory.sources if ref in found] for memory in memories}
        # An imported line may name any message as its source.
        scopes = {memory.id: memory.scope for memory in memories}
        return {id_: [one for one in messages if one.scope == scopes[id_]] for id_, messages in said.items()}

    def newest(self, tenant: str, memory_id: str) -> Memory | None:
        """The newest version of the memory, even if it is deleted; None if it is unknown."""
        return self._ledger.read(tenant, [memory_id]).get(memory_id)

    def history(self, tenant: str, memory_id: str, *, from_version: int = 1) -> Iterator[list[HistoryItem]]:
        """The events of the memory from a version on, oldest first, in portions; none if the memory is unknown."""
        return history_items(self._ledger, tenant, memory_id, from_version=from_version)

    def superseded(self, tenant: str, memory_id: str, *, limit: int) -> list[Memory]:
        """What this memory superseded, directly or through others, the nearest first."""
        ids = self._ledger.superseded_ids(tenant, memory_id, limit=limit)
        found = self._ledger.read(tenant, ids) if ids else {}
        return [found[id_] for id_ in ids if id_ in found]

    def entity(self, tenant: str, kind: str, id_: str) -> Entity | None:
        """One user, agent, app or run with the number of its memories; None if it has none."""
        spelled = [self._ledger.entity(tenant, kind, spelling) for spelling in spellings(id_)]
        found = [one for one in spelled if one is not None]
        if not found:
            return None
        return replace(
            found[0],
            total_memories=sum(one.total_memories for one in found),
            created_at=min(one.created_at for one in found),
            updated_at=max(one.updated_at for one in found),
        )

    def entities(
        self,
        tenant: str,
        *,
        size: int,
        number: int | None = 1,
        cursor: str | None = None,
        kinds: Sequence[str] = ENTITY_KINDS,
        counts: EntityCounts | None = None,
        asker: str = "",
    ) -> PageOf[Entity]:
        """One page of the users, agents, apps and runs with the number of their memories, ordered by kind.

        Its count is what `counts` says, from `count_entities`.
        """
        chunk = chunk_of(size)

        def read(cursor: str | None) -> tuple[Sequence[Entity], str | None]:
            page = self._ledger.entities(tenant, limit=chunk, cursor=cursor, kinds=kinds)
            return page.items, page.cursor

        rows = all_rows(read, lambda entity: to_cursor(entity.kind, entity.id), chunk)
        count = None
        if counts is not None:
            count = Count(sum(counts.by_kind.get(kind, 0) for kind in kinds), exact=counts.exact)
        ask = PageAsk(tenant, ("entities", asker, tuple(kinds)), size, number, cursor)
        return self._pager.page(ask, Source(rows, itself, count, counts=False))

    def count_entities(self, tenant: str) -> EntityCounts:
        """The number of users, agents, apps and runs, or at least so many."""
        return self._ledger.count_entities(tenant, limit=SCANNED_ROWS)

    def texts(self, tenant: str, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], dict[str, str]]]:
        """Some of the ids after each other, with the texts of those memories that are neither deleted nor unknown.

        A portion is read when it is asked for.
        """
        for looked, found in memories_in_portions(self._ledger, tenant, ids):
            yield looked, {id_: memory.text for id_, memory in found.items() if not memory.deleted}

    def text_bytes(self, tenant: str, ids: Sequence[str]) -> dict[str, int]:
        """How many bytes the texts have, by memory id, without memories that are deleted or unknown."""
        portions = self.texts(tenant, ids)
        return {id_: len(text.encode("utf-8", "surrogatepass")) for _, texts in portions for id_, text in texts.items()}

    def jobs(
        self,
        tenant: str,
        *,
        size: int,
        number: int | None = 1,
        cursor: str | None = None,
        asker: str = "",
        choice: JobChoice | None = None,
        weigh: Callable[[AnyJob], float] | None = None,
    ) -> PageOf[AnyJob]:
        """One page of the tenant's adds and bulk jobs, newest first, and the number of all.

        With a choice, at most SCANNED_ROWS jobs are looked at, and the number counts only those that were found.
        """
        chunk = chunk_of(size) if choice is None else MOST_READ
        rows = all_rows(lambda place: any_jobs(self._ledger, tenant, limit=chunk, cursor=place), after_any_job, chunk)
        ask = PageAsk(tenant, ("jobs", asker, *filter(None, [choice])), size, number, cursor)
        if choice is not None:
            chosen = partial(_chosen, rows, choice)
            return self._pager.page(ask, Source(chosen, itself, counts=False, weigh=weigh, most=SCANNED_ROWS))
        known = count_any_jobs(self._ledger, tenant, limit=SCANNED_ROWS)
        count = None if known is None else Count(min(known, SCANNED_ROWS), exact=known <= SCANNED_ROWS)
        return self._pager.page(ask, Source(rows, itself, count, weigh=weigh))

    def job(self, tenant: str, job_id: str) -> Job | None:
        """The job, which mem0's clients know as an event; None if it is unknown."""
        return self._ledger.job(tenant, job_id)

    def waits_until(self, job: Job) -> str | None:
        """When the earlier add is tried again that is held and that this add waits behind; None if it does not."""
        if job.state is not JobState.PENDING or job.error is not None:
            return None
        next_try = self._ledger.lease_until(job.held_lease)
        # While it is tried, it still holds this one up.
        if next_try is None or later(next_try, JOB_S + LEASE_MARGIN_S) <= self._clock.now():
            return None
        return next_try


def _chosen(
    rows: Callable[[str | None], Iterator[tuple[str, AnyJob | None]]], choice: JobChoice, cursor: str | None
) -> Iterator[tuple[str, AnyJob | None]]:
    """The rows, without the jobs that are not wanted."""
    for place, job in rows(cursor):
        yield place, job if job is not None and choice.allows(job) else None


def rows_of(ledger: RequestLedger, request: PageRequest, cursor: str | None) -> Iterator[Row]:
    """The memories with the narrowest scope id of the filter, newest first, superseded ones as well.

    A row that an erasure hides is the cursor after its page, so that it counts as one that was looked at.
    """
    ids = narrowest_id(pinned_ids(request.where))
    size = chunk_of(request.size)
    while True:
        page = list_spelled(ledger, request.tenant, ids, limit=size, cursor=cursor, superseded=True)
        yield from page.items
        if page.cursor is not None:
            yield from repeat(page.cursor, size - len(page.items))
        if (cursor := page.cursor) is None:
            return
        each = sum(map(row_cost, page.items)) / max(1, len(page.items))
        size = max(LEAST_READ, min(MOST_READ, int(_READ_AT_ONCE / max(1.0, each))))


def row_cost(row: Row) -> int:
    """What it costs to have read a row: what is long costs more to read from the ledger."""
    if isinstance(row, str):
        return 1
    return 1 + (len(row.text) + (metadata_bytes(row.metadata) if row.metadata else 0)) // _LONG


def after_row(row: Row) -> str:
    """The cursor after a row of `rows_of`."""
    return row if isinstance(row, str) else after_memory(row)


def page_ask(request: PageRequest, *more: object) -> PageAsk:
    """What the pager must know of the request; `more` is what else makes it another list."""
    what = ("memories", request.asker, request.where, request.show_expired, request.superseded, *more)
    return PageAsk(request.tenant, what, request.size, request.number, request.cursor)
