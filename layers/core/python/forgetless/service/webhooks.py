"""Webhooks: registered, listed, changed and deleted here; delivery reads the same documents."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document, new_secret, next_document, to_document
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import DocumentStore

__all__ = ["WebhookService"]

#: Webhooks of a tenant.
MOST_WEBHOOKS = 100
#: Another writer may be first (delivery notes failures); then we read again.
_TRIES = 5


class WebhookService:
    """The tenant's webhooks."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def list(self, tenant: str, project_id: str) -> Sequence[Webhook]:
        """Those of a project, oldest first."""
        found, _ = self._ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        webhooks = [from_document(document) for document in reversed(found)]
        return [webhook for webhook in webhooks if webhook.project_id == project_id]

    def create(
        self, tenant: str, project_id: str, *, name: str, url: str, event_types: Sequence[str], is_active: bool
    ) -> Webhook:
        """Register one; raises ConflictError when there are too many."""
        held, _ = self._ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        if len(held) >= MOST_WEBHOOKS:
            raise ConflictError(f"There are {MOST_WEBHOOKS} webhooks already; delete one first.")
        now = self._clock.now()
        webhook = Webhook(
            id=str(uuid.uuid4()),
            tenant=tenant,
            name=name,
            url=url,
            event_types=tuple(event_types),
            project_id=project_id,
            created_at=now,
            updated_at=now,
            secret=new_secret(),
            is_active=is_active,
        )
        self._ledger.put_document(to_document(webhook))
        return webhook

    def update(self, tenant: str, id_: str, changes: Mapping[str, Any]) -> Webhook:
        """Change fields; one that delivery gave up starts anew. Raises NotFoundError."""
        for _ in range(_TRIES):
            document = self._ledger.document(tenant, WEBHOOK, id_)
            if document is None:
                raise NotFoundError("Webhook not found")
            webhook = replace(
                from_document(document),
                **changes,
                updated_at=self._clock.now(),
                failing_since=None,
                disabled_reason=None,
            )
            if self._ledger.put_document(next_document(document, webhook)):
                return webhook
        raise ConflictError("The webhook keeps changing; try again.")

    def delete(self, tenant: str, id_: str) -> None:
        """Remove one for good. Raises NotFoundError."""
        if not self._ledger.delete_document(tenant, WEBHOOK, id_):
            raise NotFoundError("Webhook not found")
