"""Late passes of erasures in a tenant with many users on DynamoDB: what they read, and what they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys, totals
from forgetless.adapters.ledger_dynamodb.attribute_values import to_wire
from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.jobs import JobState
from forgetless.domain.scope import Scope
from forgetless.service.jobs import entity_walks, erase
from tests.dynamo_server import DynamoServer
from tests.unit.service.world import World, make_world

TENANT = "default"
USERS = 1500


@pytest.fixture
def world(dynamo: Callable[[], DynamoLedger], tmp_path: Path) -> Iterator[World]:
    ledger = dynamo()
    yield make_world(tmp_path, ledger=ledger)
    ledger.close()


@pytest.fixture
def crowd(world: World, dynamo_server: DynamoServer) -> World:
    """The tenant has so many users with a memory each, as far as its counters say."""
    put_users(world, dynamo_server, USERS)
    return world


def put_users(world: World, server: DynamoServer, number: int, *, total: int = 1) -> None:
    puts = []
    for one in range(number):
        key = item_keys.total(TENANT, one % 8, "user", f"u{one:06d}")
        figures = {"total": total, "expiring": 0, "stale": False, "created": "2026", "updated": "2026", "rev": "x"}
        item = {**key._asdict(), "kind": "user", "id": to_blob(f"u{one:06d}"), **figures}
        puts.append({"PutRequest": {"Item": to_wire(item)}})
    table = world.ledger._client.table  # type: ignore[attr-defined]
    for first in range(0, number, 25):
        server.admin.batch_write_item(RequestItems={table: puts[first : first + 25]})


@pytest.fixture
def walked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The cursors with which pages of the list of entities are asked for: a walk begins with None."""
    pages: list[str | None] = []
    clear = world.ledger.clear_entities

    def counted(tenant: str, *, limit: int, cursor: str | None = None) -> str | None:
        pages.append(cursor)
        return clear(tenant, limit=limit, cursor=cursor)

    monkeypatch.setattr(world.ledger, "clear_entities", counted)
    return pages


def sweep(world: World) -> None:
    """A run of sweep and of what waits, also of what lets others come as far first."""
    world.services.sweep.sweep()
    for wait_s in (erase._GATHER_S, 0.0):
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
        world.clock.advance(wait_s)


def delete(world: World, user: str, **more: str) -> None:
    world.say("of theirs", scope=Scope(TENANT, user_id=user, **more))
    world.clock.advance(1)
    assert world.services.changes.delete_scope(TENANT, {"user_id": user}).deleted == 1


def hiding(world: World) -> int:
    return world.ledger.erasure_state(TENANT).hiding


def late_jobs(world: World) -> list[dict[str, Any]]:
    found, _ = world.ledger.documents(TENANT, BULK_JOB, limit=99)
    return [dict(one.body) for one in found]


def test_an_erasure_of_nothing_costs_no_more_where_there_are_many_users(
    crowd: World, dynamo_server: DynamoServer, walked: list[str | None]
) -> None:
    crowd.services.changes.delete_scope(TENANT, {"user_id": "nobody"})
    crowd.clock.advance(910)
    dynamo_server.calls.clear()
    sweep(crowd)
    assert hiding(crowd) == 0
    assert walked == []
    queries = [asked for operation, asked in dynamo_server.calls if operation == "Query"]
    assert not any(":pk" in str(asked) and f"N#{TENANT}#" in str(asked) for asked in queries)


def test_ten_erasures_share_one_walk(crowd: World, walked: list[str | None]) -> None:
    for number in range(10):
        delete(crowd, f"x{number}")
    crowd.clock.advance(910)
    sweep(crowd)
    assert hiding(crowd) == 0
    assert walked.count(None) == 1
    assert len(walked) == USERS / entity_walks._STEP


def test_an_erasure_waits_for_a_walk_that_began_after_it_had_removed_all(
    crowd: World, walked: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is in the middle of its walk when the second one has come as far."""
    delete(crowd, "first", run_id="r1")
    crowd.clock.advance(910)
    crowd.services.sweep.sweep()
    with monkeypatch.context() as patch:
        patch.setattr(crowd.clock, "monotonic", iter(range(0, 10**9, 100)).__next__)
        for _ in range(12):
            if len(walked) > 1:
                break
            assert crowd.services.bulk_worker.turn()
    assert len(walked) == 2, "of three pages"
    delete(crowd, "second", run_id="r2")
    crowd.clock.advance(910)
    sweep(crowd)
    sweep(crowd)
    assert hiding(crowd) == 0
    assert walked.count(None) == 2


def test_what_a_death_left_goes_with_the_walk(
    world: World, dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch, walked: list[str | None]
) -> None:
    world.say("of theirs", scope=Scope(TENANT, user_id="anna", run_id="the run"))
    world.clock.advance(1)
    with monkeypatch.context() as patch:
        patch.setattr(totals, "clear", lambda *_arguments, **_named: 1 / 0)
        with suppress(ZeroDivisionError):
            world.services.changes.delete_scope(TENANT, {"user_id": "anna"})
    world.clock.advance(910)
    for _ in range(3):
        sweep(world)
        world.clock.advance(60)
    assert hiding(world) == 0
    assert walked == [None]
    found, _ = totals.following(world.ledger._table, TENANT, after=None, kinds=["run"], limit=9)  # type: ignore[attr-defined]
    assert found == []
    kinds = (entity_walks._WALKS, entity_walks._NOTE)
    kept = [one.body for kind in kinds for one in world.ledger.documents(TENANT, kind, limit=9)[0]]
    assert kept == [{"began": 1, "ended": 1, "page": None}], "no id, and no note"


def test_no_further_late_job_is_started_while_one_waits(world: World) -> None:
    world.services.changes.delete_scope(TENANT, {"user_id": "nobody"})
    world.clock.advance(910)
    for _ in range(5):
        world.services.sweep.sweep()
        world.clock.advance(60)
    waiting = [job for job in late_jobs(world) if job["state"] == JobState.PENDING]
    assert len(waiting) == 1


def test_a_place_without_a_walk_can_be_read_by_the_version_before() -> None:
    place = erase._Place(target=3)
    assert "walk" not in place.cursor()
    assert erase._Place.of(place.cursor()) == place
    waiting = replace(place, walk=7)
    assert erase._Place.of(waiting.cursor()) == waiting
