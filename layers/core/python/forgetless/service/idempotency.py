"""Idempotency: the same key and body get the same answer and one effect."""

from __future__ import annotations

from dataclasses import dataclass

from forgetless.domain.errors import IdempotencyInProgressError, IdempotencyMismatchError
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import IdempotencyRecord, IdempotencyStore

__all__ = ["IdempotencyService", "StoredAnswer"]

#: Keys are remembered for a day.
KEPT_S = 86_400.0
#: A request that has not ended by then has died with its process; a retry takes over.
RUNNING_S = 60.0


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that the first request got."""

    status: int
    body: str


class IdempotencyService:
    """Remembers answers by tenant and name (method, path and the client's key)."""

    def __init__(self, *, ledger: IdempotencyStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def begin(self, tenant: str, name: str, fingerprint: str) -> StoredAnswer | IdempotencyRecord:
        """The record of the request, which may run, to end it with; else the answer to repeat.

        Raises IdempotencyMismatchError for another body, IdempotencyInProgressError while the first one runs.
        """
        now = self._clock.now()
        mine = IdempotencyRecord(fingerprint, lease_until=later(now, RUNNING_S))
        standing = self._ledger.begin_request(tenant, name, mine, now=now, expires_at=later(now, KEPT_S))
        if standing is None:
            return mine
        if standing.fingerprint != fingerprint:
            raise IdempotencyMismatchError("This Idempotency-Key was used with another body; use a new key.")
        if standing.status is None or standing.body is None:
            raise IdempotencyInProgressError("The first request with this Idempotency-Key is still in progress.")
        return StoredAnswer(standing.status, standing.body)

    def finish(self, tenant: str, name: str, began: IdempotencyRecord, status: int, body: str) -> None:
        """Keep the answer for a day, unless a repeat has taken the request over: then its answer counts."""
        now = self._clock.now()
        record = IdempotencyRecord(began.fingerprint, lease_until=now, status=status, body=body)
        self._ledger.finish_request(tenant, name, record, began=began, expires_at=later(now, KEPT_S))

    def drop(self, tenant: str, name: str, began: IdempotencyRecord) -> None:
        """Forget the request: it failed and may be tried again. One that has been taken over goes on."""
        self._ledger.drop_request(tenant, name, began=began)
