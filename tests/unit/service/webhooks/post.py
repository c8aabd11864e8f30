"""A world with webhooks, and a receiver of what they are sent."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forgetless.domain.webhook_deliveries import Delivery
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document, to_document
from forgetless.service.webhooks.delivery import DeliveryReport, DeliveryService
from tests.unit.service.world import World

__all__ = ["Post", "Receiver", "make"]

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ALL = ("memory_add", "memory_update", "memory_delete")


@dataclass
class Receiver:
    """A sender that keeps what it was given and answers as told."""

    answers: list[int | Exception] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        with self.lock:
            self.got.append((url, dict(headers), body))
            answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(self) -> list[tuple[str, str]]:
        """The events and texts that came."""
        details = [json.loads(body)["event_details"] for _, _, body in self.got]
        return [(one["event"], one["data"]["memory"]) for one in details]

    def details(self) -> list[dict[str, Any]]:
        """What came, as it is."""
        return [json.loads(body)["event_details"] for _, _, body in self.got]


@dataclass
class Post:
    """A world, its webhook and its receiver."""

    world: World
    receiver: Receiver
    deliveries: DeliveryService

    def hook(self, id_: str = "wh", *, url: str = "https://example.com/hook", **more: Any) -> Webhook:
        now = self.world.clock.now()
        fields = {"event_types": ALL, "secret": SECRET} | more
        webhook = Webhook(id_, "default", "audit", url, project_id="p", created_at=now, updated_at=now, **fields)
        assert self.world.ledger.put_document(to_document(webhook))
        self.world.services._outbox.webhooks.forget("default")
        return webhook

    def held(self, id_: str = "wh") -> Webhook:
        document = self.world.ledger.document("default", WEBHOOK, id_)
        assert document is not None
        return from_document(document)

    def log(self, id_: str = "wh") -> list[Delivery]:
        return self.deliveries.log("default", id_, limit=50)[0]

    def run(self, *, after: float = 0) -> DeliveryReport:
        self.world.clock.advance(after)
        return self.deliveries.run()


def make(world: World, sender: Any = None) -> Post:
    receiver = Receiver()
    service = DeliveryService(ledger=world.ledger, sender=sender or receiver, clock=world.clock)
    return Post(world, receiver, service)
