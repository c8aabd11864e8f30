"""Documents of memories (feedback) go with their memory in one step, and none is left by a race, an error or a kill."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger, staged_commit
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.documents import Document
from forgetless.domain.errors import LedgerError, VersionConflictError
from forgetless.domain.memory import Memory
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import (
    a_job,
    a_memory,
    a_message,
    add,
    at,
    delete,
    put_as_earlier_versions,
    update,
)
from tests.dynamo_server import DynamoServer, error

Open = Callable[[], DynamoLedger]
#: So many memories of which a deletion is a staged commit in DynamoDB.
MANY = 20
WORD = "needlestem"


def feedback(memory: Memory, *, version: int = 1, reason: str = WORD) -> Document:
    return Document("acme", "feedback", memory.id, {"feedback_reason": reason}, at(1), version)


def rated(ledger: Ledger, count: int) -> list[Memory]:
    """So many memories; the first and the last have feedback, a long one. One more has feedback and is not deleted."""
    memories = [a_memory("a", place) for place in range(count + 1)]
    ledger.append(add(*memories))
    for memory in {memories[0].id: memories[0], memories[-2].id: memories[-2], memories[-1].id: memories[-1]}.values():
        assert ledger.put_document(feedback(memory, reason=WORD * 20_000))
    return memories[:count]


def documents(ledger: Ledger) -> list[str]:
    return sorted(one.id for one in ledger.documents("acme", "feedback", limit=MANY + 9)[0])


@pytest.mark.parametrize("number", [1, 3, MANY])
def test_they_go_with_their_memories(ledger: Ledger, number: int) -> None:
    memories = rated(ledger, number)
    webhook = Document("acme", "webhook", memories[0].id, {}, at(1))
    assert ledger.put_document(webhook)
    ledger.append(list(map(delete, memories)))
    assert documents(ledger) == [a_memory("a", number).id]
    assert ledger.document("acme", "webhook", webhook.id) == webhook
    assert ledger.faults(seconds=20, thorough=True).found == ()


def test_a_deletion_that_conflicts_erases_none_and_an_update_neither(ledger: Ledger) -> None:
    (memory,) = rated(ledger, 1)
    ledger.append([update(memory)])
    with pytest.raises(VersionConflictError):
        ledger.append([delete(memory)])
    assert memory.id in documents(ledger)


def test_none_is_stored_of_a_deleted_memory(ledger: Ledger) -> None:
    (memory,) = rated(ledger, 1)
    held = ledger.document("acme", "feedback", memory.id)
    assert held is not None
    assert ledger.put_document(replace(held, version=2))
    ledger.append([delete(memory)])
    assert not ledger.put_document(replace(held, version=3))
    assert not ledger.put_document(feedback(memory))
    assert memory.id not in documents(ledger)
    assert ledger.put_document(replace(feedback(memory), tenant="other")), "another tenant has no such memory"


def test_a_repeated_deletion_erases_what_an_earlier_version_left(ledger: Ledger) -> None:
    (memory,) = rated(ledger, 1)
    gone = delete(memory)
    ledger.append([gone])
    put_as_earlier_versions(ledger, feedback(memory))
    assert memory.id in documents(ledger)
    ledger.append([gone])
    assert memory.id not in documents(ledger)


@pytest.mark.parametrize("number", [1, MANY])
def test_feedback_that_comes_during_a_deletion_goes_too(
    dynamo: Open, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It is stored when the deletion has read everything and has written nothing."""
    with closing(dynamo()) as ledger, closing(dynamo()) as other:
        memories = [a_memory("a", place) for place in range(number)]
        ledger.append(add(*memories))
        _before_the_write(ledger, monkeypatch, lambda: other.put_document(feedback(memories[-1])))
        ledger.append(list(map(delete, memories)))
        assert documents(other) == []
        assert other.read("acme", [memories[-1].id])[memories[-1].id].deleted


