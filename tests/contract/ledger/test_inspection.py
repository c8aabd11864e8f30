"""Inspection of the whole store in both ledgers: its tenants, counts, samples and faults."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_dynamodb.item_keys import event, head
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.memory import Event
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger, Tally
from tests.contract.ledger.making import a_memory, add, delete, ids, update
from tests.dynamo_server import DynamoServer

ODD = "tenant \x00 \ud800 #~"


def of(tenant: str, count: int, *, begin: int = 0) -> list[Event]:
    scope = Scope(tenant, user_id="anna")
    return add(*(a_memory(f"{tenant!r} {n}", scope=scope, second=n) for n in range(begin, begin + count)))


def test_tenants_are_all_that_have_memories_deleted_ones_too(ledger: Ledger) -> None:
    assert ledger.tenants(limit=1) == ([], True)
    for tenant in ("acme", "globex", ODD):
        ledger.append(of(tenant, 2))
    gone = of("initech", 1)
    ledger.append(gone)
    ledger.append([delete(gone[0].memory)])
    found, whole = ledger.tenants(limit=4)
    assert (sorted(found), whole) == (sorted(["acme", "globex", "initech", ODD]), True)
    some, whole = ledger.tenants(limit=2)
    assert (len(some), whole) == (2, False)


def test_a_tally_counts_what_lives_and_what_the_index_misses(ledger: Ledger) -> None:
    mine, theirs = of("acme", 6), of("globex", 3)
    ledger.append(mine)
    ledger.append(theirs)
    assert ledger.tally("acme", limit=100) == Tally(6, 6)
    ledger.mark_indexed([one.memory for one in mine])
    ledger.append([delete(mine[0].memory)])
    ledger.append([update(mine[1].memory, superseded_by=mine[2].memory.id)])
    assert ledger.tally("acme", limit=100) == Tally(4, 2)
    assert ledger.tally("nobody", limit=100) == Tally(0, 0)
    assert ledger.tally(limit=100) == Tally(7, 5)


def test_counting_ends_and_says_so(ledger: Ledger) -> None:
    ledger.append(of("acme", 5))
    found = ledger.tally("acme", limit=3)
    assert (found.live, found.exact) == (3, False)


def test_a_sample_has_the_oldest_and_the_newest_and_live_memories_alone(ledger: Ledger) -> None:
    events = of("acme", 40)
    ledger.append(events)
    ledger.append(of("globex", 3))
    memories = [one.memory for one in events]
    ledger.append([delete(memories[0])])
    ledger.append([update(memories[39], text="newer words")])
    found = ledger.sample("acme", limit=12)
    assert 6 <= len(found) <= 12
    assert set(ids(found)) <= set(ids(memories[1:]))
    assert {memories[1].id, memories[39].id} <= set(ids(found))
    assert next(one for one in found if one.id == memories[39].id).text == "newer words"
    assert sorted(ids(ledger.sample("acme", limit=1000))) == sorted(ids(memories[1:]))
    assert ledger.sample("nobody", limit=5) == []


@pytest.mark.parametrize("thorough", [False, True])
def test_a_sound_store_has_no_faults(ledger: Ledger, thorough: bool) -> None:
    events = of("acme", 4)
    ledger.append(events)
    ledger.append([update(events[0].memory, text="x" * 200_000)])
    ledger.append([delete(events[1].memory)])
    report = ledger.faults(seconds=20, thorough=thorough)
    assert report.found == ()
    assert report.looked_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        for n in range(30):
            ledger.append(of("acme", 20, begin=20 * n))
    return path


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM texts WHERE text_id IN (SELECT text_id FROM events LIMIT 3)", "3 events without their text"),
        ("DELETE FROM texts WHERE text_id IN (SELECT text_id FROM memories LIMIT 2)", "2 memories without their text"),
        ("DELETE FROM events WHERE rowid_ = 1", "1 memories without the event of their version"),
        ("DELETE FROM memories WHERE rowid_ = 1", "1 events of memories that are not there"),
        ("UPDATE events SET version = 2 WHERE rowid_ = 1", "1 memories whose history has gaps"),
    ],
)
def test_what_belongs_together_and_is_not_there_is_counted(path: Path, statement: str, said: str) -> None:
    one = "(SELECT id FROM memories LIMIT 1)"
    column = "memory_id" if " events " in statement else "id"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(statement.replace("rowid_ = 1", f"{column} = {one}")).rowcount > 0
    with closing(SqliteLedger(path)) as ledger:
        assert said in ledger.faults(seconds=20, thorough=True).found


def test_broken_pages_are_faults(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 40_000)
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.faults(seconds=20).found
        assert ledger.faults(seconds=20, thorough=True).found


def test_a_look_ends_after_its_seconds_and_says_so(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.faults(seconds=0).looked_at == "the time was over while it checked the pages of the file"
        assert ledger.faults(seconds=20).looked_at == "the pages of the file"


def test_dynamodb_tells_of_lost_parts_and_lost_versions(
    dynamo: Callable[[], DynamoLedger], dynamo_server: DynamoServer
) -> None:
    with closing(dynamo()) as ledger:
        long, changed = of("acme", 1)[0].memory, of("acme", 1, begin=1)[0].memory
        ledger.append(add(replace(long, text="x" * 700_000), changed))
        ledger.append([update(changed, text="again")])
        table = ledger._table.client.table
        parts = [item for item in ledger._table.query(head("acme", long.id).pk) if item["sk"].startswith("~")]
        for key in (event("acme", changed.id, 1), (parts[0]["pk"], parts[0]["sk"])):
            dynamo_server.admin.delete_item(TableName=table, Key={"pk": {"S": key[0]}, "sk": {"S": key[1]}})
        found = " | ".join(ledger.faults(seconds=60).found)
        assert "lacks a part of" in found
        assert "is at version 2 and has 0 earlier ones" in found
