"""Sweep looks after the erasures of every tenant in turn: many of one delay those of no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs import erase
from tests.unit.service.world import World, make_world

ALICE = {"user_id": "alice"}
EACH = 3


class LateLedger(SqliteLedger):
    """SQLite with the promise of DynamoDB: writes that began before an erasure may land after it."""

    def late_writes_s(self) -> float:
        return 900.0


@pytest.fixture(params=["sqlite", "dynamodb"])
def late(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    ledger: Ledger
    if request.param == "dynamodb":
        opener: Callable[[], DynamoLedger] = request.getfixturevalue("dynamo")
        ledger = opener()
    else:
        ledger = LateLedger(tmp_path / "ledger.db")
    yield make_world(tmp_path, ledger=ledger)
    ledger.close()


def open_of(world: World, tenant: str) -> int:
    return world.ledger.erasure_state(tenant).hiding


def sweep(world: World) -> None:
    world.services.sweep.sweep()
    for wait_s in (erase._GATHER_S, 0.0):  # an erasure lets others come as far before it walks through the ids
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
        world.clock.advance(wait_s)


def test_ten_times_the_bound_of_one_tenant_delay_no_erasure_of_another(
    late: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "_EACH", EACH)
    monkeypatch.setattr(erase, "_LOOKED_AT", 2 * EACH)
    for number in range(10 * EACH):
        late.services.changes.delete_scope("many", {"user_id": f"nobody {number}"})
    late.say("one")
    late.clock.advance(1)
    late.services.changes.delete_scope("default", ALICE)
    assert (open_of(late, "many"), open_of(late, "default")) == (10 * EACH, 1)
    late.clock.advance(910)
    sweep(late)
    assert open_of(late, "default") == 0
    assert open_of(late, "many") == 9 * EACH, "a share of them ends in each run"


def test_a_look_that_has_taken_long_goes_on_in_the_next_run(late: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        late.services.changes.delete_scope("many", {"user_id": f"nobody {number}"})
    late.clock.advance(910)
    monkeypatch.setattr(erase, "_LOOK_S", 0.0)
    sweep(late)
    assert open_of(late, "many") == 5
    monkeypatch.undo()
    sweep(late)
    assert open_of(late, "many") == 0
