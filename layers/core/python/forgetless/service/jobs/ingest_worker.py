"""IngestWorker: runs adds that wait, where no queue delivers them: those that took too long or were started again."""

from __future__ import annotations

import logging
import threading

from forgetless.domain.jobs import Job
from forgetless.domain.limits import JOB_S, REQUEST_S
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Maintenance
from forgetless.service.jobs.ingest import IngestService, JobHeldError

__all__ = ["IngestWorker"]

_logger = logging.getLogger(__name__)

#: A job that is younger may still wait for its turn in the request that accepted it.
_REQUEST_ENDED_S = REQUEST_S + 5.0
#: How many jobs are read at once, and how many of them run at once: each waits for the LLM most of the time.
_JOBS = 200
_AT_ONCE = 4


class IngestWorker:
    """Runs the oldest job of each speaker. Several workers share the jobs: leases keep them apart."""

    def __init__(self, *, ledger: Maintenance, ingest: IngestService, clock: Clock) -> None:
        self._ledger = ledger
        self._ingest = ingest
        self._clock = clock
        self._lock = threading.Lock()
        #: By speaker, so that the jobs of one run in their order.
        self._running: dict[str, threading.Thread] = {}

    def turn(self) -> bool:
        """Begin what is due, as far as there is room, and return at once; False, because nothing more can begin."""
        now = self._clock.now()
        ended = later(now, -_REQUEST_ENDED_S)
        for job in self._ledger.stuck_jobs(now=now, pending_before=now, limit=_JOBS):
            # For a job of several calls, or one that was held, no request waits.
            if job.llm_calls is not None or job.error is not None or job.updated_at < ended:
                self._begin(job)
        return False

    def wait(self, seconds: float) -> None:
        """Return when the jobs that run now have ended, or after so many seconds for each."""
        for thread in list(self._running.values()):
            thread.join(seconds)

    def _begin(self, job: Job) -> None:
        speaker = job.scope.writer_key()
        with self._lock:
            if speaker in self._running or len(self._running) >= _AT_ONCE:
                return
            # A daemon, so that a server that stops does not wait for an LLM; a job that is cut off is run again.
            thread = threading.Thread(target=self._run, args=(speaker, job), name="ingest", daemon=True)
            self._running[speaker] = thread
        thread.start()

    def _run(self, speaker: str, job: Job) -> None:
        try:
            while self._goes_on(job):
                pass
        except Exception:
            _logger.exception("an add was not run", extra={"job_id": job.id})
        finally:
            with self._lock:
                del self._running[speaker]

    def _goes_on(self, job: Job) -> bool:
        """Run the job; return whether it must be run again at once. One that is held is due at its `next_try_at`."""
        try:
            self._ingest.run(job.tenant, job.id, seconds=JOB_S)
        except JobHeldError as held:
            return held.goes_on
        return False
