"""TransferJobs: the records of imports and exports. They are bulk jobs whose worker is the client.

No message asks for their portions, and they are never due: the client sends or fetches one portion after the other,
and the record says where the next one begins. Every change of the record is conditional on the version that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, BulkKind
from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["TransferJobs"]


class TransferJobs:
    """The jobs of one kind, `BulkKind.IMPORT` or `BulkKind.EXPORT`."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock, kind: BulkKind) -> None:
        self._ledger = ledger
        self._clock = clock
        self._kind = kind

    def begin(self, tenant: str, job_id: str, request: Mapping[str, Any], *, total: int | None) -> BulkJob:
        """The job with this id, which is new unless it exists; an existing one is returned as it is."""
        now = self._clock.now()
        job = BulkJob(
            job_id, tenant, self._kind, JobState.PENDING, created_at=now, updated_at=now, request=request, total=total
        )
        return job if self._ledger.put_document(job.document()) else self.known(tenant, job_id)

    def begin_again(self, job: BulkJob, *, total: int | None, keep_place: bool) -> BulkJob:
        """Open a job that has ended: at the place that it had reached, or at the beginning."""
        opened = replace(
            job, state=JobState.PENDING, total=total, cancelled=False, error=None, completed_at=None, due_at=None
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
        return self._put(
            replace(
                job,
                state=state,
                cursor=cursor,
                done=done,
                set_aside=set_aside,
                error=error,
                started_at=job.started_at or now,
                completed_at=now if ended else None,
            )
        )

    def _put(self, job: BulkJob) -> BulkJob:
        changed = job.changed(self._clock.now())
        if not self._ledger.put_document(changed.document()):
            raise ConflictError(f"Another request has moved this {self._kind} meanwhile; read its place again.")
        return changed
