"""The worker without a queue does a portion for each tenant in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.jobs import JobState
from forgetless.domain.retention import DAY_S, Retention
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.jobs.bulk_worker import BulkWorker
from tests.unit.service.jobs.test_bulk import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield Place(ledger, queued=False)
    ledger.close()


def worker_of(place: Place) -> BulkWorker:
    return BulkWorker(ledger=place.ledger, bulk=place.bulk, clock=place.clock)


def test_jobs_get_a_portion_each_in_turn(place: Place) -> None:
    worker = worker_of(place)
    long, short = place.start(50), place.start(5, tenant="other")
    assert worker.turn()
    assert (place.now(long).done, place.now(short).state) == (10, JobState.SUCCEEDED)
    assert [worker.turn() for _ in range(5)] == [True] * 4 + [False]
    assert place.now(long).state is JobState.SUCCEEDED


def test_a_turn_does_one_portion_for_each_tenant_however_many_jobs_it_has(place: Place) -> None:
    many = [place.start(15) for _ in range(300)]
    long = place.start(25, tenant="other")
    worker = worker_of(place)
    for done in (10, 20, 25):
        assert worker.turn()
        assert place.now(long).done == done
    assert len(place.work.numbers) == 3 * 10 + 25, "three portions of the one, and all of the other"
    assert [place.now(job).done for job in many[:4]] == [10, 10, 10, 0], "its jobs take turns as well"


def test_jobs_that_belong_to_no_tenant_get_a_portion_each(place: Place) -> None:
    jobs = [place.start(25, tenant="", kind=kind) for kind in (BulkKind.FILL, BulkKind.TENANT)]
    assert worker_of(place).turn()
    assert [place.now(job).done for job in jobs] == [10, 10]


def test_a_job_whose_lane_is_taken_does_not_hold_up_those_of_other_lanes(place: Place) -> None:
    now = place.clock.now()
    taken, other = place.start(25), place.start(25, kind=BulkKind.REINDEX)
    assert place.ledger.acquire_lease(f"bulk {taken.lane} acme", owner="else", now=now, until="9999")
    assert worker_of(place).turn()
    assert (place.now(taken).done, place.now(other).done) == (0, 10)


def test_a_lane_that_a_dead_worker_holds_hides_no_tenant_and_is_asked_once_a_turn(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = place.clock.now()
    waiting = [place.start(25) for _ in range(40)]
    assert place.ledger.acquire_lease(f"bulk {waiting[0].lane} acme", owner="who died", now=now, until="9999")
    place.clock.advance(1)
    other_lane, others = place.start(25, kind=BulkKind.REINDEX), place.start(25, tenant="other")
    asked: list[str] = []
    acquire = place.ledger.acquire_lease

    def counted(name: str, *, owner: str, now: str, until: str) -> bool:
        asked.append(name)
        return acquire(name, owner=owner, now=now, until=until)

    monkeypatch.setattr(place.ledger, "acquire_lease", counted)
    assert worker_of(place).turn()
    assert (place.now(other_lane).done, place.now(others).done) == (10, 10)
    assert sorted(asked) == ["bulk any acme", "bulk any other", "bulk reindex-0 acme"]


def test_records_of_jobs_that_ended_long_ago_go_whatever_their_number(place: Place) -> None:
    ledger, clock = place.ledger, place.clock
    kept = BulkService(ledger=ledger, queue=None, clock=clock, retention=Retention(succeeded_jobs_s=DAY_S))
    for number in range(50):
        kept.record("acme", BulkKind.DELETE, {}, job_id=f"job-{number}", done=1, began_at=clock.now())
    clock.advance(2 * DAY_S)
    long = place.start(25)
    worker = worker_of(place)
    while worker.turn():
        pass
    documents, _ = ledger.documents("acme", "bulk-job", limit=99)
    assert [BulkJob.of(one).id for one in documents] == [long.id]
    assert place.now(long).state is JobState.SUCCEEDED
