"""The contract of the index port, for the index in memory and for Milvus."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.sparse_words import RESERVED_ID, query_vector, term_id
from forgetless.ports.index import Index, IndexRow
from tests.contract.index.builders import EAST, NORTH, NORTH_EAST, asked, ids, memory, row
from tests.contract.index.conftest import NEWER

#: What breaks quoting, matching or a parser somewhere.
NASTY = [
    'x" or tenant != "',
    "x' or 1 == 1 or '",
    "back\\slash",
    "ends with \\",
    '\\" or true or \\"',
    "100%",
    "_",
    "a\\%b",
    "{x}",
    "[1]",
    "tab\there",
    "line\nbreak",
    "\r\n",
    "\x00",
    "\x7f",
    "\ud800",
    "émoji 🦜",
    "đường",
    "\u202e right to left",
    "*",
    " ",
    "null",
    "true",
    "1",
    "tenant",
    "x" * 300,
    "ắ" * 256,
    "sha256:0",
    "$meta",
    'metadata["k"]',
]


def test_several_vectors_are_searched_in_one_call(index: Index) -> None:
    north, east = row(memory("a"), NORTH, "w"), row(memory("b"), EAST, "w")
    index.insert([north, east])
    assert index.search_vectors("acme", [], EVERYTHING, 9) == []
    assert index.search_vectors("globex", [NORTH, EAST], EVERYTHING, 9) == [[], []]
    found = index.search_vectors("acme", [NORTH, EAST, NORTH], EVERYTHING, 1)
    assert [ids(hits) for hits in found] == [[north.memory.id], [east.memory.id], [north.memory.id]]
    assert found[0] == index.search_vector("acme", NORTH, EVERYTHING, 1)
    assert index.search_vectors("acme", [NORTH], EVERYTHING, 0) == [[]]


def test_inserted_rows_are_found_by_the_next_search_best_first(index: Index) -> None:
    near, far, middle = memory("near"), memory("far"), memory("middle")
    index.insert([row(far, EAST), row(near, NORTH), row(middle, NORTH_EAST)])
    hits = index.search_vector("acme", NORTH, EVERYTHING, 10)
    assert [hit.memory_id for hit in hits] == [near.id, middle.id, far.id]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, 0], abs=1e-5)


def test_words_find_rows_by_the_inner_product_of_their_weights(index: Index) -> None:
    rare, common, none = memory("rare"), memory("common"), memory("none")
    index.insert([row(rare, words="like sushi"), row(common, words="like tea"), row(none, words="walk")])
    hits = index.search_words("acme", asked("sushi like", sushi=6.5, like=0.25), EVERYTHING, 10)
    assert [hit.memory_id for hit in hits] == [rare.id, common.id]
    assert [hit.score for hit in hits] == pytest.approx([6.75, 0.25], abs=1e-4)


def test_what_other_tenants_hold_moves_no_score(index: Index) -> None:
    """BM25's statistics are those of the whole collection: with it, each of these rows would change the score."""
    mine = [row(memory("1"), words="order tea"), row(memory("2"), words="order"), row(memory("3"), words="walk")]
    index.insert(mine)
    question = asked("order tea", order=2.5, tea=5.0)
    before = index.search_words("acme", question, EVERYTHING, 9)
    index.insert([row(memory(f"o{n}", tenant="globex"), words="order tea walk") for n in range(100)])
    assert index.search_words("acme", question, EVERYTHING, 9) == before
    assert [hit.score for hit in before] == pytest.approx([7.5, 2.5], abs=1e-4)


def test_every_hit_carries_the_signals_of_its_row(index: Index) -> None:
    largest, none = row(memory("a"), NORTH, "tea", signals=2**63 - 1), row(memory("b"), EAST, "tea")
    index.insert([largest, none])
    keys = [(one.memory.id, 1) for one in (largest, none)]
    for hits in (
        index.search_vector("acme", NORTH, EVERYTHING, 9),
        index.search_vectors("acme", [NORTH], EVERYTHING, 9)[0],
        index.search_words("acme", asked("tea"), EVERYTHING, 9),
        index.score_vector("acme", NORTH, keys),
        index.score_words("acme", asked("tea"), keys),
    ):
        assert {hit.memory_id: hit.signals for hit in hits} == {largest.memory.id: 2**63 - 1, none.memory.id: 0}
    assert index.unchanged("acme", [row(memory("a"), NORTH, "tea", signals=1), none]) == {keys[1]}


