"""Stored answers that show a memory: few of each memory, so that its deletion, which takes them, is bounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import to_wire
from forgetless.domain.memory import Memory
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord
from tests.contract.ledger.making import a_memory, add, at, delete, update
from tests.dynamo_server import DynamoServer

FIRST, OTHER = a_memory("a"), a_memory("b")
BEGAN = IdempotencyRecord("print", at(9))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in ("sqlite", "dynamodb"):
        monkeypatch.setattr(f"forgetless.adapters.ledger_{adapter}.idempotency_records._MOST_ANSWERS", 3)


def store(ledger: Ledger, name: str, *shown: Memory, second: int = 20) -> None:
    body = json.dumps({"results": [{"id": memory.id, "memory": f"of {OTHER.id}"} for memory in shown]})
    ledger.begin_request("acme", name, BEGAN, now=at(0), expires_at=at(second))
    ledger.finish_request("acme", name, replace(BEGAN, status=200, body=body), began=BEGAN, expires_at=at(second))


def stored(ledger: Ledger, *names: str) -> list[bool]:
    found = []
    for name in names:
        held = ledger.begin_request("acme", name, BEGAN, now=at(0), expires_at=at(99))
        found.append(held is not None)
        if held is None:
            ledger.drop_request("acme", name, began=BEGAN)
    return found


def test_the_newest_answers_of_a_memory_are_kept(ledger: Ledger) -> None:
    ledger.append(add(FIRST, OTHER))
    store(ledger, "of another", OTHER, second=10)
    version = FIRST
    for number in range(5):
        store(ledger, f"{number}", FIRST, second=20 + number)
        changed = update(version, text=f"text {number}")
        ledger.append([changed])
        version = changed.memory
    assert stored(ledger, *"01234", "of another") == [False, False, True, True, True, True]
    ledger.append([delete(version)])
    assert stored(ledger, *"01234", "of another") == [False] * 5 + [True]


def test_an_answer_that_goes_for_one_memory_does_not_take_those_of_others_with_it(ledger: Ledger) -> None:
    ledger.append(add(FIRST, OTHER))
    store(ledger, "both", FIRST, OTHER, second=20)
    for number in range(3):
        store(ledger, f"{number}", FIRST, second=21 + number)
    assert stored(ledger, "both", *"012") == [False, True, True, True]
    store(ledger, "both", OTHER, second=30)
    store(ledger, "second", OTHER, second=31)
    store(ledger, "third", OTHER, second=32)
    assert stored(ledger, "both", "second", "third", *"012") == [True] * 6
    ledger.append([delete(OTHER)])
    assert stored(ledger, "both", "second", "third", *"012") == [False] * 3 + [True] * 3


def test_a_name_that_is_used_again_keeps_its_answer_and_its_turn(ledger: Ledger) -> None:
    ledger.append(add(FIRST))
    for number in range(7):
        store(ledger, "again", FIRST, second=20 + number)
        assert stored(ledger, "again") == [True]
        ledger.begin_request("acme", "again", BEGAN, now=at(50), expires_at=at(60))
        ledger.drop_request("acme", "again", began=BEGAN)
    store(ledger, "last", FIRST, second=40)
    assert stored(ledger, "last") == [True]


@pytest.fixture
def table(dynamo: Callable[[], DynamoLedger]) -> DynamoLedger:
    return dynamo()


def written(server: DynamoServer, work: Callable[[], object]) -> int:
    """How many items the work writes."""
    server.calls.clear()
    work()
    return sum(
        len(parameters.get("TransactItems", [0]))
        for operation, parameters in server.calls
        if operation in {"TransactWriteItems", "PutItem", "DeleteItem", "UpdateItem"}
    )


def test_a_further_answer_and_a_deletion_cost_the_same_however_many_there_were(
    table: DynamoLedger, dynamo_server: DynamoServer
) -> None:
    with closing(table) as ledger:
        ledger.append(add(FIRST, OTHER))
        costs = [written(dynamo_server, lambda n=n: store(ledger, f"{n}", FIRST, OTHER)) for n in range(9)]  # type: ignore[misc]
        assert costs[4:] == [costs[4]] * 5
        assert costs[4] <= costs[0] + 1, "the answer that goes is one item, and its notes are replaced"
        notes = list(ledger._table.query(item_keys.head("acme", FIRST.id).pk, item_keys.ANSWERS))
        assert len(notes) == 3
        before = written(dynamo_server, lambda: ledger.append([delete(OTHER)]))
        for n in range(9, 30):
            store(ledger, f"{n}", FIRST)
        assert written(dynamo_server, lambda: ledger.append([delete(FIRST)])) <= before + 3


def test_a_deletion_takes_the_answers_whose_notes_have_the_names_of_the_version_before(table: DynamoLedger) -> None:
    with closing(table) as ledger:
        ledger.append(add(FIRST))
        store(ledger, "old", FIRST)
        key = item_keys.request("acme", ledger._named("old"))
        [note] = ledger._table.query(item_keys.head("acme", FIRST.id).pk, item_keys.ANSWERS)
        record = ledger._table.one(key)
        assert record is not None
        del record["places"]
        old = item_keys.answer("acme", FIRST.id, ledger._named("old"))
        call, name = ledger._client.call, ledger._client.table
        call("delete_item", TableName=name, Key=to_wire({"pk": note["pk"], "sk": note["sk"]}))
        call("put_item", TableName=name, Item=to_wire({**note, **old._asdict(), "name": to_blob(ledger._named("old"))}))
        call("put_item", TableName=name, Item=to_wire(record))
        assert stored(ledger, "old") == [True]
        ledger.append([delete(FIRST)])
        assert ledger._table.one(key) is None
        assert list(ledger._table.query(old.pk, item_keys.ANSWERS)) == []
