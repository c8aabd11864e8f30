"""Deliveries: which events must still be sent to a webhook, and how each attempt ended."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.memory import EventKind, Memory

__all__ = [
    "ATTEMPTS_KEPT",
    "DELIVERY",
    "RETRY_DELAYS_S",
    "Attempt",
    "Delivery",
    "EventRef",
    "Summary",
    "message_id",
    "retry_delay_s",
    "summary_message_id",
]

#: The kind of these documents.
DELIVERY = "webhook_delivery"
#: Seconds from one failed attempt to the next; the last number repeats.
RETRY_DELAYS_S = (60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0)
#: How many attempts the log keeps: the newest ones.
ATTEMPTS_KEPT = 10


@dataclass(frozen=True, slots=True)
class EventRef:
    """The place of an event in the ledger. Its text is read only when it is sent, so an erased text is never sent."""

    memory_id: str
    version: int
    event_id: str = ""

    def names(self, memory: Memory) -> bool:
        """Whether `memory`, which the ledger holds at this place, is the version that this delivery announces.

        If another writer took the place first, the writer that recorded this delivery has since recorded another
        one, or has failed. Older data has no event ids and always matches.
        """
        return not self.event_id or not memory.event_id or self.event_id == memory.event_id


@dataclass(frozen=True, slots=True)
class Summary:
    """What one delivery says about many events of a kind: the ids that their scopes have in common, and their number.

    Without ids, the scope is the whole tenant.
    """

    kind: EventKind
    scope: Mapping[str, str]
    count: int

    @classmethod
    def of(cls, kind: EventKind, memories: Sequence[Memory]) -> Summary:
        """The summary of an event of this kind for each of the memories, of which there must be at least one."""
        found = [cls(kind, memory.scope.ids(), 1) for memory in memories]
        return reduce(Summary.plus, found)

    def plus(self, other: Summary) -> Summary:
        """The summary of the events of both."""
        common = dict(self.scope.items() & other.scope.items())
        return replace(self, scope=common, count=self.count + other.count)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: the HTTP status of the answer, or the reason why there was no answer."""

    at: str
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The events of one change for one webhook. They are sent in order, and `done` of them have arrived.

    With a `summary` there are no events, and one message is sent for all of them.

    `state` is pending, delivered or failed. Failed means that no more attempts follow; `attempts` tell why.
    """

    id: str
    tenant: str
    webhook_id: str
    events: tuple[EventRef, ...]
    created_at: str
    due_at: str | None
    state: str = "pending"
    done: int = 0
    failures: int = 0
    attempts: tuple[Attempt, ...] = ()
    version: int = 1
    summary: Summary | None = None
    #: The request id and the trace id of what caused it; empty if it was recorded by an earlier version.
    trace: tuple[str, ...] = ()

    def tried(self, attempt: Attempt) -> Delivery:
        """The delivery with one more attempt in its log."""
        return replace(self, attempts=(*self.attempts, attempt)[-ATTEMPTS_KEPT:])

    def document(self) -> Document:
        """The document that the ledger stores."""
        body: dict[str, Any] = {
            "webhook_id": self.webhook_id,
            "events": [[one.memory_id, one.version] for one in self.events],
            # A separate list, because the previous release expects pairs in `events`.
            "event_ids": [one.event_id for one in self.events],
            "state": self.state,
            "done": self.done,
            "failures": self.failures,
            "attempts": [[one.at, one.status, one.error] for one in self.attempts],
        }
        if self.trace:
            body["trace"] = list(self.trace)
        if self.summary is not None:
            body["summary"] = [self.summary.kind.value, dict(self.summary.scope), self.summary.count]
        return Document(self.tenant, DELIVERY, self.id, body, self.created_at, self.version, self.due_at)

    @classmethod
    def of(cls, document: Document) -> Delivery:
        """The delivery that a document holds."""
        body: Mapping[str, Any] = document.body
        summary = body.get("summary")
        places, event_ids = body["events"], body.get("event_ids") or [""] * len(body["events"])
        return cls(
            id=document.id,
            tenant=document.tenant,
            webhook_id=body["webhook_id"],
            events=tuple(
                EventRef(id_, version, event) for (id_, version), event in zip(places, event_ids, strict=True)
            ),
            created_at=document.created_at,
            due_at=document.due_at,
            state=body["state"],
            done=body["done"],
            failures=body["failures"],
            attempts=tuple(Attempt(*one) for one in body["attempts"]),
            version=document.version,
            trace=tuple(body.get("trace", ())),
            summary=None if summary is None else Summary(EventKind(summary[0]), summary[1], summary[2]),
        )


def retry_delay_s(failures: int) -> float:
    """Seconds until the next attempt, after so many failed ones."""
    return RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S)) - 1]


def message_id(webhook_id: str, event: EventRef) -> str:
    """The header `webhook-id`: the same for every attempt, so that a receiver can recognise a repeat."""
    return _message_id(f"{webhook_id} {event.memory_id} {event.version}")


def summary_message_id(delivery: Delivery) -> str:
    """The same header for a delivery with a summary."""
    return _message_id(f"{delivery.webhook_id} summary {delivery.id}")


def _message_id(name: str) -> str:
    return "msg_" + uuid.uuid5(uuid.NAMESPACE_OID, name).hex
