"""TransferJobs: the records of imports and exports. They are bulk jobs whose worker is the client.

No message asks for their portions: the client sends or fetches one portion after the other, and the record says where
the next one begins. Every change of the record is conditional on the version that was read.

A tenant has a bounded number of each kind that have not ended. Each is counted by a small document beside its record,
which goes when it ends. A process that dies between the two writes leaves one, until it expires. A record is due when
the client has not gone on for a week, and then ends (`BulkService.settle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from forgetless.domain.bulk_jobs import BULK_JOB, TRANSFER_IDLE_S, TRANSFER_KEPT_S, BulkJob, BulkKind, open_kind
from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.domain.retention import DAY_S
from forgetless.domain.times import date_of, later
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import put_within

__all__ = ["MOST_OPEN", "TransferJobs"]

#: The most imports, and the most exports, of a tenant that have not ended.
MOST_OPEN = 100


class TransferJobs:
    """The jobs of one kind, `BulkKind.IMPORT` or `BulkKind.EXPORT`."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock, kind: BulkKind) -> None:
        self._ledger = ledger
        self._clock = clock
        self._kind = kind

    def begin(self, tenant: str, job_id: str, request: Mapping[str, Any], *, total: int | None) -> BulkJob:
        """The job with this id, which is new unless it exists; an existing one is returned as it is.

        Raises ConflictError if too many of the tenant have not ended.
        """
        if self._ledger.document(tenant, BULK_JOB, job_id) is not None:
            return self.known(tenant, job_id)
        self._open(tenant, job_id)
        now = self._clock.now()
        job = BulkJob(
            job_id,
            tenant,
            self._kind,
            JobState.PENDING,
            created_at=now,
            updated_at=now,
            request=request,
            total=total,
            due_at=later(now, TRANSFER_IDLE_S),
        )
        return job if self._ledger.put_document(job.document()) else self.known(tenant, job_id)

    def begin_again(self, job: BulkJob, *, total: int | None, keep_place: bool) -> BulkJob:
        """Open a job that has ended: at the place that it had reached, or at the beginning.

        Raises ConflictError if too many of the tenant have not ended.
        """
        self._open(job.tenant, job.id)
        due_at = later(self._clock.now(), TRANSFER_IDLE_S)
        opened = replace(
            job, state=JobState.PENDING, total=total, cancelled=False, error=None, completed_at=None, due_at=due_at
        )
        if not keep_place:
            opened = replace(opened, cursor=None, done=0, set_aside=0, started_at=None)
        return self._put(opened)

    def known(self, tenant: str, job_id: str) -> BulkJob:
        """The job; raises NotFoundError without it, and ConflictError when the id is that of another kind of job."""
        found = self._ledger.document(tenant, BULK_JOB, job_id)
        if found is None:
            raise NotFoundError(f"job_id: there is no {self._kind} with this id; begin it first")
        job = BulkJob.of(found)
        if job.kind is not self._kind:
            raise ConflictError(f"job_id: the job with this id is no {self._kind} but: {job.kind}; use another id")
        return job

    def going_on(self, tenant: str, job_id: str) -> BulkJob:
        """The job, which must not have failed or been cancelled; raises ConflictError otherwise."""
        job = self.known(tenant, job_id)
        if job.state is JobState.FAILED:
            raise ConflictError(f"The {self._kind} has ended: {job.error}. Begin it again to go on.")
        return job

    def record(
        self,
        job: BulkJob,
        *,
        cursor: Mapping[str, Any],
        done: int,
        set_aside: int = 0,
        state: JobState = JobState.RUNNING,
        error: str | None = None,
    ) -> BulkJob:
        """Record how far the job has come; raises ConflictError if somebody else has moved it.

        The cursor stays when the job ends: it says how much was moved, and a failed job may go on there.
        """
        now = self._clock.now()
        ended = state in {JobState.SUCCEEDED, JobState.FAILED}
        recorded = self._put(
            replace(
                job,
                state=state,
                cursor=cursor,
                done=done,
                set_aside=set_aside,
                error=error,
                started_at=job.started_at or now,
                completed_at=now if ended else None,
                due_at=later(now, TRANSFER_KEPT_S if ended else TRANSFER_IDLE_S),
            )
        )
        if ended:
            self._ledger.delete_document(job.tenant, open_kind(self._kind), job.id)
        elif date_of(job.updated_at) != date_of(now):
            self._stay_open(job.tenant, job.id)
        return recorded

    def _open(self, tenant: str, job_id: str) -> None:
        """Count it among those that have not ended; raises ConflictError if there are too many."""
        if self._ledger.document(tenant, open_kind(self._kind), job_id) is None:
            put_within(self._ledger, self._opened(tenant, job_id), most=MOST_OPEN, full=_full(self._kind))

    def _stay_open(self, tenant: str, job_id: str) -> None:
        """Put off the expiry of what counts it; one that an earlier version began is counted from now on."""
        held, fresh = self._ledger.document(tenant, open_kind(self._kind), job_id), self._opened(tenant, job_id)
        later_ = fresh if held is None else replace(held, version=held.version + 1, due_at=fresh.due_at)
        self._ledger.put_document(later_)

    def _opened(self, tenant: str, job_id: str) -> Document:
        now = self._clock.now()
        # It is put off once a day, and outlives the record that it counts.
        return Document(tenant, open_kind(self._kind), job_id, {}, now, due_at=later(now, TRANSFER_IDLE_S + 2 * DAY_S))

    def _put(self, job: BulkJob) -> BulkJob:
        changed = job.changed(self._clock.now())
        if not self._ledger.put_document(changed.document()):
            raise ConflictError(f"Another request has moved this {self._kind} meanwhile; read its place again.")
        return changed


def _full(kind: BulkKind) -> str:
    return (
        f"There are {MOST_OPEN} {kind}s that have begun and not ended. End one, cancel one (DELETE /v1/event/ID/), or "
        f"wait: one with which nobody goes on ends after {TRANSFER_IDLE_S / DAY_S:.0f} days."
    )
