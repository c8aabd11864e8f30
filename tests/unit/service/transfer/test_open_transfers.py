"""Imports and exports of clients: how many may be open, and what becomes of those that nobody goes on with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, BulkKind, open_kind
from forgetless.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.service.services import Services
from forgetless.service.transfer import transfer_jobs
from forgetless.service.transfer.import_jobs import ImportJobs
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.unit.service.world import World

DAY_S = 86_400.0


def job_id(number: int) -> str:
    return f"4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a{number:02}"


def line(number: int) -> bytes:
    return json.dumps({"id": number, "memory": f"fact {number}", "user_id": "alice"}).encode() + b"\n"


def record(world: World, number: int = 0) -> BulkJob | None:
    found = world.ledger.document("default", BULK_JOB, job_id(number))
    return None if found is None else BulkJob.of(found)


def state(world: World, number: int = 0) -> JobState:
    held = record(world, number)
    assert held is not None
    return held.state


def opened(world: World, kind: BulkKind = BulkKind.IMPORT) -> int:
    return world.ledger.count_documents("default", open_kind(kind), limit=99)


def rest(world: World, services: Services, seconds: float) -> None:
    """Let time pass, and then all that waits be done: by sweep alone, if messages ask for portions."""
    world.clock.advance(seconds)
    services.sweep.sweep()
    while not services.bulk.queued and services.bulk_worker.turn():
        world.clock.advance(1)


@pytest.fixture
def jobs(world: World, monkeypatch: pytest.MonkeyPatch) -> ImportJobs:
    monkeypatch.setattr(transfer_jobs, "MOST_OPEN", 2)
    return world.services.import_jobs


def test_so_many_imports_are_open_and_each_end_makes_room(world: World, jobs: ImportJobs) -> None:
    for number in (0, 1):
        jobs.begin("default", job_id(number))
    with pytest.raises(ConflictError, match=r"2 imports that have begun.*DELETE /v1/event/.*7 days"):
        jobs.begin("default", job_id(2))
    assert record(world, 2) is None
    jobs.begin("default", job_id(0))  # one that is known goes on
    jobs.begin("other", job_id(2))
    jobs.take("default", job_id(0), line(0), line=1, last=True)
    jobs.begin("default", job_id(2))
    world.services.bulk.cancel("default", job_id(1))
    jobs.begin("default", job_id(3))
    with pytest.raises(InvalidRequestError):
        jobs.take("default", job_id(3), b"{broken\n", line=1)
    jobs.begin("default", job_id(4))
    for number in (0, 1, 3):  # they have ended, and would begin again
        with pytest.raises(ConflictError, match="2 imports"):
            jobs.begin("default", job_id(number))
    assert opened(world) == 2


def test_exports_are_counted_apart(world: World, jobs: ImportJobs) -> None:
    exports = world.services.export_jobs
    for number in (0, 1):
        exports.begin("default", job_id(number))
    with pytest.raises(ConflictError, match="2 exports"):
        exports.begin("default", job_id(2))
    jobs.begin("default", job_id(3))
    cursor: str | None = None
    while True:
        answer = exports.fetch("default", job_id(0), cursor, most_bytes=9_000, enough=9_000)
        if answer.after.ended:
            break
        cursor = answer.after.cursor
    exports.begin("default", job_id(2))


@pytest.mark.parametrize("queued", [False, True])
def test_an_import_that_nobody_goes_on_with_ends_and_may_go_on_there(
    world: World, jobs: ImportJobs, queued: bool
) -> None:
    ports = world.services._ports
    services = Services(replace(ports, bulk_queue=MemoryBulkQueue(world.clock))) if queued else world.services
    jobs.begin("default", job_id(0))
    jobs.begin("default", job_id(1))  # and no line is ever sent
    place = jobs.take("default", job_id(0), line(0), line=1)
    rest(world, services, 7 * DAY_S - 60)
    assert state(world) is JobState.RUNNING
    rest(world, services, 120)
    assert [state(world, number) for number in (0, 1)] == [JobState.FAILED, JobState.FAILED]
    assert opened(world) == 0
    with pytest.raises(ConflictError, match="nobody went on with it for 7 days"):
        jobs.take("default", job_id(0), line(1), line=2)
    assert jobs.begin("default", job_id(0)) == place
    assert jobs.take("default", job_id(0), line(1), line=2, before=place.digest, last=True).memories == 2
    rest(world, services, 30 * DAY_S + 60)
    assert record(world) is None, "the record of what has ended goes"
    assert sorted(world.texts()) == ["fact 0", "fact 1"]


def test_an_export_that_nobody_goes_on_with_is_removed_and_begins_afresh(world: World) -> None:
    world.say("one", "two")
    exports = world.services.export_jobs
    exports.begin("default", job_id(0))
    exports.fetch("default", job_id(0), None, most_bytes=9_000, enough=9_000)
    rest(world, world.services, 7 * DAY_S + 60)
    assert (record(world), opened(world, BulkKind.EXPORT)) == (None, 0)
    with pytest.raises(NotFoundError, match="begin it"):
        exports.fetch("default", job_id(0), None, most_bytes=9_000, enough=9_000)
    assert exports.begin("default", job_id(0)).cursor is None


def test_an_import_counts_for_as_long_as_somebody_goes_on_with_it(world: World, jobs: ImportJobs) -> None:
    jobs.begin("default", job_id(0))
    for number in range(12):
        jobs.take("default", job_id(0), line(number), line=number + 1)
        rest(world, world.services, 3 * DAY_S)
    assert state(world) is JobState.RUNNING
    assert opened(world) == 1


def test_what_a_process_counted_before_it_died_counts_no_more_after_a_while(
    world: World, jobs: ImportJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = world.ledger.put_document
    with monkeypatch.context() as patched:
        patched.setattr(world.ledger, "put_document", lambda one: put(one) if one.kind != BULK_JOB else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jobs.begin("default", job_id(0))
    assert (record(world), opened(world)) == (None, 1)
    jobs.begin("default", job_id(0))
    assert opened(world) == 1, "its own try again takes no second place"
    world.ledger.delete_document("default", BULK_JOB, job_id(0))
    rest(world, world.services, 9 * DAY_S + 60)
    assert opened(world) == 0
