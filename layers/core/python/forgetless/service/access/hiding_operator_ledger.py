"""HidingOperatorLedger: `HidingLedger` with what only operators use: sweep, webhook deliveries, exports and checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from forgetless.domain.documents import OF_MEMORIES, Document
from forgetless.domain.erasures import Erasure, Markers, Target
from forgetless.domain.jobs import Job
from forgetless.domain.keys import ApiKey
from forgetless.domain.limits import HISTORIES_AT_ONCE, SCRUB_PATIENCE_S
from forgetless.domain.loaded_bytes import await_turn
from forgetless.domain.memory import Memory, Message
from forgetless.domain.usage import Use, Used
from forgetless.ports.ledger import Backlog, Compaction, EventPage, Faults, Ledger, Refusal, SetAside, Tally, Tell
from forgetless.ports.request_effects import note_change
from forgetless.ports.request_ledger import MemoryPage
from forgetless.ports.usage import UsagePage, UsageRow
from forgetless.service.access.hiding_ledger import HidingLedger, shown_job, uncovered

__all__ = ["HidingOperatorLedger"]


class HidingOperatorLedger(HidingLedger):
    """See `forgetless.ports.ledger.Ledger`; what an erasure covers is as good as deleted.

    Counts (`tally`) and checks of the store itself still see the rows that wait to be removed.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        #: The ledger with all rows, for those who remove them.
        self.whole = ledger

    def put_key(self, key: ApiKey, *, held: ApiKey | None = None, most: int | None = None, now: str = "") -> bool:
        return self.whole.put_key(key, held=held, most=most, now=now)

    def key(self, hash_: str) -> ApiKey | None:
        return self.whole.key(hash_)

    def keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        return self.whole.keys(tenant, limit=limit, cursor=cursor)

    def all_keys(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[ApiKey], str | None]:
        return self.whole.all_keys(tenant, limit=limit, cursor=cursor)

    def keys_by_id(self, tenant: str, ids: Collection[str]) -> dict[str, ApiKey]:
        return self.whole.keys_by_id(tenant, ids)

    def add_usage(self, uses: Sequence[Use]) -> None:
        self.whole.add_usage(uses)

    def used(self, tenant: str, owners: Sequence[str], *, now: str) -> dict[str, Used]:
        return self.whole.used(tenant, owners, now=now)

    def usage_of(self, tenant: str, owner: str, *, first: str, last: str) -> list[UsageRow]:
        return self.whole.usage_of(tenant, owner, first=first, last=last)

    def usage_by_key(self, tenant: str, *, first: str, last: str, limit: int, cursor: str | None = None) -> UsagePage:
        return self.whole.usage_by_key(tenant, first=first, last=last, limit=limit, cursor=cursor)

    def expire_usage(self, *, months_before: str, minutes_before: str, limit: int) -> int:
        return self.whole.expire_usage(months_before=months_before, minutes_before=minutes_before, limit=limit)

    def erase_names(
        self, tenant: str, target: Target, *, before: int, limit: int, cursor: str | None = None
    ) -> str | None:
        return self.whole.erase_names(tenant, target, before=before, limit=limit, cursor=cursor)

    def remove_keys(self, tenant: str, *, limit: int) -> int:
        return self.whole.remove_keys(tenant, limit=limit)

    def tenants_with_keys(self) -> list[str]:
        return self.whole.tenants_with_keys()

    def tenants(self, *, limit: int) -> tuple[list[str], bool]:
        return self.whole.tenants(limit=limit)

    def tally(self, tenant: str | None = None, *, limit: int) -> Tally:
        return self.whole.tally(tenant, limit=limit)

    def sample(self, tenant: str, *, limit: int) -> list[Memory]:
        markers = self._markers(tenant)
        return uncovered(self.whole.sample(tenant, limit=limit), markers)

    def faults(self, *, seconds: float, thorough: bool = False) -> Faults:
        return self.whole.faults(seconds=seconds, thorough=thorough)

    def list_events(self, tenant: str, *, limit: int, cursor: str | None = None) -> EventPage:
        markers = self._markers(tenant)
        page = self.whole.list_events(tenant, limit=limit, cursor=cursor)
        await_turn()
        if markers is None:
            return page
        kept = tuple(event for event in page.items if not markers.cover(event.memory))
        return EventPage(kept, page.cursor)

    def list_tenants(self, *, limit: int, cursor: str | None = None) -> tuple[list[str], str | None]:
        return self.whole.list_tenants(limit=limit, cursor=cursor)

    def documents_by_id(self, tenant: str, kind: str, ids: Collection[str]) -> dict[str, Document]:
        found = self.whole.documents_by_id(tenant, kind, ids)
        gone = self._gone(tenant, list(found)) if kind in OF_MEMORIES else ()
        return {id_: document for id_, document in found.items() if id_ not in gone}

    def put_jobs(self, jobs: Sequence[tuple[Job, Sequence[Message]]]) -> None:
        self.whole.put_jobs(jobs)
        if jobs:
            note_change()

    def list_range(self, tenant: str, number: int, *, limit: int, cursor: str | None = None) -> MemoryPage:
        markers = self._markers(tenant)
        page = self.whole.list_range(tenant, number, limit=limit, cursor=cursor)
        return MemoryPage(tuple(uncovered(page.items, markers)), page.cursor)

    def compact(self, tell: Tell) -> Compaction:
        return self.whole.compact(tell)

    def unindexed(
        self, *, before: str, limit: int, tenant: str | None = None, most: int = HISTORIES_AT_ONCE
    ) -> list[Memory]:
        found = self.whole.unindexed(before=before, limit=limit, tenant=tenant, most=most)
        markers = {owner: self._markers(owner) for owner in {memory.scope.tenant for memory in found}}
        return [_without_row(memory, markers[memory.scope.tenant]) for memory in found]

    def pending_tenants(self, *, limit: int) -> list[str]:
        return self.whole.pending_tenants(limit=limit)

    def mark_pending(self, memories: Sequence[Memory], *, at: str) -> None:
        self.whole.mark_pending(memories, at=at)

    def mark_behind(self, memories: Sequence[Memory], *, at: str) -> None:
        self.whole.mark_behind(memories, at=at)

    def mark_caught_up(self, memories: Sequence[Memory]) -> list[Memory]:
        return self.whole.mark_caught_up(memories)

    def behind(self, tenant: str, *, before: str, limit: int) -> list[Memory]:
        markers = self._markers(tenant)
        return [_without_row(memory, markers) for memory in self.whole.behind(tenant, before=before, limit=limit)]

    def behind_tenants(self, *, limit: int) -> list[str]:
        return self.whole.behind_tenants(limit=limit)

    def note_refusals(self, refusals: Sequence[Refusal], *, at: str, most: int) -> int:
        return self.whole.note_refusals(refusals, at=at, most=most)

    def set_aside(self, tenant: str | None = None, *, limit: int) -> list[SetAside]:
        return self.whole.set_aside(tenant, limit=limit)

    def retry_set_aside(self, tenant: str | None = None, *, at: str) -> int:
        return self.whole.retry_set_aside(tenant, at=at)

    def mark_unindexed(self, tenant: str | None = None, *, at: str) -> int:
        return self.whole.mark_unindexed(tenant, at=at)

    def scope_messages(
        self, tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        markers = self._markers(tenant)
        found, following = self.whole.scope_messages(tenant, ids, limit=limit, cursor=cursor)
        return uncovered(found, markers), following

    def expire_messages(self, *, before: str, limit: int) -> int:
        return self.whole.expire_messages(before=before, limit=limit)

    def expire_jobs(self, *, succeeded_before: str | None, failed_before: str | None, limit: int) -> int:
        return self.whole.expire_jobs(succeeded_before=succeeded_before, failed_before=failed_before, limit=limit)

    def expire_records(self, *, before: str, limit: int) -> int:
        return self.whole.expire_records(before=before, limit=limit)

    def expire_page_ends(self, *, now: str) -> int:
        return self.whole.expire_page_ends(now=now)

    def expire_keys(self, *, before: str, limit: int) -> list[ApiKey]:
        return self.whole.expire_keys(before=before, limit=limit)

    def expiring_tenants(self, *, limit: int) -> list[str]:
        return self.whole.expiring_tenants(limit=limit)

    def stuck_jobs(self, *, now: str, pending_before: str, limit: int, after: Job | None = None) -> list[Job]:
        found = self.whole.stuck_jobs(now=now, pending_before=pending_before, limit=limit, after=after)
        return self._shown_jobs(found)

    def stuck_in_turn(self, *, now: str, pending_before: str, limit: int, each: int) -> list[Job]:
        found = self.whole.stuck_in_turn(now=now, pending_before=pending_before, limit=limit, each=each)
        return self._shown_jobs(found)

    def _shown_jobs(self, found: list[Job]) -> list[Job]:
        markers = {tenant: self._markers(tenant) for tenant in {job.tenant for job in found}}
        return [shown_job(job, markers[job.tenant]) for job in found]

    def backlog(self, *, jobs: int, counted: int) -> Backlog:
        found = self.whole.backlog(jobs=jobs, counted=counted)
        markers = {tenant: self._markers(tenant) for tenant in {job.tenant for job in found.oldest_jobs}}
        shown = tuple(job for job in found.oldest_jobs if not shown_job(job, markers[job.tenant]).finished)
        return replace(found, oldest_jobs=shown, open_jobs=found.open_jobs - len(found.oldest_jobs) + len(shown))

    def erasure(self, tenant: str, number: int) -> Erasure | None:
        return self.whole.erasure(tenant, number)

    def late_writes_s(self) -> float:
        return self.whole.late_writes_s()

    def open_erasures(self, *, limit: int, each: int) -> list[Erasure]:
        return self.whole.open_erasures(limit=limit, each=each)

    def clear_entities(self, tenant: str, *, limit: int, cursor: str | None = None) -> str | None:
        return self.whole.clear_entities(tenant, limit=limit, cursor=cursor)

    def end_erasure(self, tenant: str, number: int, *, expires_at: str) -> None:
        self.whole.end_erasure(tenant, number, expires_at=expires_at)

    def close_tenant(self, tenant: str, *, at: str) -> Erasure:
        return self.whole.close_tenant(tenant, at=at)

    def remove_tenant(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[int, str | None]:
        return self.whole.remove_tenant(tenant, limit=limit, cursor=cursor)

    def forget_tenant(self, tenant: str, *, limit: int) -> bool:
        return self.whole.forget_tenant(tenant, limit=limit)

    def incarnation(self) -> str:
        return self.whole.incarnation()

    def set_incarnation(self, name: str) -> None:
        self.whole.set_incarnation(name)

    def raise_erasures(self, tenant: str, last: int) -> None:
        self.whole.raise_erasures(tenant, last)

    def due_documents(self, kind: str, *, now: str, limit: int) -> list[Document]:
        return self.whole.due_documents(kind, now=now, limit=limit)

    def due_in_turn(self, kind: str, *, now: str, limit: int, each: int) -> list[Document]:
        return self.whole.due_in_turn(kind, now=now, limit=limit, each=each)

    def scrub_erased(self, *, patience_s: float = SCRUB_PATIENCE_S) -> bool:
        return self.whole.scrub_erased(patience_s=patience_s)

    def tidy(self) -> int:
        return self.whole.tidy()

    def migrate(self) -> int:
        return self.whole.migrate()

    def ping(self) -> None:
        self.whole.ping()

    def close(self) -> None:
        self.whole.close()


def _without_row(memory: Memory, markers: Markers | None) -> Memory:
    """The memory as one that has no row in the index, if it is covered. All else stays as the ledger has it."""
    return replace(memory, deleted=True) if markers is not None and markers.cover(memory) else memory
