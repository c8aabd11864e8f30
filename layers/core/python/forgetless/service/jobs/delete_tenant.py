"""TenantDeletions: removes a tenant with all that is kept for it, in the portions of a bulk job.

The tenant is closed first: its keys go, everything is hidden, and the ledger refuses whatever is new. Then a pass
erases messages and memories, empties the index, puts the audit list aside and removes all other records. A process may
not know yet that the tenant is closed, so passes follow after LATE_S until one finds nothing. At the end nothing names
the tenant, and another one may have its name. The record of the job is the receipt; it belongs to no tenant.

A portion is repeated when its worker dies, and a worker may stall while another one goes on. So each step first looks
whether the tenant is still closed: what a later tenant of this name has is never touched.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from forgetless.domain.audit import AUDIT, AuditEntry, AuditKind
from forgetless.domain.bulk_jobs import TENANT_NAME, BulkJob, BulkKind, Progress
from forgetless.domain.documents import Document
from forgetless.domain.erasure_receipts import request_of_deletion
from forgetless.domain.erasures import Erasure, Target
from forgetless.domain.errors import (
    DependencyError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
    VersionConflictError,
)
from forgetless.domain.tenants import LAST_NUMBERS, LATE_S, OPERATOR
from forgetless.domain.times import later, seconds_between
from forgetless.domain.webhooks import WEBHOOK
from forgetless.ports.clock import Clock
from forgetless.ports.index import Index
from forgetless.ports.ledger import Ledger
from forgetless.service.access.audit import AUDIT_KEPT_S
from forgetless.service.access.key_pages import every_key
from forgetless.service.document_change import change_document
from forgetless.service.jobs.bulk import BulkService, has_moved
from forgetless.service.jobs.erase import EraseWork
from forgetless.service.jobs.erasure_logbook import ErasureLogbook

__all__ = ["NOBODY", "TenantDeletions", "shut", "start_deletion"]

#: The tenant of the jobs' records.
NOBODY = ""
#: How many records one step removes, and how long a further pass waits after one that found something.
_STEP, _AGAIN_S = 1000, 60.0
#: How many keys are removed at once.
_KEYS = 200
_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a deletion is: the step, the page of it, and what has been removed."""

    step: str = "close"
    page: Any = None
    #: The erasure that the tenant was closed with: number, id and time.
    number: int = 0
    erasure_id: str = ""
    closed_at: str = ""
    #: When the next pass begins, and whether this one began when nobody could write any more.
    wait_until: str = ""
    late: bool = False
    #: What this pass has removed, and what all have.
    found: int = 0
    #: What earlier passes have removed; those of the erasing that goes on are added at its end.
    memories: int = 0
    counts: Mapping[str, int] = field(default_factory=lambda: {"messages": 0, "keys": 0, "records": 0})

    def cursor(self) -> dict[str, Any]:
        """The place as the cursor of a bulk job."""
        return {name: getattr(self, name) for name in self.__slots__}

    def removed(self, what: str, number: int) -> _Place:
        """The place after so much more of this kind has been removed."""
        counts = {**self.counts, what: self.counts[what] + number}
        return replace(self, counts=counts, found=self.found + number)