def test_a_row_has_as_many_words_and_weights_as_small_as_a_text_can_have(index: Index) -> None:
    many = {term_id(f"w{number}"): 1 / (number + 1) for number in range(3000)}
    one = IndexRow(memory("one"), NORTH, {RESERVED_ID: 1.0, **many})
    index.insert([one, row(memory("other"), words="w2999")])
    for asked_for in ({term_id("w2999"): 0.01}, {term_id("w2999"): 7.0, term_id("w0"): 7.0}):
        hits = index.search_words("acme", asked_for, EVERYTHING, 9)
        scores = {hit.memory_id: hit.score for hit in hits}
        expected = sum(weight * many[term] for term, weight in asked_for.items())
        assert scores[one.memory.id] == pytest.approx(expected, abs=1e-4)
    assert index.unchanged("acme", [one]) == {(one.memory.id, 1)}


def test_the_reserved_term_finds_every_row_and_no_question_has_it(index: Index) -> None:
    index.insert([row(memory("empty")), row(memory("tea"), words="tea")])
    assert len(index.search_words("acme", {RESERVED_ID: 1.0}, EVERYTHING, 9)) == 2
    assert RESERVED_ID not in query_vector("tea and coffee")


def test_named_rows_are_scored_as_a_search_scores_them(index: Index) -> None:
    rows = [
        row(memory("a"), NORTH, words="like sushi"),
        row(memory("b"), EAST, words="like tea"),
        row(memory("c"), EAST),
    ]
    index.insert(rows)
    keys = [(one.memory.id, one.memory.version) for one in rows[:2]]
    near = index.search_vector("acme", NORTH_EAST, EVERYTHING, 10)
    said = index.search_words("acme", asked("sushi like"), EVERYTHING, 10)
    for scored, searched in (
        (index.score_vector("acme", NORTH_EAST, [*keys, ("nobody", 1)]), near),
        (index.score_words("acme", asked("sushi like"), [*keys, ("nobody", 1)]), said),
    ):
        assert {(hit.memory_id, hit.version) for hit in scored} == set(keys)
        expected = {hit.memory_id: hit.score for hit in searched}
        assert {hit.memory_id: hit.score for hit in scored} == pytest.approx(
            {memory_id: expected[memory_id] for memory_id, _ in keys}, abs=1e-5
        )


def test_named_rows_of_another_tenant_are_not_scored(index: Index) -> None:
    theirs = row(memory("a", tenant="other"), NORTH, words="sushi")
    index.insert([theirs])
    keys = [(theirs.memory.id, theirs.memory.version)]
    assert index.score_vector("acme", NORTH, keys) == []
    assert index.score_words("acme", asked("sushi"), keys) == []
    assert index.score_vector("acme", NORTH, []) == []


def test_the_same_id_in_two_tenants_is_two_rows(index: Index) -> None:
    mine, theirs = memory("same"), memory("same", tenant="other")
    index.insert([row(mine, NORTH, words="tea"), row(theirs, EAST, words="tea")])
    index.drop("other", [(theirs.id, theirs.version)])
    index.drop_older("other", [theirs.tombstone(theirs.updated_at, event_id="deletion")])
    assert ids(index.search_vector("acme", NORTH, EVERYTHING, 9)) == [mine.id]
    assert index.vectors("other", [(mine.id, mine.version)]) == {}
    assert index.vectors("acme", [(mine.id, mine.version)]) == {(mine.id, 1): NORTH}


@pytest.mark.parametrize("words", ["", " ", "unknown", "đ 記憶"])
def test_words_that_nobody_said_find_nothing(index: Index, words: str) -> None:
    index.insert([row(memory("one"), words="like tea")])
    assert ids(index.search_words("acme", asked(words), EVERYTHING, 10)) == []


def test_an_empty_index_finds_nothing(index: Index) -> None:
    assert ids(index.search_vector("acme", NORTH, EVERYTHING, 10)) == []
    assert ids(index.search_words("acme", asked("tea"), EVERYTHING, 10)) == []
    assert index.vectors("acme", [("nobody", 1)]) == {}
    index.drop("acme", [("nobody", 1)])
    index.drop_older("acme", [memory("nobody")])
    index.drop_all("acme")


def test_hits_carry_the_version_of_their_row(index: Index) -> None:
    index.insert([row(memory("one", version=7))])
    assert index.search_vector("acme", NORTH, EVERYTHING, 1)[0].version == 7


