"""Fixtures: the same application over a smaller and a larger ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from forgetless.api.platform.routes import entities
from forgetless.service.reading import lists
from tests.scale.stage import Stage

#: Memories in the two ledgers. Both are larger than every bound of a request, such as the 5,000 rows that a list may
#: look at, so that a bounded number is the same in both. `make test-scale` compares larger ones.
SIZES = tuple(int(size) for size in os.environ.get("FORGETLESS_SCALE_SIZES", "6000 12000").split())
#: There are fewer jobs and entities than memories, so the bounds for counting and searching them are lower here.
_COUNTED, _ENTITIES_AT_ONCE = 500, 250


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Stage]]:
    """The smaller and the larger one."""
    small, large = (Stage(tmp_path_factory.mktemp("scale") / "ledger", size) for size in SIZES)
    yield small, large
    small.close()
    large.close()


@pytest.fixture(autouse=True)
def lower_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each test here alone: others of the session have the real bounds."""
    for module in (lists, entities):
        monkeypatch.setattr(module, "SCANNED_ROWS", _COUNTED)
    monkeypatch.setattr(entities, "_MOST_ENTITIES", _ENTITIES_AT_ONCE)
