"""Exports in portions: each request acknowledges what came before."""

from __future__ import annotations

import pytest

from forgetless.domain.bulk_jobs import BULK_JOB, TRANSFER_KEPT_S, BulkJob
from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.domain.times import date_of, later
from forgetless.service.transfer.export_jobs import ExportAnswer, ExportPlace
from tests.unit.service.world import World

ID = "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a02"


def fetch(world: World, cursor: str | None) -> ExportAnswer:
    return world.services.export_jobs.fetch("default", ID, cursor, most_bytes=2_000, enough=1_000)


def begun(world: World) -> ExportPlace:
    return world.services.export_jobs.begin("default", ID)


def record(world: World) -> BulkJob:
    found = world.ledger.document("default", BULK_JOB, ID)
    assert found is not None
    return BulkJob.of(found)


@pytest.fixture
def filled(world: World) -> World:
    for number in range(12):
        world.say(f"{number} {'x' * 200}")
    return world


def test_the_portions_are_the_export_and_the_last_one_is_empty(filled: World) -> None:
    assert begun(filled) == ExportPlace()
    got, cursor, answers = b"", None, 0
    while True:
        answer = fetch(filled, cursor)
        got, cursor, answers = got + answer.lines, answer.after.cursor, answers + 1
        if cursor is None:
            break
        # Only what was asked for after it is known to be written.
        assert record(filled).state is JobState.RUNNING
        assert begun(filled).bytes == len(got) - len(answer.lines)
    assert got == b"".join(portion.lines for portion in filled.services.event_exports.portions("default"))
    assert answer == ExportAnswer(b"", ExportPlace(None, len(got), 12, ended=True))
    held = record(filled)
    assert (held.state, held.done, answers > 5) == (JobState.SUCCEEDED, 12, True)
    assert date_of(held.due_at or "") == date_of(later(held.updated_at, TRANSFER_KEPT_S))
    assert begun(filled) == ExportPlace("end.", len(got), 12, ended=True)
    assert fetch(filled, "end.") == answer


def test_a_portion_can_be_fetched_again_until_the_next_one_is(filled: World) -> None:
    begun(filled)
    first = fetch(filled, None)
    assert fetch(filled, None) == first
    second = fetch(filled, first.after.cursor)
    assert fetch(filled, first.after.cursor) == second
    with pytest.raises(ConflictError, match="cursor"):
        fetch(filled, None)
    with pytest.raises(ConflictError, match="cursor"):
        fetch(filled, "events.")
    place = begun(filled)
    assert (place.cursor, place.bytes) == (first.after.cursor, len(first.lines))


def test_a_cancelled_export_ends(filled: World) -> None:
    begun(filled)
    fetch(filled, None)
    filled.services.bulk.cancel("default", ID)
    for request in (lambda: begun(filled), lambda: fetch(filled, None)):
        with pytest.raises(ConflictError, match="cancelled"):
            request()


def test_an_export_must_be_begun(world: World) -> None:
    with pytest.raises(NotFoundError):
        fetch(world, None)
