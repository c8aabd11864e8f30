"""A place with a ledger of SQLite and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from tests.fakes.clock import FakeClock
from tests.unit.service.generations.place import Place


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def place(tmp_path: Path, clock: FakeClock) -> Iterator[Place]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield Place(ledger, clock)
    ledger.close()
