"""The ledgers that the contract holds for: `ledger`, and `reopen`, which opens the same one in another process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import boto3
import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.dynamo_server import DynamoServer, serve_dynamodb

#: moto answers hundreds of times more slowly than DynamoDB, and to one at a time.
PATIENCE_S = 100.0


@pytest.fixture(scope="session")
def dynamo_server() -> Iterator[DynamoServer]:
    with serve_dynamodb() as server:
        yield server


@pytest.fixture
def dynamo(dynamo_server: DynamoServer) -> Iterator[Callable[[], DynamoLedger]]:
    """Opens a ledger on a table of its own."""
    name = f"ledger-{uuid.uuid4()}"
    opener = partial(DynamoLedger, name, endpoint_url=dynamo_server.url, patience_s=PATIENCE_S)
    admin = opener()
    admin.create_table()
    admin.close()
    yield opener
    dynamo_server.rules.clear()
    client = boto3.client(
        "dynamodb", "us-east-1", endpoint_url=dynamo_server.url, aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.delete_table(TableName=name)
    client.close()


@pytest.fixture(params=["sqlite", "dynamodb"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    """Opens the ledger under test; can be pickled, so that other processes may open it too."""
    if request.param == "dynamodb":
        opener: Callable[[], Ledger] = request.getfixturevalue("dynamo")
        return opener
    return partial(SqliteLedger, tmp_path / "ledger.db")


@pytest.fixture
def ledger(reopen: Callable[[], Ledger]) -> Iterator[Ledger]:
    ledger = reopen()
    yield ledger
    ledger.close()
