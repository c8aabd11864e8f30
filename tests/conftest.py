"""For all tests: a DynamoDB server that starts when a test needs one, and which worker runs what."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.quick_botocore import parse_descriptions_once

if TYPE_CHECKING:
    from forgetless.adapters.ledger_dynamodb import DynamoLedger
    from tests.dynamo_server import DynamoServer

# Before pymilvus is loaded: gRPC's handlers of fork() may end a child between fork and exec, without a word.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# A busy machine draws slowly, which says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

parse_descriptions_once()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """For `-n`, whatever `--dist` says."""
    from tests.distribution import UnitScheduling  # noqa: PLC0415 - only where xdist is

    return UnitScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hundreds of files of short tests come last, so that in the end no worker waits long for another."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/unit/"))


#: moto answers hundreds of times more slowly than DynamoDB, and to one at a time.
PATIENCE_S = 100.0


@pytest.fixture(scope="session")
def dynamo_server() -> Iterator[DynamoServer]:
    """DynamoDB's own API on a free port."""
    from forgetless.adapters.ledger_dynamodb import client  # noqa: PLC0415
    from tests.dynamo_server import serve_dynamodb  # noqa: PLC0415 - moto takes a second to load

    with serve_dynamodb() as server, pytest.MonkeyPatch.context() as patch:
        # A client that gives up an answer asks again. On a busy machine, tests would count that call twice.
        patch.setattr(client, "READ_TIMEOUT_S", PATIENCE_S)
        yield server


@pytest.fixture
def dynamo(dynamo_server: DynamoServer) -> Iterator[Callable[[], DynamoLedger]]:
    """Opens a ledger on a table of its own; can be pickled, so that other processes may open it too."""
    from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema  # noqa: PLC0415

    name = f"ledger-{uuid.uuid4()}"
    dynamo_server.admin.create_table(TableName=name, **schema.DEFINITION)
    yield partial(DynamoLedger, name, endpoint_url=dynamo_server.url, patience_s=PATIENCE_S)
    dynamo_server.rules.clear()
    dynamo_server.lose_answers.clear()
    dynamo_server.admin.delete_table(TableName=name)  # its neighbours stay quick
