"""Jobs of both sorts in one list: adds and bulk jobs, newest first. mem0's clients know both as events."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob
from forgetless.domain.cursors import time_place, to_cursor
from forgetless.domain.identifiers import spellings
from forgetless.domain.jobs import Job, JobState
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["ADD", "AnyJob", "JobChoice", "after_any_job", "any_jobs", "count_any_jobs"]

AnyJob = Job | BulkJob

#: The kind of an add, beside those of bulk jobs.
ADD = "add"

#: At most this many bulk jobs are counted: a tenant has few of them.
_COUNTED = 100


@dataclass(frozen=True, slots=True)
class JobChoice:
    """Which jobs are wanted: those in one state, of one kind (`ADD` or that of a bulk job), or of scopes with ids."""

    state: JobState | None = None
    kind: str | None = None
    #: The name of a scope id and its value, which a job may have in another spelling.
    ids: tuple[tuple[str, str], ...] = ()

    def allows(self, job: AnyJob) -> bool:
        """Whether the job is wanted."""
        kind = ADD if isinstance(job, Job) else job.kind
        if self.state not in {None, job.state} or self.kind not in {None, kind}:
            return False
        ids = job.scope.ids() if isinstance(job, Job) else job.ids
        return all(ids.get(name) in spellings(value) for name, value in self.ids)


def any_jobs(
    ledger: RequestLedger, tenant: str, *, limit: int, cursor: str | None = None
) -> tuple[list[AnyJob], str | None]:
    """A page of the tenant's jobs by (created_at, id), newest first, and the cursor of the next page.

    A page may have fewer than `limit` although more follow.
    """
    jobs, more = ledger.jobs(tenant, limit=limit, cursor=cursor)
    documents, further = ledger.documents(tenant, BULK_JOB, limit=limit, cursor=cursor)
    found: list[AnyJob] = [*jobs, *map(BulkJob.of, documents)]
    found.sort(key=_place, reverse=True)
    # Below the end of one list's page, jobs of that list may be missing between those of the other.
    lowest = max((time_place(end) for end in (more, further) if end is not None), default=None)
    shown = [job for job in found if lowest is None or _place(job) >= lowest][:limit]
    if len(shown) < len(found) and len(shown) == limit:
        return shown, after_any_job(shown[-1])
    return shown, None if lowest is None else to_cursor(*lowest)


def after_any_job(job: AnyJob) -> str:
    """The cursor of the page that begins after this job."""
    return to_cursor(job.created_at, job.id)


def count_any_jobs(ledger: RequestLedger, tenant: str, *, limit: int) -> int | None:
    """The number of jobs of both sorts, or a number above `limit`; None if it is not known without reading them."""
    known = ledger.count_jobs(tenant, limit=limit)
    if known is None:
        return None
    bulk = ledger.count_documents(tenant, BULK_JOB, limit=_COUNTED + 1)
    return known + bulk if bulk <= _COUNTED else None


def _place(job: AnyJob) -> tuple[str, str]:
    return job.created_at, job.id
