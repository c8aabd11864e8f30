"""The worker without a queue does the jobs that are due in turn, and a failing ledger does not end it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.service.jobs import bulk_worker
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


def test_a_ledger_that_fails_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bulk_worker, "IDLE_S", 0.001)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    place = Place(ledger, queued=False)
    worker = BulkWorker(ledger=ledger, bulk=place.bulk, clock=place.clock)
    job = place.start(25)
    stopped, errors = threading.Event(), [LedgerError("disk full"), KeyError("odd")]

    def turn() -> bool:
        if errors:
            raise errors.pop(0)
        if not BulkWorker.turn(worker):
            stopped.set()
            return False
        return True

    monkeypatch.setattr(worker, "turn", turn)
    worker.work(stopped)
    assert place.now(job).state is JobState.SUCCEEDED
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    ledger.close()
