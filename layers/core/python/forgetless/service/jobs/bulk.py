"""BulkService: starts, runs, shows and cancels bulk jobs. A job is done in portions, each asked for by a message.

A job's record has a version, and only a message that names the current version is worked on. Each change of the record
is conditional on the version that its writer read:

1. A worker takes the lease of the job's lane and claims the job, which is a new version. It then does a portion.
2. It records how far the job has come, which is a new version again, and sends the next message, which names it.
3. If it dies in between, or the message is lost, the job becomes due. Sweep then makes a new version and sends it.

So at any moment at most one message of a job counts; all others are dropped and send nothing. A portion may be done a
second time after a death, so portions must be idempotent. A worker that is stopped releases the lane: then its message,
which nobody has deleted, is received again and goes on at once.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from forgetless.domain.backoff import Backoff
from forgetless.domain.bulk_jobs import (
    BULK_JOB,
    MUST_END,
    OF_CLIENTS,
    REMOVING,
    TRANSFER_IDLE_S,
    TRANSFER_KEPT_S,
    BulkJob,
    BulkKind,
    Progress,
    open_kind,
)
from forgetless.domain.errors import (
    ConflictError,
    DependencyError,
    ForgetlessError,
    InvalidRequestError,
    NotFoundError,
    QueueError,
)
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import BULK_MARGIN_S, MOST_ATTEMPTS
from forgetless.domain.retention import DAY_S, Retention
from forgetless.domain.times import later
from forgetless.ports.bulk_queue import BulkQueue
from forgetless.ports.clock import Clock
from forgetless.ports.metrics import BULK_JOBS_FAILED
from forgetless.ports.request_ledger import DocumentStore, RequestLedger
from forgetless.ports.trace import stored_trace, traced_job
from forgetless.service.conflict_retry import ConflictRetry

__all__ = ["LOST_AFTER_S", "BulkService", "PortionWork", "has_moved"]

_logger = logging.getLogger(__name__)

#: A message that has not been worked on this long after it should have arrived is assumed to be lost. A worker that
#: has not recorded its portion this long after its time was over is assumed to be dead.
LOST_AFTER_S = 120.0
#: How long a message waits that found the lease taken. The wait grows, because thousands of jobs of a tenant may wait.
_TURNS = Backoff(first_s=2.0, longest_s=60.0)
#: How long a job waits after a portion failed.
_HOLDS = Backoff(first_s=10.0, longest_s=300.0, least=0.5)


class PortionWork(Protocol):
    """How the portions of one kind of job are done."""

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        """Do the portion that begins at `job.cursor`, and say where the next one begins.

        The portion is bounded: it ends at the latest when the clock's `monotonic()` has passed `deadline`, or after a
        number of rows. It is idempotent, because a process may die before its progress is recorded; another one then
        does the same portion again. An error leaves the job where it was, and it is tried again later.

        If such a job can be cancelled, the portion asks `has_moved` after each step, and then ends with its progress.
        """


def has_moved(ledger: DocumentStore, claimed: BulkJob) -> bool:
    """Whether a job has been cancelled, or taken over by another worker, since its worker claimed it."""
    held = ledger.document(claimed.tenant, BULK_JOB, claimed.id)
    return held is None or held.version != claimed.version


class BulkService:
    """Bulk jobs over one ledger. Without a queue, a started job is due at once, and the worker finds it by that."""

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        queue: BulkQueue | None,
        clock: Clock,
        works: Mapping[BulkKind, PortionWork] | None = None,
        retention: Retention | None = None,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._clock = clock
        self._works = dict(works or {})
        self._retention = retention or Retention()

    @property
    def queued(self) -> bool:
        """Whether messages ask for portions; otherwise a worker looks for jobs that are due."""
        return self._queue is not None

    def start(
        self,
        tenant: str,
        kind: BulkKind,
        request: Mapping[str, Any],
        *,
        total: int | None = None,
        job_id: str | None = None,
        cursor: Mapping[str, Any] | None = None,
        done: int = 0,
        done_at_least: bool = False,
        counts: Mapping[str, int] | None = None,
    ) -> BulkJob:
        """Start a job; `request` must be JSON. If the tenant has a job with this id already, return that one unchanged.

        With a `cursor` it goes on where the request that starts it came to, which has `done` and counted so much. When
        this returns, the job is in the ledger and will be done, whatever happens to this process or the queue.
        """
        now = self._clock.now()
        job = BulkJob(
            id=job_id or str(uuid.uuid4()),
            tenant=tenant,
            kind=kind,
            state=JobState.PENDING,
            created_at=now,
            updated_at=now,
            request={**request, **stored_trace()},
            cursor=cursor,
            total=total,
            done=done,
            done_at_least=done_at_least,
            counts=counts or {},
            due_at=self._due(now),
        )
        if not self._ledger.put_document(job.document()):
            return self._known(tenant, job.id)
        self._send(job)
        return job

    def record(
        self,
        tenant: str,
        kind: BulkKind,
        request: Mapping[str, Any],
        *,
        job_id: str,
        done: int,
        began_at: str,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Record a job that a request has done itself, so that its event can be looked up."""
        now = self._clock.now()
        job = BulkJob(
            id=job_id,
            tenant=tenant,
            kind=kind,
            state=JobState.SUCCEEDED,
            created_at=began_at,
            updated_at=now,
            request=request,
            done=done,
            total=done,
            counts=counts or {},
            started_at=began_at,
            completed_at=now,
        )
        ended = replace(job, request=job.request_after_its_end, due_at=self._removed_at(job.state, now))
        self._ledger.put_document(ended.document())

    def job(self, tenant: str, job_id: str) -> BulkJob | None:
        """The job, or None when the tenant has none with this id."""
        found = self._ledger.document(tenant, BULK_JOB, job_id)
        return None if found is None else BulkJob.of(found)

    def jobs(self, tenant: str, *, limit: int, cursor: str | None = None) -> tuple[list[BulkJob], str | None]:
        """The tenant's bulk jobs, newest first, and the cursor of the next page."""
        found, following = self._ledger.documents(tenant, BULK_JOB, limit=limit, cursor=cursor)
        return [BulkJob.of(document) for document in found], following

    def cancel(self, tenant: str, job_id: str) -> BulkJob:
        """End a job that has not ended. What its portions have done so far stays done.

        A worker that is busy with it stops after its step, and then adds to the record what its portion has done.

        Raises NotFoundError, and ConflictError for an erasure or a job that has ended in another way.
        """
        retry = ConflictRetry(self._clock)
        while True:
            job = self._known(tenant, job_id)
            if job.cancelled:
                return job
            if job.kind in MUST_END:
                raise ConflictError("An erasure cannot be cancelled.")
            if job.finished:
                raise ConflictError(f"The job has already ended: {job.state}.")
            at_least = _may_have_done_more(job)
            ended = self._ended(job, JobState.FAILED, cancelled=True, error="cancelled", done_at_least=at_least)
            if ended is not None:
                return ended
            if not retry.again():
                raise ConflictError("The job is being changed all the time; try again.")

    def run(
        self,
        tenant: str,
        job_id: str,
        version: int,
        *,
        seconds: float,
        margin_s: float = BULK_MARGIN_S,
        waits: int = 0,
    ) -> None:
        """Do one portion of the job within `seconds`, as the message with this version asks, and send the next message.

        Returns without doing anything when the message is no longer current. When another job of the tenant is using
        the lane, the message is sent again with a delay. If this process dies, the lease ends `margin_s` later. If an
        exception such as SystemExit stops it, its message goes on with the portion once it is received again.
        Raises LedgerError when the ledger cannot be used.
        """
        job = self.job(tenant, job_id)
        if job is None or job.finished or not _is_asked_for(job, version):
            return
        with traced_job(job.id, job.request, tenant=job.tenant):
            self._take_turn(job, version, seconds, margin_s, waits)

    def _take_turn(self, job: BulkJob, version: int, seconds: float, margin_s: float, waits: int) -> None:
        """Do the portion under the lane's lease, or let the message come again while another job has the lane."""
        now, owner, lane = self._clock.now(), f"bulk-{uuid.uuid4()}", f"bulk {job.lane} {job.tenant}"
        if not self._ledger.acquire_lease(lane, owner=owner, now=now, until=later(now, seconds + margin_s)):
            if job.version == version:  # otherwise it is the lane of the worker that has claimed the job
                self._send(job, delay_s=_TURNS.wait_s(waits), waits=waits + 1)
            return
        try:
            following, wait_s = self._portion(job, seconds)
        finally:
            self._ledger.release_lease(lane, owner=owner)
        if following is not None and not following.finished:
            self._send(following, delay_s=max(wait_s, _hold_s(following)))

    def settle(self, job: BulkJob) -> bool:
        """Do what remains for a due job that needs no portion; False if it needs one.

        The record of one that ended long ago is removed. An import whose client has not gone on for long ends where it
        is, and may be begun again there; such an export is removed, because it would have to begin afresh.
        """
        if job.finished or job.kind is BulkKind.EXPORT:
            self._ledger.delete_document(job.tenant, BULK_JOB, job.id)
        elif job.kind is BulkKind.IMPORT:
            now, error = self._clock.now(), f"nobody went on with it for {TRANSFER_IDLE_S / DAY_S:.0f} days"
            ended = {"state": JobState.FAILED, "error": error, "completed_at": now}
            if self._put(job, due_at=later(now, TRANSFER_KEPT_S), **ended) is None:
                return True  # its client has gone on at this moment
        else:
            return False
        self._close(job)
        return True

    def send_again(self, job: BulkJob) -> bool:
        """Send the message of a job that is due; False if somebody has moved the job in the meantime.

        The new message has a new version, so that the one before is dropped if it arrives after all.
        """
        renewed = self._put(job, due_at=self._due(self._clock.now()))
        if renewed is None or self._queue is None:
            return False
        self._queue.send(renewed)
        return True

    def _portion(self, job: BulkJob, seconds: float) -> tuple[BulkJob | None, float]:
        """Claim the job, do a portion and record the progress; returns the job and how long its next portion waits.

        There is no job if somebody else has moved it.
        """
        if job.attempts >= MOST_ATTEMPTS and job.kind not in MUST_END:
            reason = f"worker_lost: no worker finished a portion in {job.attempts} attempts"
            return self._ended(job, JobState.FAILED, error=reason), 0.0
        now = self._clock.now()
        claimed = self._put(
            job,
            state=JobState.RUNNING,
            attempts=job.attempts + 1,
            done_at_least=_may_have_done_more(job),
            started_at=job.started_at or now,
            due_at=later(now, seconds + LOST_AFTER_S),
        )
        if claimed is None:
            return None, 0.0
        try:
            progress = self._work(job.kind).portion(claimed, deadline=self._clock.monotonic() + seconds)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the job must not be lost
            return self._failed(claimed, error), 0.0
        return self._recorded(claimed, progress), progress.wait_s

    def _recorded(self, job: BulkJob, progress: Progress) -> BulkJob | None:
        counts: dict[str, Any] = {"done": progress.done, "total": progress.total, "set_aside": progress.set_aside}
        counts["counts"] = {**job.counts, **progress.counts}
        if progress.cursor is None:
            recorded = self._ended(job, JobState.SUCCEEDED, **counts)
        else:
            cursor, due_at = dict(progress.cursor), self._due(self._clock.now(), progress.wait_s)
            recorded = self._put(job, cursor=cursor, attempts=0, failures=0, error=None, due_at=due_at, **counts)
        if recorded is None:
            now = self.job(job.tenant, job.id)
            if now is not None and now.cancelled and now.version == job.version + 1:
                self._put(now, done_at_least=job.done_at_least, **counts)
        return recorded

    def _failed(self, job: BulkJob, error: Exception) -> BulkJob | None:
        """Hold the job until its next try, or end it if a further try would fail in the same way."""
        reason = error.message if isinstance(error, ForgetlessError) else f"internal_error: {type(error).__name__}"
        more = {"job_id": job.id, "kind": job.kind.value, "reason": reason}
        # What we depend on will be there again. Of anything else, a few tries are made, but an erasure must be done.
        hopeless = isinstance(error, InvalidRequestError) or job.failures + 1 >= MOST_ATTEMPTS
        if hopeless and not isinstance(error, DependencyError) and job.kind not in MUST_END:
            _logger.error("a bulk job failed", extra=more, exc_info=error)
            return self._ended(job, JobState.FAILED, error=reason)
        known = isinstance(error, DependencyError | ConflictError)
        _logger.warning("a portion of a bulk job failed", extra=more, exc_info=None if known else error)
        held = replace(job, failures=job.failures + 1)
        due_at = later(self._clock.now(), _hold_s(held) + (LOST_AFTER_S if self.queued else 0.0))
        return self._put(held, state=JobState.PENDING, attempts=0, error=reason, due_at=due_at)

    def _ended(self, job: BulkJob, state: JobState, *, error: str | None = None, **changes: Any) -> BulkJob | None:
        now = self._clock.now()
        changes |= {"request": job.request_after_its_end, "due_at": self._removed_at(state, now)}
        ended = self._put(job, state=state, error=error, cursor=None, completed_at=now, **changes)
        if ended is not None:
            self._close(job)
        if ended is not None and ended.state is JobState.FAILED and not ended.cancelled:
            BULK_JOBS_FAILED.count()
        return ended

    def _close(self, job: BulkJob) -> None:
        """Count a transfer no longer."""
        if job.kind in OF_CLIENTS:
            self._ledger.delete_document(job.tenant, open_kind(job.kind), job.id)

    def _removed_at(self, state: JobState, now: str) -> str | None:
        """When the record of a job goes that has ended now."""
        kept = self._retention
        kept_s = kept.succeeded_jobs_s if state is JobState.SUCCEEDED else kept.failed_jobs_s
        return None if kept_s is None else later(now, kept_s)

    def _put(self, job: BulkJob, **changes: Any) -> BulkJob | None:
        """Store the next version of the job; None if somebody else was first."""
        changed = job.changed(self._clock.now(), **changes)
        return changed if self._ledger.put_document(changed.document()) else None

    def _known(self, tenant: str, job_id: str) -> BulkJob:
        job = self.job(tenant, job_id)
        if job is None:
            raise NotFoundError("Job not found or you don't have permission to access it.")
        return job

    def _work(self, kind: BulkKind) -> PortionWork:
        try:
            return self._works[kind]
        except KeyError:
            raise DependencyError(f"this version of Forgetless cannot do jobs of the kind {kind}") from None

    def _due(self, now: str, wait_s: float = 0.0) -> str:
        due_s = wait_s + (LOST_AFTER_S if self.queued else 0.0)
        return later(now, due_s) if due_s else now

    def _send(self, job: BulkJob, *, delay_s: float = 0.0, waits: int = 0) -> None:
        if self._queue is None:
            return
        try:
            self._queue.send(job, delay_s=delay_s, waits=waits)
        except QueueError as error:  # sweep sends it when it is due
            _logger.warning("a bulk job waits for sweep", extra={"job_id": job.id, "reason": error.message})


def _is_asked_for(job: BulkJob, version: int) -> bool:
    """Whether a message with this version is current: it names the job as it is, or as it was before it was claimed.

    The message of a worker that was stopped is received again. The lane's lease tells whether the worker is gone.
    """
    claimed = job.state is JobState.RUNNING and job.attempts > 0
    return job.version == version or (claimed and job.version == version + 1)


def _may_have_done_more(job: BulkJob) -> bool:
    """Whether `done` lacks what a portion has removed that was begun and is not recorded."""
    return job.done_at_least or (job.attempts > 0 and job.kind in REMOVING)


def _hold_s(job: BulkJob) -> float:
    """Seconds until the next try, without jitter, so that the message and the record agree."""
    return _HOLDS.wait_s(job.failures - 1, draw=lambda: 1.0) if job.failures else 0.0
