"""A step that the version before can live with: both versions use the ledger, during the upgrade and after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_dynamodb import schema as dynamo_schema
from forgetless.adapters.ledger_dynamodb.attribute_values import to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_sqlite import SqliteLedger, schema
from forgetless.domain.documents import Document
from forgetless.domain.errors import LedgerError
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_memory, add, at

#: A step that only adds.
_ADDS = "ALTER TABLE memories ADD COLUMN mood TEXT; CREATE TABLE moods (name TEXT PRIMARY KEY) WITHOUT ROWID"


@contextmanager
def next_version(patch: pytest.MonkeyPatch, *, least: int) -> Iterator[None]:
    """The code of the next version, which has one more step."""
    with patch.context() as next_:
        next_.setattr(schema, "_MIGRATIONS", (*schema._MIGRATIONS, _ADDS))
        next_.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
        next_.setattr(schema, "LEAST_VERSION", least)
        yield


def use(ledger: Ledger, name: str) -> None:
    """Write and read in each of the ways that a service has."""
    mine = a_memory(name, second=len(name))
    ledger.append(add(mine))
    assert ledger.read("acme", [mine.id]) == {mine.id: mine}
    ledger.mark_indexed([mine])
    assert ledger.pending("acme", [mine.id]) == set()
    ledger.put_document(Document("acme", "thing", name, {"a": 1}, at(1), version=1))


def test_a_file_goes_to_the_next_version_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as old:
        use(old, "before")
        with next_version(monkeypatch, least=schema.SCHEMA_VERSION), closing(SqliteLedger(path)) as new:
            use(new, "new")
            use(old, "beside it")
    with closing(SqliteLedger(path)) as back:
        use(back, "after")
        assert len(back.read("acme", [a_memory(name).id for name in ("before", "new", "beside it", "after")])) == 4
        assert back.faults(seconds=9, thorough=True).found == ()
    with next_version(monkeypatch, least=schema.SCHEMA_VERSION), closing(SqliteLedger(path)) as again:
        use(again, "again")


def test_a_file_that_we_cannot_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    ours = schema.SCHEMA_VERSION
    with next_version(monkeypatch, least=ours + 1), closing(SqliteLedger(path)) as new:
        use(new, "new")
    with (
        closing(SqliteLedger(path)) as old,
        pytest.raises(LedgerError, match=f"needs a Forgetless of schema {ours + 1}"),
    ):
        use(old, "old")
    with closing(sqlite3.connect(path)) as db:
        assert schema.version_of(db) == ours + 1


def test_a_file_of_a_version_that_did_not_say_is_used_by_its_own_and_later_ones(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as db:
        db.execute("PRAGMA user_version = 12")
        assert schema.least_of(db) == 12
        assert schema.is_usable(db)
        db.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
        assert not schema.is_usable(db)


def test_a_table_goes_to_the_next_version_and_back(
    dynamo: Callable[[], DynamoLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def adds(client: Client) -> None:
        steps.append(client.table)

    with closing(dynamo()) as old, closing(dynamo()) as late:
        use(old, "before")
        more = (*dynamo_schema.MIGRATIONS, adds)
        assert dynamo_schema.plan(old._client).steps == 0
        with monkeypatch.context() as next_:
            next_.setattr(dynamo_schema, "MIGRATIONS", more)
            plan = dynamo_schema.plan(old._client)
            assert (plan.steps, plan.can_be_taken_back) == (1, True)
            assert dynamo_schema.migrate(old._client, more) == 1
            assert dynamo_schema.check(old._client, more) == len(more) + 1
        use(old, "meanwhile")
        use(late, "functions that start later")
        assert late.migrate() == 0
        assert dynamo_schema.plan(late._client).held == len(more) + 1
        client = old._client
        held = {**dynamo_schema.read(client), "least": len(more) + 1}
        client.call("put_item", TableName=client.table, Item=to_wire(held))
        with closing(dynamo()) as last, pytest.raises(LedgerError, match="deploy the newer Forgetless again"):
            use(last, "last")
    assert len(steps) == 1
