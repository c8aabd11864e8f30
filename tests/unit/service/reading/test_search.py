"""Search: absolute scores, filters, and results that the ledger confirms."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import EmbedderError, IndexUnavailableError, InvalidRequestError, ProviderRequestError
from forgetless.domain.filters.ast import And, Compare, Field, Operator, Or
from forgetless.domain.scope import Scope
from forgetless.domain.signals import RowSignals
from forgetless.ports.index import Hit
from forgetless.service.requests import UpdateRequest
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.world import ALICE, World, make_world


def test_results_come_in_the_order_of_their_score_within_0_and_1(world: World) -> None:
    for text in ("pho with beef", "pho", "bicycle repair", "beef stew with pho spices"):
        world.say(text, scope=Scope("default", user_id="alice", run_id=text))
    scores = [hit.score for hit in world.find("pho with beef")]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_what_an_add_acknowledged_the_next_search_finds(world: World) -> None:
    for number in range(30):
        world.say(f"fact number{number}")
        assert world.find(f"number{number}", top_k=1)[0].memory.text == f"fact number{number}"


def test_an_unrelated_query_scores_low(world: World) -> None:
    world.say("the cat sleeps")
    assert all(hit.score < 0.3 for hit in world.find("quantum chromodynamics lecture"))


def test_an_exact_identifier_among_similar_texts_is_first(world: World) -> None:
    world.say(*(f"order {number} was shipped to the customer" for number in range(300)))
    world.say("order ZX-4711-Q was shipped to the customer", scope=Scope("default", user_id="alice", run_id="r"))
    assert "ZX-4711-Q" in world.find("ZX-4711-Q", top_k=1)[0].memory.text


def test_vietnamese_typed_without_accents_finds_the_accented_text(world: World) -> None:
    world.say("Tôi dị ứng với đậu phộng", scope=Scope("default", user_id="alice", run_id="1"))
    world.say("Hôm nay trời đẹp", scope=Scope("default", user_id="alice", run_id="2"))
    assert world.find("di ung dau phong", top_k=1)[0].memory.text == "Tôi dị ứng với đậu phộng"


def test_a_superseding_update_is_found_by_its_new_words_alone(world: World) -> None:
    memory_id = world.say("I drive a Volvo").results[0].id
    world.services.changes.update(UpdateRequest("default", memory_id, text="I ride a bicycle"))
    assert [hit.memory.text for hit in world.find("Volvo")] == ["I ride a bicycle"]
    assert world.find("Volvo")[0].details.bm25_rank is None  # type: ignore[union-attr]


def test_the_ledger_has_the_last_word_over_a_stale_index(world: World) -> None:
    kept = world.say("pho is good", scope=Scope("default", user_id="alice", run_id="a")).results[0].id
    gone = world.say("pho is great", scope=Scope("default", user_id="alice", run_id="b")).results[0].id
    world.index.frozen = True
    world.services.changes.delete("default", gone)
    assert [hit.memory.id for hit in world.find("pho")] == [kept]


def test_another_tenants_memories_are_not_found_even_by_a_filter_that_lets_all_pass(world: World) -> None:
    world.say("pho of mine")
    world.say("pho of theirs", scope=Scope("other", user_id="alice"))
    assert [hit.memory.text for hit in world.find("pho", where=And())] == ["pho of mine"]


def test_a_rare_match_behind_many_candidates_is_still_found(world: World) -> None:
    """The index may only give a superset: the search widens until the filter is satisfied."""
    world.index.filters = False
    world.say(*(f"note {number}" for number in range(400)), metadata={"kind": "common"})
    world.say("note special", metadata={"kind": "rare"}, scope=Scope("default", user_id="alice", run_id="z"))
    rare = And((Compare(Field("user_id"), Operator.EQ, "alice"), Compare(Field("kind", True), Operator.EQ, "rare")))
    assert [hit.memory.text for hit in world.find("note", where=rare, top_k=1)] == ["note special"]


def test_a_search_into_a_scope_that_is_being_erased_reads_little(tmp_path: Path) -> None:
    """A large erasure leaves its rows in the index for minutes, and every one of them is a candidate."""
    counting = CountingLedger(SqliteLedger(tmp_path / "counted.db"))
    world = make_world(tmp_path, ledger=counting)  # type: ignore[arg-type]
    for _ in range(10):
        world.say(*(f"note {number}" for number in range(500)))
    world.index.frozen = True
    world.services.changes.delete_scope("default", {"user_id": "alice"})
    world.say("a note that was added since")
    counting.clear()
    assert [hit.memory.text for hit in world.find("note that was added since")] == ["a note that was added since"]
    assert counting.calls["read"] <= 45, "28 memories at a time would be 174 reads"
    counting.close()


def test_expired_memories_are_hidden_unless_asked_for(world: World) -> None:
    world.say("milk offer", expiration_date="2026-01-01")
    assert len(world.find("milk")) == 1, "its last day has not ended"
    world.clock.advance(86_400)
    assert world.find("milk") == []
    assert world.texts() == []


@pytest.mark.parametrize("query", ["red bicycle", "bicycle with a red bell and no saddle", "zebra"])
def test_a_memory_is_found_if_and_only_if_its_score_reaches_the_threshold(world: World, query: str) -> None:
    world.say("a red bicycle", "the bicycle of a neighbour", "bread and butter, as every morning")
    hits = world.find(query)
    assert len(hits) == 3
    for hit in hits:
        assert hit.details is not None
        assert hit.score == hit.details.final_score
        for threshold in (hit.score, math.nextafter(hit.score, 0), math.nextafter(hit.score, 1)):
            shown = [(one.memory.id, one.score) for one in world.find(query, threshold=threshold)]
            assert shown == [(one.memory.id, one.score) for one in hits if one.score >= threshold]


def test_a_cosine_above_the_threshold_does_not_suffice(world: World) -> None:
    world.say("a red bicycle")
    (hit,) = world.find("red bicycle")
    assert hit.details is not None
    assert hit.score < hit.details.semantic_score
    assert world.find("red bicycle", threshold=hit.details.semantic_score) == []


def test_a_memory_that_no_list_of_candidates_reaches_is_found_if_its_score_suffices(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is behind many by its vector and behind many by its words, but no other has both."""
    ids = [one.id for one in world.say(*(f"memory {number}" for number in range(9))).results]
    near = {id_: 0.6 if number < 4 else 0.5 if number == 8 else 0.0 for number, id_ in enumerate(ids)}
    worded = {id_: 20.0 if 4 <= number < 8 else 15.0 if number == 8 else 0.0 for number, id_ in enumerate(ids)}
    list_few(world, monkeypatch, near, worded)
    assert [hit.memory.id for hit in world.find("memory", top_k=1, threshold=0.5)] == [ids[8]]


