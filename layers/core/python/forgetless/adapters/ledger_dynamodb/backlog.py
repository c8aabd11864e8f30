"""The look at what waits, for metrics: each part is read from the secondary index, up to a limit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

from forgetless.adapters.ledger_codec import from_blob, load_job
from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_dynamodb.jobs import JobStore
from forgetless.adapters.ledger_dynamodb.pending import PENDING, PendingStore, everything
from forgetless.adapters.ledger_dynamodb.table import key_of
from forgetless.adapters.ledger_dynamodb.turn_queues import oldest
from forgetless.domain.limits import JOBS_AT_ONCE
from forgetless.domain.portions import until_heavy
from forgetless.ports.ledger import Backlog

__all__ = ["BacklogStore"]

#: The first tenants in the queues of pending memories; each costs a query of every queue.
_TENANTS = 20


class BacklogStore(JobStore, PendingStore):
    """The part of `forgetless.ports.ledger.Maintenance` about what waits; it may be seconds out of date."""

    def backlog(self, *, jobs: int, counted: int) -> Backlog:
        items = self._in_order([key_of(entry) for entry in oldest(self._table, item_keys.OPEN_QUEUES, jobs)])
        bodies = ((item, self._before_request(item)) for item in items)
        light = until_heavy(bodies, lambda one: len(one[1]), most=JOBS_AT_ONCE)
        found = (load_job(from_blob(item["tenant"]), body, b"") for item, body in light if body)
        return Backlog(
            oldest_jobs=tuple(job for job in found if not job.finished),
            open_jobs=self._count(item_keys.OPEN_QUEUES, counted),
            failed_jobs=self._count(item_keys.FAILED_QUEUES, counted),
            pending_since=self._pending_since(),
        )

    def _count(self, queues: Sequence[str], most: int) -> int:
        entries = chain.from_iterable(self._table.queue(queue, page=most) for queue in queues)
        return sum(1 for _ in islice(entries, most))

    def _pending_since(self) -> str | None:
        """When the memory that waits longest began to wait, of the first tenants."""
        firsts = (
            next(self._queued(PENDING, part, everything(), 1), None)
            for part in islice(self._tenant_parts(PENDING), _TENANTS)
        )
        return min((str(entry["gsi1sk"]).split("#")[1] for entry in firsts if entry is not None), default=None)
