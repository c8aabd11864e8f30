"""Outbox: records which events webhooks must receive, before the events are in the ledger.

A delivery is stored first and names events that do not exist yet. When it is sent, the events are looked up. An event
that never happened is dropped: there is nothing at its version, or another writer's event. So a crash in between loses
nothing, and no transaction has to span both.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from forgetless.domain.memory import Event, EventKind
from forgetless.domain.webhook_deliveries import Delivery, EventRef, Summary
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.ports.trace import TRACE, stored_trace
from forgetless.service.webhooks.webhook_list import WebhookList

__all__ = ["WebhookOutbox"]


class WebhookOutbox:
    """Stores one delivery for each webhook that wants some of the events."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        #: The tenants' webhooks as this process knows them. Who changes webhooks must let it forget them.
        self.webhooks = WebhookList(ledger=ledger, clock=clock)

    def wants(self, tenant: str, kind: EventKind) -> bool:
        """Whether a webhook of the tenant wants events of this kind."""
        return any(webhook.wants(kind) for webhook in self.webhooks.of(tenant))

    def record(self, events: Sequence[Event]) -> None:
        """Record the events that the caller is about to append. If it raises LedgerError, they must not be appended.

        More than MOST_ANNOUNCED memories that one request deletes are told by `record_summary` instead.
        """
        if not events:
            return
        tenant = events[0].memory.scope.tenant
        for webhook in self.webhooks.of(tenant):
            wanted = tuple(_ref(event) for event in events if webhook.wants(event.kind))
            if wanted:
                self._put(tenant, webhook.id, wanted, None)

    def record_summary(self, tenant: str, summary: Summary, *, once: str | None = None) -> None:
        """Record one delivery that stands for many events of one kind, such as those of an erased scope or an import.

        Nothing is looked up when it is sent, so record it only when the events are certain to happen or have happened.
        Of several calls with the same word `once`, only the first has an effect.
        """
        for webhook in self.webhooks.of(tenant):
            if webhook.wants(summary.kind):
                self._put(tenant, webhook.id, (), summary, once=once)

    def _put(
        self,
        tenant: str,
        webhook_id: str,
        wanted: tuple[EventRef, ...],
        summary: Summary | None,
        *,
        once: str | None = None,
    ) -> None:
        now = self._clock.now()
        id_ = uuid.uuid4() if once is None else uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant} {webhook_id} {once}")
        trace = tuple(stored_trace().get(TRACE, ()))
        delivery = Delivery(str(id_), tenant, webhook_id, wanted, now, due_at=now, summary=summary, trace=trace)
        self._ledger.put_document(delivery.document())


def _ref(event: Event) -> EventRef:
    return EventRef(event.memory.id, event.memory.version, event.memory.event_id)