def test_the_limit_is_kept_and_may_exceed_what_milvus_allows(index: Index) -> None:
    index.insert([row(memory(f"m{n}"), words="tea") for n in range(5)])
    assert len(ids(index.search_vector("acme", NORTH, EVERYTHING, 3))) == 3
    assert len(ids(index.search_words("acme", asked("tea"), EVERYTHING, 3))) == 3
    assert len(ids(index.search_vector("acme", NORTH, EVERYTHING, 1_000_000))) == 5
    assert ids(index.search_vector("acme", NORTH, EVERYTHING, 0)) == []


def test_a_repeated_insert_gives_one_hit(index: Index) -> None:
    one = memory("one")
    index.insert([row(one, words="tea")])
    index.insert([row(one, words="tea")])
    assert ids(index.search_vector("acme", NORTH, EVERYTHING, 10)) == [one.id]
    assert ids(index.search_words("acme", asked("tea"), EVERYTHING, 10)) == [one.id]


def test_drop_removes_the_named_versions_doubles_too(index: Index) -> None:
    old, new, other = memory("one", version=1), memory("one", version=2), memory("other")
    index.insert([row(old), row(old), row(new), row(other)])
    index.drop("acme", [(old.id, 1), ("unknown", 1), (other.id, 9)])
    hits = index.search_vector("acme", NORTH, EVERYTHING, 10)
    assert sorted((hit.memory_id, hit.version) for hit in hits) == sorted([(new.id, 2), (other.id, 1)])


def test_drop_older_keeps_the_current_version_of_the_living_only(index: Index) -> None:
    alive, dead, other = memory("alive", version=3), memory("dead", version=2, deleted=True), memory("other")
    rows = [memory("alive", version=v) for v in (1, 2, 3)] + [memory("dead", version=v) for v in (1, 2)]
    index.insert([row(m) for m in [*rows, other]])
    index.drop_older("acme", [alive, dead])
    hits = index.search_vector("acme", NORTH, EVERYTHING, 10)
    assert sorted((hit.memory_id, hit.version) for hit in hits) == sorted([(alive.id, 3), (other.id, 1)])


def test_drop_older_takes_many_memories_at_once(index: Index) -> None:
    alive = [memory(f"alive{n}", version=2) for n in range(250)]
    dead = [memory(f"dead{n}", version=1, deleted=True) for n in range(250)]
    index.insert([row(memory(f"alive{n}", version=version)) for n in range(250) for version in (1, 2)])
    index.insert([row(m) for m in dead])
    index.drop_older("acme", [*alive, *dead])
    hits = index.search_vector("acme", NORTH, EVERYTHING, 2000)
    assert {(hit.memory_id, hit.version) for hit in hits} == {(m.id, 2) for m in alive}


def test_drop_all_empties_one_tenant_or_everything(index: Index) -> None:
    index.insert([row(memory("one", tenant=tenant)) for tenant in ("acme", "globex", "initech")])
    index.drop_all("acme")
    assert [len(ids(index.search_vector(t, NORTH, EVERYTHING, 9))) for t in ("acme", "globex", "initech")] == [0, 1, 1]
    index.drop_all()
    assert [len(ids(index.search_vector(t, NORTH, EVERYTHING, 9))) for t in ("acme", "globex", "initech")] == [0, 0, 0]
    index.insert([row(memory("two"))])
    assert len(ids(index.search_vector("acme", NORTH, EVERYTHING, 9))) == 1


def test_vectors_come_back_as_they_went_in(index: Index) -> None:
    one = memory("one")
    index.insert([row(one, [0.25, -0.5, 0.75, 3.0]), row(memory("two"), EAST)])
    assert index.vectors("acme", [(one.id, 1), (one.id, 2), ('"', 1)]) == {(one.id, 1): [0.25, -0.5, 0.75, 3.0]}
    assert index.vectors("globex", [(one.id, 1)]) == {}


def test_a_row_without_a_vector_is_found_by_its_words_alone(index: Index) -> None:
    none, north = row(memory("none"), [], "tea"), row(memory("north"), words="tea")
    index.insert([none, north])
    assert set(ids(index.search_words("acme", asked("tea"), EVERYTHING, 9))) == {none.memory.id, north.memory.id}
    scores = {hit.memory_id: hit.score for hit in index.search_vector("acme", NORTH, EVERYTHING, 9)}
    assert scores.get(none.memory.id, 0.0) == 0.0
    assert [hit.score for hit in index.score_vector("acme", NORTH, [(none.memory.id, 1)])] in ([], [0.0])
    keys = [(none.memory.id, 1), (north.memory.id, 1)]
    assert index.vectors("acme", keys) == {keys[0]: [], keys[1]: NORTH}
    assert index.held("acme", keys) == set(keys)
    assert index.unchanged("acme", [none]) == {keys[0]}
    assert index.unchanged("acme", [none, north]) == set(keys)
    assert index.unchanged("acme", [row(none.memory, NORTH, "tea"), row(north.memory, [], "tea")]) == set()
    index.drop("acme", [keys[0]])
    assert index.held("acme", keys) == {keys[1]}


