"""Webhooks: the addresses that receive changes, stored as documents in the ledger, and how deliveries are signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from forgetless.domain.documents import Document
from forgetless.domain.memory import EventKind

__all__ = [
    "WEBHOOK",
    "EventType",
    "Webhook",
    "event_type",
    "from_document",
    "new_secret",
    "signature",
    "to_document",
]

#: The kind of these documents.
WEBHOOK = "webhook"

#: The event types that a client may subscribe to, in mem0's words. So far only the first three are delivered.
EventType = Literal[
    "memory_add",
    "memory_update",
    "memory_delete",
    "memory_categorize",
    "ingest_job_completed",
    "ingest_job_partially_completed",
    "ingest_job_failed",
    "ingest_job_cancelled",
]

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every such secret
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address of a tenant, and the events that are sent to it."""

    id: str
    tenant: str
    name: str
    url: str
    event_types: tuple[str, ...]
    project_id: str
    created_at: str
    updated_at: str
    #: In the form of Standard Webhooks: `whsec_` followed by base64.
    secret: str
    is_active: bool = True
    #: The time since which every attempt has failed; None while deliveries succeed.
    failing_since: str | None = None
    #: How many attempts have failed since then, and the time before which nothing is sent to it again.
    failures: int = 0
    retry_at: str | None = None
    #: Why deliveries were stopped automatically; None when they were not.
    disabled_reason: str | None = None

    def waits(self, now: str) -> bool:
        """Whether it failed so recently that nothing is sent to it yet."""
        return self.retry_at is not None and self.retry_at > now

    def wants(self, kind: EventKind) -> bool:
        """Whether events of this kind are sent to it."""
        return self.is_active and event_type(kind) in self.event_types


def event_type(kind: EventKind) -> str:
    """mem0's event type of a webhook for an event."""
    return f"memory_{kind.value.lower()}"


def to_document(webhook: Webhook) -> Document:
    """The first version of a webhook's document."""
    body = {
        "name": webhook.name,
        "url": webhook.url,
        "event_types": list(webhook.event_types),
        "project_id": webhook.project_id,
        "is_active": webhook.is_active,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
        "secret": webhook.secret,
        "failing_since": webhook.failing_since,
        "failures": webhook.failures,
        "retry_at": webhook.retry_at,
        "disabled_reason": webhook.disabled_reason,
    }
    return Document(webhook.tenant, WEBHOOK, webhook.id, body, webhook.created_at)


def from_document(document: Document) -> Webhook:
    """The webhook in a document of kind WEBHOOK."""
    body: Mapping[str, Any] = document.body
    return Webhook(
        id=document.id,
        tenant=document.tenant,
        name=body["name"],
        url=body["url"],
        event_types=tuple(body["event_types"]),
        project_id=body["project_id"],
        created_at=body["created_at"],
        updated_at=body["updated_at"],
        secret=body["secret"],
        is_active=body["is_active"],
        failing_since=body.get("failing_since"),
        failures=body.get("failures", 0),
        retry_at=body.get("retry_at"),
        disabled_reason=body.get("disabled_reason"),
    )


def new_secret() -> str:
    """A new random signing secret."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def signature(secret: str, message_id: str, sent_at_s: int, body: bytes) -> str:
    """The header `webhook-signature` of Standard Webhooks: an HMAC-SHA256 of id, time and body.

    Raises ValueError when the secret is not base64.
    """
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    signed = b".".join((message_id.encode(), str(sent_at_s).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")
