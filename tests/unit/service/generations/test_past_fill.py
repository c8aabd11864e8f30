"""The upgrade of a state without rows of the past: a job fills them, and searches of the past work all the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.moments import Moment
from forgetless.runtime.serving import Serving
from forgetless.service.generations import past_fill, walk
from forgetless.service.requests import SearchRequest, UpdateRequest
from tests.fakes.clock import FakeClock
from tests.fakes.mortal_ledger import KilledError
from tests.unit.service.generations.place import ANNA, NEW, OLD, Place, known, say, upkeep, work


def alone(place: Place) -> Place:
    place.wanted = OLD
    return place


def searched(serving: Serving, moment: Moment) -> set[str]:
    request = SearchRequest("acme", "tea", all_ids(ANNA.ids()), ANNA.ids(), 100, threshold=0.0)
    return {one.memory.text for one in serving().at(moment).search(request)}


def past_of(place: Place) -> list[tuple[str, int]]:
    return sorted((one.row.memory.text, one.row.memory.version) for one in place.indexes[OLD.collection].past_rows())


def aged(place: Place, clock: FakeClock) -> tuple[Serving, str]:
    """A state with an updated, a superseded and a deleted memory, as the version before left it, and a time in it."""
    process = alone(place).process()
    updated, superseded, deleted, successor = say(process, "drinks tea", "has a cat", "has a secret", "has a dog")
    clock.advance(60)
    then = clock.now()
    clock.advance(60)
    process().changes.update(UpdateRequest("acme", updated, text="drinks coffee"))
    process().changes.update(UpdateRequest("acme", deleted, text="has another secret"))
    process().changes.delete("acme", deleted)
    held: Memory = place.ledger.read("acme", [superseded])[superseded]
    after = held.next_version(clock.now(), event_id="e", superseded_by=successor)
    place.ledger.append([Event(EventKind.UPDATE, after)])
    clock.advance(60)
    process().sweep.index_pending()
    index = place.indexes[OLD.collection]
    index._past_rows = []
    place.ledger.delete_document("", "generations", "record")
    return place.process(), then


WANTED = [("drinks tea", 1), ("has a cat", 1), ("has a cat", 2)]


def test_sweep_begins_to_fill_the_past_and_searches_work_meanwhile(place: Place, clock: FakeClock) -> None:
    process, then = aged(place, clock)
    expected = {"drinks tea", "has a cat", "has a dog"}
    assert not known(process).past_is_filled
    assert searched(process, Moment(known_at=then)) == expected
    work(process)
    job = upkeep(process).past_job()
    assert job is not None
    assert (job.finished, job.done, job.error) == (True, 2, None)
    assert known(process).past == (OLD.collection,)
    assert past_of(place) == WANTED
    assert place.ledger.pending_tenants(limit=9) == []
    fresh = place.process()
    assert searched(fresh, Moment(known_at=then)) == expected
    assert searched(fresh, Moment(as_of=clock.now())) == {"drinks coffee", "has a dog"}
    calls = len(place.embedders[OLD.collection].calls)
    work(fresh)
    assert upkeep(fresh).past_job() == job, "it is filled once"
    assert len(place.embedders[OLD.collection].calls) == calls


def test_a_killed_fill_goes_on_and_nothing_deleted_meanwhile_stays(
    place: Place, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, _ = aged(place, clock)
    process().sweep.sweep()

    marks = type(place.ledger).mark_indexed

    def dies(ledger: Any, memories: Sequence[Memory], **options: Any) -> list[Memory]:
        if any(memory.superseded_by for memory in memories):
            raise KilledError
        return marks(ledger, memories, **options)

    # The rows are in the index, and the process dies before it marks the memories.
    with monkeypatch.context() as patched:
        patched.setattr(type(place.ledger), "mark_indexed", dies)
        with pytest.raises(KilledError):
            process().bulk_worker.turn()
    assert set(WANTED[1:]) <= set(past_of(place))
    cat = next(one.row.memory.id for one in place.indexes[OLD.collection].past_rows() if one.row.memory.version == 2)
    following = place.process()
    following().changes.delete("acme", cat)
    clock.advance(600)
    work(following)
    work(following)
    assert known(following).past_is_filled
    assert past_of(place) == WANTED[:1]
    assert place.ledger.pending_tenants(limit=9) == []


def test_the_fill_stops_after_a_portion_and_goes_on(
    place: Place, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_fill, "PAGE", 1)
    monkeypatch.setattr(walk, "_TENANTS", 1)
    process, _ = aged(place, clock)
    process().sweep.sweep()
    portions = 0
    while not known(process).past_is_filled:
        job = upkeep(process).past_job()
        assert job is not None
        process().bulk.run("", job.id, job.version, seconds=0.0, margin_s=10.0)
        portions += 1
    assert 4 < portions < 100, "each page was a portion of its own"
    assert past_of(place) == WANTED


def test_a_new_generation_is_filled_with_its_past(place: Place, clock: FakeClock) -> None:
    aged(place, clock)
    place.wanted = NEW
    process = place.process()
    for _ in range(40):
        work(process)
        clock.advance(40)
        if known(process).serving == NEW:
            break
    assert known(process).serving == NEW
    assert NEW.collection in known(process).past
    rows = place.indexes[NEW.collection].past_rows()
    assert sorted((one.row.memory.text, one.row.memory.version) for one in rows) == WANTED
