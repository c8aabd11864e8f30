"""The environment's services are composed once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from forgetless.runtime import composition
from forgetless.service.services import Services


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FORGETLESS_LEDGER", "sqlite")
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    composition._serving.cache_clear()
    yield
    composition._serving.cache_clear()


def test_threads_that_ask_first_at_once_share_the_same_services() -> None:
    together = Barrier(16)

    def ask(_: int) -> Services:
        together.wait()
        return composition.services()

    with ThreadPoolExecutor(16) as pool:
        assert len({id(services) for services in pool.map(ask, range(16))}) == 1
