"""Sweep: brings back jobs that got stuck and indexes what the index misses, in bounded portions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from forgetless.domain.errors import DependencyError, ProviderError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import MOST_ATTEMPTS
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.queue import JobQueue
from forgetless.service.jobs.reindex import Reindexer
from forgetless.service.writing.infer import given_up, waiting

__all__ = ["SweepReport", "SweepService"]

T = TypeVar("T")

_logger = logging.getLogger(__name__)

#: A job PENDING this long, since it was accepted or last swept, has lost its message or its process.
LOST_AFTER_S = 120.0
#: An index pending this long is nobody's work any more.
UNINDEXED_AFTER_S = 10.0
#: Rows at once, most portions a run, and the seconds after which a part starts no further portion: a run stays well
#: below its function's time-out, and the next one goes on.
PORTION = 100
MOST_PORTIONS = 50
PART_S = 15.0
#: Memories that are counted to tell a lost index from one that has not begun.
_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did."""

    requeued: int
    given_up: int
    indexed: int
    expired_messages: int


class SweepService:
    """The repair that runs on a schedule; every step is harmless to repeat.

    `rebuilds`: looking for a lost index, and marking all memories at once, is within a run's time and rights.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        reindexer: Reindexer,
        queue: JobQueue,
        clock: Clock,
        message_retention_s: float | None,
        rebuilds: bool = True,
    ) -> None:
        self._ledger = ledger
        self._reindexer = reindexer
        self._queue = queue
        self._clock = clock
        self._message_retention_s = message_retention_s
        self._rebuilds = rebuilds
        self._given_up = 0

    def sweep(self) -> SweepReport:
        """One bounded run; a part that fails is logged and the others still run."""
        self._given_up = 0
        self._attempt("tidy", self._ledger.tidy)
        self._attempt("lost index", self._notice_a_lost_index)
        return SweepReport(
            requeued=self._attempt("requeue", self._requeue),
            given_up=self._given_up,
            indexed=self._attempt("index", self._index),
            expired_messages=self._attempt("expire", self._expire),
        )

    def index_all(self, tenant: str | None = None) -> int:
        """Rebuild: index every memory again, until nothing is pending; raises what stands in the way."""
        self._ledger.mark_unindexed(tenant, at=self._clock.now())
        return self.index_pending(tenant)

    def index_pending(self, tenant: str | None = None) -> int:
        """Index until nothing is pending; raises what stands in the way."""
        count = 0
        while portion := self._ledger.unindexed(before=self._clock.now(), limit=PORTION, tenant=tenant):
            count += self._reindexer.refresh(portion)
        return count

    def _attempt(self, name: str, part: Callable[[], int]) -> int:
        try:
            return part()
        except ProviderError as error:  # the next run tries once more: what is wrong may have been mended by then
            _logger.error("sweep: a part is stuck", extra={"part": name, "reason": error.message})
            return 0
        except DependencyError as error:
            _logger.warning("sweep: a part must wait", extra={"part": name, "reason": error.message})
            return 0

    def _requeue(self) -> int:
        return self._in_portions(
            lambda now: self._ledger.stuck_jobs(now=now, pending_before=later(now, -LOST_AFTER_S), limit=PORTION),
            lambda stuck: sum(self._bring_back(job) for job in stuck),
        )

    def _bring_back(self, job: Job) -> bool:
        """Put a stuck job back into the queue; one that outlived its workers too often is given up."""
        now = self._clock.now()
        if job.attempts >= MOST_ATTEMPTS:
            reason = f"worker_lost: no worker finished it in {job.attempts} attempts"
            self._given_up += self._ledger.update_job(
                given_up(job, now, owner=job.lease_owner, reason=reason), held=job
            )
            return False
        # Renewed, so that the next run comes to others; refused when somebody has claimed or ended the job meanwhile.
        if not self._ledger.update_job(waiting(job, now), held=job):
            return False
        # The time makes a new deduplication id for each round, the same one for two sweeps at once.
        self._queue.send(job, attempt=f"sweep-{job.updated_at}")
        return True

    def _notice_a_lost_index(self) -> int:
        """An index that holds nothing beside memories that it once took was lost under the running service."""
        if not self._rebuilds or self._reindexer.holds_rows() or not self._ledger.tenants(limit=1)[0]:
            return 0
        tally = self._ledger.tally(limit=_COUNTED)
        # The first memory of all may have come in between.
        if tally.live <= tally.pending or self._reindexer.holds_rows():
            return 0
        # As if since long: this very run begins with it.
        marked = self._ledger.mark_unindexed(at=later(self._clock.now(), -UNINDEXED_AFTER_S))
        _logger.warning("the index was lost and is made anew", extra={"memories": marked})
        return marked

    def _index(self) -> int:
        return self._in_portions(
            lambda now: self._ledger.unindexed(before=later(now, -UNINDEXED_AFTER_S), limit=PORTION),
            self._reindexer.refresh,
        )

    def _in_portions(self, read: Callable[[str], list[T]], work: Callable[[list[T]], int]) -> int:
        begin, give_up = self._clock.now(), self._clock.monotonic() + PART_S
        count = 0
        for _ in range(MOST_PORTIONS):
            portion = read(begin)
            if not portion:
                break
            count += work(portion)
            if len(portion) < PORTION or self._clock.monotonic() >= give_up:
                break
        return count

    def _expire(self) -> int:
        if self._message_retention_s is None:
            return 0
        before = later(self._clock.now(), -self._message_retention_s)
        return self._ledger.expire_messages(before=before, limit=PORTION * MOST_PORTIONS)
