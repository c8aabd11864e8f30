"""Memories with very long histories: they are indexed and removed in portions, and hold up nobody."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import RequestLimits
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.domain.times import later
from forgetless.service import history_portions
from forgetless.service.jobs import sweep
from forgetless.service.services import Services
from forgetless.service.transfer.event_import import EventImport
from forgetless.service.writing import past_rows
from forgetless.service.writing.erase_memories import FilteredDelete
from tests.unit.service.world import World

VERSIONS = 100
OTHER = Scope("other", user_id="zoe")


def grown(world: World, *names: str, versions: int = VERSIONS) -> list[Memory]:
    """Memories with so many versions, none of which the index has."""
    memories: list[Memory] = []
    for name in names:
        (one,) = world.say(f"{name} 1").results
        events = [Event(EventKind.ADD, world.ledger.read("default", [one.id])[one.id])]
        for number in range(2, versions + 1):
            last = events[-1].memory
            following = last.next_version(later(last.updated_at, 1), event_id=str(number), text=f"{name} {number}")
            events.append(Event(EventKind.UPDATE, following))
        world.ledger.append(events[1:])
        memories.append(events[-1].memory)
    return memories


def pending(world: World, tenant: str = "default") -> list[Memory]:
    return world.ledger.unindexed(before=later(world.clock.now(), 9), limit=99, tenant=tenant)


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Rows of the past are made ten at a time, and to embed one takes 0.4 seconds."""
    monkeypatch.setattr(past_rows, "_AT_ONCE", 10)
    world.embedder.meanwhile = lambda: world.clock.advance(0.4)
    return world


def test_a_sweep_goes_on_where_the_last_one_stopped_and_the_others_have_their_turn(slow: World) -> None:
    grown(slow, "alice")
    slow.embedder.meanwhile = lambda: None
    (theirs,) = slow.say("zoe drinks tea", scope=OTHER).results
    slow.embedder.meanwhile = lambda: slow.clock.advance(0.4)
    slow.ledger.mark_unindexed("other", at=slow.clock.now())
    slow.clock.advance(3600)
    slow.embedder.calls.clear()
    sweeps = 0
    while pending(slow):
        begun = slow.clock.monotonic()
        slow.services.sweep.sweep()
        assert slow.clock.monotonic() - begun <= sweep.PART_S + 3 * 4.0 + 1
        assert not pending(slow, "other"), "the other tenant had its turn in the same run"
        assert [hit.memory.version for hit in slow.find("alice", threshold=0.0)] == [VERSIONS]
        slow.clock.advance(60)
        sweeps += 1
    assert sweeps > 1
    versions = sorted(one.row.memory.version for one in slow.index.past_rows())
    assert versions == list(range(1, VERSIONS))
    embedded = [text for texts, _ in slow.embedder.calls for text in texts]
    assert len([text for text in embedded if text.startswith("alice ")]) <= VERSIONS + sweeps * 3
    assert slow.ledger.read("other", [theirs.id])


def test_a_reindex_goes_on_in_the_midst_of_a_long_history(slow: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_portions, "HISTORIES_AT_ONCE", VERSIONS * 2000)
    memories = grown(slow, "a", "b", "c")
    slow.clock.advance(3600)
    job = slow.services.bulk.start("default", BulkKind.REINDEX, {})
    for _ in range(99):
        if not slow.services.bulk_worker.turn():
            break
        slow.clock.advance(1)
    done = slow.services.bulk.job("default", job.id)
    assert done is not None
    assert (done.state, done.done) == (JobState.SUCCEEDED, 3)
    assert not pending(slow)
    assert len(slow.index.past_rows()) == len(memories) * (VERSIONS - 1)


def removals(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many memories each transaction deletes; each takes 0.2 seconds."""
    found: list[int] = []
    append = world.ledger.append

    def counting(events: Sequence[Event], **more: object) -> None:
        found.append(sum(event.kind is EventKind.DELETE for event in events))
        world.clock.advance(0.2)
        append(events, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.ledger, "append", counting)
    return found


@pytest.mark.parametrize("announced", [False, True], ids=["nobody", "webhook"])
@pytest.mark.parametrize("whole", [True, False], ids=["scope", "filter"])
def test_a_delete_removes_few_at_once_and_leaves_the_rest_to_its_job(
    world: World, monkeypatch: pytest.MonkeyPatch, whole: bool, announced: bool
) -> None:
    grown(world, *"abcdefgh", versions=9)
    monkeypatch.setattr(history_portions, "HISTORIES_AT_ONCE", 2 * 9 * 2100)
    monkeypatch.setattr(world.services.changes._outbox, "wants", lambda *_: announced)
    counts = removals(world, monkeypatch)
    changes = world.services.changes
    if whole:
        begun = changes.delete_scope("default", {"user_id": "alice"})
    else:
        begun = changes.delete_matching(FilteredDelete("default", {"user_id": "alice"}, (), {}))
    assert counts == [2, 2]
    assert begun.deleted == (8 if whole else 4)
    job = finished(world, begun.event_id)
    assert (job.state, job.done, set(counts), sum(counts)) == (JobState.SUCCEEDED, 8, {2}, 8)
    assert world.texts() == []


def finished(world: World, event_id: str) -> BulkJob:
    while world.services.bulk_worker.turn():
        world.clock.advance(1)
    job = world.services.bulk.job("default", event_id)
    assert job is not None
    return job


def test_a_batch_deletes_in_light_portions_and_refuses_what_takes_too_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.services = Services(world.services._ports, limits=RequestLimits(history_bytes=4 * 9 * 2100))
    ids = [memory.id for memory in grown(world, *"abcdefgh", versions=9)]
    monkeypatch.setattr(history_portions, "HISTORIES_AT_ONCE", 2 * 9 * 2100)
    with pytest.raises(InvalidRequestError, match=r"memory_ids: .* delete fewer of them at once"):
        world.services.changes.delete_many("default", ids)
    assert len(world.texts()) == 8
    counts = removals(world, monkeypatch)
    assert world.services.changes.delete_many("default", ids[:4]) == 4
    assert counts == [2, 2]
    # One memory alone can always be deleted.
    world.services = Services(world.services._ports, limits=RequestLimits(history_bytes=1))
    assert world.services.changes.delete_many("default", ids[4:5]) == 1


def test_an_import_takes_no_more_versions_of_a_memory_than_updates_may_make(world: World) -> None:
    (memory,) = grown(world, "a", versions=9)
    lines = [event.memory for event in world.ledger.history("default", memory.id)]
    records = [
        {
            "type": "event",
            "kind": "ADD" if one.version == 1 else "UPDATE",
            "memory": {"id": "m", "version": one.version, "scope": {"user_id": "bob"}, "text": one.text, "job_id": "j"}
            | {"created_at": one.created_at, "updated_at": one.updated_at},
        }
        for one in lines
    ]
    header = {"format": "forgetless-events", "version": 1}
    imports = EventImport(ledger=world.ledger, clock=world.clock, limits=RequestLimits(history_bytes=5 * 2100))
    report = imports.take("default", list(enumerate([header, *records], start=1)))
    assert report.problems == [
        "memory m: its earlier versions take more bytes than FORGETLESS_MAX_HISTORY_BYTES allows"
    ]
    assert world.ledger.history("default", "m") == []
    assert EventImport(ledger=world.ledger, clock=world.clock).take(
        "default", list(enumerate([header, *records], start=1))
    ).events == len(lines)
