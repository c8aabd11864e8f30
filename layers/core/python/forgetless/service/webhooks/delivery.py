"""Delivery: sends the events that are due to webhooks, and tries again until they arrive or a day has passed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.memory import Event
from forgetless.domain.times import later, seconds_between
from forgetless.domain.webhook_deliveries import (
    DELIVERY,
    Attempt,
    Delivery,
    EventRef,
    Summary,
    message_id,
    summary_message_id,
)
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document, signature, to_document
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.webhooks import WebhookSender
from forgetless.service.document_change import change_document

__all__ = ["DeliveryReport", "DeliveryService"]

_logger = logging.getLogger(__name__)

#: The longest time that one receiver may take for one event.
SEND_S = 10.0
#: How many webhooks are served at once, so that a few that hang do not delay the others.
WORKERS = 8
#: The most deliveries read at once, and how long a run begins new ones: well below the function's time-out.
PORTION = 200
RUN_S = 30.0
#: If a run dies, another run may take its deliveries after this time.
CLAIM_S = 120.0
#: An event that is not in the ledger this long after it was announced is assumed never to have happened.
NEVER_CAME_S = 120.0
#: Failing for this long disables a webhook and ends a delivery.
GIVE_UP_S = 86_400.0
#: How long a finished delivery stays in the log.
LOG_S = 3 * 86_400.0
_GONE = 410


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How many deliveries ended in each way in one run."""

    delivered: int
    failed: int
    dropped: int


