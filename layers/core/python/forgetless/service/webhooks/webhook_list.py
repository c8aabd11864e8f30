"""WebhookList: the webhooks of each tenant, remembered for some seconds, so that an add need not read them."""

from __future__ import annotations

import threading
from collections import OrderedDict

from forgetless.domain.limits import MOST_WEBHOOKS, TENANT_COPY_S
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["WebhookList"]

#: The lists of at most this many tenants are remembered, those that were used last.
_MOST_TENANTS = 10_000


class WebhookList:
    """A copy that is at most TENANT_COPY_S old. Changes that this process makes itself count at once. Thread-safe."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        #: When each list was read, by the monotonic clock, and the list.
        self._known: OrderedDict[str, tuple[float, tuple[Webhook, ...]]] = OrderedDict()
        #: Grows with each `forget`, so that a list that was read before it is not remembered after it.
        self._forgotten = 0

    def of(self, tenant: str) -> tuple[Webhook, ...]:
        """The tenant's webhooks."""
        now = self._clock.monotonic()
        with self._lock:
            read_at, known = self._known.get(tenant, (now - TENANT_COPY_S, ()))
            forgotten = self._forgotten
            if now - read_at < TENANT_COPY_S:
                self._known.move_to_end(tenant)
                return known
        found, _ = self._ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        webhooks = tuple(map(from_document, found))
        with self._lock:
            if forgotten == self._forgotten:
                self._known[tenant] = (now, webhooks)
                if len(self._known) > _MOST_TENANTS:
                    self._known.popitem(last=False)
        return webhooks

    def forget(self, tenant: str) -> None:
        """Read the tenant's webhooks again: this process has just changed them."""
        with self._lock:
            self._known.pop(tenant, None)
            self._forgotten += 1
