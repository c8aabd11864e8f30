"""The fixture that creates services for tests and closes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from forgetless.ports.clock import Clock
from tests.unit.service.world import MADE, Reply, World, make_world


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[..., World]:
    """A maker of worlds, each in a folder of its own."""
    made: list[World] = []

    def make(reply: Reply | Sequence[str] | None = None, clock: Clock | None = None) -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(make_world(folder, reply, clock))
        return made[-1]

    return make


@pytest.fixture(autouse=True)
def closed_worlds() -> Iterator[None]:
    """Close the ledgers of all worlds that the test has made: Python 3.13 tells of each that is not."""
    MADE.clear()
    yield
    for world in MADE:
        world.ledger.close()
    MADE.clear()


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    """A world without an LLM."""
    return new_world()
