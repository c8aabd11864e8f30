"""Idempotency: a request repeated with the same key and body gets the same answer and takes effect once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from forgetless.domain.digests import keyed_digest
from forgetless.domain.errors import IdempotencyInProgressError, IdempotencyMismatchError
from forgetless.domain.jobs import job_id_for
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.times import later, wait_s
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import ErasureStore, IdempotencyRecord, IdempotencyStore, JobStore

__all__ = ["RUNNING_S", "IdempotencyService", "StoredAnswer"]

#: Answers are stored for a day.
KEPT_S = 86_400.0
#: A request that has not ended after this time is assumed to have died with its process. A repeat takes it over.
RUNNING_S = 60.0


class _Store(IdempotencyStore, JobStore, ErasureStore, Protocol):
    """The part of the ledger that idempotency needs."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that the first request got."""

    status: int
    body: str


def _job_name(name: str, fingerprint: str, limits: KeyLimits | None) -> str:
    """The text from which the id of an add's job is derived.

    It includes the body: a key that is used again after its record has expired, with another body, is a new request.
    It includes the limits of the API key, as its record does: a limited key must not get the job of others.
    """
    return f"{name} {fingerprint}" if limits is None else f"{limits.digest} {name} {fingerprint}"


class IdempotencyService:
    """Stores answers by tenant and name (method, path and the client's key)."""

    def __init__(self, *, ledger: _Store, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def begin(
        self, tenant: str, name: str, digest: str, *, limits: KeyLimits | None, adds: bool
    ) -> tuple[str, StoredAnswer | IdempotencyRecord]:
        """Begin a request: the record to end it with if it may run, or else the stored answer to repeat.

        `digest` is one of its body. Ids that outlive an erasure follow from it, so it is stored with the ledger's key:
        else who guesses a body could confirm it. Comes with the text from which the id of an add's job, and those of
        changes' events, are derived.

        Raises IdempotencyMismatchError if the key was used with another body, and IdempotencyInProgressError while
        the first request runs.
        """
        fingerprint = keyed_digest(self._ledger.digest_key(), "request", digest)
        job, before = (_job_name(name, one, limits) for one in (fingerprint, digest))
        # The version before this one took the digest as it is. What it began goes on under the names that it had.
        if adds and self._ledger.job(tenant, job_id_for(tenant, before)) is not None:
            return before, self._begun(tenant, name, digest, job=before)
        try:
            return job, self._begun(tenant, name, fingerprint, job=job)
        except IdempotencyMismatchError:
            return before, self._begun(tenant, name, digest, job=before)

    def _begun(self, tenant: str, name: str, fingerprint: str, *, job: str) -> StoredAnswer | IdempotencyRecord:
        now = self._clock.now()
        mine = IdempotencyRecord(fingerprint, lease_until=later(now, RUNNING_S))
        standing = self._put(tenant, name, mine, now)
        if standing is not None and standing.status is None and standing.fingerprint == fingerprint:
            if wait := self._held_s(tenant, job, standing, now):
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
        """Store the answer for a day, unless a repeat has taken the request over: then the repeat's answer counts."""
        now = self._clock.now()
        record = IdempotencyRecord(began.fingerprint, lease_until=now, status=status, body=body)
        self._ledger.finish_request(tenant, name, record, began=began, expires_at=later(now, KEPT_S))

    def drop(self, tenant: str, name: str, began: IdempotencyRecord) -> None:
        """Delete the record of a failed request, so that it may be tried again. A repeat that took it over goes on."""
        self._ledger.drop_request(tenant, name, began=began)

    def _put(
        self, tenant: str, name: str, mine: IdempotencyRecord, now: str, *, over: IdempotencyRecord | None = None
    ) -> IdempotencyRecord | None:
        return self._ledger.begin_request(tenant, name, mine, now=now, expires_at=later(now, KEPT_S), over=over)

    def _held_s(self, tenant: str, job_name: str, standing: IdempotencyRecord, now: str) -> int:
        """The whole seconds for which somebody may still hold the running request; 0 if nobody does.

        The job of an add is done once, by whoever claims it. So while nobody holds the claim, a repeat may go on even
        if the first request is still alive: only one of them gets the claim. Without a job (the request is not an add,
        or its job is not stored yet) only the record's own lease decides.
        """
        job = self._ledger.job(tenant, job_id_for(tenant, job_name))
        return job.held_s(now) if job is not None else wait_s(now, standing.lease_until, at_most=RUNNING_S)


def _in_progress(wait: int) -> IdempotencyInProgressError:
    text = "The first request with this Idempotency-Key is still in progress."
    return IdempotencyInProgressError(text, retry_after=wait)
