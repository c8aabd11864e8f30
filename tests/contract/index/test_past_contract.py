"""The contract of the collection of the past, for the index in memory and for Milvus."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.filters.ast import EVERYTHING, And, Compare, Field, Operator, Or
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.memory import Memory
from forgetless.domain.moments import OPEN, Moment, PastTimes
from forgetless.ports.index import Content, Index, IndexRow, PastMark, PastRow
from tests.contract.index.builders import EAST, NORTH, NORTH_EAST, asked, ids, memory, row


def day(number: int) -> str:
    return f"2026-01-{number:02}T00:00:00.000000+00:00"


def past(
    of: Memory,
    *,
    known: tuple[int, int | None] = (1, None),
    true: tuple[int, int | None] = (1, None),
    made_with: int | None = 0,
    made: IndexRow | None = None,
) -> PastRow:
    times = PastTimes(*(OPEN if number is None else day(number) for number in (*known, *true)))
    return PastRow(made or row(of, NORTH, "tea"), PastMark(times, made_with))


@pytest.mark.parametrize("as_of", [None, *range(9)])
@pytest.mark.parametrize("known_at", [None, 2, 3, 4, 9])
def test_rows_are_found_by_the_moments_at_which_they_may_have_held(
    shared_index: Index, as_of: int | None, known_at: int | None
) -> None:
    rows = [
        past(memory(f"{known} {true}"), known=known, true=true)
        for known in ((1, None), (3, None), (1, 3), (3, 4))
        for true in ((1, None), (4, None), (1, 4), (5, 8))
    ]
    tenant = f"at {as_of} {known_at}"
    rows = [
        replace(
            one,
            row=replace(one.row, memory=replace(one.row.memory, scope=replace(one.row.memory.scope, tenant=tenant))),
        )
        for one in rows
    ]
    shared_index.past.insert(rows)
    moment = Moment(None if as_of is None else day(as_of + 1), None if known_at is None else day(known_at))
    expected = sorted(one.row.memory.id for one in rows if one.mark.times.may_hold(moment))
    assert sorted(ids(shared_index.past.search_vector(tenant, NORTH, EVERYTHING, moment, 99))) == expected
    assert sorted(ids(shared_index.past.search_words(tenant, asked("tea"), EVERYTHING, moment, 99))) == expected
    assert len(shared_index.past.search_vector(tenant, NORTH, EVERYTHING, None, 99)) == len(rows)
    assert shared_index.search_vector(tenant, NORTH, EVERYTHING, 99) == [], "the present does not meet them"


def test_hits_of_the_past_have_the_scores_of_the_present(index: Index) -> None:
    of = memory("a", user_id="anna")
    made = row(of, NORTH_EAST, "like tea", signals=7)
    index.insert([made])
    index.past.insert([past(of, made=made)])
    anna, bob = (parse_filter({"user_id": name}) for name in ("anna", "bob"))
    question, key = asked("tea", tea=4.5), [(of.id, 1)]
    assert index.past.search_vector("acme", EAST, anna, None, 9) == index.search_vector("acme", EAST, anna, 9)
    assert index.past.search_words("acme", question, anna, None, 9) == index.search_words("acme", question, anna, 9)
    assert index.past.score_vector("acme", EAST, key) == index.score_vector("acme", EAST, key)
    assert index.past.score_words("acme", question, key) == index.score_words("acme", question, key)
    assert index.past.search_vector("acme", EAST, bob, None, 9) == []
    assert index.past.search_words("acme", question, bob, None, 9) == []
    assert index.past.search_words("acme", {}, anna, None, 9) == []
    assert index.past.search_vector("globex", EAST, EVERYTHING, None, 9) == []


def test_contents_move_from_one_collection_to_the_other_as_they_are(index: Index) -> None:
    of, other = memory("a", metadata={"k": 1}), memory("b")
    made = row(of, NORTH_EAST, "like tea", signals=2**62)
    index.insert([made, row(other)])
    assert index.contents("globex", [(of.id, 1)]) == index.contents("acme", [("nobody", 1)]) == {}
    content = index.contents("acme", [(of.id, 1), (of.id, 2)])
    assert content.keys() == {(of.id, 1)}
    moved = content[of.id, 1]
    assert isinstance(moved, Content)
    assert list(moved.vector) == index.vectors("acme", [(of.id, 1)])[of.id, 1]
    assert (dict(moved.words), moved.signals) == (pytest.approx(made.words), 2**62)  # type: ignore[arg-type]
    index.past.insert([PastRow(moved.of(of), past(of).mark)])
    assert index.past.contents("acme", [(of.id, 1)]) == content
    (near,) = index.search_vector("acme", NORTH, parse_filter({"k": 1}), 1)
    assert index.past.search_vector("acme", NORTH, parse_filter({"k": 1}), None, 1) == [near]


def test_a_row_without_a_vector_stays_without_one(index: Index) -> None:
    of = memory("a")
    index.insert([row(of, [], "tea")])
    content = index.contents("acme", [(of.id, 1)])[of.id, 1]
    assert list(content.vector) == []
    index.past.insert([PastRow(content.of(of), past(of).mark)])
    assert list(index.past.contents("acme", [(of.id, 1)])[of.id, 1].vector) == []
    assert len(index.past.search_words("acme", asked("tea"), EVERYTHING, None, 9)) == 1


def test_marks_come_back_as_they_went_in(index: Index) -> None:
    moved, made = past(memory("a"), known=(1, 3), true=(2, 4), made_with=None), past(memory("b"), made_with=3)
    index.past.insert([moved, made])
    keys = [(one.row.memory.id, 1) for one in (moved, made)]
    assert index.past.held("acme", [*keys, ("nobody", 1)]) == {keys[0]: moved.mark, keys[1]: made.mark}
    assert index.past.held("globex", keys) == {}


def test_a_repeated_insert_gives_one_hit_and_drop_removes_doubles(index: Index) -> None:
    rows = [past(memory("a", version=version)) for version in (1, 2)]
    index.past.insert([*rows, rows[0]])
    found = index.past.search_vector("acme", NORTH, EVERYTHING, None, 9)
    assert sorted(hit.version for hit in found) == [1, 2]
    key = (rows[0].row.memory.id, 1)
    index.past.drop("globex", [key])
    index.past.drop("acme", [key, ("nobody", 3)])
    assert [hit.version for hit in index.past.search_vector("acme", NORTH, EVERYTHING, None, 9)] == [2]


def test_only_a_deletion_takes_rows_of_the_past(index: Index) -> None:
    live, superseded, deleted = (memory(name, version=2) for name in "abc")
    index.past.insert([past(replace(one, version=1)) for one in (live, superseded, deleted)])
    index.past.insert([past(memory("c", tenant="globex"))])
    tombstone = replace(deleted, deleted=True)
    index.drop_older("acme", [live, replace(superseded, superseded_by=live.id), tombstone])
    assert index.past.held("acme", [(one.id, 1) for one in (live, superseded, deleted)]).keys() == {
        (live.id, 1),
        (superseded.id, 1),
    }
    assert index.past.count("globex") == 1


def test_the_past_is_counted_sampled_and_emptied_with_its_tenant(index: Index) -> None:
    assert index.past.count() == 0
    assert index.past.keys("acme", limit=9) == []
    index.past.insert([past(memory("a")), past(memory("b")), past(memory("a", tenant="globex"))])
    index.insert([row(memory("c"))])
    assert (index.past.count(), index.past.count("acme"), index.count()) == (3, 2, 1)
    assert len(index.past.keys("acme", limit=9)) == 2
    assert len(index.past.keys("acme", limit=1)) == 1
    index.drop_all("acme")
    assert (index.past.count("acme"), index.past.count("globex"), index.count()) == (0, 1, 0)
    index.drop_all()
    assert index.past.count() == 0


def test_a_version_can_be_asked_for_by_its_number(index: Index) -> None:
    index.insert([row(memory(f"v{version}", version=version)) for version in (1, 2, 3)])
    first = Compare(Field("version"), Operator.EQ, 1)
    assert [hit.version for hit in index.search_vector("acme", NORTH, first, 9)] == [1]
    late = And((Or((first, Compare(Field("created_at"), Operator.GT, day(30)))),))
    assert [hit.version for hit in index.search_vector("acme", NORTH, late, 9)] == [1]
