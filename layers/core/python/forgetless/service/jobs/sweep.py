"""Sweep: restarts stuck jobs, indexes what is missing in the index, and removes what has expired, in portions."""

from __future__ import annotations

import logging
import math
import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.errors import DependencyError, ProviderError
from forgetless.domain.jobs import Job
from forgetless.domain.limits import MOST_ATTEMPTS
from forgetless.domain.memory import Memory
from forgetless.domain.times import later, seconds_between
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.metrics import ADDS_FAILED
from forgetless.ports.queue import JobQueue
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.erase import Erasures
from forgetless.service.jobs.gauges import Gauges
from forgetless.service.jobs.index_cleanings import IndexCleanings
from forgetless.service.jobs.reindex import Refreshed, Reindexer
from forgetless.service.jobs.retention import RetentionService
from forgetless.service.writing.infer import given_up, waiting

__all__ = ["SweepReport", "SweepService"]

T = TypeVar("T")

_logger = logging.getLogger(__name__)

#: A job that is PENDING this long after it was accepted or last swept is assumed to have lost its message or process.
LOST_AFTER_S = 120.0
#: A job whose message was sent again is left alone for as long as it has waited, at most so long.
_LONGEST_REST_S = 3600.0
#: A memory that is pending this long is no longer being indexed by its writer.
UNINDEXED_AFTER_S = 10.0
#: The rows in a portion, the most portions in a run, and the seconds after which a part starts no further portion. So a
#: run stays well below its function's time-out, and the next run continues.
PORTION = 100
MOST_PORTIONS = 50
PART_S = 15.0
#: After this time a tenant whose memories have long histories lets the next one have its turn.
_TURN_S = 5.0
#: The most tenants whose pending memories a run indexes; the run begins with any of them.
_TENANTS = 1000
#: At most this many memories are counted to distinguish a lost index from one that was never filled. If more are
#: pending, so many memories of so many tenants are looked at.
_COUNTED = 5_000
_SAMPLED, _SAMPLED_TENANTS = 100, 20
#: A document that belongs to no tenant. It exists from when a lost index is noticed until the reindex of every tenant
#: has been started and the index holds rows again, so that the next run continues and nothing is started twice.
_REBUILD = ("", "sweep", "lost index")
#: The most tenants whose reindex a run starts.
_STARTED_AT_ONCE = 200
_NAMESPACE = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000005")


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The counts of what a sweep did."""

    requeued: int
    bulk_requeued: int
    given_up: int
    indexed: int
    set_aside: int
    expired_messages: int
    expired_jobs: int
    expired_records: int
    retention_jobs: int


class SweepService:
    """The repairs that run on a schedule. Every step can be repeated without harm.

    `rebuilds` says whether a run has the time and the rights to look for a lost index and to reindex every tenant.
    `generations` looks after the generation of the index beside the one that serves, `held_adds` after adds that wait.
    `doubtful` says whether the embedder has failed on a text of a tenant.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        reindexer: Reindexer,
        queue: JobQueue,
        bulk: BulkService,
        erasures: Erasures,
        cleanings: IndexCleanings,
        clock: Clock,
        retention: RetentionService,
        rebuilds: bool = True,
        generations: Callable[[], int] = lambda: 0,
        held_adds: Callable[[], int] = lambda: 0,
        doubtful: Callable[[str], bool] = lambda _tenant: False,
    ) -> None:
        self._ledger = ledger
        self._reindexer = reindexer
        self._queue = queue
        self._bulk = bulk
        self._erasures = erasures
        self._cleanings = cleanings
        self._clock = clock
        self._retention = retention
        self._rebuilds = rebuilds
        self._generations = generations
        self._held_adds = held_adds
        self._doubtful = doubtful
        self._gauges = Gauges(ledger=ledger, clock=clock)
        self._given_up = 0
        self._set_aside = 0

    def sweep(self) -> SweepReport:
        """Do one bounded run. If a part fails, the error is logged and the other parts still run."""
        self._given_up = self._set_aside = 0
        self._attempt("gauges", self._gauges.set)
        self._attempt("scrub", self._retention.scrub)
        self._attempt("tidy", self._ledger.tidy)
        self._attempt("erasures", self._erasures.look_after)
        self._attempt("index files", self._cleanings.look)
        self._attempt("expire usage", self._retention.expire_usage)
        self._attempt("expire page ends", lambda: self._ledger.expire_page_ends(now=self._clock.now()))
        self._attempt("lost index", self._notice_a_lost_index)
        self._attempt("generations", self._generations)
        if self._gauges.may_be_held:
            self._attempt("held adds", self._held_adds)
        return SweepReport(
            requeued=self._attempt("requeue", self._requeue),
            bulk_requeued=self._attempt("bulk jobs", self._requeue_bulk),
            given_up=self._given_up,
            indexed=self._attempt("index", self._index),
            set_aside=self._set_aside,
            expired_messages=self._attempt("expire messages", self._retention.expire_messages),
            expired_jobs=self._attempt("expire jobs", self._retention.expire_jobs),
            expired_records=self._attempt("expire records", self._retention.expire_records),
            retention_jobs=self._attempt("expired memories", self._retention.delete_expired_memories),
        )

    def index_all(self, tenant: str | None = None) -> int:
        """Index every memory again, until nothing is pending; raises the first error. Returns how many were indexed."""
        self._ledger.mark_unindexed(tenant, at=self._clock.now())
        return self.index_pending(tenant)

    def index_pending(self, tenant: str | None = None) -> int:
        """Index until nothing is pending; raises the first error that blames no memory.

        Returns how many memories were indexed. Memories that are refused again and again are set aside.
        """
        count = 0
        while tenants := [tenant] if tenant is not None else self._ledger.pending_tenants(limit=_TENANTS):
            done = [self._index_tenant(one) for one in tenants]
            count += sum(indexed for _, indexed in done)
            if not any(portions for portions, _ in done):
                return count
        return count

    def _index_tenant(self, tenant: str) -> tuple[int, int]:
        """Index until nothing of the tenant is pending; returns the numbers of portions and of memories."""
        portions = count = 0
        while memories := self._ledger.unindexed(before=self._clock.now(), limit=PORTION, tenant=tenant):
            portions += 1
            count += self._refreshed(memories).indexed
        return portions, count

    def _attempt(self, name: str, part: Callable[[], int]) -> int:
        try:
            return part()
        except ProviderError as error:  # the next run tries again: the cause may have been repaired by then
            _logger.error("sweep: a part failed", extra={"part": name, "reason": error.message})
            return 0
        except DependencyError as error:
            _logger.warning("sweep: a part was postponed", extra={"part": name, "reason": error.message})
            return 0

    def _requeue(self) -> int:
        if not self._queue.background:  # then its worker looks for what is due
            return 0
        return self._in_portions(
            lambda now: self._ledger.stuck_jobs(now=now, pending_before=later(now, -LOST_AFTER_S), limit=PORTION),
            lambda stuck: sum(self._bring_back(job) for job in stuck),
        )

    def _requeue_bulk(self) -> int:
        if not self._bulk.queued:  # then its worker looks for what is due
            return 0
        return self._in_portions(
            lambda now: self._ledger.due_documents(BULK_JOB, now=now, limit=PORTION),
            lambda due: sum(self._again(BulkJob.of(document)) for document in due),
        )

    def _again(self, job: BulkJob) -> bool:
        if not job.finished:
            return self._bulk.send_again(job)
        self._bulk.remove(job)
        return False

    def _bring_back(self, job: Job) -> bool:
        """Send a stuck job to the queue again, or give it up if too many workers have failed to finish it."""
        if job.erased:  # an erasure covers it, and ends it
            return False
        now = self._clock.now()
        if job.attempts >= MOST_ATTEMPTS:
            reason = f"worker_lost: no worker finished it in {job.attempts} attempts"
            failed = given_up(job, now, owner=job.lease_owner, reason=reason)
            if self._ledger.update_job(failed, held=job):
                self._given_up += 1
                ADDS_FAILED.count(tenant=job.tenant)
                told = {"tenant": job.tenant, "job_id": job.id, "attempt": job.attempts, "reason": reason}
                _logger.error("an add failed", extra=told)
            return False
        # A new time, so that the next run takes other jobs. A job that waits long is probably behind one that is held,
        # and its message is still there, so it is sent again less and less often.
        rest = later(now, min(max(0.0, seconds_between(job.created_at, now)), _LONGEST_REST_S))
        # It is refused if somebody has claimed or ended the job.
        if not self._ledger.update_job(replace(waiting(job, now), lease_until=rest), held=job):
            return False
        # The time gives a new deduplication id in each run, but the same one to two sweeps that run at once.
        self._queue.send(job, attempt=f"sweep-{job.updated_at}")
        return True

    def _notice_a_lost_index(self) -> int:
        """Reindex every tenant if the index is empty although memories were indexed: it was lost while running.

        Returns how many bulk jobs were started. A run starts some of them, and the next one goes on.
        """
        if not self._rebuilds:
            return 0
        held = self._ledger.document(*_REBUILD)
        if held is None or "run" not in held.body:  # without a run: an earlier version was marking the memories itself
            if held is None and not self._index_was_lost():
                return 0
            _logger.warning("the index was lost and is being rebuilt")
            version = 1 if held is None else held.version + 1
            held = Document(*_REBUILD, {"run": str(uuid.uuid4()), "after": None}, self._clock.now(), version=version)
            self._ledger.put_document(held)
        if "after" in held.body:
            return self._start_reindex(held)
        if self._reindexer.holds_rows():
            self._ledger.delete_document(*_REBUILD)
        return 0

    def _start_reindex(self, held: Document) -> int:
        """Start the reindex of the next tenants."""
        run, after = held.body["run"], held.body["after"]
        tenants, cursor = self._ledger.list_tenants(limit=_STARTED_AT_ONCE, cursor=after)
        for tenant in tenants:
            self._bulk.start(tenant, BulkKind.REINDEX, {}, job_id=str(uuid.uuid5(_NAMESPACE, f"{run} {tenant!a}")))
        body = {"run": run} if cursor is None else {"run": run, "after": cursor}
        self._ledger.put_document(replace(held, body=body, version=held.version + 1))
        return len(tenants)

    def _index_was_lost(self) -> bool:
        if self._reindexer.holds_rows() or not self._ledger.tenants(limit=1)[0]:
            return False
        tally = self._ledger.tally(limit=_COUNTED)
        were_indexed = tally.live > tally.pending + tally.set_aside or (not tally.exact and self._any_was_indexed())
        # The first memory may have been indexed between the two reads.
        return were_indexed and not self._reindexer.holds_rows()

    def _any_was_indexed(self) -> bool:
        """Whether a sample of the memories has any that does not wait to be indexed."""
        for tenant in self._ledger.list_tenants(limit=_SAMPLED_TENANTS)[0]:
            ids = [memory.id for memory in self._ledger.sample(tenant, limit=_SAMPLED) if memory.live]
            if set(ids) - self._ledger.pending(tenant, ids):
                return True
        return False

    def _index(self) -> int:
        """Index a portion of each tenant in turn, so that one with much to index does not hold up the others.

        Tenants with a text on which the embedder fails have one turn each, after the others: it may take as long as the
        embedder is waited for.
        """
        waiting = deque(self._ledger.pending_tenants(limit=_TENANTS))
        waiting.rotate(random.randrange(len(waiting) or 1))
        last = [tenant for tenant in waiting if self._doubtful(tenant)]
        give_up = self._clock.monotonic() + PART_S
        count = self._index_in_turn(deque(tenant for tenant in waiting if tenant not in last), give_up)
        return count + self._index_in_turn(deque(last), give_up + _TURN_S)

    def _index_in_turn(self, waiting: deque[str], give_up: float) -> int:
        before = later(self._clock.now(), -UNINDEXED_AFTER_S)
        count = portions = 0
        while waiting and portions < MOST_PORTIONS and self._clock.monotonic() < give_up:
            tenant = waiting.popleft()
            memories = self._ledger.unindexed(before=before, limit=PORTION, tenant=tenant)
            if not memories:
                continue
            portions += 1
            done = self._refreshed(memories, until=min(give_up, self._clock.monotonic() + _TURN_S))
            count += done.indexed
            # Fewer than a portion may have been found, although more are pending: they may be large.
            if (done.indexed or done.left) and not self._doubtful(tenant):
                waiting.append(tenant)
        return count

    def _refreshed(self, memories: list[Memory], *, until: float = math.inf) -> Refreshed:
        done = self._reindexer.refresh(memories, in_time=lambda: self._clock.monotonic() < until)
        self._set_aside += done.set_aside
        return done

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
