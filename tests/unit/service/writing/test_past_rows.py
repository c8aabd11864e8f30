"""What stands in the collection of the past after each change, repeat, failure and erasure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forgetless.domain.errors import EmbedderError
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.moments import OPEN, Moment
from forgetless.domain.times import later
from forgetless.service.requests import SearchRequest, UpdateRequest
from tests.unit.service.world import ALICE, World, facts

Row = tuple[str, int, bool, bool]


def rows(world: World) -> list[Row]:
    """Text and version of each row of the past, and whether it is known and true without end."""
    found = [(one.row.memory, one.mark.times) for one in world.index.past_rows()]
    return sorted((m.text, m.version, times.known_until == OPEN, times.true_until == OPEN) for m, times in found)


def update(world: World, id_: str, **changes: object) -> None:
    world.clock.advance(60)
    world.services.changes.update(UpdateRequest("default", id_, **changes))  # type: ignore[arg-type]


def swept(world: World) -> None:
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert world.ledger.unindexed(before=world.clock.now(), limit=9) == []


def moved(new_world: Callable[..., World]) -> tuple[World, str]:
    """Lisbon, then Berlin, which supersedes it; the id of the former."""
    replies = [facts("She lives in Lisbon."), facts({"text": "She lives in Berlin.", "supersedes": [1]})]
    world = new_world(lambda _: replies.pop(0))
    (lisbon,) = world.say("I live in Lisbon.", infer=True).results
    world.clock.advance(86_400)
    world.say("I moved to Berlin.", infer=True)
    return world, lisbon.id


def found(world: World, moment: Moment, query: str = "tea") -> list[str]:
    request = SearchRequest("default", query, all_ids(ALICE.ids()), ALICE.ids(), top_k=99, threshold=0.0)
    return sorted(one.memory.text for one in world.services.as_of.search(request, moment))


def test_a_replaced_version_moves_without_being_embedded_again(world: World) -> None:
    (one,) = world.say("drinks tea").results
    before = world.index.contents("default", [(one.id, 1)])
    calls = len(world.embedder.calls)
    update(world, one.id, metadata={"mood": "good"})
    assert len(world.embedder.calls) == calls
    assert rows(world) == [("drinks tea", 1, False, True)]
    assert world.index.past.contents("default", [(one.id, 1)]) == before
    update(world, one.id, text="drinks coffee")
    assert rows(world) == [("drinks tea", 1, False, True), ("drinks tea", 2, False, True)]
    assert world.ledger.unindexed(before=later(world.clock.now(), 99), limit=9) == []
    swept(world)
    assert world.index.past.contents("default", [(one.id, 1)]) == before


def test_a_superseded_memory_moves_with_both_of_its_versions(new_world: Callable[..., World]) -> None:
    world, lisbon = moved(new_world)
    text = "She lives in Lisbon."
    assert rows(world) == [(text, 1, False, True), (text, 2, True, False)]
    assert world.index.held("default", [(lisbon, 1), (lisbon, 2)]) == set()
    # It can be corrected although it is superseded, and be brought back.
    update(world, lisbon, text="She lived in Porto.")
    assert rows(world) == [("She lived in Porto.", 3, True, False), (text, 1, False, True), (text, 2, False, False)]
    world.clock.advance(60)
    world.services.restores.restore("default", lisbon)
    restored = [("She lived in Porto.", 3, False, False), (text, 1, False, True), (text, 2, False, False)]
    assert rows(world) == restored
    assert world.index.held("default", [(lisbon, 4)])
    world.services.sweep.index_all()
    assert rows(world) == restored, "the history gives the same rows"


def test_nothing_of_a_deleted_memory_stays(new_world: Callable[..., World]) -> None:
    world, lisbon = moved(new_world)
    (tea,) = world.say("drinks tea").results
    update(world, tea.id, text="drinks coffee")
    world.services.changes.delete("default", lisbon)
    world.services.changes.delete("default", tea.id)
    assert rows(world) == []


@pytest.mark.parametrize("kind", ["scope", "tenant"])
def test_an_erasure_takes_the_past_with_it(new_world: Callable[..., World], kind: str) -> None:
    world, _ = moved(new_world)
    if kind == "scope":
        world.services.changes.delete_scope("default", ALICE.ids())
    else:
        world.services.changes.reset("default")
    assert rows(world) == []


def test_a_change_of_a_pending_memory_is_made_right_from_the_history(world: World) -> None:
    (one,) = world.say("drinks tea").results
    world.index.available = False
    update(world, one.id, text="drinks milk")
    update(world, one.id, text="drinks coffee")
    world.index.available = True
    then = world.clock.now()
    update(world, one.id, text="drinks water")
    assert ("drinks milk", 2, False, True) not in rows(world)
    swept(world)
    expected = [("drinks coffee", 3, False, True), ("drinks milk", 2, False, True), ("drinks tea", 1, False, True)]
    assert rows(world) == expected
    assert world.index.keys("default", limit=9) == [(one.id, 4)]
    assert found(world, Moment(known_at=then)) == ["drinks coffee"]


def test_a_repeated_move_leaves_doubles_that_readers_ignore_and_sweep_removes(world: World) -> None:
    (one,) = world.say("drinks tea").results
    then = world.clock.now()
    update(world, one.id, text="drinks coffee")
    world.index.insert_past(world.index.past_rows())
    assert found(world, Moment(known_at=then)) == ["drinks tea"]
    world.services.sweep.index_all()
    assert rows(world) == [("drinks tea", 1, False, True)]


def test_a_dead_writer_leaves_nothing_of_a_memory_that_was_deleted_meanwhile(world: World) -> None:
    (one,) = world.say("drinks tea").results
    update(world, one.id, text="drinks coffee")
    held = world.index.past_rows()
    world.services.changes.delete("default", one.id)
    # A writer that stalled writes its row now, and finds that the memory is not current any more.
    world.index.insert_past(held)
    world.services._indexer.mark_indexed([held[0].row.memory], by_writer=True)
    assert rows(world) == []


def test_words_of_an_erased_message_leave_the_rows_of_versions_and_of_superseded_memories(
    new_world: Callable[..., World],
) -> None:
    world, lisbon = moved(new_world)
    world.clock.advance(7200)
    first, second = (one.id for one in world.say("My secret is Xylophon.", "Good to know.").results)
    update(world, second, text="Good to know it.")
    held = world.index.past.contents("default", [(second, 1)])
    world.services.changes.delete("default", first)
    swept(world)
    after = world.index.past.contents("default", [(second, 1)])
    assert after.keys() == held.keys()
    assert after != held, "the row was made again without the erased message"
    # The message that the superseded fact came from.
    memory = world.ledger.read("default", [lisbon])[lisbon]
    assert memory.context
    assert memory.superseded_by
    before = world.index.past.contents("default", [(lisbon, 1), (lisbon, 2)])
    world.ledger.erase_messages("default", list(memory.context), at=world.clock.now())
    assert [one.id for one in world.ledger.unindexed(before=later(world.clock.now(), 9), limit=9)] == [lisbon]
    swept(world)
    made = world.index.past.contents("default", [(lisbon, 1), (lisbon, 2)])
    assert made.keys() == before.keys()
    assert all(made[key] != before[key] for key in made)


def test_deletions_do_not_wait_for_an_embedder_and_superseded_memories_do(new_world: Callable[..., World]) -> None:
    world, lisbon = moved(new_world)
    (tea,) = world.say("drinks tea").results
    update(world, tea.id, text="drinks coffee")
    world.ledger.mark_unindexed(at=world.clock.now())
    world.index.available = False
    world.services.changes.delete("default", tea.id)
    world.index.available = True
    world.embedder.failure = EmbedderError("it is away")
    world.clock.advance(60)
    world.services.sweep.sweep()
    assert all(text != "drinks tea" for text, *_ in rows(world))
    assert len(rows(world)) == 2
    world.embedder.failure = None
    swept(world)
    assert [version for _, version, *_ in rows(world)] == [1, 2]
    assert world.index.past.held("default", [(lisbon, 2)])


def test_what_was_told_before_its_time_is_known_from_when_it_was_told(world: World) -> None:
    told = world.clock.now()
    world.clock.advance(60)
    then = later(told, 86_400)
    world.say("will drink tea", timestamp=then)
    known = world.clock.now()
    assert rows(world) == [("will drink tea", 1, True, True)]
    assert found(world, Moment(known_at=known)) == ["will drink tea"]
    assert found(world, Moment(known_at=told)) == []
    assert found(world, Moment(as_of=known)) == []
    assert found(world, Moment(as_of=then)) == ["will drink tea"]


def test_a_successor_that_begins_later_moves_the_end_of_what_it_superseded(new_world: Callable[..., World]) -> None:
    world, _ = moved(new_world)
    (berlin,) = world.ledger.list_memories("default", ALICE.ids(), limit=9).items
    superseded_at = world.clock.now()
    world.clock.advance(7200)
    between = world.clock.now()
    update(world, berlin.id, timestamp=world.clock.now())
    swept(world)
    assert later(superseded_at, 60) < between
    assert found(world, Moment(as_of=between)) == ["She lives in Lisbon."]
    assert found(world, Moment(as_of=world.clock.now())) == ["She lives in Berlin."]


def test_a_search_of_the_past_that_must_look_wider_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.service.reading.retrieval.CANDIDATES", 4)
    monkeypatch.setattr("forgetless.service.reading.retrieval.CANDIDATES_PER_RESULT", 1)
    told = [one.id for one in world.say(*(f"tea number {number}" for number in range(12))).results]
    then = world.clock.now()
    for id_ in told[::2]:
        update(world, id_, text="drinks coffee")
    # Told late: its row passes the filter, and the ledger refuses it.
    world.say(*("tea" for _ in range(6)), timestamp=later(then, -86_400))
    request = SearchRequest("default", "tea", all_ids(ALICE.ids()), ALICE.ids(), top_k=12, threshold=0.0)
    hits = [one.memory.id for one in world.services.as_of.search(request, Moment(known_at=then))]
    assert sorted(hits) == sorted(told)


def test_a_version_that_the_embedder_refuses_is_found_by_its_words_in_the_past(world: World) -> None:
    world.embedder.refuses = lambda text: "poison" in text
    (one,) = world.say("the poison shelf").results
    then = world.clock.now()
    update(world, one.id, text="a shelf for books")
    swept(world)
    assert [version for _, version, *_ in rows(world)] == [1]
    assert not world.index.past.contents("default", [(one.id, 1)])[one.id, 1].vector
    request = SearchRequest("default", "where is the shelf?", all_ids(ALICE.ids()), ALICE.ids(), threshold=0.0)
    (hit,) = world.services.as_of.search(request, Moment(known_at=then))
    assert hit.memory.text == "the poison shelf"
