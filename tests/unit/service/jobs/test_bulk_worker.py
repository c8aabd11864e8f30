"""The worker without a queue does the jobs that are due in turn."""

from __future__ import annotations

from pathlib import Path

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.jobs import JobState
from forgetless.service.jobs.bulk_worker import BulkWorker
from tests.unit.service.jobs.test_bulk import Place


def test_jobs_get_a_portion_each_in_turn(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    place = Place(ledger, queued=False)
    worker = BulkWorker(ledger=ledger, bulk=place.bulk, clock=place.clock)
    long, short = place.start(50), place.start(5, tenant="other")
    assert worker.turn()
    assert (place.now(long).done, place.now(short).state) == (10, JobState.SUCCEEDED)
    assert [worker.turn() for _ in range(5)] == [True] * 4 + [False]
    assert place.now(long).state is JobState.SUCCEEDED
    ledger.close()
