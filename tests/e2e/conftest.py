"""One running service for all end-to-end tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.house import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    model = os.environ.get("FORGETLESS_MODEL_DIR")
    if not model or not Path(model, "manifest.json").exists():
        if os.environ.get("CI"):
            pytest.fail("FORGETLESS_MODEL_DIR names no prepared model; make test prepares it")
        pytest.skip("FORGETLESS_MODEL_DIR names no prepared model; make test prepares it")
    made = House(tmp_path_factory.mktemp("house"), Path(model).parent)
    try:
        made.up()
        yield made
    finally:
        made.close()
