"""The ledgers of a kill test, SQLite's file or DynamoDB's table, and how each process opens them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema, staged_commit
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.adapters.ledger_dynamodb.expiry import Expiry
from forgetless.adapters.ledger_dynamodb.table import Table
from forgetless.adapters.ledger_dynamodb.unit_of_work import Units
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.ports.ledger import Ledger
from tests.faults.fault_injection import WRITE, Watch

if TYPE_CHECKING:
    from tests.dynamo_server import DynamoServer

__all__ = ["KINDS", "NewLedger", "OpenLedger", "dynamodb_ledgers", "half_written", "ledgers"]

KINDS = ("sqlite", "dynamodb")

#: moto is hundreds of times slower than DynamoDB, and answers one request at a time.
_PATIENCE_S = 100.0
#: A staged commit counts as abandoned after this, so that no scenario waits for it. Live ones have no competitor.
_STALLED_S = 0.05
_WRITES = frozenset({"put_item", "delete_item", "update_item", "transact_write_items"})


class OpenLedger(Protocol):
    """Opens one ledger in any process; it can be pickled."""

    def __call__(self, watch: Watch | None = None) -> Ledger:
        """Open it; `watch` gets the store's single writes, if it wants them and the store has any."""


#: Makes a ledger for a scenario, given the scenario's folder.
NewLedger = Callable[[Path], OpenLedger]


@contextmanager
def ledgers(kind: str) -> Iterator[NewLedger]:
    """Give a function that makes ledgers of a kind, while the server that they need runs."""
    if kind == "sqlite":
        yield lambda folder: partial(_open_sqlite, folder / "ledger.db")
        return
    from tests.dynamo_server import serve_dynamodb  # noqa: PLC0415 - moto takes a second to load

    with serve_dynamodb() as server, dynamodb_ledgers(server) as new:
        yield new


@contextmanager
def dynamodb_ledgers(server: DynamoServer) -> Iterator[NewLedger]:
    """Give a function that makes tables on a server; in this process, abandoned commits are not waited for."""

    def new(_folder: Path) -> OpenLedger:
        name = f"ledger-{uuid.uuid4()}"
        server.admin.create_table(TableName=name, **schema.DEFINITION)
        return partial(_open_dynamodb, name, server.url)

    before = staged_commit.STALLED_S
    staged_commit.STALLED_S = _STALLED_S
    try:
        yield new
    finally:
        staged_commit.STALLED_S = before


def half_written(ledger: Ledger) -> int:
    """Return the items of staged commits, and items with staged changes, from the table itself."""
    if not isinstance(ledger, DynamoLedger):
        return 0
    client = ledger._client
    found = client.call("scan", TableName=client.table, ConsistentRead=True)["Items"]
    return sum(item["pk"]["S"].startswith("X#") or "stage" in item for item in found)


class _WatchedClient(Client):
    """Reports every write that DynamoDB has answered."""

    def __init__(self, table: str, endpoint_url: str, watch: Watch) -> None:
        super().__init__(table, patience_s=_PATIENCE_S, endpoint_url=endpoint_url)
        self._watch = watch

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer = super().call(operation, **parameters)
        if operation in _WRITES:
            self._watch.after(WRITE)
        return answer


class _WatchedLedger(DynamoLedger):
    def __init__(self, client: _WatchedClient) -> None:
        super().__init__(client.table)
        self._client = client
        super(DynamoLedger, self).__init__(Units(Table(client, Expiry(SystemClock(), succeeded_jobs_s=None))))


def _open_sqlite(path: Path, watch: Watch | None = None) -> Ledger:
    del watch  # Each call is one transaction.
    return SqliteLedger(path)


def _open_dynamodb(table: str, url: str, watch: Watch | None = None) -> Ledger:
    if watch is not None and watch.writes:
        return _WatchedLedger(_WatchedClient(table, url, watch))
    return DynamoLedger(table, endpoint_url=url, patience_s=_PATIENCE_S)