def test_a_vector_of_another_dimension_is_refused(index: Index) -> None:
    with pytest.raises(ValueError, match="dimensions"):
        index.insert([row(memory("one"), [1.0, 2.0])])


def test_ids_filter_exactly(index: Index) -> None:
    alice, bob = memory("1", user_id="alice", run_id="r1"), memory("2", user_id="bob")
    index.insert([row(alice, words="tea"), row(bob, words="tea")])
    where = parse_filter({"user_id": "alice"})
    assert ids(index.search_vector("acme", NORTH, where, 9)) == [alice.id]
    assert ids(index.search_words("acme", asked("tea"), where, 9)) == [alice.id]
    assert ids(index.search_vector("acme", NORTH, parse_filter({"run_id": "*"}), 9)) == [alice.id]
    assert ids(index.search_vector("acme", NORTH, parse_filter({"NOT": {"run_id": "r1"}}), 9)) == [bob.id]


@pytest.mark.parametrize("nasty", NASTY)
def test_nasty_text_is_data_and_never_opens_another_tenant(shared_index: Index, nasty: str) -> None:
    mine = memory("mine", tenant=nasty, user_id=nasty, metadata={nasty: nasty}, categories=(nasty,), role=nasty)
    theirs = memory("theirs", tenant="other", user_id="other", metadata={"k": "v"})
    shared_index.insert([row(mine), row(theirs)])
    found = ids(shared_index.search_vector(nasty, NORTH, EVERYTHING, 9))
    assert found == [mine.id]
    for where in ({"metadata": {nasty: {"eq": nasty}}}, {"metadata": {nasty: {"in": [nasty, 1]}}}):
        assert mine.id in ids(shared_index.search_vector(nasty, NORTH, parse_filter(where), 9))
        assert mine.id not in ids(shared_index.search_vector("other", NORTH, parse_filter(where), 9))
    if nasty.isprintable():
        for where in ({"user_id": {"eq": nasty}}, {"categories": {"in": [nasty]}}, {"role": {"eq": nasty}}):
            assert ids(shared_index.search_vector(nasty, NORTH, parse_filter(where), 9)) == [mine.id]
            assert ids(shared_index.search_vector("other", NORTH, parse_filter(where), 9)) == []


@pytest.mark.parametrize("nasty", NASTY)
def test_nasty_keys_and_tenants_drop_nothing_of_others(shared_index: Index, nasty: str) -> None:
    theirs = memory("theirs")
    shared_index.insert([row(theirs)])
    shared_index.drop("acme", [(nasty, 1)])
    shared_index.drop(nasty, [(theirs.id, 1)])
    shared_index.drop_older(nasty, [memory("theirs", version=9)])
    shared_index.drop_all(nasty)
    assert ids(shared_index.search_vector("acme", NORTH, EVERYTHING, 9)) == [theirs.id]


@pytest.mark.parametrize(
    "metadata",
    [
        {"big": 2**80, "k": "v"},
        {"nan": float("nan"), "inf": float("-inf"), "k": "v"},
        {"long": "x" * 100_000, "k": "v"},
        {"\x00": 1, "": 2, "a[b]": 3, "k": "v"},
        {"text": "nul \x00 and \ud800", "k": "v"},
        {**{f"key{n}": "x" * 500 for n in range(500)}, "k": "v"},
        {"deep": {"er": [{"st": None}]}, "list": [1, "v"], "none": None, "k": "v"},
    ],
    ids=lambda metadata: next(iter(metadata)).encode("unicode_escape").decode()[:8],
)
def test_odd_metadata_is_indexed_and_filters_lose_nothing(index: Index, metadata: dict[str, object]) -> None:
    one = memory("one", metadata=metadata)
    index.insert([row(one)])
    for name, value in metadata.items():
        if isinstance(value, str) and len(value) < 1000:
            assert ids(index.search_vector("acme", NORTH, parse_filter({"metadata": {name: {"eq": value}}}), 9))
    assert ids(index.search_vector("acme", NORTH, parse_filter({"k": "v"}), 9)) == [one.id]


