"""Imports in portions: repeats, places, broken lines, files that have changed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from forgetless.domain.bulk_jobs import BULK_JOB, TRANSFER_IDLE_S, BulkJob
from forgetless.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.domain.times import date_of, later
from forgetless.service.requests import UpdateRequest
from forgetless.service.transfer import import_jobs
from forgetless.service.transfer.import_jobs import ImportJobs, ImportPlace, digest_of
from tests.unit.service.world import World

ID = "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"


def lines(*numbers: int) -> list[bytes]:
    return [json.dumps({"id": number, "memory": f"fact {number}", "user_id": "alice"}).encode() for number in numbers]


def body(some: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in some)


def record(world: World) -> BulkJob:
    found = world.ledger.document("default", BULK_JOB, ID)
    assert found is not None
    return BulkJob.of(found)


@pytest.fixture
def jobs(world: World) -> ImportJobs:
    return world.services.import_jobs


def begun(jobs: ImportJobs, **options: object) -> ImportPlace:
    return jobs.begin("default", ID, **options)  # type: ignore[arg-type]


def test_portions_follow_one_another_and_the_ledger_knows_the_place(world: World, jobs: ImportJobs) -> None:
    all_ = lines(*range(7))
    assert begun(jobs, file="mem0.jsonl", lines=7) == ImportPlace()
    first = jobs.take("default", ID, body(all_[:3]), line=1, before="")
    assert (first.line, first.digest, first.memories, first.ended) == (4, digest_of(all_[:3]), 3, False)
    held = record(world)
    assert (held.state, held.done, held.total) == (JobState.RUNNING, 3, 7)
    assert date_of(held.due_at or "") == date_of(later(held.updated_at, TRANSFER_IDLE_S))
    assert begun(jobs) == first
    last = jobs.take("default", ID, body(all_[3:]), line=4, before=first.digest, last=True)
    assert (last.line, last.memories, last.ended) == (8, 7, True)
    assert record(world).state is JobState.SUCCEEDED
    assert sorted(world.texts()) == [f"fact {number}" for number in range(7)]


def test_a_portion_whose_answer_was_lost_changes_nothing(world: World, jobs: ImportJobs) -> None:
    all_ = lines(*range(5))
    begun(jobs)
    first = jobs.take("default", ID, body(all_[:3]), line=1, before="")
    for _ in range(2):
        assert jobs.take("default", ID, body(all_[:3]), line=1, before="") == first
    # A longer portion that begins with the same lines goes on after them.
    assert jobs.take("default", ID, body(all_), line=1, before="", last=True).memories == 5
    assert jobs.take("default", ID, body(all_), line=1, before="", last=True).ended
    assert jobs.take("default", ID, b"", line=6, last=True).memories == 5
    assert len(world.texts()) == 5


def test_a_portion_that_was_stored_but_not_recorded_is_counted_once(
    world: World, jobs: ImportJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(jobs)
    with monkeypatch.context() as patched:
        patched.setattr(world.ledger, "put_document", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jobs.take("default", ID, body(lines(1, 2)), line=1)
    assert len(world.texts()) == 2
    place = jobs.take("default", ID, body(lines(1, 2)), line=1)
    assert (place.memories, place.refused, len(world.texts())) == (2, 0, 2)


def test_a_broken_line_is_named_by_its_number_in_the_file_and_the_next_start_goes_on_there(
    world: World, jobs: ImportJobs
) -> None:
    begun(jobs)
    first = jobs.take("default", ID, body(lines(1, 2)), line=1)
    broken = [*lines(3), b"", b'{"id": 4, "mem', *lines(5)]
    with pytest.raises(InvalidRequestError, match="line 5: not JSON"):
        jobs.take("default", ID, body(broken), line=first.line, before=first.digest)
    held = record(world)
    assert (held.state, held.done, (held.error or "")[:7]) == (JobState.FAILED, 4, "line 5:")
    with pytest.raises(ConflictError, match="line 5"):
        jobs.take("default", ID, body(lines(4)), line=5)
    assert len(world.texts()) == 3
    place = begun(jobs)
    assert (place.line, place.memories) == (5, 3)
    assert jobs.take("default", ID, body(lines(4, 5)), line=5, before=place.digest, last=True).ended
    assert len(world.texts()) == 5


def test_lines_that_are_refused_are_named_and_counted(world: World, jobs: ImportJobs) -> None:
    begun(jobs)
    place = jobs.take("default", ID, body([*lines(1), b'{"id": 9}', b"7"]), line=1)
    assert (place.refused, place.memories, place.line) == (2, 1, 4)
    assert [problem.partition(":")[0] for problem in place.problems] == ["line 2", "line 3"]
    after = jobs.take("default", ID, body(lines(2)), line=4, last=True)
    assert (after.refused, after.problems, record(world).set_aside) == (2, (), 2)


def test_other_lines_than_those_that_follow_are_refused(jobs: ImportJobs) -> None:
    begun(jobs)
    first = jobs.take("default", ID, body(lines(1, 2)), line=1)
    with pytest.raises(ConflictError, match="next line of this import is 3"):
        jobs.take("default", ID, body(lines(4)), line=4)
    with pytest.raises(ConflictError, match="the file has changed"):
        jobs.take("default", ID, body(lines(3)), line=3, before=digest_of(lines(7, 8)))
    with pytest.raises(ConflictError, match="the file has changed"):
        jobs.take("default", ID, body(lines(8, 3)), line=2, before=digest_of(lines(1)))
    assert begun(jobs) == first


def test_an_import_that_has_ended_begins_again(world: World, jobs: ImportJobs) -> None:
    begun(jobs)
    jobs.take("default", ID, body(lines(1, 2)), line=1, last=True)
    assert begun(jobs) == ImportPlace()
    assert jobs.take("default", ID, body(lines(1, 2)), line=1, last=True).memories == 2
    begun(jobs)
    jobs.take("default", ID, body(lines(1)), line=1)
    assert begun(jobs, afresh=True) == ImportPlace()
    assert len(world.texts()) == 2


def test_a_cancelled_import_takes_nothing_until_it_is_begun_again(world: World, jobs: ImportJobs) -> None:
    begun(jobs)
    jobs.take("default", ID, body(lines(1)), line=1)
    world.services.bulk.cancel("default", ID)
    with pytest.raises(ConflictError, match="cancelled"):
        jobs.take("default", ID, body(lines(2)), line=2)
    assert len(world.texts()) == 1
    assert begun(jobs) == ImportPlace()


def test_no_worker_takes_an_import_up_whose_client_may_go_on(world: World, jobs: ImportJobs) -> None:
    begun(jobs)
    jobs.take("default", ID, body(lines(1)), line=1)
    world.clock.advance(TRANSFER_IDLE_S - 60)
    assert world.services.bulk_worker.turn() is False


def test_a_request_ends_when_its_time_is_over(jobs: ImportJobs, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "BATCH", 2)
    monkeypatch.setattr(import_jobs, "PORTION_S", 0.0)
    begun(jobs)
    place = jobs.take("default", ID, body(lines(*range(5))), line=1, last=True)
    assert (place.line, place.ended, record(world).done) == (3, False, 2)


def test_the_history_of_a_memory_may_be_divided(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    [first] = source.say("one").results
    for text in ("two", "three"):
        source.services.changes.update(UpdateRequest("default", first.id, text=text))
    source.say("another")
    exported = b"".join(portion.lines for portion in source.services.event_exports.portions("default"))
    jobs = target.services.import_jobs
    begun(jobs)
    for number, line in enumerate(exported.splitlines(), 1):
        place = jobs.take("default", ID, line, line=number)
    assert (place.memories, place.events, place.jobs, place.refused) == (2, 4, 2, 0)
    assert exported == b"".join(portion.lines for portion in target.services.event_exports.portions("default"))


def test_what_follows_a_refused_event_in_the_next_portion_is_not_appended(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    [first] = source.say("one").results
    exported = b"".join(portion.lines for portion in source.services.event_exports.portions("default")).splitlines()
    begun(target.services.import_jobs)
    target.services.import_jobs.take("default", ID, body(exported), line=1, last=True)
    for world, text in ((source, "here"), (target, "there")):
        world.clock.advance(3)
        world.services.changes.update(UpdateRequest("default", first.id, text=text))
    source.services.changes.update(UpdateRequest("default", first.id, text="here again"))
    exported = b"".join(portion.lines for portion in source.services.event_exports.portions("default")).splitlines()
    begun(target.services.import_jobs)
    for number, line in enumerate(exported, 1):
        place = target.services.import_jobs.take("default", ID, line, line=number)
    assert place.refused == 1
    assert target.texts() == ["there"]


def test_a_history_with_a_hole_is_refused_from_there_on(new_world: Callable[..., World]) -> None:
    source, target = new_world(), new_world()
    [first] = source.say("one").results
    for text in ("two", "three"):
        source.services.changes.update(UpdateRequest("default", first.id, text=text))
    exported = b"".join(portion.lines for portion in source.services.event_exports.portions("default")).splitlines()
    begun(target.services.import_jobs)
    place = target.services.import_jobs.take("default", ID, body([*exported[:3], exported[4]]), line=1)
    assert (place.refused, place.events, target.texts()) == (1, 1, ["one"])


def test_two_records_with_one_id_are_one_memory(world: World, jobs: ImportJobs) -> None:
    begun(jobs)
    other = json.dumps({"id": 1, "memory": "something else", "user_id": "alice"}).encode()
    place = jobs.take("default", ID, body([*lines(1, 1), other]), line=1)
    assert (place.memories, place.refused, world.texts()) == (1, 1, ["fact 1"])


def test_an_id_is_that_of_one_import(world: World, jobs: ImportJobs) -> None:
    with pytest.raises(NotFoundError):
        jobs.take("default", ID, b"", line=1)
    world.services.export_jobs.begin("default", ID)
    with pytest.raises(ConflictError, match="export"):
        begun(jobs)
