"""WebhookList: an add reads no webhooks while they are known, and a change counts after 30 seconds at the latest."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.limits import TENANT_COPY_S
from forgetless.domain.webhook_deliveries import DELIVERY
from forgetless.domain.webhooks import WEBHOOK
from forgetless.ports.ledger import Ledger
from forgetless.service.services import Ports, Services
from forgetless.service.webhooks.webhook_list import WebhookList
from tests.unit.service.world import World


@pytest.fixture
def reads(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tenants whose webhooks are read from the ledger."""
    found: list[str] = []
    documents = world.ledger.documents

    def counted(tenant: str, kind: str, **named: object) -> object:
        if kind == WEBHOOK:
            found.append(tenant)
        return documents(tenant, kind, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(world.ledger, "documents", counted)
    return found


def create(services: Services, tenant: str = "default") -> str:
    made = services.webhooks.create(
        tenant, "p", name="n", url="https://example.com", event_types=["memory_add"], is_active=True
    )
    return made.id


def deliveries(ledger: Ledger) -> int:
    return len(ledger.documents("default", DELIVERY, limit=99)[0])


def test_adds_without_webhooks_read_none_while_the_list_is_known(world: World, reads: list[str]) -> None:
    for number in range(5):
        world.say(f"fact {number}")
    assert reads == ["default"]
    world.clock.advance(TENANT_COPY_S)
    world.say("another fact")
    assert reads == ["default"] * 2


def test_what_this_process_changes_counts_at_once(world: World) -> None:
    world.say("nobody listens")
    hook = create(world.services)
    world.say("somebody listens")
    assert deliveries(world.ledger) == 1
    world.services.webhooks.update("default", hook, {"is_active": False})
    world.say("not now")
    assert deliveries(world.ledger) == 1
    world.services.webhooks.update("default", hook, {"is_active": True})
    world.services.webhooks.delete("default", hook)
    world.say("nobody listens again")
    assert deliveries(world.ledger) == 1


def test_what_another_process_changes_counts_after_30_seconds_at_the_latest(world: World) -> None:
    world.say("nobody listens")
    other = Services(Ports(world.ledger, world.index, world.embedder, world.queue, world.clock))
    hook = create(other)
    world.say("not yet")
    world.clock.advance(TENANT_COPY_S)
    world.say("somebody listens")
    assert deliveries(world.ledger) == 1
    other.webhooks.delete("default", hook)
    world.clock.advance(TENANT_COPY_S)
    world.say("nobody listens again")
    assert deliveries(world.ledger) == 1


def test_a_list_that_was_read_before_a_change_is_not_remembered_after_it(world: World, tmp_path: Path) -> None:
    """Another thread reads the list, and this one creates a webhook before the reader remembers what it read."""
    ledger = SqliteLedger(tmp_path / "other.db")
    known = WebhookList(ledger=ledger, clock=world.clock)
    documents = ledger.documents

    def changed_meanwhile(*arguments: object, **named: object) -> object:
        found = documents(*arguments, **named)  # type: ignore[arg-type]
        ledger.documents = documents  # type: ignore[method-assign]
        known.forget("default")
        return found

    ledger.documents = changed_meanwhile  # type: ignore[method-assign, assignment]
    known.of("default")
    reads: list[object] = []
    ledger.documents = lambda *a, **n: reads.append(a) or documents(*a, **n)  # type: ignore[method-assign, assignment, func-returns-value]
    known.of("default")
    assert len(reads) == 1
    known.of("default")
    assert len(reads) == 1
    ledger.close()