def test_many_rows_in_one_insert_all_arrive(index: Index) -> None:
    index.insert([row(memory(f"m{n}"), words="tea") for n in range(450)])
    assert len(ids(index.search_vector("acme", NORTH, EVERYTHING, 1000))) == 450
    index.drop("acme", [(memory(f"m{n}").id, 1) for n in range(449)])
    assert ids(index.search_vector("acme", NORTH, EVERYTHING, 1000)) == [memory("m449").id]


def test_ping_is_silent_while_the_index_answers(index: Index) -> None:
    index.ping()


def test_rows_are_counted_by_tenant_and_in_all_doubles_as_often_as_they_are_there(index: Index) -> None:
    assert (index.count(), index.count("acme")) == (0, 0)
    one, double = memory("one"), memory("double")
    index.insert([row(one), row(double), row(double), row(memory("theirs", tenant="globex"))])
    # Milvus Lite 3.2.2 takes a repeated insert as a replacement, and the others keep doubles.
    doubles = 0 if NEWER and isinstance(index, MilvusIndex) else 1
    assert (index.count(), index.count("acme")) == (3 + doubles, 2 + doubles)
    assert (index.count("globex"), index.count("nobody")) == (1, 0)
    index.drop("acme", [(double.id, 1)])
    assert (index.count(), index.count("acme")) == (2, 1)
    index.drop_all()
    assert (index.count(), index.count("globex")) == (0, 0)


def test_rows_that_are_there_are_told_from_those_that_are_not(index: Index) -> None:
    one, theirs = memory("one", version=2), memory("theirs", tenant="globex")
    assert index.held("acme", [(one.id, 2)]) == set()
    index.insert([row(one), row(theirs)])
    asked = [(one.id, 1), (one.id, 2), (theirs.id, 1), ("unknown", 1), ('"', 1)]
    assert index.held("acme", asked) == {(one.id, 2)}
    assert index.held("globex", asked) == {(theirs.id, 1)}
    assert index.held("acme", []) == set()


def test_rows_are_unchanged_only_when_they_are_held_once_and_just_so(index: Index) -> None:
    same, words, vector, double = (memory(name) for name in ("same", "words", "vector", "double"))
    filtered = memory("filtered", metadata={"a": 1, "b": ["list"], "c": "x"}, categories=("food", "tea"))
    assert index.unchanged("acme", [row(same)]) == set()
    theirs = row(memory("theirs", tenant="globex"))
    index.insert([row(same), row(words, words="tea"), row(vector), row(double), row(filtered), theirs])
    index.insert([row(double, words="another text")])
    asked = [row(same), row(words, words="tea cup"), row(vector, EAST), row(double), row(filtered), row(memory("new"))]
    assert index.unchanged("acme", asked) - {(double.id, 1)} == {(same.id, 1), (filtered.id, 1)}
    assert (double.id, 1) not in index.unchanged("acme", asked)
    assert index.unchanged("acme", [row(replace(filtered, metadata={"a": 2, "c": "x"}))]) == set()
    assert index.unchanged("acme", [row(memory("same", version=2))]) == set()
    assert index.unchanged("globex", [theirs]) == {(theirs.memory.id, 1)}
    assert index.unchanged("globex", [row(same)]) == set()


def test_keys_are_some_rows_of_the_tenant_from_a_place_on(index: Index) -> None:
    assert index.keys("acme", limit=5) == []
    mine = [memory(f"m{n}", version=3) for n in range(40)]
    index.insert([row(one) for one in mine] + [row(memory("theirs", tenant="globex"))])
    every = {(one.id, 3) for one in mine}
    assert set(index.keys("acme", limit=1000)) == every
    some = index.keys("acme", limit=7)
    assert len(set(some)) == 7
    assert set(some) <= every
    assert set(index.keys("acme", limit=1000, beyond="8")) == {key for key in every if key[0] >= "8"}
    assert index.keys("acme", limit=0) == []
    assert set(index.keys("globex", limit=9)) == {(memory("theirs").id, 1)}


@pytest.mark.parametrize("nasty", NASTY)
def test_nasty_tenants_and_places_count_nothing_of_others(shared_index: Index, nasty: str) -> None:
    mine = memory("mine", tenant=f"count {nasty}")
    shared_index.insert([row(mine)])
    assert shared_index.count(f"count {nasty}") == 1
    assert shared_index.held(f"count {nasty}", [(mine.id, 1)]) == {(mine.id, 1)}
    assert shared_index.keys(f"count {nasty}", limit=9) == [(mine.id, 1)]
    assert set(shared_index.keys(f"count {nasty}", limit=9, beyond=nasty)) <= {(mine.id, 1)}
