"""Retention: what sweep removes when its time is over, and the last copies of what was erased."""

from __future__ import annotations

import logging
from collections.abc import Callable

from forgetless.domain.retention import Retention
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Maintenance

__all__ = ["RetentionService"]

_logger = logging.getLogger(__name__)

#: The most records that a call removes, and the seconds after which a run makes no further call.
PORTION = 200
PART_S = 10.0


class RetentionService:
    """The parts of a sweep that end growth. Each is bounded and can be repeated without harm."""

    def __init__(self, *, ledger: Maintenance, clock: Clock, retention: Retention) -> None:
        self._ledger = ledger
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
        """Remove jobs that ended longer ago than their retention, failed ones with their messages."""
        succeeded = self._before(self._retention.succeeded_jobs_s)
        failed = self._before(self._retention.failed_jobs_s)
        return self._in_portions(
            lambda limit: self._ledger.expire_jobs(succeeded_before=succeeded, failed_before=failed, limit=limit)
        )

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
