"""Retention: what sweep removes when its time is over, and the last copies of what was erased."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from forgetless.domain.audit import AUDIT
from forgetless.domain.bulk_jobs import OF_CLIENTS, BulkKind, open_kind
from forgetless.domain.documents import Document
from forgetless.domain.retention import DAY_S, DISMISSED_AT, Retention
from forgetless.domain.schema_exports import EXPORT
from forgetless.domain.times import date_of, just_after, later
from forgetless.domain.usage import MINUTES_KEPT_S, USAGE_KEPT_DAYS, minute_of, month_of
from forgetless.domain.webhook_deliveries import DELIVERY
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.service.access.audit import AUDIT_KEPT_S
from forgetless.service.access.keys import USE
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.expired_memories import BEFORE

__all__ = ["RetentionService"]

_logger = logging.getLogger(__name__)

#: The most records that a call removes, and the seconds after which a run makes no further call.
PORTION = 200
PART_S = 10.0
#: How long records are kept after their own end, for clocks that differ.
_RECORDS_S = 3600.0
#: Documents that are removed when they are due, or so many seconds later. Deliveries are so late only where nothing
#: delivers webhooks.
_ENDING = {EXPORT: 0.0, AUDIT: 0.0, DELIVERY: 7 * DAY_S, **{open_kind(kind): 0.0 for kind in OF_CLIENTS}}
#: The most tenants for which a day's jobs are started.
_TENANTS = 10_000
#: A document that belongs to no tenant: the day before which what expired is deleted by jobs that have been started.
_LAST_DAY = ("", "sweep", "expired memories")
_NAMESPACE = uuid.UUID("6f7267e7-1e55-5f1e-9d6b-000000000005")


class RetentionService:
    """The parts of a sweep that end growth. Each is bounded and can be repeated without harm."""

    def __init__(self, *, ledger: Ledger, bulk: BulkService, clock: Clock, retention: Retention) -> None:
        self._ledger = ledger
        self._bulk = bulk
        self._clock = clock
        self._retention = retention

    def scrub(self) -> bool:
        """Remove the last copies of erased text from the ledger's files; False, with a warning, if it did not succeed.

        Sweep does this first, so that it happens within a minute of a deletion.
        """
        done = self._ledger.scrub_erased()
        if not done:
            _logger.warning("erased text is still in the ledger's log, because it is being read")
        return done

    def expire_messages(self) -> int:
        """Remove raw messages that are older than their retention; returns how many."""
        before = self._before(self._retention.messages_s)
        if before is None:
            return 0
        return self._in_portions(lambda limit: self._ledger.expire_messages(before=before, limit=limit))

    def expire_jobs(self) -> int:
        """Remove jobs that ended longer ago than their retention or were dismissed, failed ones with their messages."""
        succeeded = self._before(self._retention.succeeded_jobs_s)
        failed = self._before(self._retention.failed_jobs_s) or just_after(DISMISSED_AT)
        return self._in_portions(
            lambda limit: self._ledger.expire_jobs(succeeded_before=succeeded, failed_before=failed, limit=limit)
        )

    def expire_records(self) -> int:
        """Remove records that ended by themselves: answers of Idempotency-Keys, leases, documents of `_ENDING`."""
        before = later(self._clock.now(), -_RECORDS_S)
        count = self._in_portions(lambda limit: self._ledger.expire_records(before=before, limit=limit))
        return count + sum(self._in_portions(partial(self._remove_due, kind, late)) for kind, late in _ENDING.items())

    def expire_usage(self) -> int:
        """Remove figures of usage whose time is over; returns how many."""
        now = self._clock.now()
        months, minutes = later(now, -USAGE_KEPT_DAYS * DAY_S), later(now, -MINUTES_KEPT_S)
        return self._in_portions(
            lambda limit: self._ledger.expire_usage(
                months_before=month_of(months), minutes_before=minute_of(minutes), limit=limit
            )
        )

    def expire_keys(self) -> int:
        """Let nothing stay of API keys that ended longer ago than the audit list reaches, but that they are no more.

        Returns how many they were.
        """
        before = later(self._clock.now(), -AUDIT_KEPT_S)
        return self._in_portions(partial(self._expire_keys, before))

    def _expire_keys(self, before: str, limit: int) -> int:
        expired = self._ledger.expire_keys(before=before, limit=limit)
        for key in expired:
            self._ledger.delete_document(key.tenant, USE, key.id)
        return len(expired)

    def delete_expired_memories(self) -> int:
        """Start the bulk jobs that delete memories which expired too long ago: one a day for each tenant.

        Memories expire by days, so there is nothing to do until the first day that is kept is another one. Returns how
        many jobs were started.
        """
        if self._retention.expired_memories_s is None:
            return 0
        now = self._clock.now()
        held = self._ledger.document(*_LAST_DAY)
        before = date_of(later(now, -self._retention.expired_memories_s))
        if held is not None and held.body.get("before") == before:  # an earlier version noted the day of the run
            return 0
        tenants = self._ledger.expiring_tenants(limit=_TENANTS)
        for tenant in tenants:
            # With this id, a run that dies here starts no second job when it is repeated.
            id_ = str(uuid.uuid5(_NAMESPACE, f"{tenant} before {before}"))
            self._bulk.start(tenant, BulkKind.RETENTION, {BEFORE: before}, job_id=id_)
        body = {"before": before}
        self._ledger.put_document(
            Document(*_LAST_DAY, body, now) if held is None else replace(held, body=body, version=held.version + 1)
        )
        return len(tenants)

    def _remove_due(self, kind: str, late_s: float, limit: int) -> int:
        due = self._ledger.due_documents(kind, now=later(self._clock.now(), -late_s), limit=limit)
        return sum(self._ledger.delete_document(document.tenant, kind, document.id) for document in due)

    def _before(self, seconds: float | None) -> str | None:
        return None if seconds is None else later(self._clock.now(), -seconds)

    def _in_portions(self, remove: Callable[[int], int]) -> int:
        give_up = self._clock.monotonic() + PART_S
        count = 0
        while True:
            removed = remove(PORTION)
            count += removed
            if removed < PORTION or self._clock.monotonic() >= give_up:
                return count
