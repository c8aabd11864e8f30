"""LlmWaits: how many requests of a tenant may wait for the LLM at once, in all environments together.

Who waits holds an environment or a thread, so without a bound the slow adds of one tenant would hold all of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from forgetless.domain.errors import LlmUnavailableError
from forgetless.domain.limits import LEASE_MARGIN_S, LLM_WAITS, REQUEST_S
from forgetless.domain.slots import Slots
from forgetless.domain.times import later
from forgetless.ports.clock import Clock
from forgetless.ports.metrics import THROTTLES
from forgetless.ports.request_ledger import LeaseStore

__all__ = ["LlmWaits"]

#: When clients that may not wait should try again.
_RETRY_S = 5


class LlmWaits:
    """Gives the slots of a tenant; `most` 0 gives one to everybody."""

    def __init__(self, *, ledger: LeaseStore, clock: Clock, most: int = LLM_WAITS) -> None:
        self._ledger = ledger
        self._clock = clock
        self.most = most

    def slots(self, tenant: str, owner: str) -> Slots | None:
        """What a request asks of the ledger; None if it need not ask."""
        if self.most <= 0:
            return None
        now = self._clock.now()
        return Slots(tenant, self.most, owner, now, later(now, REQUEST_S + LEASE_MARGIN_S))

    @contextmanager
    def slot(self, tenant: str) -> Iterator[bool]:
        """Whether the request may wait, while the context is open."""
        owner = f"waits-{uuid.uuid4()}"
        slots = self.slots(tenant, owner)
        taken = None if slots is None else self._ledger.take_slot(slots)
        try:
            yield slots is None or taken is not None
        finally:
            if taken is not None:
                self._ledger.release_lease(taken, owner=owner)

    @contextmanager
    def needed(self, tenant: str) -> Iterator[None]:
        """`slot` for a request that leaves nothing behind if it may not wait: then it raises LlmUnavailableError."""
        with self.slot(tenant) as may_wait:
            if not may_wait:
                THROTTLES.count(tenant=tenant, limit="llm_waits")
                raise LlmUnavailableError(
                    f"{self.most} requests of this tenant already wait for the LLM; try again", retry_after=_RETRY_S
                )
            yield
