"""Registry: registers, lists, changes and deletes webhooks. Delivery reads the same documents."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import NotFoundError
from forgetless.domain.limits import MOST_WEBHOOKS
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document, new_secret, to_document
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import change_document, put_within
from forgetless.service.webhooks.webhook_list import WebhookList

__all__ = ["WebhookService"]


class WebhookService:
    """The tenant's webhooks."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock, known: WebhookList) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known = known

    def list(self, tenant: str, project_id: str) -> Sequence[Webhook]:
        """The webhooks of a project, oldest first."""
        found, _ = self._ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        webhooks = [from_document(document) for document in reversed(found)]
        return [webhook for webhook in webhooks if webhook.project_id == project_id]

    def get(self, tenant: str, id_: str) -> Webhook:
        """The webhook. Raises NotFoundError."""
        held = self._ledger.document(tenant, WEBHOOK, id_)
        if held is None:
            raise NotFoundError("Webhook not found")
        return from_document(held)

    def create(
        self, tenant: str, project_id: str, *, name: str, url: str, event_types: Sequence[str], is_active: bool
    ) -> Webhook:
        """Register a webhook; raises ConflictError when the tenant has too many."""
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
        put_within(self._ledger, to_document(webhook), most=MOST_WEBHOOKS)
        self._known.forget(tenant)
        return webhook

    def update(self, tenant: str, id_: str, changes: Mapping[str, Any]) -> Webhook:
        """Change fields of a webhook and clear the record of its failures. Raises NotFoundError."""

        def body(held: Document | None) -> Mapping[str, Any]:
            if held is None:
                raise NotFoundError("Webhook not found")
            now = self._clock.now()
            webhook = replace(
                from_document(held),
                **changes,
                updated_at=now,
                failing_since=None,
                failures=0,
                retry_at=None,
                disabled_reason=None,
            )
            return to_document(webhook).body

        changed = change_document(self._ledger, (tenant, WEBHOOK, id_), body, clock=self._clock)
        self._known.forget(tenant)
        assert changed is not None
        return from_document(changed)

    def delete(self, tenant: str, id_: str) -> None:
        """Delete a webhook permanently. Raises NotFoundError."""
        deleted = self._ledger.delete_document(tenant, WEBHOOK, id_)
        self._known.forget(tenant)
        if not deleted:
            raise NotFoundError("Webhook not found")
