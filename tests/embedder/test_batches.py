"""The choice of the next batch: fixed cases, then its rules on random queues."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from embedder.batches import Limits, next_batch


@dataclass(frozen=True)
class Entry:
    tokens: int
    group: str = ""
    cancelled: bool = False


def lengths(entries: list[Entry]) -> list[int]:
    return [entry.tokens for entry in entries]


def test_an_empty_queue_gives_an_empty_batch() -> None:
    cut = next_batch([], Limits())
    assert (cut.rows, cut.rest) == ([], [])


def test_rows_come_sorted_by_length() -> None:
    cut = next_batch([Entry(20), Entry(18), Entry(22)], Limits())
    assert lengths(cut.rows) == [18, 20, 22]


def test_the_budget_counts_padding() -> None:
    queue = [Entry(10), Entry(20)]
    assert lengths(next_batch(queue, Limits(tokens=40)).rows) == [10, 20]
    assert lengths(next_batch(queue, Limits(tokens=39)).rows) == [10]


def test_the_nearest_in_length_join_first() -> None:
    cut = next_batch([Entry(20), Entry(26), Entry(24), Entry(21), Entry(19)], Limits(tokens=63))
    assert lengths(cut.rows) == [19, 20, 21]
    assert lengths(cut.rest) == [26, 24]


def test_a_text_over_the_budget_goes_alone() -> None:
    cut = next_batch([Entry(500), Entry(500)], Limits(tokens=384))
    assert lengths(cut.rows) == [500]


def test_rows_are_limited() -> None:
    cut = next_batch([Entry(1)] * 10, Limits(rows=4))
    assert (len(cut.rows), len(cut.rest)) == (4, 6)


def test_lengths_far_from_the_first_wait_for_another_batch() -> None:
    cut = next_batch([Entry(20), Entry(100), Entry(21), Entry(3)], Limits(tokens=1000))
    assert lengths(cut.rows) == [20, 21]
    assert lengths(cut.rest) == [100, 3]


def test_groups_are_not_mixed() -> None:
    cut = next_batch([Entry(5, "query"), Entry(5, "passage"), Entry(5, "query")], Limits())
    assert [entry.group for entry in cut.rows] == ["query", "query"]
    assert [entry.group for entry in cut.rest] == ["passage"]


def test_no_more_than_the_lookahead_is_looked_at() -> None:
    cut = next_batch([Entry(9), Entry(200), Entry(9)], Limits(lookahead=2))
    assert lengths(cut.rows) == [9]
    assert lengths(cut.rest) == [200, 9]


ENTRIES = st.lists(st.builds(Entry, st.integers(1, 600), st.sampled_from(["", "query"]), st.booleans()), max_size=60)
LIMITS = st.builds(Limits, st.integers(1, 1024), st.integers(1, 40), st.integers(1, 64))


@given(ENTRIES, LIMITS)
def test_the_first_that_is_wanted_is_always_taken(entries: list[Entry], limits: Limits) -> None:
    wanted = [entry for entry in entries if not entry.cancelled]
    rows = next_batch(entries, limits).rows
    assert any(entry is wanted[0] for entry in rows) if wanted else not rows


@given(ENTRIES, LIMITS)
def test_limits_hold_but_for_a_single_row(entries: list[Entry], limits: Limits) -> None:
    rows = next_batch(entries, limits).rows
    assert len(rows) <= limits.rows
    assert len(rows) <= 1 or len(rows) * max(lengths(rows)) <= limits.tokens
    assert len({entry.group for entry in rows}) <= 1
    assert lengths(rows) == sorted(lengths(rows))


@given(ENTRIES, LIMITS)
def test_nothing_is_lost_doubled_or_reordered(entries: list[Entry], limits: Limits) -> None:
    cut = next_batch(entries, limits)
    taken = {id(entry) for entry in cut.rows}
    rest = [entry for entry in cut.rest if not entry.cancelled]
    live = [entry for entry in entries if not entry.cancelled]
    # Equal entries may be one object, so counts are compared, and the order of what stays.
    assert sorted(lengths(cut.rows + rest)) == sorted(lengths(live))
    distinct = [entry for entry in live if id(entry) not in taken]
    assert [entry for entry in rest if id(entry) not in taken] == distinct
    assert not any(entry.cancelled for entry in cut.rows)


@given(ENTRIES, LIMITS)
def test_a_queue_empties_and_nobody_waits_longer_than_his_place(entries: list[Entry], limits: Limits) -> None:
    queue, rounds = list(entries), 0
    live = sum(not entry.cancelled for entry in entries)
    while (cut := next_batch(queue, limits)).rows:
        queue, rounds = cut.rest, rounds + 1
    assert cut.rest == []
    assert rounds <= live
