"""The fixture that creates services for tests and closes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from forgetless.ports.clock import Clock
from tests.unit.service.world import Reply, World, make_world


@pytest.fixture
def new_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(reply: Reply | Sequence[str] | None = None, clock: Clock | None = None) -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(make_world(folder, reply, clock))
        return made[-1]

    yield make
    for world in made:
        world.ledger.close()


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    """A world without an LLM."""
    return new_world()
