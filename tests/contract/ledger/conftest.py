"""The ledgers that the contract holds for: `ledger`, and `reopen`, which opens the same one in another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.ports.ledger import Ledger


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
