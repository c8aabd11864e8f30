"""BulkWorker: does bulk jobs where no queue asks for them: it looks for due jobs and does a portion for each tenant."""

from __future__ import annotations

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Maintenance
from forgetless.service.jobs.bulk import BulkService

__all__ = ["BulkWorker"]

#: The seconds of a portion. They are few, because one worker does the portions of all jobs in turn.
PORTION_S = 5.0
#: How many jobs are read at once, of all tenants and of each. Those that are due for longest come first. A tenant's are
#: more than the deletes by filter that it may have open, so that these do not hide what it has in other lanes.
_JOBS, _EACH = 200, 50
#: Jobs that belong to no tenant take turns as if each were a tenant.
_NOBODY = ""


class BulkWorker:
    """The work of one thread. Several workers share the jobs: leases and versions keep them apart."""

    def __init__(self, *, ledger: Maintenance, bulk: BulkService, clock: Clock) -> None:
        self._ledger = ledger
        self._bulk = bulk
        self._clock = clock

    def turn(self) -> bool:
        """Do a portion for each tenant, and remove jobs that ended long ago; False when none has moved.

        It is a portion of the job that is due for longest, or of the next in another lane if that does not move.
        """
        moved = False
        served: set[str] = set()
        taken: set[tuple[str, str]] = set()
        for document in self._ledger.due_in_turn(BULK_JOB, now=self._clock.now(), limit=_JOBS, each=_EACH):
            job = BulkJob.of(document)
            if self._bulk.settle(job):
                moved = True
            elif job.tenant in served or (job.tenant, job.lane) in taken:
                continue
            elif self._portion(job):
                moved = True
                served |= {job.tenant} - {_NOBODY}
            else:  # its lane is that of another worker, which may have died, for all jobs in it
                taken.add((job.tenant, job.lane))
        return moved

    def _portion(self, job: BulkJob) -> bool:
        """Do a portion of the job; False if it has not moved, because another worker is busy with one of its lane."""
        self._bulk.run(job.tenant, job.id, job.version, seconds=PORTION_S)
        now = self._bulk.job(job.tenant, job.id)
        return now is not None and now.version != job.version
