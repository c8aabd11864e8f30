"""ReindexAll: an operator's reindex of all tenants. It starts a bulk job for each tenant and works on them itself.

The jobs are in the ledger, so a run that was killed is continued: by the next run, or by the function or the worker
that does bulk jobs anyway. Each tenant has jobs of its own, so leases, fairness, progress and cancelling work as for
every other job, and no job needs the right to list tenants. A large tenant has one job for each of its ranges.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

from forgetless.domain.bulk_jobs import MOST_RANGES, BulkJob, BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, DependencyError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs.bulk import BulkService

__all__ = ["ReindexAll", "Reindexed"]

#: The document of the run that has not ended. It belongs to no tenant.
_RUN = ("", "reindex", "run")
#: A tenant with more memories than this is done in ranges side by side.
_SMALL = 1_000
_TENANTS = 100
#: Short portions, so that progress is shown often, and a short lease, so that a killed command is soon continued.
_PORTION_S, _MARGIN_S = 2.0, 10.0
#: Seconds until a job that another worker is busy with is looked at again.
_LOOK_AGAIN_S = 0.5
_NAMESPACE = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000004")


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many memories a call has done, and how many of the whole run were set aside."""

    done: int
    set_aside: int


class ReindexAll:
    """Several threads do the portions of the jobs, beside whoever else does bulk jobs."""

    def __init__(self, *, ledger: Ledger, bulk: BulkService, clock: Clock) -> None:
        self._ledger = ledger
        self._bulk = bulk
        self._clock = clock

    def begin(self, *, afresh: bool = False) -> None:
        """Begin a run, unless there is an unfinished one to be continued; `afresh` ends that one and begins another."""
        held = self._ledger.document(*_RUN)
        if held is not None and not afresh:
            return
        if held is not None:
            self._ledger.delete_document(*_RUN)
        body = {"run": str(uuid.uuid4()), "before": held.body["run"] if held is not None else None}
        self._ledger.put_document(Document(*_RUN, body, self._clock.now()))

    def finish(self, tell: Callable[[int], None]) -> Reindexed:
        """Do what is left of the run that was begun; `tell` gets the number of memories done so far.

        Raises the first error of a job, which then waits for the next call or another worker. If a job has failed for
        good, the run ends, and the next one begins from the start.
        """
        held = self._ledger.document(*_RUN)
        if held is None:  # another process has finished it
            return Reindexed(0, 0)
        run = str(held.body["run"])
        if held.body["before"] is not None:
            self._cancel(str(held.body["before"]))
        jobs = [job for tenant in self._tenants() for job in self._started(run, tenant)]
        ended = self._side_by_side(jobs, tell)
        self._end(run)
        if failed := [job for job in ended if job.state is JobState.FAILED]:
            raise DependencyError(f"the reindex of a tenant ended: {failed[0].error}")
        done = sum(job.done for job in ended) - sum(job.done for job in jobs)
        return Reindexed(done, sum(job.set_aside for job in ended))

    def _side_by_side(self, jobs: Sequence[BulkJob], tell: Callable[[int], None]) -> list[BulkJob]:
        """Every job as it ended; raises the first error, after which no further portion is begun."""
        before = sum(job.done for job in jobs)
        done = {job.id: job.done for job in jobs}
        stopped = threading.Event()

        def finish(job: BulkJob) -> BulkJob:
            now = job
            try:
                for now in () if stopped.is_set() else self._portions(job):
                    done[now.id] = now.done
                    tell(sum(done.values()) - before)
                    if stopped.is_set():
                        break
            except BaseException:
                stopped.set()
                raise
            return now

        pool = ThreadPoolExecutor(MOST_RANGES, thread_name_prefix="reindex")
        try:
            return list(pool.map(finish, jobs))
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)

    def _end(self, run: str) -> None:
        """Note that the run has ended, unless another run has replaced it."""
        held = self._ledger.document(*_RUN)
        if held is not None and held.body["run"] == run:
            self._ledger.delete_document(*_RUN)

    def _cancel(self, run: str) -> None:
        """End the jobs of a run that another has replaced. Any that is left only does the same work again."""
        for tenant in self._tenants():
            for number in range(MOST_RANGES):
                with contextlib.suppress(NotFoundError, ConflictError):
                    self._bulk.cancel(tenant, _job_id(run, tenant, number))

    def _tenants(self) -> Iterator[str]:
        """Every tenant once."""
        seen: set[str] = set()
        cursor: str | None = None
        for page in count():
            if page and cursor is None:
                return
            names, cursor = self._ledger.list_tenants(limit=_TENANTS, cursor=cursor)
            yield from (name for name in names if name not in seen)
            seen.update(names)

    def _started(self, run: str, tenant: str) -> list[BulkJob]:
        """The jobs of this run for the tenant; the ranges depend on the run's first look, not on a later one."""
        first = self._bulk.job(tenant, _job_id(run, tenant, 0))
        large = "range" in first.request if first is not None else self._is_large(tenant)
        requests = [{"range": number} for number in range(MOST_RANGES)] if large else [{}]
        return [
            self._bulk.start(tenant, BulkKind.REINDEX, request, job_id=_job_id(run, tenant, number))
            for number, request in enumerate(requests)
        ]

    def _is_large(self, tenant: str) -> bool:
        tally = self._ledger.tally(tenant, limit=_SMALL)
        return tally.live >= _SMALL or not tally.exact

    def _portions(self, job: BulkJob) -> Iterator[BulkJob]:
        """Do the job, and yield it after every portion, whoever did it."""
        while True:
            yield job
            if job.finished:
                return
            self._bulk.run(job.tenant, job.id, job.version, seconds=_PORTION_S, margin_s=_MARGIN_S)
            now = self._bulk.job(job.tenant, job.id)
            if now is None:
                raise DependencyError("the reindex of a tenant was removed while it ran")
            if now.version == job.version or (now.state is JobState.RUNNING and now.attempts):
                self._clock.sleep(_LOOK_AGAIN_S)  # another worker is busy with it
            elif now.state is JobState.PENDING and now.error is not None:
                raise DependencyError(f"{now.error}; once that answers again, the job goes on by itself")
            job = now


def _job_id(run: str, tenant: str, number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{run} {number} {tenant!a}"))
