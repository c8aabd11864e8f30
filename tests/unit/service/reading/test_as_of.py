"""What was true and what was known at a moment, against a brute-force oracle on random timelines."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forgetless.domain.errors import IndexUnavailableError, InvalidRequestError
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.memory import Memory
from forgetless.domain.moments import Moment
from forgetless.domain.times import later
from forgetless.service.requests import SearchRequest, UpdateRequest
from tests.unit.service.world import ALICE, World, facts, make_world, newest

TEXTS = ("tea", "coffee in Lisbon", "lives in Berlin", "rides a bicycle", "red shoes")


def listed(world: World, moment: Moment) -> dict[str, str]:
    found = newest(world.services, ALICE.ids(), moment=moment, limit=1000)
    assert len({memory.id for memory in found}) == len(found)
    return {memory.id: memory.text for memory in found}


def searched(world: World, moment: Moment, query: str = "where", **more: object) -> list[tuple[str, str, float]]:
    options = {"top_k": 1000, "threshold": 0.0} | more
    request = SearchRequest("default", query, all_ids(ALICE.ids()), ALICE.ids(), **options)  # type: ignore[arg-type]
    return [(hit.memory.id, hit.memory.text, hit.score) for hit in world.services.as_of.search(request, moment)]


def moved(new_world: Callable[..., World]) -> tuple[World, str, str]:
    """Lisbon, then Berlin, which supersedes it; the times between."""
    replies = [facts("She lives in Lisbon."), facts({"text": "She lives in Berlin.", "supersedes": [1]})]
    world = new_world(lambda _: replies.pop(0))
    world.say("I live in Lisbon.", infer=True)
    in_lisbon = world.clock.now()
    world.clock.advance(86_400)
    world.say("I moved to Berlin.", infer=True)
    return world, in_lisbon, world.clock.now()


def texts(world: World, **moment: str) -> list[str]:
    return sorted(listed(world, Moment(**moment)).values())


def test_before_the_move_it_is_lisbon_and_now_berlin_only(new_world: Callable[..., World]) -> None:
    world, in_lisbon, in_berlin = moved(new_world)
    assert world.texts() == ["She lives in Berlin."]
    assert texts(world, as_of=in_lisbon) == ["She lives in Lisbon."]
    assert texts(world, as_of=in_berlin) == ["She lives in Berlin."]
    assert [text for _, text, _ in searched(world, Moment(as_of=in_lisbon), "where does she live")] == [
        "She lives in Lisbon."
    ]
    assert texts(world, as_of="2000-01-01T00:00:00.000000+00:00") == []


def test_before_a_correction_the_old_belief_was_known(new_world: Callable[..., World]) -> None:
    world, in_lisbon, _ = moved(new_world)
    (id_,) = listed(world, Moment(as_of=in_lisbon))
    world.clock.advance(86_400)
    before = world.clock.now()
    world.services.changes.update(UpdateRequest("default", id_, text="She lived in Porto."))
    # The correction holds for all the time that the memory is about, but was not always known.
    assert texts(world, as_of=in_lisbon) == ["She lived in Porto."]
    assert texts(world, as_of=in_lisbon, known_at=before) == ["She lives in Lisbon."]
    assert texts(world, known_at=in_lisbon) == ["She lives in Lisbon."]
    (found, *_) = searched(world, Moment(in_lisbon, before), "Lisbon")
    assert found[1] == "She lives in Lisbon."


def test_what_is_told_late_was_true_before_it_was_known(world: World) -> None:
    told = world.clock.now()
    world.clock.advance(60)
    then = later(told, -86_400)
    world.say("I was in Lisbon.", timestamp=then)
    assert texts(world, as_of=then) == ["I was in Lisbon."]
    assert texts(world, as_of=later(then, -1)) == []
    assert texts(world, as_of=then, known_at=told) == []
    assert texts(world, known_at=told) == []


def test_one_memory_as_it_was(new_world: Callable[..., World]) -> None:
    world, in_lisbon, in_berlin = moved(new_world)
    (id_,) = listed(world, Moment(as_of=in_lisbon))
    get = world.services.as_of.get

    def shown(memory: Memory | None) -> tuple[str, bool] | None:
        return None if memory is None else (memory.text, memory.superseded_by is None)

    assert shown(get("default", id_, Moment(known_at=in_lisbon))) == ("She lives in Lisbon.", True)
    assert shown(get("default", id_, Moment(known_at=in_berlin))) == ("She lives in Lisbon.", False)
    assert shown(get("default", id_, Moment(as_of=in_lisbon))) == ("She lives in Lisbon.", False)
    assert get("default", id_, Moment(as_of=in_berlin)) is None
    assert get("other", id_, Moment(as_of=in_lisbon)) is None
    world.services.changes.delete("default", id_)
    assert get("default", id_, Moment(as_of=in_lisbon)) is None


def test_expiration_is_judged_then(world: World) -> None:
    world.say("Parks on level 2.", expiration_date="2026-01-01")
    day, after = "2026-01-01T20:00:00.000000+00:00", "2026-01-02T08:00:00.000000+00:00"
    world.clock.set("2026-03-01T00:00:00.000000+00:00")
    assert texts(world, as_of=day) == texts(world, known_at=day) == ["Parks on level 2."]
    assert texts(world, as_of=after) == []
    shown = newest(world.services, {}, moment=Moment(after), limit=9, show_expired=True)
    assert len(shown) == 1


def test_a_search_in_the_past_ranks_as_one_of_then_would_have(world: World) -> None:
    for text in TEXTS:
        world.say(text)
    before = [(hit.memory.id, hit.memory.text, round(hit.score, 9)) for hit in world.find("coffee in Lisbon", top_k=9)]
    then = world.clock.now()
    world.clock.advance(10)
    for id_, _, _ in before[:2]:
        world.services.changes.update(UpdateRequest("default", id_, text="something else"))
    found = searched(world, Moment(known_at=then), "coffee in Lisbon", top_k=9)
    assert [(id_, text, round(score, 9)) for id_, text, score in found] == before
    assert searched(world, Moment(known_at=then), "coffee", top_k=1)[0][1] == "coffee in Lisbon"
    assert searched(world, Moment(known_at=then), "coffee", threshold=0.99) == []


def unfilled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade is under way: the rows of the past are not filled yet."""
    monkeypatch.setattr(world.services.as_of, "_past_is_filled", lambda: False)