def test_a_deletion_during_feedback_refuses_it(dynamo: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(dynamo()) as ledger, closing(dynamo()) as other:
        memory = a_memory("a")
        ledger.append(add(memory))
        _before_the_write(ledger, monkeypatch, lambda: other.append([delete(memory)]))
        assert not ledger.put_document(feedback(memory))
        assert documents(other) == []


def _before_the_write(ledger: DynamoLedger, monkeypatch: pytest.MonkeyPatch, race: Callable[[], Any]) -> None:
    """Let `race` happen between the reads and the first write of the next unit of work."""
    write, left = ledger._units._write, [race]

    def late(*arguments: Any, **named: Any) -> bool:
        if left:
            left.pop()()
        return write(*arguments, **named)

    monkeypatch.setattr(ledger._units, "_write", late)


@pytest.mark.parametrize("number", [2, MANY])
def test_an_error_at_any_write_to_the_table_leaves_none_of_a_deleted_memory(
    dynamo: Open, dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """From the write with this number on, each write fails until the process gives up; then another one goes on."""
    monkeypatch.setattr(staged_commit, "STALLED_S", 0.05)
    for deadly in count():
        with closing(dynamo()) as ledger:
            memories = rated(ledger, number)
            done = [0]

            def fail(operation: str, _: Any, done: list[int] = done, deadly: int = deadly) -> Any:
                writes = operation in {"TransactWriteItems", "PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem"}
                done[0] += writes
                return error("ThrottlingException") if writes and done[0] > deadly else None

            dynamo_server.rules.append(fail)
            ledger._client.patience_s = 0.05
            events = list(map(delete, memories))
            failed = False
            try:
                ledger.append(events)
            except LedgerError:
                failed = True
            dynamo_server.rules.clear()
        with closing(dynamo()) as other:
            held = other.read("acme", [memory.id for memory in memories])
            living = {id_ for id_, memory in held.items() if not memory.deleted}
            with_feedback = {memories[0].id, memories[-1].id}
            assert set(documents(other)) == (living & with_feedback) | {a_memory("a", number).id}
            other.append(events)
            other.tidy()
            assert documents(other) == [a_memory("a", number).id]
            (last,) = other.read("acme", [a_memory("a", number).id]).values()
            other.append([delete(last)])
            items = other._client.call("scan", TableName=other._client.table)["Items"]
            assert WORD not in repr(list(map(from_wire, items)))
            other._client.call("delete_table", TableName=other._client.table)
            other.create_table()
        if not failed:
            assert deadly > (3 if number == MANY else 0), "many are a staged commit, which has several writes"
            return


def test_an_error_at_any_statement_leaves_all_or_none_in_a_file(tmp_path: Path) -> None:
    """A statement fails, so the transaction is undone; nothing is half deleted."""
    for deadly in count():
        with closing(SqliteLedger(tmp_path / f"{deadly}.db")) as ledger:
            said = a_message("a")
            (memory,) = rated(ledger, 1)
            ledger.append([], completing=a_job("a"), messages=[said])
            left = [deadly]
            write = ledger._connections.write

            def failing(work: Callable[[Any], Any], left: list[int] = left, write: Any = write, **named: Any) -> Any:
                return write(lambda db: work(_Failing(db, left)), **named)

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(ledger._connections, "write", failing)
                try:
                    ledger.append([delete(memory)], erasing=[said.ref])
                except LedgerError:
                    pass
                else:
                    assert deadly > 5
                    assert memory.id not in documents(ledger)
                    return
            assert memory.id in documents(ledger)
            assert not ledger.read("acme", [memory.id])[memory.id].deleted


class _Failing:
    """A connection whose statement fails after so many others."""

    def __init__(self, db: Any, left: list[int]) -> None:
        self._db = db
        self._left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, *arguments: Any) -> Any:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise LedgerError("the disk is full")
        return self._db.execute(*arguments)
