"""Expiry: when DynamoDB may remove items by itself (TTL), and whether an item's time is over although it is there."""

from __future__ import annotations

from datetime import datetime

from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.retention import DAY_S
from forgetless.domain.times import later
from forgetless.ports.clock import Clock

__all__ = ["EXPIRES_AT", "Expiry", "seconds_of"]

#: The attribute of the table's TTL.
EXPIRES_AT = "expires_at"
#: A lease is removed this long after it has ended: by then it has long been free for everybody.
_LEASE_KEPT_S = DAY_S


class Expiry:
    """DynamoDB removes expired items within days; until then `is_over` says that they do not exist any more."""

    def __init__(self, clock: Clock, *, succeeded_jobs_s: float | None) -> None:
        self._clock = clock
        self._succeeded_jobs_s = succeeded_jobs_s

    def of_job(self, job: Job) -> Item:
        """The attribute for a job and for its entry in the list; nothing while the job is kept."""
        if job.state is not JobState.SUCCEEDED or self._succeeded_jobs_s is None:
            return {}
        return {EXPIRES_AT: seconds_of(later(job.updated_at, self._succeeded_jobs_s))}

    def of_lease(self, until: str) -> Item:
        """The attribute for a lease."""
        return {EXPIRES_AT: seconds_of(later(until, _LEASE_KEPT_S))} if until else {}

    def is_over(self, item: Item) -> bool:
        """Whether the item has expired."""
        return EXPIRES_AT in item and int(item[EXPIRES_AT]) <= seconds_of(self._clock.now())


def seconds_of(time: str) -> int:
    """A timestamp in the form that TTL needs."""
    return int(datetime.fromisoformat(time).timestamp())
