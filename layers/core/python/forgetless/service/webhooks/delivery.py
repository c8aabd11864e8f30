"""Delivery: sends the events that are due to webhooks, and tries again until they arrive or a day has passed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from forgetless.domain.cursors import after_document
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
    retry_delay_s,
    summary_message_id,
)
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document, signature, to_document
from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from forgetless.ports.metrics import WEBHOOK_ATTEMPTS, WEBHOOKS_DISABLED
from forgetless.ports.webhooks import WebhookSender
from forgetless.service.document_change import change_document
from forgetless.service.pages import PageAsk, Pager, Source, all_rows, chunk_of, itself
from forgetless.service.webhooks.turns import Group, Turns

__all__ = ["DeliveryReport", "DeliveryService"]

_logger = logging.getLogger(__name__)

#: The longest time that one receiver may take for one event.
SEND_S = 10.0
#: How many webhooks are served at once, and how many of one tenant, so that those that hang do not delay the others.
WORKERS = 16
TENANT_WORKERS = 4
#: The most deliveries read at once, of all tenants and of each.
PORTION = 200
TENANT_PORTION = 50
#: How long a run begins new ones: well below the function's time-out.
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
#: What the record of a webhook says when deliveries arrive, or when none is tried any more.
_WELL: Mapping[str, Any] = {"failing_since": None, "failures": 0, "retry_at": None}


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
        self._pager = Pager(ledger=ledger, clock=clock)

    def run(self) -> DeliveryReport:
        """Send everything that is due. The time is bounded; repeating it, or two runs at once, is harmless.

        If something else than a receiver fails for one webhook, that error is raised after the others were served.
        """
        if self._sender is None:
            return DeliveryReport(0, 0, 0)
        end = self._clock.monotonic() + RUN_S
        turns, running = Turns(most=TENANT_WORKERS), dict[Future[list[str]], Group]()
        states: list[str] = []
        errors: list[Exception] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            while self._begin(turns, running, pool, end):
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    group = running.pop(future)
                    try:
                        states += future.result()
                        turns.done(group)
                    except Exception as error:
                        _logger.exception("deliveries of a webhook failed", extra={"webhook_id": group.webhook_id})
                        errors.append(error)
                        turns.done(group, leave_out=True)
        if errors:  # after all others have been served
            raise errors[0]
        return DeliveryReport(*(states.count(name) for name in ("delivered", "failed", "dropped")))

    def _begin(self, turns: Turns, running: dict[Future[list[str]], Group], pool: Executor, end: float) -> bool:
        """Begin what may be begun now, and look once for what else is due; False when nothing is running."""
        looked = False
        while len(running) < WORKERS and self._clock.monotonic() < end:
            group = turns.next()
            if group is not None:
                running[pool.submit(self._one_webhook, group.deliveries, end)] = group
            elif looked:
                break
            else:
                now = self._clock.now()
                turns.know(self._ledger.due_in_turn(DELIVERY, now=now, limit=PORTION, each=TENANT_PORTION))
                looked = True
        return bool(running)

    def log(
        self,
        tenant: str,
        webhook_id: str,
        *,
        limit: int,
        cursor: str | None = None,
        weigh: Callable[[Delivery], float] | None = None,
    ) -> tuple[list[Delivery], str | None]:
        """The webhook's deliveries of the last days, newest first, and the next cursor.

        There may be fewer than `limit`, although more follow, if there are very many to other webhooks.
        """
        size = chunk_of(limit)
        documents = all_rows(
            lambda place: self._ledger.documents(tenant, DELIVERY, limit=size, cursor=place), after_document, size
        )

        def rows(cursor: str | None) -> Iterator[tuple[str, Delivery | None]]:
            for place, document in documents(cursor):
                wanted = document is not None and document.body["webhook_id"] == webhook_id
                yield place, Delivery.of(document) if wanted and document is not None else None

        ask = PageAsk(tenant, (), limit, None, cursor)
        found = self._pager.page(ask, Source(rows, itself, counts=False, weigh=weigh))
        return list(found.items), found.cursor

    def _one_webhook(self, documents: Sequence[Document], end: float) -> list[str]:
        """Send the deliveries of one webhook in order; after a failure, the rest wait until it is tried again."""
        states: list[str] = []
        until: str | None = None
        for document in documents:
            if self._clock.monotonic() >= end:
                break
            delivery = Delivery.of(document)
            if until is not None and delivery.state == "pending":
                self._put(replace(delivery, due_at=until))
                continue
            states.append(self._one(delivery, end))
            if states[-1] in {"failed", "too early"}:
                held = self._ledger.document(delivery.tenant, WEBHOOK, delivery.webhook_id)
                until = None if held is None else from_document(held).retry_at
        return states

    def _one(self, delivery: Delivery, end: float) -> str:
        if delivery.state != "pending":
            self._ledger.delete_document(delivery.tenant, DELIVERY, delivery.id)
            return "expired"
        webhook = self._webhook(delivery)
        if webhook is None:
            return self._drop(delivery)
        if webhook.is_active and webhook.waits(self._clock.now()):
            self._put(replace(delivery, due_at=webhook.retry_at))
            return "too early"
        claimed = replace(delivery, version=delivery.version + 1, due_at=later(self._clock.now(), CLAIM_S))
        if not self._ledger.put_document(claimed.document()):
            return "taken"  # by another run
        if not webhook.is_active:
            return self._drop(claimed, webhook)
        return self._send_all(claimed, webhook, end)

    def _webhook(self, delivery: Delivery) -> Webhook | None:
        held = self._ledger.document(delivery.tenant, WEBHOOK, delivery.webhook_id)
        return None if held is None else from_document(held)

    def _drop(self, delivery: Delivery, inactive: Webhook | None = None) -> str:
        """End the delivery of a webhook that was deleted, or is not active; nothing more is sent."""
        if inactive is not None:
            return self._finish(delivery, "failed", "dropped", "the webhook is not active")
        self._ledger.delete_document(delivery.tenant, DELIVERY, delivery.id)
        return "dropped"

    def _send_all(self, delivery: Delivery, webhook: Webhook, end: float) -> str:
        if delivery.summary is not None:
            return self._send_summary(delivery, delivery.summary, webhook)
        arrived, begun = False, delivery.done
        while delivery.done < len(delivery.events):
            if self._clock.monotonic() >= end:
                self._put(replace(delivery, due_at=self._clock.now()))
                return "waiting"
            ref = delivery.events[delivery.done]
            event = self._event(delivery.tenant, ref)
            if event is None and seconds_between(delivery.created_at, self._clock.now()) < NEVER_CAME_S:
                self._put(replace(delivery, due_at=later(self._clock.now(), NEVER_CAME_S)))
                return "waiting"
            if delivery.done > begun:  # its owner may have deleted or changed it while the last one was sent
                current = self._webhook(delivery)
                if current is None or not current.is_active:
                    return self._drop(delivery, current)
                arrived = arrived and current.updated_at == webhook.updated_at
                webhook = current
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
        attempt = self._sent(webhook, id_, body)
        WEBHOOK_ATTEMPTS.count(outcome="arrived" if _arrived(attempt) else "failed")
        return attempt

    def _sent(self, webhook: Webhook, id_: str, body: bytes) -> Attempt:
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
        except (ForbiddenError, ConnectionError, TimeoutError) as error:
            return Attempt(now, None, error.message if isinstance(error, ForbiddenError) else str(error))
        except Exception as error:  # whatever an address can bring about, it is this webhook's failure alone
            _logger.warning("a delivery failed unexpectedly", extra={"webhook_id": webhook.id}, exc_info=True)
            return Attempt(now, None, f"it could not be sent ({type(error).__name__})")
        return Attempt(now, status, None if 200 <= status < 300 else f"answered {status}")

    def _failed(self, delivery: Delivery, webhook: Webhook, attempt: Attempt) -> str:
        now = self._clock.now()
        joined = dict(zip(("request_id", "trace_id"), delivery.trace, strict=False))
        whose = {"tenant": delivery.tenant, "webhook_id": webhook.id, "delivery_id": delivery.id}
        told = {**whose, "reason": attempt.error, **joined}
        _logger.warning("an attempt of a delivery failed", extra=told)
        since = webhook.failing_since or now
        disabled = None
        if attempt.status == _GONE:
            disabled = "the receiver answered 410 Gone"
        elif seconds_between(since, now) >= GIVE_UP_S:
            disabled = f"every attempt failed since {since}: {attempt.error}"
        if self._note(webhook, since, disabled=disabled) and seconds_between(delivery.created_at, now) < GIVE_UP_S:
            delivery = replace(delivery, failures=delivery.failures + 1)
            self._put(replace(delivery, due_at=later(now, retry_delay_s(delivery.failures))))
        else:
            self._finish(delivery, "failed", "failed")
        return "failed"

    def _note(self, webhook: Webhook, since: str | None, *, disabled: str | None = None) -> bool:
        """Record since when the webhook fails and when to try it again; returns whether it is still active.

        Nothing is recorded if the webhook was changed meanwhile, by its owner or by another run that disabled it: an
        owner who activates it again, perhaps with another address, gives it another day.
        """

        def change(held: Document | None) -> Mapping[str, Any] | None:
            if held is None or (current := from_document(held)).updated_at != webhook.updated_at:
                return None
            now = self._clock.now()
            if disabled is not None:
                noted = replace(current, **_WELL, disabled_reason=disabled, is_active=False, updated_at=now)
            elif since is None:
                noted = replace(current, **_WELL, disabled_reason=None)
            else:
                failures = current.failures + 1
                retry_at = later(now, retry_delay_s(failures))
                noted = replace(current, failing_since=since, failures=failures, retry_at=retry_at)
            return to_document(noted).body if noted != current else None

        held = change_document(self._ledger, (webhook.tenant, WEBHOOK, webhook.id), change, clock=self._clock)
        active = held is not None and from_document(held).is_active
        if disabled is not None and not active:
            _logger.warning("webhook disabled", extra={"tenant": webhook.tenant, "webhook_id": webhook.id})
            WEBHOOKS_DISABLED.count()
        return active

    def _finish(self, delivery: Delivery, state: str, report: str, error: str | None = None) -> str:
        now = self._clock.now()
        if error is not None:
            delivery = delivery.tried(Attempt(now, None, error))
        # Nothing needs the ids of a summary any more, and they may be those of somebody who was erased.
        summary = None if delivery.summary is None else replace(delivery.summary, scope={})
        self._put(replace(delivery, state=state, due_at=later(now, LOG_S), summary=summary))
        return report

    def _put(self, delivery: Delivery) -> None:
        # If the claim has expired and another run has the delivery, this write has no effect.
        self._ledger.put_document(replace(delivery, version=delivery.version + 1).document())

    def _event(self, tenant: str, ref: EventRef) -> Event | None:
        # The history of a memory may have many megabytes, and each of its changes is a delivery to each webhook.
        found, _ = self._ledger.history_portion(tenant, ref.memory_id, ref.version, most=1)
        return found[0] if found else None


def _arrived(attempt: Attempt) -> bool:
    return attempt.error is None


def _payload(event: Event) -> bytes:
    memory = event.memory
    details = {"id": memory.id, "data": {"memory": memory.text}, "event": event.kind.value}
    return json.dumps({"event_details": details}).encode("ascii")


def _summary_payload(summary: Summary) -> bytes:
    details = {"scope": dict(summary.scope), "count": summary.count, "event": summary.kind.value}
    return json.dumps({"event_details": details}).encode("ascii")