def test_scores_that_no_result_depends_on_are_asked_for_only_where_a_better_memory_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [one.id for one in world.say(*(f"memory {number}" for number in range(9))).results]
    near = {ids[0]: 0.9, ids[1]: 0.6, ids[2]: 0.6, ids[8]: 0.5}
    worded = {ids[0]: 30.0, ids[4]: 20.0, ids[5]: 20.0, ids[6]: 20.0, ids[8]: 15.0}
    asked = list_few(world, monkeypatch, near, worded)
    assert [hit.memory.id for hit in world.find("memory", top_k=1)] == [ids[0]]
    assert asked == []
    world.services.changes.delete("default", ids[0])
    assert [hit.memory.id for hit in world.find("memory", top_k=1)] == [ids[8]], "its words count, too"
    assert len(asked) == len(set(asked)) == 2 * 3, "three rows of each list, once"


def list_few(
    world: World, monkeypatch: pytest.MonkeyPatch, near: dict[str, float], worded: dict[str, float]
) -> list[tuple[str, str]]:
    """Have each search list the best four of these rows; returns what is asked for besides, as it is asked for."""
    monkeypatch.setattr("forgetless.service.reading.retrieval.CANDIDATES", 4)
    monkeypatch.setattr("forgetless.service.reading.retrieval.CANDIDATES_PER_RESULT", 1)
    asked: list[tuple[str, str]] = []

    def scored(name: str, ranked: list[Hit], keys: list[tuple[str, int]]) -> list[Hit]:
        asked.extend((name, id_) for id_, _ in keys)
        return [hit for hit in ranked if (hit.memory_id, 1) in keys]

    for name, scores in (("vector", near), ("words", worded)):
        hits = (Hit(id_, 1, score, RowSignals().pack()) for id_, score in scores.items() if score)
        ranked = sorted(hits, key=lambda hit: -hit.score)
        monkeypatch.setattr(world.index, f"search_{name}", lambda *given, ranked=ranked: ranked[: given[-1]])
        monkeypatch.setattr(
            world.index, f"score_{name}", lambda *given, name=name, ranked=ranked: scored(name, ranked, given[-1])
        )
    return asked


def test_an_empty_query_is_refused_and_top_k_0_finds_nothing(world: World) -> None:
    world.say("anything")
    with pytest.raises(InvalidRequestError, match="query"):
        world.find("  ")
    assert world.find("anything", top_k=0) == []


def test_a_part_that_is_down_is_an_error_never_an_empty_answer(world: World) -> None:
    world.say("here", scope=ALICE)
    world.embedder.failure = EmbedderError("down")
    with pytest.raises(EmbedderError):
        world.find("here")
    world.embedder.failure = None
    world.index.available = False
    with pytest.raises(IndexUnavailableError):
        world.find("here")


