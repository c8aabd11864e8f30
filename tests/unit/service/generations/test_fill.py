"""A new generation of the index is filled while the old one serves, and takes over without a gap."""

from __future__ import annotations

import pytest

from forgetless.adapters.embedder_none import NoEmbedder
from forgetless.adapters.queue_none import NoQueue
from forgetless.domain.errors import ConflictError, EmbedderError
from forgetless.domain.generations import COPY_S, KNOWN_S, Phase
from forgetless.ports.embedder import EmbeddingTask
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.services import Ports, Services
from tests.fakes.clock import FakeClock
from tests.unit.service.generations.place import (
    ANNA,
    NEW,
    OLD,
    Place,
    find,
    job_of,
    known,
    say,
    upkeep,
    work,
    work_until,
)

TEXTS = [f"{word} {word}{number} lives near {word}{number + 7} alone." for number, word in enumerate("abcdefghi")]


def through(place: Place, *, clock: FakeClock, until: Phase, most: int = 30) -> None:
    """Let a process work until the record is in this phase."""
    work_until(place.process(), clock, until, most=most)


def test_a_changed_model_fills_a_new_generation_and_serves_it(place: Place, clock: FakeClock) -> None:
    process = place.process()
    say(process, *TEXTS)
    work(process)
    record = known(process)
    assert (record.serving, record.other, record.phase) == (OLD, NEW, Phase.SPREADING)
    assert place.rows(NEW) == []
    assert len(find(process, "tea")) == len(TEXTS)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.OLD)
    record = known(process)
    assert (record.serving, record.other) == (NEW, OLD)
    assert place.rows(NEW) == place.rows(OLD) == sorted(TEXTS)
    clock.advance(COPY_S)
    calls = len(place.embedders[OLD.collection].calls)
    assert find(process, "tea")[:3] == find(place.process(), "tea")[:3]
    assert len(place.embedders[OLD.collection].calls) == calls, "the old one searches no more"
    job = job_of(process)
    assert (job.finished, job.done, job.set_aside) == (True, len(TEXTS), 0)


def test_whatever_happens_while_it_is_filled_reaches_it(place: Place, clock: FakeClock) -> None:
    process, other = place.process(), place.process()
    ids = say(process, *TEXTS)
    assert known(other).other is None, "this process knows nothing yet"
    work(process)
    say(other, "Written by a process that does not know.")
    clock.advance(KNOWN_S)
    work(process)
    with pytest.raises(ConflictError, match="nothing to switch to yet"):
        upkeep(process).switch(force=True)
    assert known(process).phase in {Phase.FILLING, Phase.READY}
    other().changes.delete("acme", ids[0])
    say(other, "Written while it is filled.")
    through(place, clock=clock, until=Phase.JOINING)
    place.embedders[OLD.collection].calls.clear()
    clock.advance(COPY_S)
    say(process, "Written while it joins.")
    assert "Written while it joins." in place.rows(NEW), "each write goes to both by now"
    process().changes.delete("acme", ids[1])
    assert TEXTS[1] not in place.rows(NEW)
    through(place, clock=clock, until=Phase.OLD)
    for _ in range(7):  # the deletions took words from others' context, which sweep indexes anew
        clock.advance(10)
        work(process)
    left = [*TEXTS[2:], "Written by a process that does not know.", "Written while it is filled."]
    assert place.rows(NEW) == place.rows(OLD) == sorted([*left, "Written while it joins."])


def test_a_failing_new_embedder_neither_fails_nor_delays_requests(place: Place, clock: FakeClock) -> None:
    process = place.process()
    say(process, *TEXTS)
    work(process)
    place.opened(NEW)
    new = place.embedders[NEW.collection]
    new.failure = EmbedderError("it is away")
    clock.advance(KNOWN_S)
    for _ in range(5):
        work(process)
        clock.advance(300)
    say(process, "Said meanwhile.")
    assert len(find(process, "tea")) == len(TEXTS) + 1
    assert (known(process).phase, job_of(process).error) == (Phase.FILLING, "it is away")
    new.failure = None
    through(place, clock=clock, until=Phase.OLD, most=60)
    assert place.rows(NEW) == sorted([*TEXTS, "Said meanwhile."])


def test_one_that_finds_too_little_does_not_serve_unless_it_is_forced(place: Place, clock: FakeClock) -> None:
    process = place.process()
    say(process, *TEXTS)
    place.opened(NEW)
    embedder, index = place.embedders[NEW.collection], place.indexes[NEW.collection]
    embedder._vector = lambda text: [1.0] + [0.0] * 47  # type: ignore[method-assign]
    index.search_words = lambda *_: []  # type: ignore[method-assign]
    say(process, *(f"Something else, number {number}." for number in range(20)))
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.READY)
    for _ in range(3):
        work(process)
        clock.advance(60)
    record = known(process)
    assert (record.serving, record.phase, record.switching) == (OLD, Phase.READY, False)
    assert "sampled memories are found by their first sentence" in record.reason
    with pytest.raises(ConflictError, match="nothing to go back to"):
        upkeep(process).back()
    upkeep(process).switch()
    for _ in range(3):
        work(process)
        clock.advance(60)
    assert known(process).serving == OLD
    upkeep(process).switch(force=True)
    through(place, clock=clock, until=Phase.OLD)
    assert known(process).serving == NEW


