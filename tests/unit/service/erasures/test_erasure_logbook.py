"""Every erasure is in the log before its answer leaves, whatever fails or dies between the ledger and the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.erasure_log import LoggedErasure
from forgetless.domain.erasures import Target
from forgetless.domain.errors import LedgerError
from forgetless.domain.jobs import JobState
from forgetless.service.jobs import erase
from tests.unit.service.world import World, make_world, only

ANNAS = {"user_id": "alice"}


class Killed(BaseException):
    """The end of a process: no code handles it."""


def noted(world: World) -> list[LoggedErasure]:
    assert world.erasure_log is not None
    return [line for line in world.erasure_log.lines() if isinstance(line, LoggedErasure)]


def finish(world: World) -> None:
    while world.services.bulk_worker.turn():
        world.clock.advance(1)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has no time, and a step is one row."""
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr(erase, "_STEP", 1)


@pytest.mark.parametrize(
    "deletion",
    [
        lambda world: world.services.changes.delete_scope("default", ANNAS),
        lambda world: world.services.changes.reset("default"),
        lambda world: world.services.changes.delete_kinds("default", ["user_id"], {}),
        lambda world: world.services.limited_to(only("alice")).changes.reset("default"),
    ],
    ids=["user", "reset", "wildcard", "limited key"],
)
def test_each_way_to_erase_is_noted_once(world: World, deletion: Callable[[World], Any]) -> None:
    world.say("one")
    deletion(world)
    finish(world)
    (line,) = noted(world)
    assert (line.number, line.incarnation) == (1, world.ledger.incarnation())


def test_the_deletion_of_single_memories_is_not(world: World) -> None:
    first, second = (world.say(text).results[0].id for text in ("one", "two"))
    world.services.changes.delete("default", first)
    world.services.changes.delete_many("default", [second])
    assert noted(world) == []


def test_a_log_that_fails_fails_the_request_and_sweep_notes_it_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.say("one")

    def fail(_line: object) -> None:
        raise LedgerError("the log of erasures failed")

    with monkeypatch.context() as broken:
        broken.setattr(world.erasure_log, "write", fail)
        with pytest.raises(LedgerError, match="log of erasures"):
            world.services.changes.delete_scope("default", ANNAS)
        assert world.texts() == [], "it is in effect nevertheless"
        world.clock.advance(200)
        world.services.sweep.sweep()
        finish(world)
        assert world.ledger.erasure_state("default").hiding == 1, "it does not end before it is noted"
    world.services.sweep.sweep()
    finish(world)
    assert len(noted(world)) == 1
    assert world.ledger.erasure_state("default").hiding == 0


@pytest.mark.parametrize("after", [False, True], ids=["before the log", "after the log"])
def test_a_process_that_dies_between_ledger_and_log_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    world = make_world(tmp_path)
    world.say("one")
    assert world.erasure_log is not None
    write = world.erasure_log.write

    def die(line: Any) -> None:
        if after:
            write(line)
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(world.erasure_log, "write", die)
        with pytest.raises(Killed):
            world.services.changes.delete_scope("default", ANNAS)
    assert len(noted(world)) == after
    world.ledger.close()
    again = make_world(tmp_path, ledger=SqliteLedger(tmp_path / "ledger.db"))
    again.clock.set(world.clock.now())
    again.clock.advance(200)
    again.services.sweep.sweep()
    finish(again)
    assert {line.number for line in noted(again)} == {1}
    assert again.ledger.erasure_state("default").hiding == 0


@pytest.mark.usefixtures("slow")
def test_the_event_counts_what_the_request_itself_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.say("one", "two", "three")
    ticks = iter(range(10**6))
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", 5.0)
    with monkeypatch.context() as fast:
        fast.setattr(world.clock, "monotonic", lambda: float(next(ticks)))
        erased = world.services.changes.delete_scope("default", ANNAS)
    begun = world.services.bulk.job("default", erased.event_id)
    assert begun is not None
    assert 0 < begun.done < 3
    finish(world)
    job = world.services.bulk.job("default", erased.event_id)
    assert job is not None
    assert (job.state, job.done, job.total) == (JobState.SUCCEEDED, 3, 3)


def test_what_was_removed_before_an_error_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.say("one", "two", "three")
    monkeypatch.setattr(erase, "_STEP", 1)
    listed = world.ledger.list_memories
    calls: list[int] = []

    def fail_later(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise LedgerError("out")
        return listed(*arguments, **named)

    with monkeypatch.context() as broken:
        broken.setattr(world.ledger, "list_memories", fail_later)
        erased = world.services.changes.delete_scope("default", ANNAS)
    begun = world.services.bulk.job("default", erased.event_id)
    assert begun is not None
    assert begun.done == 2
    finish(world)
    job = world.services.bulk.job("default", erased.event_id)
    assert job is not None
    assert (job.state, job.done) == (JobState.SUCCEEDED, 3)


def test_two_services_give_other_ids_to_the_same_erasure(new_world: Callable[..., World]) -> None:
    ids, events = set(), set()
    for world in (new_world(), new_world()):
        (stored,) = world.say("one").results
        ids.add(world.services.changes.delete_scope("default", ANNAS).event_id)
        events.add(world.ledger.history("default", stored.id)[-1].memory.event_id)
    assert len(ids) == len(events) == 2


def test_an_erasure_of_an_earlier_version_is_noted_at_its_end(world: World) -> None:
    world.say("one")
    begun = world.ledger.begin_erasure("default", [Target(ANNAS)], at=world.clock.now())
    assert begun.id
    world.ledger._connections.write(  # type: ignore[attr-defined]
        lambda db: db.execute("UPDATE erasures SET id = ''"), durable=True
    )
    world.clock.advance(200)
    world.services.sweep.sweep()
    finish(world)
    (line,) = noted(world)
    assert "default" not in line.id
    documents, _ = world.ledger.documents("default", BULK_JOB, limit=9)
    assert [document.body["state"] for document in documents] == ["SUCCEEDED"]
