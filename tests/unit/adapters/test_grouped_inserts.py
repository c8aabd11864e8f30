"""Inserts of several threads share a call, and each thread learns of its own rows only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from forgetless.adapters.index_milvus.grouped_inserts import ALONE_ROWS, MOST_ROWS, GroupedInserts
from forgetless.domain.errors import IndexRefusedError, IndexUnavailableError

PATIENCE_S = 20


class Store:
    """Takes rows. While its gate is closed, calls wait before they end; `calls` has those that have begun."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []
        self.rows: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails: Callable[[list[Any]], Exception | None] = lambda _rows: None
        self._lock = threading.Lock()
        self.inside = self.most_inside = 0

    def insert(self, rows: list[Any]) -> None:
        with self._lock:
            self.calls.append([row["pk"] for row in rows])
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        try:
            assert self.gate.wait(PATIENCE_S)
            if (error := self.fails(rows)) is not None:
                raise error
            self.rows += [row["pk"] for row in rows]
        finally:
            with self._lock:
                self.inside -= 1


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inserts(store: Store, clock: Clock) -> GroupedInserts:
    return GroupedInserts(store.insert, slow_s=2.0, now=clock.now)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def rows(*pks: Any) -> list[dict[str, Any]]:
    return [{"pk": pk} for pk in pks]


def until(true: Callable[[], bool]) -> None:
    ended = threading.Event()
    for _ in range(PATIENCE_S * 200):
        if true():
            return
        ended.wait(0.005)
    raise AssertionError("it did not happen")


def waiting_behind_a_call(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor, *wanted: list[dict[str, Any]]
) -> list[Future[None]]:
    """Inserts of threads, the first of which is in its call while the others wait, in this order."""
    store.gate.clear()
    found = [pool.submit(inserts.insert, wanted[0])]
    until(lambda: len(store.calls) == 1)
    for number, one in enumerate(wanted[1:], start=1):
        found.append(pool.submit(inserts.insert, one))
        until(lambda number=number: len(inserts._waiting) == number)  # type: ignore[misc]
    return found


def test_who_is_alone_waits_for_nobody(store: Store, inserts: GroupedInserts) -> None:
    inserts.insert(rows(1))
    inserts.insert(rows(2, 3))
    assert store.calls == [[1], [2, 3]]


def test_who_comes_during_a_call_goes_with_the_others_in_the_next(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor
) -> None:
    added = waiting_behind_a_call(store, inserts, pool, rows(1), rows(2), rows(3, 4), rows(5))
    assert not any(one.done() for one in added)
    store.gate.set()
    for one in added:
        one.result(PATIENCE_S)
    assert store.calls == [[1], [2, 3, 4, 5]]
    assert store.rows == [1, 2, 3, 4, 5]
    inserts.insert(rows(6))
    assert store.calls[-1] == [6]


def test_nobody_returns_before_its_own_rows_are_inserted(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor
) -> None:
    held = threading.Event()
    store.fails = lambda some: None if some[0]["pk"] == 1 or held.wait(PATIENCE_S) else AssertionError()
    first, *others = waiting_behind_a_call(store, inserts, pool, rows(1), rows(2), rows(3))
    store.gate.set()
    first.result(PATIENCE_S)
    until(lambda: len(store.calls) == 2)
    assert not any(one.done() for one in others)
    held.set()
    for one in others:
        one.result(PATIENCE_S)


def test_a_row_that_is_refused_fails_its_own_thread_alone(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor
) -> None:
    store.fails = lambda some: IndexRefusedError("3 is wrong") if {"pk": 3} in some else None
    added = waiting_behind_a_call(store, inserts, pool, rows(1), rows(2), rows(3), rows(4))
    store.gate.set()
    assert [type(one.exception(PATIENCE_S)) for one in added] == [
        type(None),
        type(None),
        IndexRefusedError,
        type(None),
    ]
    assert store.rows == [1, 2, 4]
    assert store.calls == [[1], [2, 3, 4], [2], [3], [4]]


def test_when_milvus_hangs_all_who_wait_learn_it_at_once(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor, clock: Clock
) -> None:
    def hangs(_rows: list[Any]) -> Exception:
        clock.at += 5.0
        return IndexUnavailableError("no answer")

    store.fails = hangs
    added = waiting_behind_a_call(store, inserts, pool, rows(1), rows(2), rows(3))
    store.gate.set()
    assert {type(one.exception(PATIENCE_S)) for one in added} == {IndexUnavailableError}
    assert store.calls == [[1]]
    store.fails = lambda _rows: None
    inserts.insert(rows(4))
    assert store.rows == [4]


def test_a_group_is_bounded_and_large_inserts_go_alone(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor
) -> None:
    small = [rows(*range(start, start + ALONE_ROWS)) for start in range(1, 7 * ALONE_ROWS, ALONE_ROWS)]
    added = waiting_behind_a_call(store, inserts, pool, rows(0), *small)
    large = pool.submit(inserts.insert, rows(*range(1000, 1000 + ALONE_ROWS + 1)))
    until(lambda: len(store.calls) == 2)
    store.gate.set()
    for one in (*added, large):
        one.result(PATIENCE_S)
    assert [len(call) for call in store.calls] == [1, ALONE_ROWS + 1, MOST_ROWS, 3 * ALONE_ROWS]


def test_a_thread_that_is_ended_in_its_call_leaves_nobody_waiting(
    store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor
) -> None:
    def ends(some: list[Any]) -> None:
        if {"pk": 2} in some:
            raise SystemExit

    store.fails = ends
    first, ended, beside = waiting_behind_a_call(store, inserts, pool, rows(1), rows(2), rows(3))
    store.gate.set()
    assert first.exception(PATIENCE_S) is None
    assert isinstance(ended.exception(PATIENCE_S), SystemExit)
    assert isinstance(beside.exception(PATIENCE_S), IndexUnavailableError)
    inserts.insert(rows(4))
    assert store.rows == [1, 4]


def test_under_load_each_row_is_inserted_once(store: Store, inserts: GroupedInserts, pool: ThreadPoolExecutor) -> None:
    # A third of the calls with several threads' rows fail, and each of their rows must still come through once.
    store.fails = lambda some: IndexUnavailableError("busy") if len(some) > 1 and len(store.calls) % 3 == 0 else None
    store.gate.clear()
    added = [pool.submit(inserts.insert, rows(number)) for number in range(600)]
    until(lambda: len(inserts._waiting) > 30)
    store.gate.set()
    for one in added:
        one.result(PATIENCE_S)
    assert sorted(store.rows) == list(range(600))
    assert any(len(call) > 1 for call in store.calls)
    assert store.most_inside == 1
