"""Fixtures: an API without an LLM, and a maker of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from forgetless.ports.clock import Clock
from forgetless.ports.ledger import Ledger
from tests.unit.api.client import Api, make_api
from tests.unit.service.world import Reply, World, make_world

NewApi = Callable[..., Api]


@pytest.fixture
def open_ledger() -> Callable[[], Ledger | None]:
    """Opens the ledger of an API; None stands for SQLite's. Modules that try both override it."""
    return lambda: None


@pytest.fixture
def new_api(tmp_path: Path, open_ledger: Callable[[], Ledger | None]) -> Iterator[NewApi]:
    made: list[World] = []

    def make(
        reply: Reply | Sequence[str] | None = None,
        *,
        inline: bool = True,
        clock: Clock | None = None,
        mcp: bool = False,
    ) -> Api:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(make_world(folder, reply, clock, open_ledger()))
        return make_api(made[-1], inline=inline, mcp=mcp)

    yield make
    for world in made:
        world.ledger.close()


@pytest.fixture
def api(new_api: NewApi) -> Api:
    """An API without an LLM."""
    return new_api()
