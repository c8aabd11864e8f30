"""The links from a memory back to what it superseded: the same in both ledgers, and in those of earlier versions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys, schema
from forgetless.adapters.ledger_dynamodb.attribute_values import to_wire
from forgetless.adapters.ledger_dynamodb.superseded_migration import note_superseded
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_memory, add, delete, update
from tests.contract.ledger.old_ledgers import sqlite_of_schema_3


def superseded(ledger: Ledger, older: Memory, newer: Memory, second: int = 1) -> Memory:
    change = update(older, second, superseded_by=newer.id)
    ledger.append([change])
    return change.memory


def older_than(ledger: Ledger, memory: Memory, limit: int = 99) -> list[str]:
    return ledger.superseded_ids("acme", memory.id, limit=limit)


def test_links_are_followed_back_the_nearest_first(ledger: Ledger) -> None:
    first, second, beside, last = (a_memory("a", place, second=place) for place in range(4))
    ledger.append(add(first, second, beside, last))
    assert older_than(ledger, last) == []
    superseded(ledger, first, second)
    superseded(ledger, second, last)
    superseded(ledger, beside, last)
    found = older_than(ledger, last)
    assert set(found[:2]) == {second.id, beside.id}
    assert found[2:] == [first.id]
    assert older_than(ledger, second) == [first.id]
    assert older_than(ledger, last, limit=2) == found[:2]
    assert ledger.superseded_ids("other", last.id, limit=9) == []
    assert ledger.faults(seconds=20, thorough=True).found == ()


def test_a_link_goes_with_the_older_memory_and_when_it_is_current_again(ledger: Ledger) -> None:
    first, second, last = (a_memory("a", place, second=place) for place in range(3))
    ledger.append(add(first, second, last))
    old, older = superseded(ledger, first, last), superseded(ledger, second, last)
    changed = update(older, 2, metadata={"k": 1})
    ledger.append([changed])
    assert set(older_than(ledger, last)) == {first.id, second.id}
    ledger.append([delete(old, 3)])
    assert older_than(ledger, last) == [second.id]
    ledger.append([update(changed.memory, 4, superseded_by=None)])
    assert older_than(ledger, last) == []


def test_events_of_one_call_and_links_in_a_circle(ledger: Ledger) -> None:
    one, two = a_memory("a", 0), a_memory("a", 1)
    # An import may bring any events.
    ledger.append([*add(one, two), update(one, superseded_by=two.id), update(two, superseded_by=one.id)])
    assert older_than(ledger, one) == [two.id]
    assert older_than(ledger, two) == [one.id]


def test_a_file_of_schema_3_knows_its_links(tmp_path: Path) -> None:
    last = a_memory("a", 1)
    first = a_memory("a", 0, superseded_by=last.id)
    sqlite_of_schema_3(tmp_path / "ledger.db", [first, last])
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        assert older_than(ledger, last) == [first.id]
        ledger.append([delete(first)])
        assert older_than(ledger, last) == []


def test_a_table_of_version_3_knows_its_links_once_it_is_migrated(dynamo: Callable[[], DynamoLedger]) -> None:
    long = "x" * 150_000
    odd = Scope("acme", user_id="anna \x00")
    first, second, last = (a_memory("a", place, scope=odd, text=f"{long} {place}") for place in range(3))
    with closing(dynamo()) as old:
        old.append(add(first, second, last))
        superseded(old, first, second)
        superseded(old, second, last)
        for newer, older in ((second, first), (last, second)):
            key = item_keys.superseded("acme", newer.id, older.id)
            old._client.call("delete_item", TableName=old._client.table, Key=to_wire(key._asdict()))
        assert older_than(old, last) == []
        version = to_wire({**item_keys.SCHEMA._asdict(), "version": 3})
        old._client.call("put_item", TableName=old._client.table, Item=version)
    with closing(dynamo()) as ledger:
        assert ledger.migrate() == len(schema.MIGRATIONS) - 2
        note_superseded(ledger._client)  # as one that was interrupted and is run again
    with closing(dynamo()) as ledger:
        assert older_than(ledger, last) == [second.id, first.id]
        ledger.append([delete(ledger.read("acme", [first.id])[first.id], 5)])
        assert older_than(ledger, last) == [second.id]
