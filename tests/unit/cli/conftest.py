"""Fixtures of the tests of commands: a house of stores, and the place of a copy of its ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.store_house import StoreHouse


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> StoreHouse:
    return StoreHouse(tmp_path, monkeypatch, capsys)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "copy.db"
