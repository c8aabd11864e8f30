"""What sweep says about what waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.domain.scope import Scope
from forgetless.ports.metrics import (
    DEAD_LETTERS,
    INDEX_LAG_SECONDS,
    OLDEST_JOB_SECONDS,
    OPEN_JOBS,
    SWEEPS,
    recording_metrics,
)
from forgetless.service.jobs.gauges import Gauges
from tests.fakes.counting_ledger import CountingLedger
from tests.fakes.metrics import KeptMetrics
from tests.unit.metrics.situations import a_backlog
from tests.unit.service.world import MADE, World, make_world


@pytest.fixture(autouse=True)
def closed_worlds() -> Iterator[None]:
    MADE.clear()
    yield
    for world in MADE:
        world.ledger.close()
    MADE.clear()


def measured(world: World) -> KeptMetrics:
    kept = KeptMetrics()
    with recording_metrics(kept):
        assert Gauges(ledger=world.services._ledger, clock=world.clock).set() == 1
    return kept


def test_an_empty_service_has_nothing_that_waits(tmp_path: Path) -> None:
    kept = measured(make_world(tmp_path))
    gauges = [kept.of(OPEN_JOBS, state) for state in ("pending", "held", "running")]
    assert [*gauges, kept.of(OLDEST_JOB_SECONDS), kept.of(DEAD_LETTERS), kept.of(INDEX_LAG_SECONDS)] == [0] * 6
    assert kept.of(SWEEPS) == 1


def test_what_waits_is_told_by_state_and_age(tmp_path: Path) -> None:
    kept = KeptMetrics()
    with recording_metrics(kept):
        a_backlog(tmp_path)
    assert [kept.of(OPEN_JOBS, state) for state in ("pending", "held", "running")] == [0, 1, 0]
    assert (kept.of(DEAD_LETTERS), round(kept.of(INDEX_LAG_SECONDS) or 0)) == (1, 30)
    assert (kept.of(OLDEST_JOB_SECONDS) or 0) >= 30


def test_adds_that_are_erased_do_not_wait(tmp_path: Path) -> None:
    a_backlog(tmp_path)
    (world,) = MADE
    world.services.changes.delete_scope("default", Scope("default", user_id="alice").ids())
    kept = measured(world)
    assert [kept.of(OPEN_JOBS, state) for state in ("pending", "held", "running")] == [0, 0, 0]


def test_without_metrics_nothing_is_read(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    counting = CountingLedger(world.ledger)  # type: ignore[arg-type]
    assert Gauges(ledger=counting, clock=world.clock).set() == 0  # type: ignore[arg-type]
    assert not counting.calls
