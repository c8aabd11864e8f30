"""Sweep: brings back jobs that got stuck and indexes what the index misses, in bounded portions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from forgetless.domain.errors import DependencyError
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.queue import JobQueue
from forgetless.service.indexing import Indexer

__all__ = ["SweepReport", "SweepService"]

_logger = logging.getLogger(__name__)

#: A job PENDING this long has lost its message, or its process.
LOST_AFTER_S = 60.0
#: An index pending this long is nobody's work any more.
UNINDEXED_AFTER_S = 10.0
#: Rows at once, and most portions a run: a run stays well below its function's time-out.
PORTION = 100
MOST_PORTIONS = 50


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did."""

    requeued: int
    indexed: int
    expired_messages: int


class SweepService:
    """The repair that runs on a schedule; every step is harmless to repeat."""

    def __init__(
        self, *, ledger: Ledger, indexer: Indexer, queue: JobQueue, clock: Clock, message_retention_s: float | None
    ) -> None:
        self._ledger = ledger
        self._indexer = indexer
        self._queue = queue
        self._clock = clock
        self._message_retention_s = message_retention_s

    def sweep(self) -> SweepReport:
        """One bounded run; a part that fails is logged and the others still run."""
        return SweepReport(
            requeued=self._attempt("requeue", self._requeue),
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
            count += self._indexer.refresh(portion)
        return count

    def _attempt(self, name: str, part: Callable[[], int]) -> int:
        try:
            return part()
        except DependencyError as error:
            _logger.warning("sweep: a part must wait", extra={"part": name, "reason": error.message})
            return 0

    def _requeue(self) -> int:
        now = self._clock.now()
        stuck = self._ledger.stuck_jobs(now=now, pending_before=later(now, -LOST_AFTER_S), limit=PORTION)
        for job in stuck:
            # The minute makes a new deduplication id, so that the message is sent though an earlier one was lost.
            self._queue.send(job, attempt=f"sweep-{now[:16]}")
        return len(stuck)

    def _index(self) -> int:
        before = later(self._clock.now(), -UNINDEXED_AFTER_S)
        count = 0
        for _ in range(MOST_PORTIONS):
            portion = self._ledger.unindexed(before=before, limit=PORTION)
            if not portion:
                break
            count += self._indexer.refresh(portion)
        return count

    def _expire(self) -> int:
        if self._message_retention_s is None:
            return 0
        before = later(self._clock.now(), -self._message_retention_s)
        return self._ledger.expire_messages(before=before, limit=PORTION * MOST_PORTIONS)