class TenantDeletions:
    """Begins deletions and does their portions; `ledger` must show all rows, those that markers hide too."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        index: Index,
        work: EraseWork,
        bulk: BulkService,
        clock: Clock,
        logbook: ErasureLogbook,
        other_indexes: Callable[[], Sequence[Index]] = tuple,
    ) -> None:
        self._ledger = ledger
        self._index = index
        self._other_indexes = other_indexes
        self._work = work
        self._bulk = bulk
        self._clock = clock
        self._logbook = logbook
        self._steps: Mapping[str, Callable[[BulkJob, _Place], _Place]] = {
            "close": self._close,
            "keys": self._keys,
            "erase": self._erase,
            "index": self._empty_index,
            "audit": self._put_audit_aside,
            "records": self._records,
            "forget": self._forget,
        }

    def begin(self, tenant: str) -> BulkJob:
        """Close the tenant, so that it has no keys and takes nothing new, and start the job that removes the rest.

        A tenant that is being deleted already keeps its job. Raises InvalidRequestError for the operators' tenant,
        NotFoundError for an unknown one, and LedgerError; if the job was started, the workers close the tenant.
        """
        if tenant == OPERATOR:
            raise InvalidRequestError(
                f"{tenant}: this is the operators' tenant, and its keys run the service; POST /reset deletes all its "
                "memories, and `make reset-data` starts afresh"
            )
        job = start_deletion(self._ledger, self._bulk, tenant, now=self._clock.now())
        self._logbook.note(shut(self._ledger, tenant, at=self._clock.now()))
        return job

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """See `service.jobs.bulk.PortionWork`. `done` counts memories."""
        place = begin = _Place(**job.cursor) if job.cursor is not None else _Place()
        if place.step == "scrub":
            return self._scrubbed(place)
        while True:
            if place.step == "wait":
                rest = seconds_between(self._clock.now(), place.wait_until)
                if rest > 0:
                    return replace(_progress(place), wait_s=rest)
                place = self._next_pass(place)
            if place.step not in {"close", "forget"} and not self._is_closed(job):
                raise LedgerError("the tenant is no longer closed: another worker has ended its deletion")
            try:
                place = self._steps[place.step](job, place)
            except (DependencyError, VersionConflictError):
                if place is begin:
                    raise
                return _progress(place)  # what was done before it is recorded
            # What is recorded before the end begins is never done again after it.
            if place.step in {"forget", "scrub"} or self._clock.monotonic() >= deadline:
                return _progress(place)

    def _is_closed(self, job: BulkJob) -> bool:
        return self._ledger.erasure_state(_name(job)).closed

    def _close(self, job: BulkJob, place: _Place) -> _Place:
        if has_moved(self._ledger, job):
            raise LedgerError("another worker does the deletion of this tenant")
        erasure = self._ledger.close_tenant(_name(job), at=self._clock.now())
        self._logbook.note(erasure)
        if self._ledger.remove_keys(_name(job), limit=_KEYS):
            return place  # until none is left; they are counted already
        entry = AuditEntry(
            AuditKind.CHANGE,
            key_id="",
            route="forgetless tenants delete",
            status=200,
            request_id=job.id,
            at=job.created_at,
        )
        due_at = later(job.created_at, AUDIT_KEPT_S)
        body = {"entries": [entry.record()]}
        self._ledger.put_document(Document(job.id, AUDIT, job.id, body, job.created_at, due_at=due_at))
        return replace(place, step="keys", number=erasure.number, erasure_id=erasure.id, closed_at=erasure.begun_at)

    def _keys(self, job: BulkJob, place: _Place) -> _Place:
        """Remove keys, and webhooks, so that nobody is told of what goes."""
        tenant = _name(job)
        if removed := self._ledger.remove_keys(tenant, limit=_KEYS):
            return place.removed("keys", removed)
        for document in self._ledger.documents(tenant, WEBHOOK, limit=_PAGE)[0]:
            place = place.removed("records", self._ledger.delete_document(tenant, WEBHOOK, document.id))
        return replace(place, step="erase", page=None)

    def _erase(self, job: BulkJob, place: _Place) -> _Place:
        erasure = Erasure(_name(job), place.number, (Target(),), place.closed_at, place.erasure_id, closes=True)
        advance = self._work.advance(erasure, place.page, job.id)
        if advance.cursor is not None:
            return replace(place, page=advance.cursor)
        place = place.removed("messages", advance.messages)
        memories, found = place.memories + advance.memories, place.found + advance.memories
        return replace(place, step="index", page=None, memories=memories, found=found)

    def _empty_index(self, job: BulkJob, place: _Place) -> _Place:
        for index in (self._index, *self._other_indexes()):
            index.drop_all(_name(job))
        return replace(place, step="audit")

    def _put_audit_aside(self, job: BulkJob, place: _Place) -> _Place:
        """Keep a page of the audit list under the id of the job: it names nobody."""
        tenant = _name(job)
        found, following = self._ledger.documents(tenant, AUDIT, limit=_PAGE)
        for document in found:
            self._ledger.put_document(replace(document, tenant=job.id, version=1))
            self._ledger.delete_document(tenant, AUDIT, document.id)
        return place if following is not None else replace(place, step="records", page=None)

    def _records(self, job: BulkJob, place: _Place) -> _Place:
        removed, page = self._ledger.remove_tenant(_name(job), limit=_STEP, cursor=place.page)
        place = replace(place.removed("records", removed), page=page)
        if page is not None:
            return place
        if place.late and not place.found:
            return replace(place, step="forget")
        until = later(self._clock.now(), _AGAIN_S) if place.late else later(place.closed_at, LATE_S)
        return replace(place, step="wait", wait_until=until)

    def _next_pass(self, place: _Place) -> _Place:
        return replace(place, step="keys", page=None, found=0, late=True)

    def _forget(self, job: BulkJob, place: _Place) -> _Place:
        """Let nothing name the tenant any more; harmless if another worker was faster."""
        tenant = _name(job)
        last = self._ledger.erasure_state(tenant).last
        if not self._is_closed(job):
            return replace(place, step="scrub")  # another worker has done it

        def raised(held: Document | None) -> dict[str, int] | None:
            known = 0 if held is None else int(held.body["last"])
            return {"last": last} if last > known else None

        change_document(self._ledger, LAST_NUMBERS, raised, clock=self._clock)
        done = self._ledger.forget_tenant(tenant, limit=_STEP)
        return replace(place, step="scrub" if done else "forget")

    def _scrubbed(self, place: _Place) -> Progress:
        if not self._ledger.scrub_erased():
            raise LedgerError("erased text is still in the ledger's log, because others are reading it")
        return Progress(None, place.memories, place.memories, counts=place.counts)


def start_deletion(ledger: Ledger, bulk: BulkService, tenant: str, *, now: str) -> BulkJob:
    """Start the job of a tenant's deletion, or return the one that runs; raises NotFoundError for an unknown tenant."""
    running = _running(bulk, tenant)
    if running is not None:
        return running
    keys = sum(1 for _ in every_key(ledger, tenant))
    if not keys and not _has_anything(ledger, tenant):
        raise NotFoundError(f"there is no tenant {tenant!r}: it has no keys and no memories")
    request = request_of_deletion(ledger.digest_key(), tenant, begun_at=now)
    # The keys are counted here, because whoever closes the tenant may die before a portion counts them.
    cursor = replace(_Place(), counts={**_Place().counts, "keys": keys}).cursor()
    return bulk.start(NOBODY, BulkKind.TENANT, request, job_id=str(uuid.uuid4()), cursor=cursor)


def shut(ledger: Ledger, tenant: str, *, at: str) -> Erasure:
    """Close the tenant and remove its keys. It may be done again."""
    erasure = ledger.close_tenant(tenant, at=at)
    while ledger.remove_keys(tenant, limit=_KEYS):
        pass
    return erasure


def _running(bulk: BulkService, tenant: str) -> BulkJob | None:
    cursor: str | None = None
    while True:
        jobs, cursor = bulk.jobs(NOBODY, limit=_PAGE, cursor=cursor)
        for job in jobs:
            if not job.finished and job.request.get(TENANT_NAME) == tenant:
                return job
        if cursor is None:
            return None


def _has_anything(ledger: Ledger, tenant: str) -> bool:
    if ledger.erasure_state(tenant).last or ledger.jobs(tenant, limit=1)[0]:
        return True
    return bool(ledger.list_memories(tenant, {}, limit=1, superseded=True).items)


def _name(job: BulkJob) -> str:
    return str(job.request[TENANT_NAME])


def _progress(place: _Place) -> Progress:
    erasing = int(place.page["removal"]["removed"]) if place.step == "erase" and place.page is not None else 0
    return Progress(place.cursor(), place.memories + erasing, counts=place.counts)
