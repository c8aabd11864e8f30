"""IngestWorker: runs adds that wait, where no queue delivers them: those that took too long or were started again."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from forgetless.domain.jobs import Job
from forgetless.domain.limits import JOB_S, REQUEST_S
from forgetless.domain.metadata import count_values
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs.ingest import IngestService, JobHeldError

__all__ = ["IngestWorker"]

_logger = logging.getLogger(__name__)

#: A job that is younger may still wait for its turn in the request that accepted it.
_REQUEST_ENDED_S = REQUEST_S + 5.0
#: How many jobs are read at once, of all tenants and of each, and how many of them run at once: each waits for the LLM
#: most of the time.
_JOBS, _EACH = 100, 50
_AT_ONCE = 4
#: A job that asks for more keys and list entries than this, as earlier versions imported it, takes hundreds of MB.
_HEAVY_VALUES = 200_000
#: How long a turn waits for one of the jobs that run to end.
_LOOK_S = 1.0


class IngestWorker:
    """Runs the oldest job of each speaker; tenants take turns. Several workers share the jobs: leases keep them apart.

    A job with several calls of the LLM gives its slot back after each if others wait.
    """

    def __init__(self, *, ledger: Ledger, ingest: IngestService, clock: Clock) -> None:
        self._ledger = ledger
        self._ingest = ingest
        self._clock = clock
        self._lock = threading.Lock()
        #: By speaker, so that the jobs of one run in their order: the tenant, and the thread.
        self._running: dict[str, tuple[str, threading.Thread]] = {}
        #: The speaker whose heavy job runs: one does at a time.
        self._heavy: str | None = None
        #: When each tenant was served last, counted in jobs that have begun.
        self._served: dict[str, int] = {}
        self._begun = 0
        #: Whether a job found no room when the worker looked last.
        self._others_wait = False
        self._moved = threading.Event()

    def turn(self) -> bool:
        """Begin what is due, as far as there is room; True if more may begin now, because jobs run or have ended.

        It then waits until one ends, for a second at most.
        """
        self._moved.clear()
        self._begin_due()
        if not self._running:
            return self._moved.is_set()
        self._moved.wait(_LOOK_S)
        return True

    def wait(self, seconds: float) -> None:
        """Return when the jobs that run now have ended, or after so many seconds for each."""
        for _, thread in list(self._running.values()):
            thread.join(seconds)

    def _begin_due(self) -> None:
        now = self._clock.now()
        found = self._ledger.stuck_in_turn(now=now, pending_before=now, limit=_JOBS, each=_EACH)
        with self._lock:
            running = {speaker: tenant for speaker, (tenant, _) in self._running.items()}
        self._heavy = self._heavy if self._heavy in running else None
        waiting = _ready([job for job in found if job.scope.writer_key() not in running], now)
        tenants = {job.tenant for job in waiting} | set(running.values())
        self._served = {tenant: turn for tenant, turn in self._served.items() if tenant in tenants}
        busy = Counter(running.values())
        while waiting and busy.total() < _AT_ONCE:
            job = min(waiting, key=lambda one: (busy[one.tenant], self._served.get(one.tenant, 0), one.created_at))
            waiting.remove(job)
            if _is_heavy(job):
                if self._heavy is not None:
                    continue
                self._heavy = job.scope.writer_key()
            busy[job.tenant] += 1
            # Its run reads what it asks for.
            self._begin(replace(job, request={}))
        self._others_wait = bool(waiting)

    def _begin(self, job: Job) -> None:
        self._begun += 1
        self._served[job.tenant] = self._begun
        speaker = job.scope.writer_key()
        # A daemon, so that a server that stops does not wait for an LLM; a job that is cut off is run again.
        thread = threading.Thread(target=self._run, args=(speaker, job), name="ingest", daemon=True)
        with self._lock:
            self._running[speaker] = (job.tenant, thread)
        thread.start()

    def _run(self, speaker: str, job: Job) -> None:
        moved = False
        try:
            while self._goes_on(job) and not self._others_wait:
                pass
            standing = self._ledger.job(job.tenant, job.id)
            moved = standing is None or not standing.stands_as(job)
        except Exception:
            _logger.exception("an add was not run", extra={"job_id": job.id})
        finally:
            with self._lock:
                del self._running[speaker]
            if moved:  # otherwise it is due all the time, and would be tried again without a rest
                self._moved.set()

    def _goes_on(self, job: Job) -> bool:
        """Run the job; return whether it must be run again at once. One that is held is due at its `next_try_at`."""
        try:
            self._ingest.run(job.tenant, job.id, seconds=JOB_S, goes_on=lambda: not self._others_wait)
        except JobHeldError as held:
            return held.goes_on
        return False


def _is_heavy(job: Job) -> bool:
    return count_values(job.request) > _HEAVY_VALUES


def _ready(found: Sequence[Job], now: str) -> list[Job]:
    """Of each speaker the oldest job, unless it is erased or a request may still wait for it."""
    ended = later(now, -_REQUEST_ENDED_S)
    oldest: dict[str, Job] = {}
    for job in sorted(found, key=lambda job: (job.created_at, job.id)):
        oldest.setdefault(job.scope.writer_key(), job)
    # For a job of several calls, or one that was held, no request waits.
    return [
        job
        for job in oldest.values()
        if not job.finished and (job.llm_calls is not None or job.error is not None or job.updated_at < ended)
    ]
