"""One running service for all end-to-end tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.composed import Composed
from tests.e2e.house import House
from tests.e2e.under_sam import UnderSam

#: How the service runs: FORGETLESS_E2E names one. Those with Docker are for `make test-docker`.
HOUSES: dict[str, type[House]] = {"up": House, "compose": Composed, "sam": UnderSam}


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    model = os.environ.get("FORGETLESS_MODEL_DIR")
    if not model or not Path(model, "manifest.json").exists():
        if os.environ.get("CI"):
            pytest.fail("FORGETLESS_MODEL_DIR names no prepared model; make test prepares it")
        pytest.skip("FORGETLESS_MODEL_DIR names no prepared model; make test prepares it")
    kind = os.environ.get("FORGETLESS_E2E", "up")
    made = HOUSES[kind](tmp_path_factory.mktemp("house"), Path(model).parent)
    try:
        made.up()
        yield made
    finally:
        made.close()