class DeliveryService:
    """Delivers at least once: a receiver recognises a repeat by its `webhook-id`."""

    def __init__(self, *, ledger: Ledger, sender: WebhookSender | None, clock: Clock) -> None:
        self._ledger = ledger
        self._sender = sender
        self._clock = clock

    def run(self) -> DeliveryReport:
        """Send everything that is due. The time is bounded; repeating it, or two runs at once, is harmless."""
        if self._sender is None:
            return DeliveryReport(0, 0, 0)
        end = self._clock.monotonic() + RUN_S
        states: list[str] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            while self._clock.monotonic() < end:
                due = self._ledger.due_documents(DELIVERY, now=self._clock.now(), limit=PORTION)
                if not due:
                    break
                for done in pool.map(lambda documents: self._one_webhook(documents, end), _by_webhook(due)):
                    states += done
        return DeliveryReport(*(states.count(name) for name in ("delivered", "failed", "dropped")))

    def log(
        self, tenant: str, webhook_id: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Delivery], str | None]:
        """The webhook's deliveries of the last days, newest first, and the next cursor."""
        found: list[Delivery] = []
        while True:
            documents, cursor = self._ledger.documents(tenant, DELIVERY, limit=limit, cursor=cursor)
            found += [Delivery.of(one) for one in documents if one.body["webhook_id"] == webhook_id]
            if cursor is None or len(found) >= limit:
                return found, cursor

    def _one_webhook(self, documents: Sequence[Document], end: float) -> list[str]:
        """Send the deliveries of one webhook in order; after a failure, the rest wait as long as the failed one."""
        states: list[str] = []
        for place, document in enumerate(documents):
            if self._clock.monotonic() >= end:
                break
            delivery = Delivery.of(document)
            states.append(self._one(delivery, end))
            if states[-1] == "failed":
                until = later(self._clock.now(), replace(delivery, failures=delivery.failures + 1).retry_delay_s())
                for waiting in documents[place + 1 :]:
                    self._put(replace(Delivery.of(waiting), due_at=until))
                break
        return states

    def _one(self, delivery: Delivery, end: float) -> str:
        if delivery.state != "pending":
            self._ledger.delete_document(delivery.tenant, DELIVERY, delivery.id)
            return "expired"
        claimed = replace(delivery, version=delivery.version + 1, due_at=later(self._clock.now(), CLAIM_S))
        if not self._ledger.put_document(claimed.document()):
            return "taken"  # by another run
        held = self._ledger.document(delivery.tenant, WEBHOOK, delivery.webhook_id)
        if held is None:
            self._ledger.delete_document(delivery.tenant, DELIVERY, delivery.id)
            return "dropped"
        webhook = from_document(held)
        if not webhook.is_active:
            return self._finish(claimed, "failed", "dropped", "the webhook is not active")
        return self._send_all(claimed, webhook, end)

    def _send_all(self, delivery: Delivery, webhook: Webhook, end: float) -> str:
        if delivery.summary is not None:
            return self._send_summary(delivery, delivery.summary, webhook)
        arrived = False
        while delivery.done < len(delivery.events):
            if self._clock.monotonic() >= end:
                self._put(replace(delivery, due_at=self._clock.now()))
                return "waiting"
            ref = delivery.events[delivery.done]
            event = self._event(delivery.tenant, ref)
            if event is None and seconds_between(delivery.created_at, self._clock.now()) < NEVER_CAME_S:
                self._put(replace(delivery, due_at=later(self._clock.now(), NEVER_CAME_S)))
                return "waiting"
            if event is not None and ref.names(event.memory) and webhook.wants(event.kind):
                attempt = self._attempt(webhook, message_id(webhook.id, ref), _payload(event))
                delivery = delivery.tried(attempt)
                if not _arrived(attempt):
                    return self._failed(delivery, webhook, attempt)
                arrived = True
            delivery = replace(delivery, done=delivery.done + 1)
        if arrived:
            self._note(webhook, None)
        return self._finish(delivery, "delivered", "delivered")

    def _send_summary(self, delivery: Delivery, summary: Summary, webhook: Webhook) -> str:
        if webhook.wants(summary.kind):
            attempt = self._attempt(webhook, summary_message_id(delivery), _summary_payload(summary))
            delivery = delivery.tried(attempt)
            if not _arrived(attempt):
                return self._failed(delivery, webhook, attempt)
            self._note(webhook, None)
        return self._finish(delivery, "delivered", "delivered")

    def _attempt(self, webhook: Webhook, id_: str, body: bytes) -> Attempt:
        assert self._sender is not None
        now = self._clock.now()
        sent_at = int(datetime.fromisoformat(now).timestamp())
        try:
            headers = {
                "content-type": "application/json",
                "user-agent": "Forgetless",
                "webhook-id": id_,
                "webhook-timestamp": str(sent_at),
                "webhook-signature": signature(webhook.secret, id_, sent_at, body),
            }
        except ValueError:
            return Attempt(now, None, "the webhook's secret is not whsec_ followed by base64")
        try:
            status = self._sender.send(webhook.url, headers=headers, body=body, deadline_s=SEND_S)
        except (ForbiddenError, OSError) as error:
            reason = error.message if isinstance(error, ForbiddenError) else str(error)
            return Attempt(now, None, reason)
        return Attempt(now, status, None if 200 <= status < 300 else f"answered {status}")

    def _failed(self, delivery: Delivery, webhook: Webhook, attempt: Attempt) -> str:
        now = self._clock.now()
        since = webhook.failing_since or now
        disabled = None
        if attempt.status == _GONE:
            disabled = "the receiver answered 410 Gone"
        elif seconds_between(since, now) >= GIVE_UP_S:
            disabled = f"every attempt failed since {since}: {attempt.error}"
        if self._note(webhook, since, disabled=disabled) and seconds_between(delivery.created_at, now) < GIVE_UP_S:
            delivery = replace(delivery, failures=delivery.failures + 1)
            self._put(replace(delivery, due_at=later(now, delivery.retry_delay_s())))
        else:
            self._finish(delivery, "failed", "failed")
        return "failed"

    def _note(self, webhook: Webhook, since: str | None, *, disabled: str | None = None) -> bool:
        """Record since when the webhook fails, if that is new; returns whether it is still active.

        Nothing is recorded if the webhook was changed meanwhile, by its owner or by another run that disabled it: an
        owner who activates it again, perhaps with another address, gives it another day.
        """

        def change(held: Document | None) -> Mapping[str, Any] | None:
            if held is None or (current := from_document(held)).updated_at != webhook.updated_at:
                return None
            noted = replace(current, failing_since=None if disabled else since, disabled_reason=disabled)
            if disabled is not None:
                noted = replace(noted, is_active=False, updated_at=self._clock.now())
            return to_document(noted).body if noted != current else None

        held = change_document(self._ledger, (webhook.tenant, WEBHOOK, webhook.id), change, clock=self._clock)
        active = held is not None and from_document(held).is_active
        if disabled is not None and not active:
            _logger.warning("webhook disabled", extra={"webhook_id": webhook.id})
        return active

    def _finish(self, delivery: Delivery, state: str, report: str, error: str | None = None) -> str:
        now = self._clock.now()
        if error is not None:
            delivery = delivery.tried(Attempt(now, None, error))
        self._put(replace(delivery, state=state, due_at=later(now, LOG_S)))
        return report

    def _put(self, delivery: Delivery) -> None:
        # If the claim has expired and another run has the delivery, this write has no effect.
        self._ledger.put_document(replace(delivery, version=delivery.version + 1).document())

    def _event(self, tenant: str, ref: EventRef) -> Event | None:
        return _find(self._ledger.history(tenant, ref.memory_id), ref.version)


def _by_webhook(documents: Iterable[Document]) -> list[list[Document]]:
    found: dict[tuple[str, str], list[Document]] = {}
    for document in documents:
        found.setdefault((document.tenant, document.body["webhook_id"]), []).append(document)
    return list(found.values())


def _find(history: Iterable[Event], version: int) -> Event | None:
    return next((event for event in history if event.memory.version == version), None)


def _arrived(attempt: Attempt) -> bool:
    return attempt.error is None


def _payload(event: Event) -> bytes:
    memory = event.memory
    details = {"id": memory.id, "data": {"memory": memory.text}, "event": event.kind.value}
    return json.dumps({"event_details": details}).encode("ascii")


def _summary_payload(summary: Summary) -> bytes:
    details = {"scope": dict(summary.scope), "count": summary.count, "event": summary.kind.value}
    return json.dumps({"event_details": details}).encode("ascii")
