"""The log of a webhook's deliveries over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from forgetless.domain.webhooks import Webhook, new_secret, to_document
from forgetless.service.webhooks.delivery import DeliveryService
from tests.unit.api.client import MEMBER, STRANGER, Api

PATH = "/api/v1/webhooks/wh/deliveries/"


class Failing:
    """A receiver that always fails."""

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        return 500


@pytest.fixture
def told(api: Api) -> Api:
    """An API with a webhook to whom three changes could not be told."""
    now = api.world.clock.now()
    webhook = Webhook("wh", "default", "audit", "https://example.com", ("memory_add",), "p", now, now, new_secret())
    api.world.ledger.put_document(to_document(webhook))
    for number in range(3):
        api.say(f"memory {number}")
    DeliveryService(ledger=api.world.ledger, sender=Failing(), clock=api.world.clock).run()
    return api


def test_it_shows_what_was_tried_and_what_waits(told: Api) -> None:
    body = told.get(PATH).json()
    assert [one["status"] for one in body["results"]] == ["pending"] * 3
    first = body["results"][-1]
    assert [(one["status"], one["error"]) for one in first["attempts"]] == [(500, "answered 500")]
    assert first["next_attempt_at"] > first["created_at"]
    assert [event["version"] for event in first["events"]] == [1]
    assert "memory 0" not in str(body)


def test_it_comes_by_pages(told: Api) -> None:
    first = told.get(PATH, params={"limit": 2}).json()
    second = told.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert (len(first["results"]), len(second["results"]), second["next_cursor"]) == (2, 1, None)


def test_it_is_the_administrators_of_the_tenant_only(told: Api) -> None:
    assert told.get(PATH, key=MEMBER).status_code == 403
    assert told.get(PATH, key=STRANGER).status_code == 404
    unknown = told.get("/api/v1/webhooks/other/deliveries/?limit=1")
    assert (unknown.status_code, "Webhook not found" in unknown.text) == (404, True)
