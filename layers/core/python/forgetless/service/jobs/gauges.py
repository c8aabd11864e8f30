"""Gauges: what sweep says once a minute about what waits. They cost nothing while no metrics are recorded."""

from __future__ import annotations

from forgetless.domain.jobs import Job, JobState
from forgetless.domain.times import seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.metrics import (
    DEAD_LETTERS,
    INDEX_LAG_SECONDS,
    OLDEST_JOB_SECONDS,
    OPEN_JOBS,
    SWEEPS,
    metrics_are_recorded,
)

__all__ = ["Gauges"]

#: How many of the oldest adds are looked at, and up to which number adds are counted.
LOOKED_AT, COUNTED = 200, 1000


class Gauges:
    """Sets the gauges of the whole store."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        #: Whether adds may be held, as far as the last look knows.
        self.may_be_held = True

    def set(self) -> int:
        """Look once at what waits, with bounded work; returns 1 if it did."""
        if not metrics_are_recorded():
            return 0
        SWEEPS.count()
        found, now = self._ledger.backlog(jobs=LOOKED_AT, counted=COUNTED), self._clock.now()
        running = sum(job.state is JobState.RUNNING for job in found.oldest_jobs)
        held = sum(_is_held(job) for job in found.oldest_jobs)
        self.may_be_held = held > 0 or found.open_jobs > len(found.oldest_jobs)
        # Those that are running or held are among the oldest; whatever else there is waits for a worker.
        OPEN_JOBS.set(running, state="running")
        OPEN_JOBS.set(held, state="held")
        OPEN_JOBS.set(found.open_jobs - running - held, state="pending")
        OLDEST_JOB_SECONDS.set(_age(next((job.created_at for job in found.oldest_jobs), None), now))
        DEAD_LETTERS.set(found.failed_jobs)
        INDEX_LAG_SECONDS.set(_age(found.pending_since, now))
        return 1


def _is_held(job: Job) -> bool:
    return job.state is JobState.PENDING and job.error is not None


def _age(since: str | None, now: str) -> float:
    return 0.0 if since is None else max(0.0, seconds_between(since, now))
