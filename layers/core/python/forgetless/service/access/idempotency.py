"""Idempotency: the same key and body get the same answer and one effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.errors import IdempotencyInProgressError, IdempotencyMismatchError
from forgetless.domain.jobs import job_id_for
from forgetless.domain.times import later, wait_s
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import IdempotencyRecord, IdempotencyStore, JobStore

__all__ = ["RUNNING_S", "IdempotencyService", "StoredAnswer", "job_name"]

#: Keys are remembered for a day.
KEPT_S = 86_400.0
#: A request that has not ended by then has died with its process; a retry takes over.
RUNNING_S = 60.0


class _Store(IdempotencyStore, JobStore, Protocol):
    """What this needs of the ledger."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that the first request got."""

    status: int
    body: str


def job_name(name: str, fingerprint: str) -> str:
    """What the id of an add's job is made from.

    The body is part of it: a key that is used again after its record has expired is another request.
    """
    return f"{name} {fingerprint}"


class IdempotencyService:
    """Remembers answers by tenant and name (method, path and the client's key)."""

    def __init__(self, *, ledger: _Store, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def begin(self, tenant: str, name: str, fingerprint: str) -> StoredAnswer | IdempotencyRecord:
        """The record of the request, which may run, to end it with; else the answer to repeat.

        Raises IdempotencyMismatchError for another body, IdempotencyInProgressError while the first one runs.
        """
        now = self._clock.now()
        mine = IdempotencyRecord(fingerprint, lease_until=later(now, RUNNING_S))
        standing = self._put(tenant, name, mine, now)
        if standing is not None and standing.status is None and standing.fingerprint == fingerprint:
            if wait := self._held_s(tenant, name, standing, now):
                raise _in_progress(wait)
            standing = self._put(tenant, name, mine, now, over=standing)
        if standing is None:
            return mine
        if standing.fingerprint != fingerprint:
            raise IdempotencyMismatchError("This Idempotency-Key was used with another body; use a new key.")
        if standing.status is None or standing.body is None:
            raise _in_progress(wait_s(now, standing.lease_until, at_most=RUNNING_S))
        return StoredAnswer(standing.status, standing.body)

    def finish(self, tenant: str, name: str, began: IdempotencyRecord, status: int, body: str) -> None:
        """Keep the answer for a day, unless a repeat has taken the request over: then its answer counts."""
        now = self._clock.now()
        record = IdempotencyRecord(began.fingerprint, lease_until=now, status=status, body=body)
        self._ledger.finish_request(tenant, name, record, began=began, expires_at=later(now, KEPT_S))

    def drop(self, tenant: str, name: str, began: IdempotencyRecord) -> None:
        """Forget the request: it failed and may be tried again. One that has been taken over goes on."""
        self._ledger.drop_request(tenant, name, began=began)

    def _put(
        self, tenant: str, name: str, mine: IdempotencyRecord, now: str, *, over: IdempotencyRecord | None = None
    ) -> IdempotencyRecord | None:
        return self._ledger.begin_request(tenant, name, mine, now=now, expires_at=later(now, KEPT_S), over=over)

    def _held_s(self, tenant: str, name: str, standing: IdempotencyRecord, now: str) -> int:
        """Whole seconds for which somebody holds the running request at most; 0 when nobody does.

        The job of an add is done by whoever claims it, once. So while nobody holds its claim a repeat may go on,
        even if the first request should still live: one of them will get the claim. Without a job (no add, or one
        that has not come so far) only the record's own lease tells.
        """
        job = self._ledger.job(tenant, job_id_for(tenant, job_name(name, standing.fingerprint)))
        return job.held_s(now) if job is not None else wait_s(now, standing.lease_until, at_most=RUNNING_S)


def _in_progress(wait: int) -> IdempotencyInProgressError:
    text = "The first request with this Idempotency-Key is still in progress."
    return IdempotencyInProgressError(text, retry_after=wait)
