"""The look at what waits, for metrics: each part is read from the secondary index, up to a limit."""

from __future__ import annotations

from itertools import chain, islice

from forgetless.adapters.ledger_codec import from_blob, load_job
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.jobs import JobStore
from forgetless.adapters.ledger_dynamodb.pending import PENDING, PendingStore, everything
from forgetless.adapters.ledger_dynamodb.table import key_of
from forgetless.adapters.ledger_dynamodb.turn_queues import Look, by_age
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.portions import until_heavy
from forgetless.ports.ledger import Backlog

__all__ = ["BacklogStore"]

#: The first tenants in the queues of pending memories; each costs a query of every queue.
_TENANTS = 20


class BacklogStore(JobStore, PendingStore):
    """The part of `forgetless.ports.ledger.Maintenance` about what waits; it may be seconds out of date."""

    def backlog(self, *, jobs: int, counted: int) -> Backlog:
        entries = list(islice(by_age(self._table, item_keys.OPEN_QUEUES, Look(each=counted)), counted))
        items = self._in_order([key_of(entry) for entry in entries[:jobs]])
        bodies = ((item, self._before_request(item)) for item in items)
        oldest = until_heavy(bodies, lambda one: len(one[1]), most=JOBS_AT_ONCE)
        found = (load_job(from_blob(item["tenant"]), body, b"") for item, body in oldest if body)
        failed = chain.from_iterable(self._table.queue(queue, page=counted) for queue in item_keys.FAILED_QUEUES)
        return Backlog(
            oldest_jobs=tuple(job for job in found if not job.finished),
            open_jobs=len(entries),
            failed_jobs=sum(1 for _ in islice(failed, counted)),
            pending_since=self._pending_since(),
        )

    def _pending_since(self) -> str | None:
        """When the memory that waits longest began to wait, of the first tenants."""
        firsts = (
            next(self._queued(PENDING, part, everything(), 1), None)
            for part in islice(self._tenant_parts(PENDING), _TENANTS)
        )
        return min((str(entry["gsi1sk"]).split("#")[1] for entry in firsts if entry is not None), default=None)
