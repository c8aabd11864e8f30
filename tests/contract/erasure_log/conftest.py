"""The logs that the contract holds for: `reopen` opens the same log in another process, and `log` is one of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.ports.erasure_log import ErasureLog
from tests.conftest import PATIENCE_S


@pytest.fixture(params=["file", "dynamodb"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ErasureLog]]:
    """Opens the log under test; can be pickled, so that other processes may open it too."""
    if request.param == "file":
        yield partial(FileErasureLog, tmp_path / "ledger.db-erasures")
        return
    from forgetless.adapters.ledger_dynamodb.erasure_log import DynamoErasureLog  # noqa: PLC0415

    server = request.getfixturevalue("dynamo_server")
    name = f"erasures-{uuid.uuid4()}"
    opener = partial(DynamoErasureLog, name, endpoint_url=server.url, patience_s=PATIENCE_S)
    opener().create_table()
    opener().create_table()
    yield opener
    server.rules.clear()
    server.lose_answers.clear()
    server.admin.delete_table(TableName=name)


@pytest.fixture
def log(reopen: Callable[[], ErasureLog]) -> Iterator[ErasureLog]:
    log = reopen()
    yield log
    log.close()
