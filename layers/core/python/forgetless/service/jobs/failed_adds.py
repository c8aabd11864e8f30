"""FailedAdds: what an operator does with adds that failed or are held: list them, start them again, dismiss them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from forgetless.domain.errors import ConflictError, NotFoundError, QueueError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.retention import DISMISSED_AT
from forgetless.ports.clock import Clock
from forgetless.ports.queue import JobQueue
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.writing.infer import waiting

__all__ = ["FailedAdds"]

_logger = logging.getLogger(__name__)

#: Jobs that are read at once when they are listed.
_PAGE = 200


class FailedAdds:
    """Adds whose job is FAILED, or PENDING because of a fault of its provider."""

    def __init__(self, *, ledger: RequestLedger, queue: JobQueue, clock: Clock) -> None:
        self._ledger = ledger
        self._queue = queue
        self._clock = clock

    def each(self, tenant: str) -> Iterator[Job]:
        """The tenant's failed and held adds, newest first; reads all its jobs, a page at a time."""
        cursor = None
        while True:
            jobs, cursor = self._ledger.jobs(tenant, limit=_PAGE, cursor=cursor)
            yield from (job for job in jobs if job.error is not None)
            if cursor is None:
                return

    def retry(self, tenant: str, job_id: str, *, key_id: str | None = None) -> Job:
        """Start a failed add again. It keeps the time of its add, so it supersedes nothing that was said since.

        The LLM's tokens count for today, and for the key that asks for this; without one, for that of the add.
        Raises NotFoundError, and ConflictError for an add that has not failed or whose messages are no longer kept.
        """
        job = self._failed(tenant, job_id, "started again")
        if not self._ledger.job_messages(tenant, job_id):
            raise ConflictError("The messages of this add are no longer kept; send it again.")
        now = self._clock.now()
        paid = waiting(job, now).paid_by(key_id, at=now)
        again = replace(paid, attempts=0, error=None, started_at=None, completed_at=None)
        if not self._ledger.update_job(again, held=job):
            raise ConflictError("Somebody else has just started this add again; look at its event.")
        if not self._queue.background:
            return again  # a worker that looks into the ledger finds it
        try:
            self._queue.send(again, attempt=again.updated_at)
        except QueueError as error:  # sweep sends it
            _logger.warning("a job was not sent again", extra={"job_id": job_id, "reason": error.message})
        return again

    def dismiss(self, tenant: str, job_id: str) -> None:
        """Have the next sweep remove a failed add with its messages, although its retention is not over.

        Raises NotFoundError, and ConflictError for an add that has not failed or that somebody starts again.
        """
        job = self._failed(tenant, job_id, "dismissed")
        if not self._ledger.update_job(replace(job, updated_at=DISMISSED_AT), held=job):
            raise ConflictError("The job is being started again; look at it, then dismiss it again.")

    def _failed(self, tenant: str, job_id: str, what: str) -> Job:
        job = self._ledger.job(tenant, job_id)
        if job is None:
            raise NotFoundError(f"tenant {tenant!r} has no job {job_id!r}")
        if job.state is not JobState.FAILED:
            raise ConflictError(f"Only a failed job can be {what}; this one is {job.state}.")
        return job
