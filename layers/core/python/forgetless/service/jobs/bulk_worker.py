"""BulkWorker: does bulk jobs where no queue asks for them: it looks for due jobs and does a portion of each."""

from __future__ import annotations

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Maintenance
from forgetless.service.jobs.bulk import BulkService

__all__ = ["BulkWorker"]

#: The seconds of a portion. They are few, because one worker does the portions of all jobs in turn.
PORTION_S = 5.0
#: How many jobs are read at once. Those that are due for longest come first.
_JOBS = 20


class BulkWorker:
    """The work of one thread. Several workers share the jobs: leases and versions keep them apart."""

    def __init__(self, *, ledger: Maintenance, bulk: BulkService, clock: Clock) -> None:
        self._ledger = ledger
        self._bulk = bulk
        self._clock = clock

    def turn(self) -> bool:
        """Do a portion of each due job, in turn, and remove those that ended long ago; False when none has moved."""
        moved = False
        for document in self._ledger.due_documents(BULK_JOB, now=self._clock.now(), limit=_JOBS):
            job = BulkJob.of(document)
            if job.finished:
                self._bulk.remove(job)
                continue
            self._bulk.run(job.tenant, job.id, job.version, seconds=PORTION_S)
            now = self._bulk.job(job.tenant, job.id)
            moved = moved or (now is not None and now.version != job.version)
        return moved