def test_what_the_new_embedder_refuses_blocks_the_switch_and_is_set_aside_when_it_is_forced(
    place: Place, clock: FakeClock
) -> None:
    process = place.process()
    say(process, *TEXTS)
    place.opened(NEW)
    place.embedders[NEW.collection].refuses = lambda text: text == TEXTS[4]
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.READY)
    work(process)
    record = known(process)
    assert (record.serving, record.reason) == (OLD, "its embedder or index refuse 1 memories, which the log names")
    assert len(find(process, "tea")) == len(TEXTS)
    upkeep(process).switch(force=True)
    through(place, clock=clock, until=Phase.OLD)
    for _ in range(8):
        clock.advance(60)
        work(process)
    assert [one.reason[:6] for one in place.ledger.set_aside("acme", limit=9)] == ["provid"]
    assert place.ledger.tally("acme", limit=99).behind == 0


def test_the_way_back_is_real(place: Place, clock: FakeClock) -> None:
    process = place.process()
    ids = say(process, *TEXTS)
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.OLD)
    clock.advance(COPY_S)
    say(process, "Only the new one was there.")
    process().changes.delete("acme", ids[0])
    work(process)
    assert place.rows(OLD) == place.rows(NEW) == sorted([*TEXTS[1:], "Only the new one was there."])
    upkeep(process).back()
    through(place, clock=clock, until=Phase.OLD)
    assert known(process).serving == OLD
    for _ in range(5):
        clock.advance(120)
        work(process)
    assert known(process).serving == OLD, "nobody asked to try again"
    assert upkeep(process).begin(switching=True).phase is Phase.FILLING


def test_what_a_version_without_generations_wrote_is_brought_before_the_way_back(
    place: Place, clock: FakeClock
) -> None:
    process = place.process()
    say(process, *TEXTS)
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.OLD)
    opened = place.opened(NEW)
    before = Services(Ports(place.ledger, opened.index, opened.embedder, NoQueue(), clock, recipe=opened.recipe))
    before.add.add(AddRequest(ANNA, (IncomingMessage("user", "The old one never heard of it."),), infer=False))
    before.sweep.sweep()
    clock.advance(COPY_S)
    calls = len(place.embedders[OLD.collection].calls)
    upkeep(process).back()
    through(place, clock=clock, until=Phase.OLD)
    assert known(process).serving == OLD
    assert place.rows(OLD) == sorted([*TEXTS, "The old one never heard of it."])
    asked = place.embedders[OLD.collection].calls[calls:]
    passages = [text for texts, task in asked if task is EmbeddingTask.PASSAGE for text in texts]
    assert TEXTS[0] not in passages, "what it had is not embedded again"


def test_the_old_one_is_dropped_after_a_week_and_nothing_written_late_stays(place: Place, clock: FakeClock) -> None:
    process = place.process()
    say(process, *TEXTS)
    work(process)
    clock.advance(KNOWN_S)
    late = place.process()()
    through(place, clock=clock, until=Phase.OLD)
    clock.advance(7 * 86_400)
    work(process)
    assert known(process).other is None
    assert place.rows(OLD) == []
    late._indexer._index.insert(place.indexes[NEW.collection]._rows[:0])
    place.indexes[OLD.collection]._rows = [*place.indexes[NEW.collection]._rows[:1]]
    clock.advance(600)
    work(process)
    assert place.rows(OLD) == []
    assert known(process).dropped
    clock.advance(600)
    work(process)
    assert not known(process).dropped


def test_an_old_one_without_embedder_becomes_stale_and_still_forgets(place: Place, clock: FakeClock) -> None:
    process = place.process()
    ids = say(process, *TEXTS)
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.OLD)
    clock.advance(COPY_S)
    place.embedders[OLD.collection].failure = EmbedderError("it is gone")
    say(process, "The old one never gets this.")
    work(process)
    assert known(process).failing_since
    clock.advance(3700)
    work(process)
    assert known(process).phase is Phase.STALE
    with pytest.raises(ConflictError, match="is stale"):
        upkeep(process).back()
    clock.advance(COPY_S)
    process().changes.delete("acme", ids[3])
    work(process)
    assert TEXTS[3] not in place.rows(OLD)
    assert place.ledger.tally("acme", limit=99).behind == 0


def test_a_deleted_tenant_and_an_erased_scope_are_in_no_generation(place: Place, clock: FakeClock) -> None:
    process = place.process()
    say(process, *TEXTS)
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.OLD)
    clock.advance(COPY_S)
    process().changes.delete_scope("acme", ANNA.ids())
    assert place.rows(OLD) == place.rows(NEW) == []
    say(process, *TEXTS)
    work(process)
    assert len(place.rows(OLD)) == len(TEXTS)
    process().tenant_deletions.begin("acme")
    for _ in range(10):
        clock.advance(60)
        work(process)
    assert place.rows(OLD) == place.rows(NEW) == []


def test_without_its_model_the_old_one_is_searched_by_words_and_never_comes_back(
    place: Place, clock: FakeClock
) -> None:
    say(place.process(), *TEXTS)
    gone = NoEmbedder("old", dimensions=OLD.dimensions)
    place.embedders[OLD.collection] = gone  # type: ignore[assignment]
    process = place.process()
    assert find(process, "d3")[0] == TEXTS[3]
    say(process, "Said without the model, z99.")
    assert find(process, "z99")[0] == "Said without the model, z99."
    assert process().health.check()["embedder"].startswith("the model old does not run")
    work(process)
    clock.advance(KNOWN_S)
    through(place, clock=clock, until=Phase.STALE)
    record = known(process)
    assert (record.serving, record.reason) == (NEW, "the model old does not run: searches go by words alone")
    clock.advance(COPY_S)
    assert find(process, "Said without the model, z99.")[0] == "Said without the model, z99."
