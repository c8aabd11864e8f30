"""A queue server and a runner of scenarios for the kill tests of one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import queue_server
from tests.faults.kill_runner import Runner
from tests.faults.ledgers import dynamodb_ledgers, ledgers

if TYPE_CHECKING:
    from tests.dynamo_server import DynamoServer


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("kill")
    with queue_server(folder) as endpoint, ledgers("sqlite") as new_ledger:
        yield Runner(folder, endpoint, new_ledger)


@pytest.fixture
def dynamo_runner(tmp_path: Path, dynamo_server: DynamoServer) -> Iterator[Runner]:
    with queue_server(tmp_path) as endpoint, dynamodb_ledgers(dynamo_server) as new_ledger:
        yield Runner(tmp_path, endpoint, new_ledger)