def test_while_the_past_is_filled_a_search_over_too_much_says_when_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.service.reading.unfilled_past.MOST_SEARCHED", 3)
    world.say(*TEXTS)
    now = Moment(known_at=world.clock.now())
    assert len(searched(world, now)) == len(TEXTS)
    unfilled(world, monkeypatch)
    with pytest.raises(IndexUnavailableError, match="being filled after an upgrade") as caught:
        searched(world, now)
    assert caught.value.retry_after == 60
    # What does not match is read as well.
    monkeypatch.setattr("forgetless.service.reading.unfilled_past.SCANNED_ROWS", 3)
    monkeypatch.setattr("forgetless.service.reading.unfilled_past.MOST_READ", 2)
    with pytest.raises(IndexUnavailableError, match="at most 3 memories"):
        searched(world, Moment(known_at=later(now.known_at or "", -86_400)))


def test_while_the_past_is_filled_a_search_finds_the_same_with_the_same_scores(
    new_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, in_lisbon, in_berlin = moved(new_world)
    world.say(*TEXTS)
    moments = [Moment(in_lisbon), Moment(in_berlin), Moment(known_at=in_lisbon), Moment(known_at=world.clock.now())]
    filled = [searched(world, moment, "where does she live") for moment in moments]
    unfilled(world, monkeypatch)
    for before, moment in zip(filled, moments, strict=True):
        found = searched(world, moment, "where does she live")
        assert [(id_, text) for id_, text, _ in found] == [(id_, text) for id_, text, _ in before]
        assert [score for *_, score in found] == pytest.approx([score for *_, score in before], abs=1e-9)


def test_a_search_with_too_costly_a_filter_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.domain.filters.evaluate.MOST_FILTER_STEPS", 3)
    world.say(*TEXTS)
    with pytest.raises(InvalidRequestError, match="filters: so many conditions"):
        searched(world, Moment(known_at=world.clock.now()))


def test_while_the_past_is_filled_the_best_old_versions_by_words_are_embedded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.service.reading.unfilled_past.MOST_EMBEDDED", 1)
    unfilled(world, monkeypatch)
    ids = [one.id for one in world.say(*TEXTS).results]
    then = world.clock.now()
    world.clock.advance(1)
    for id_ in ids:
        world.services.changes.update(UpdateRequest("default", id_, text="other"))
    ids_of_alice = all_ids(ALICE.ids())
    request = SearchRequest("default", "bicycle", ids_of_alice, ALICE.ids(), top_k=9, threshold=0, explain=True)
    found = world.services.as_of.search(request, Moment(known_at=then))
    assert found[0].memory.text == "rides a bicycle"
    # The other texts are there by their words, and those of their context, alone.
    cosines = [hit.details.semantic_score for hit in found if hit.details]
    assert (len(cosines), cosines[0] > 0, cosines[1:]) == (5, True, [0.0] * 4)


@dataclass
class Oracle:
    """Remembers what was seen after each step; answers by looking at all of it."""

    created: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    #: What the ledger held at a time, superseded memories too: id to text and successor.
    snapshots: list[tuple[str, dict[str, tuple[str, str | None]]]] = field(default_factory=list)

    def look(self, world: World) -> None:
        held = world.ledger.list_memories("default", ALICE.ids(), limit=1000, superseded=True).items
        seen = {memory.id: (memory.text, memory.superseded_by) for memory in held}
        self.gone |= self.created.keys() - seen.keys()
        self.snapshots.append((world.clock.now(), seen))

    def expected(self, place: int, as_of: str | None) -> dict[str, str]:
        held = self.snapshots[place][1]
        return {
            id_: text
            for id_, (text, successor) in held.items()
            if id_ not in self.gone and self._true(id_, successor, as_of)
        }

    def _true(self, id_: str, successor: str | None, as_of: str | None) -> bool:
        if as_of is None:
            return successor is None
        return self.created[id_] <= as_of and (successor is None or as_of < self.created[successor])


steps = st.lists(
    st.tuples(
        st.sampled_from(["say", "infer", "supersede", "update", "delete"]),
        st.sampled_from(TEXTS),
        st.integers(0, 9),
        st.sampled_from([0, 0, 0, 3600, 200_000]),  # how long ago it happened
    ),
    min_size=2,
    max_size=9,
)


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(steps)
def test_random_timelines(done: list[tuple[str, str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        replies: list[str] = []
        world, oracle = make_world(Path(folder), lambda _: replies[-1]), Oracle()
        for step in done:
            world.clock.advance(50_000)
            _do(world, oracle, replies, step)
            oracle.look(world)
        moments = [None, *sorted({at for created in oracle.created.values() for at in (created, later(created, -1))})]
        for place, (known_at, _) in enumerate(oracle.snapshots):
            for as_of in moments:
                moment = Moment(as_of, known_at)
                expected = oracle.expected(place, as_of)
                assert listed(world, moment) == expected
                for id_ in oracle.created:
                    got = world.services.as_of.get("default", id_, moment)
                    if as_of is not None:
                        assert (got.text if got else None) == expected.get(id_)
            found = searched(world, Moment(moments[-1], known_at))
            assert {id_: text for id_, text, _ in found} == oracle.expected(place, moments[-1])
        # Without known_at it is what is known now.
        assert all(listed(world, Moment(at)) == oracle.expected(-1, at) for at in moments if at is not None)
        world.ledger.close()


def _do(world: World, oracle: Oracle, replies: list[str], step: tuple[str, str, int, int]) -> None:
    kind, text, number, ago = step
    live = newest(world.services, ALICE.ids(), limit=100)
    options = {"timestamp": later(world.clock.now(), -ago)} if ago else {}
    if kind in {"say", "infer", "supersede"}:
        replies.append(facts({"text": f"{text} {number}", "supersedes": [1] if live and kind == "supersede" else []}))
        outcome = world.say(f"{text} {number}", infer=kind != "say", **options)
        for one in outcome.results:
            memory = world.ledger.read("default", [one.id])[one.id]
            assert not ago or memory.created_at == options["timestamp"]
            oracle.created[one.id] = memory.created_at
    elif live:
        memory = live[number % len(live)]
        if kind == "delete":
            world.services.changes.delete("default", memory.id)
        else:
            world.services.changes.update(UpdateRequest("default", memory.id, text=f"changed {text} {number}"))
