"""Outbox: records which events webhooks must receive, before the events are in the ledger.

A delivery is stored first and names events that do not exist yet. When it is sent, the events are looked up. An event
that never happened is dropped: there is nothing at its version, or another writer's event. So a crash in between loses
nothing, and no transaction has to span both.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from forgetless.domain.limits import MOST_WEBHOOKS
from forgetless.domain.memory import Event
from forgetless.domain.webhook_deliveries import Delivery, EventRef
from forgetless.domain.webhooks import WEBHOOK, from_document
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore

__all__ = ["WebhookOutbox"]


class WebhookOutbox:
    """Stores one delivery for each webhook that wants some of the events."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def record(self, events: Sequence[Event]) -> None:
        """Record the events that the caller is about to append. If it raises LedgerError, they must not be appended."""
        if not events:
            return
        tenant = events[0].memory.scope.tenant
        hooks, _ = self._ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        for webhook in map(from_document, hooks):
            wanted = tuple(_ref(event) for event in events if webhook.wants(event.kind))
            if wanted:
                now = self._clock.now()
                self._ledger.put_document(
                    Delivery(str(uuid.uuid4()), tenant, webhook.id, wanted, now, due_at=now).document()
                )


def _ref(event: Event) -> EventRef:
    return EventRef(event.memory.id, event.memory.version, event.memory.event_id)
