"""Bulk jobs under races: workers with the same message do a portion once; a cancelled job stays cancelled."""

from __future__ import annotations

from collections import Counter

from forgetless.domain.bulk_jobs import BulkJob, BulkKind, Progress
from forgetless.domain.errors import ConflictError
from forgetless.domain.jobs import JobState
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs.bulk import BulkService
from tests.concurrency.arena import Arena
from tests.concurrency.test_small_stores import PatientClock

PORTIONS = 3
#: A worker looks at the job this often: enough to do all of it alone, whoever else has the lease in between.
LOOKS = 40


class Tens:
    """Work that counts to the request's `to` in steps of ten; `done` holds where each portion began."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        begin = int((job.cursor or {}).get("at", 0))
        self.done.append(begin)
        end = begin + 10
        return Progress({"at": end} if end < job.request["to"] else None, end)


def _service(ledger: Ledger, work: Tens) -> BulkService:
    return BulkService(ledger=ledger, queue=None, clock=PatientClock(), works={BulkKind.RETENTION: work})


def _work(ledger: Ledger, number: int, tenant: str) -> list[int]:
    """Do what is left of the job, as often as this worker gets the lease; where its portions began."""
    work = Tens()
    bulk = _service(ledger, work)
    for _ in range(LOOKS):
        job = bulk.job(tenant, "one")
        if job is None or job.finished:
            break
        bulk.run(tenant, "one", job.version, seconds=60)
    return work.done


def _start_and_work(ledger: Ledger, number: int, tenant: str) -> list[int]:
    _service(ledger, Tens()).start(tenant, BulkKind.RETENTION, {"to": 10 * PORTIONS}, job_id="one")
    return _work(ledger, number, tenant)


def test_each_portion_is_done_once_however_many_workers_have_its_message(arena: Arena) -> None:
    for tenant in arena.rounds(sqlite=8, dynamodb=2):
        done = arena.race(_start_and_work, tenant, faults={})
        _work(arena.ledger, 0, tenant)
        job = _service(arena.ledger, Tens()).job(tenant, "one")
        assert job is not None
        assert (job.state, job.done) == (JobState.SUCCEEDED, 10 * PORTIONS)
        counted = Counter(begin for portions in done for begin in portions)
        assert set(counted.values()) <= {1}, "with the lease of the lane, nobody does a portion that another is doing"


def _sweep_or_work(ledger: Ledger, number: int, tenant: str) -> list[int]:
    """The first takes every message for lost, the others work."""
    if number:
        return _work(ledger, number, tenant)
    bulk = _service(ledger, Tens())
    for _ in range(LOOKS // 4):
        job = bulk.job(tenant, "one")
        if job is not None and not job.finished:
            bulk.send_again(job)
    return []


def test_a_job_whose_messages_are_taken_for_lost_all_the_time_ends_with_every_portion_done(arena: Arena) -> None:
    for tenant in arena.rounds(sqlite=8, dynamodb=2):
        _service(arena.ledger, Tens()).start(tenant, BulkKind.RETENTION, {"to": 10 * PORTIONS}, job_id="one")
        done = [*arena.race(_sweep_or_work, tenant), _work(arena.ledger, 0, tenant)]
        job = _service(arena.ledger, Tens()).job(tenant, "one")
        assert job is not None
        assert (job.state, job.done) == (JobState.SUCCEEDED, 10 * PORTIONS)
        assert {begin for portions in done for begin in portions} == {0, 10, 20}


def _cancel_or_work(ledger: Ledger, number: int, tenant: str) -> str:
    if number:
        _work(ledger, number, tenant)
        return ""
    try:
        return _service(ledger, Tens()).cancel(tenant, "one").state.value
    except ConflictError:
        return ""


def test_a_job_is_either_cancelled_for_good_or_done(arena: Arena) -> None:
    for tenant in arena.rounds(sqlite=8, dynamodb=2):
        _service(arena.ledger, Tens()).start(tenant, BulkKind.RETENTION, {"to": 10 * PORTIONS}, job_id="one")
        told = arena.race(_cancel_or_work, tenant, faults={})
        _work(arena.ledger, 0, tenant)
        job = _service(arena.ledger, Tens()).job(tenant, "one")
        assert job is not None
        assert job.cancelled is (told[0] == "FAILED")
        assert job.state is (JobState.FAILED if job.cancelled else JobState.SUCCEEDED)