def test_words_are_searched_while_the_query_is_embedded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.say("the garden needs water", scope=ALICE)
    begun = threading.Event()
    embed, search_words = world.embedder.embed, world.index.search_words

    def noted(*arguments: Any) -> Any:
        begun.set()
        return search_words(*arguments)

    def late(*arguments: Any, **named: Any) -> Any:
        assert begun.wait(10), "the words wait for the embedder"
        return embed(*arguments, **named)

    monkeypatch.setattr(world.index, "search_words", noted)
    monkeypatch.setattr(world.embedder, "embed", late)
    assert [hit.memory.text for hit in world.find("garden")] == ["the garden needs water"]


def test_words_that_cannot_be_searched_are_an_error_even_when_vectors_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise IndexUnavailableError("words are down")

    world.say("the garden", scope=ALICE)
    monkeypatch.setattr(world.index, "search_words", broken)
    with pytest.raises(IndexUnavailableError, match="words are down"):
        world.find("garden")


@pytest.mark.parametrize("failing", ["embedder", "vectors"])
def test_a_search_that_fails_leaves_no_search_by_words_behind(world: World, failing: str) -> None:
    began, ended = threading.Event(), threading.Event()
    search_words = world.index.search_words

    def slow_words(*arguments: Any) -> Any:
        began.set()
        threading.Event().wait(0.2)
        found = search_words(*arguments)
        ended.set()
        return found

    def fail(*_arguments: Any) -> Any:
        assert began.wait(10)
        raise EmbedderError("down")

    world.index.search_words = slow_words  # type: ignore[method-assign]
    if failing == "embedder":
        world.embedder.embed = fail  # type: ignore[method-assign]
    else:
        world.index.search_vector = fail  # type: ignore[method-assign]
    with pytest.raises(EmbedderError):
        world.find("tea")
    assert ended.is_set()


def test_ranks_are_those_among_the_results_and_tell_nothing_of_what_is_not_shown(world: World) -> None:
    mine = Compare(Field("user_id"), Operator.EQ, "bob")
    world.say("bob likes tea", "bob likes coffee", scope=Scope("default", user_id="bob"))

    def ranks() -> list[tuple[int | None, int | None]]:
        details = [hit.details for hit in world.find("tea with lupus", where=And((mine,)))]
        return [(one.dense_rank, one.bm25_rank) for one in details if one is not None]

    alone = ranks()
    assert [dense for dense, _ in alone] == [1, 2]
    world.index.filters = False
    world.say("tea with lupus", "tea with much lupus", scope=Scope("default", user_id="victim"))
    assert ranks() == alone


def test_a_filter_whose_conditions_are_too_much_work_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise 390 conditions for each of 16,384 candidates occupy a process until it is killed."""
    monkeypatch.setattr("tests.fakes.index.evaluate", lambda _where, _memory: True)  # as if it could not express it
    world.say(*(f"note {number}" for number in range(60)))
    users = Compare(Field("user_id"), Operator.EQ, "alice")
    some = tuple(Compare(Field("text", metadata=True), Operator.ICONTAINS, f"x{number}") for number in range(50))
    assert world.find("note", where=And((users, Or(some)))) == []
    monkeypatch.setattr("forgetless.domain.filters.evaluate.MOST_FILTER_STEPS", 1000)
    with pytest.raises(InvalidRequestError, match="filters: so many conditions"):
        world.find("note", where=And((users, Or(some))))


def test_a_query_that_the_embedder_refuses_is_searched_by_its_words_alone(world: World) -> None:
    for text in ("the poison shelf", "a shelf for books", "green tea"):
        world.say(text, scope=Scope("default", user_id="alice", run_id=text))
    scored = {hit.memory.text: hit.details for hit in world.find("poison shelf")}
    world.embedder.refuses = lambda text: "poison" in text
    found = world.find("poison shelf")
    assert [hit.memory.text for hit in found] == ["the poison shelf", "a shelf for books"]
    for hit in found:
        assert hit.details is not None
        assert (hit.details.semantic_score, hit.details.dense_rank, hit.details.by_words_alone) == (0.0, None, True)
        assert hit.details.parts == replace(scored[hit.memory.text].parts, meaning=0.0)  # type: ignore[union-attr]
        assert hit.score == pytest.approx(hit.details.parts.sum)
    assert world.find("poison !") != []
    assert world.find("poisonberry") == [], "it shares no word"


def test_a_search_by_words_alone_looks_as_wide_as_it_needs_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forgetless.service.reading.retrieval.CANDIDATES", 5)
    world.say(*(f"poison number {place}" for place in range(12)))
    world.embedder.refuses = lambda text: "poison" in text
    assert len(world.find("poison", top_k=1)) == 1
    assert len(world.find("poison", top_k=12)) == 12


def test_a_refused_query_fails_if_the_embedder_refuses_everything(world: World) -> None:
    world.say("tea")
    world.embedder.failure = ProviderRequestError("everything is refused", status=400, of_any_input=True)
    with pytest.raises(ProviderRequestError):
        world.find("tea")
