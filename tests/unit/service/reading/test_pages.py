"""Pages of lists: they follow each other to the end, whatever the size, and read no more than the page and a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.cursors import after_memory
from forgetless.domain.errors import InvalidRequestError, LedgerError
from forgetless.domain.filters.ast import And, Compare, Field, Filter, Not, Operator, Or
from forgetless.domain.filters.scope_ids import all_ids
from forgetless.domain.limits import MOST_OFFSET, SCANNED_ROWS
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.reading.lists import ReadService
from forgetless.service.requests import Count, PageOf, PageRequest
from tests.contract.ledger.making import ANNA, a_job, a_memory, add, at, update
from tests.fakes.clock import FakeClock
from tests.fakes.counting_ledger import CountingLedger
from tests.unit.service.world import only

MANY = 20_000
ANNAS = all_ids({"user_id": "anna"})
ODD = Compare(Field("odd", metadata=True), Operator.EQ, True)


class Lists:
    """A ledger whose calls are counted, and a service that lists from it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = CountingLedger(ledger)
        self.clock = FakeClock()
        self.reads = ReadService(ledger=cast("Ledger", self.ledger), clock=self.clock)

    def fill(self, count: int, *, scope: Scope = ANNA, name: str = "m", **more: Any) -> list[Memory]:
        memories = [
            replace(a_memory(name, n, scope=scope, **more), created_at=at(0), metadata={"odd": n % 2 == 1, "n": n})
            for n in range(count)
        ]
        for begin in range(0, count, 1000):
            self.ledger.append(add(*memories[begin : begin + 1000]))
        self.ledger.clear()
        return memories[::-1]

    def page(self, where: Filter = ANNAS, size: int = 100, **more: Any) -> PageOf[Memory]:
        return self.reads.page(PageRequest("acme", where, size, **more))


@pytest.fixture
def lists(tmp_path: Path) -> Iterator[Lists]:
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        yield Lists(ledger)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lists]:
    """20,000 memories of one user, written straight into the ledger; half of them are odd."""
    with closing(SqliteLedger(tmp_path_factory.mktemp("many") / "ledger.db")) as ledger:
        found = Lists(ledger)
        found.fill(MANY)
        yield found


def pages(read: Callable[[int], PageOf[Any]]) -> Iterator[PageOf[Any]]:
    """Pages by their numbers, as the official clients ask for them, until none follows."""
    number = 0
    while True:
        number += 1
        page = read(number)
        yield page
        if page.cursor is None:
            return


def test_a_clients_loop_over_20_000_memories_ends_with_all_of_them_at_equal_cost(many: Lists) -> None:
    """By page and page_size alone, until page * page_size reaches the count."""
    seen: list[int] = []
    number = 0
    while True:
        number += 1
        many.ledger.clear()
        page = many.page(size=200, number=number)
        assert (page.count, len(page.items)) == (Count(MANY), 200)
        assert many.ledger.rows["list_memories"] <= 202
        assert many.ledger.calls["list_memories"] == 1
        assert sum(many.ledger.calls.values()) <= 4
        seen += [memory.metadata["n"] for memory in page.items]
        if number * 200 >= page.count.number:
            break
    assert page.cursor is None
    assert seen == list(range(MANY))[::-1]


@pytest.mark.parametrize("size", [100, 200])
def test_a_loop_over_what_must_be_scanned_ends_with_all_of_it(many: Lists, size: int) -> None:
    """The count of a filter is a lower bound at first, and always lets the loop go on."""
    seen: list[int] = []
    for number, page in enumerate(pages(lambda n: many.page(And((ANNAS, ODD)), size, number=n)), 1):
        if number == 1:
            assert page.count.number >= SCANNED_ROWS // 2
        assert page.count.exact == (page.cursor is None)
        assert page.cursor is None or page.count.number > number * size
        assert many.ledger.rows["list_memories"] <= SCANNED_ROWS + 600
        many.ledger.clear()
        seen += [memory.metadata["n"] for memory in page.items]
    assert seen == list(range(1, MANY, 2))[::-1]
    assert page.count == Count(MANY // 2)


def test_a_selective_filter_reads_a_bounded_scan_and_not_row_by_row(many: Lists) -> None:
    one = And((ANNAS, Compare(Field("n", metadata=True), Operator.EQ, 1)))
    many.ledger.clear()
    page = many.page(one, 1)
    assert (page.items, page.cursor is not None, page.count.exact) == ((), True, False)
    assert many.ledger.rows["list_memories"] <= SCANNED_ROWS + 500
    assert min(many.ledger.limits) >= 98
    found = [memory.metadata["n"] for page in pages(lambda n: many.page(one, 1, number=n)) for memory in page.items]
    assert found == [1]


def test_a_page_of_a_costly_filter_ends_early_and_its_cursor_continues_it(
    many: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conditions and the rows are bounded each, and so is their product."""
    monkeypatch.setattr("forgetless.domain.filters.evaluate.MOST_FILTER_STEPS", 100_000)
    one = Compare(Field("n", metadata=True), Operator.EQ, MANY - 3000)
    never = tuple(Compare(Field(f"k{n}", metadata=True), Operator.EQ, 1) for n in range(97))
    where = And((ANNAS, Or((one, *never))))
    many.ledger.clear()
    page = many.page(where, 5)
    assert (page.items, page.cursor is not None) == ((), True)
    assert many.ledger.rows["list_memories"] <= 1600
    found = [memory.metadata["n"] for page in pages(lambda n: many.page(where, 5, number=n)) for memory in page.items]
    assert found == [MANY - 3000]


def test_a_page_far_away_is_refused_and_names_the_way(many: Lists) -> None:
    assert len(many.page(size=100, number=MOST_OFFSET // 100 + 1, asker="jumps").items) == 100
    many.ledger.clear()
    with pytest.raises(InvalidRequestError, match="`cursor`"):
        many.page(size=100, number=MOST_OFFSET // 100 + 3, asker="jumps")
    assert not many.ledger.calls["list_memories"]
    never = Compare(Field("n", metadata=True), Operator.EQ, -1)
    with pytest.raises(InvalidRequestError, match="`cursor`"):
        many.page(And((ANNAS, never)), 100, number=9)
    assert many.ledger.rows["list_memories"] <= SCANNED_ROWS + MOST_OFFSET


def test_a_count_is_a_kept_total_only_where_it_is_exact(lists: Lists) -> None:
    lists.fill(5)
    lists.fill(3, scope=Scope("acme", user_id="anna", agent_id="bot"), name="other")
    for where, count in ((ANNAS, 8), (And(), 8), (And((ANNAS, And((ANNAS,)))), 8), (all_ids({"agent_id": "bot"}), 3)):
        assert lists.page(where, 2).count == Count(count)
        assert lists.ledger.rows["list_memories"] <= 8
        lists.ledger.clear()
    assert lists.page(all_ids({"user_id": "anna", "agent_id": "bot"}), 2).count == Count(3)
    assert lists.page(Not(ANNAS), 2).count == Count(0)
    assert lists.page(And((ANNAS, all_ids({"user_id": "bob"}))), 2).count == Count(0)


def test_what_expires_is_counted_by_looking(lists: Lists) -> None:
    lists.fill(2)
    lists.fill(3, name="gone", expiration_date="2020-01-01")
    assert lists.page(size=1).count == Count(2)
    assert lists.page(size=1, show_expired=True).count == Count(5)
    assert lists.ledger.calls["kept_totals"] == 2


def test_superseded_memories_are_skipped_and_shown_on_demand(lists: Lists) -> None:
    memories = lists.fill(6)
    lists.ledger.append([update(memory, superseded_by="x") for memory in memories[:4]])
    assert [len(page.items) for page in pages(lambda n: lists.page(size=2, number=n))] == [2]
    with_them = list(pages(lambda n: lists.page(size=2, number=n, superseded=True)))
    assert [(len(page.items), page.count) for page in with_them] == [(2, Count(6))] * 3


def test_the_next_page_begins_where_this_one_ended_whatever_comes_between(lists: Lists) -> None:
    memories = lists.fill(6)
    first = lists.page(size=2)
    lists.ledger.append(add(a_memory("newer", second=9)))
    assert lists.page(size=2, number=2).items == tuple(memories[2:4])
    assert lists.page(size=2, number=3, cursor=first.cursor).items == tuple(memories[2:4])
    lists.clock.advance(601)
    assert lists.page(size=2, number=2).items == tuple(memories[1:3])


def test_pages_of_another_key_filter_or_size_are_other_pages(lists: Lists) -> None:
    memories = lists.fill(8)
    lists.page(size=2, asker="a")
    lists.ledger.append(add(a_memory("newer", second=9)))
    assert lists.page(size=2, number=2, asker="a").items == tuple(memories[2:4])
    assert lists.page(size=2, number=2, asker="b").items == tuple(memories[1:3])
    assert lists.page(size=3, number=2, asker="a").items == tuple(memories[2:5])
    assert lists.page(And(), 2, number=2, asker="a").items == tuple(memories[1:3])


def test_a_page_ends_before_its_answer_is_too_large(lists: Lists) -> None:
    lists.fill(7)
    weights = {6: 0.5, 5: 0.4, 4: 0.2, 3: 3.0, 2: 0.9, 1: 0.05, 0: 0.05}
    read = lambda n: lists.page(size=5, number=n, weigh=lambda memory: weights[memory.metadata["n"]])  # noqa: E731
    found = [[memory.metadata["n"] for memory in page.items] for page in pages(read)]
    assert found == [[6, 5], [4], [3], [2, 1, 0]]


def test_pages_by_cursor_alone_need_nothing_kept(lists: Lists) -> None:
    memories = lists.fill(5)
    page, seen = lists.page(size=2, number=None), list[Memory]()
    while True:
        seen += page.items
        if page.cursor is None:
            break
        page = lists.page(size=2, number=None, cursor=page.cursor)
        assert page.count == Count(5)
    assert seen == memories
    assert not lists.ledger.calls["keep_page_end"]
    assert page.count == Count(5)
    assert lists.page(size=2, number=None, cursor=after_memory(memories[-1])).items == ()


def test_an_empty_page_reads_no_memories(lists: Lists) -> None:
    lists.fill(2)
    assert lists.page(size=0).items == ()
    assert not lists.ledger.calls["list_memories"]


def test_a_page_whose_end_cannot_be_kept_is_shown(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise LedgerError("the disk is full")

    lists.fill(3)
    monkeypatch.setattr(lists.ledger._ledger, "keep_page_end", fails)
    assert [len(page.items) for page in pages(lambda n: lists.page(size=2, number=n))] == [2, 1]


def test_jobs_are_listed_page_by_page(lists: Lists) -> None:
    for number in range(7):
        lists.ledger.put_job(a_job(f"j{number}", second=number), [])
    lists.ledger.clear()
    found = list(pages(lambda n: lists.reads.jobs("acme", size=3, number=n)))
    assert [[job.created_at for job in page.items] for page in found] == [
        [at(6), at(5), at(4)],
        [at(3), at(2), at(1)],
        [at(0)],
    ]
    assert {page.count for page in found} == {Count(7)}
    assert lists.ledger.calls["jobs"] == 3


def limited(lists: Lists, users: Sequence[str]) -> ReadService:
    ledger = LimitedLedger(cast("Ledger", lists.ledger), only(*users))
    return ReadService(ledger=ledger, clock=lists.clock)


def test_a_limited_key_reads_its_users_lists_and_nobody_elses(lists: Lists) -> None:
    mine = lists.fill(4, scope=Scope("acme", user_id="anna", agent_id="bot"))
    lists.fill(900, scope=Scope("acme", user_id="bob", agent_id="bot"), name="bob")
    reads = limited(lists, ("anna", "carol"))
    page = reads.page(PageRequest("acme", all_ids({"agent_id": "bot"}), 3))
    assert (page.items, page.count) == (tuple(mine[:3]), Count(4))
    assert reads.page(PageRequest("acme", And(), 3)).count == Count(4)
    assert lists.ledger.rows["list_memories"] == 8
    assert min(lists.ledger.limits) >= 98
    assert [(one.kind, one.id, one.total_memories) for one in reads.entities("acme", size=9).items] == [
        ("agent", "bot", 4),
        ("user", "anna", 4),
    ]
    assert reads.entity("acme", "user", "bob") is None
    agent = reads.entity("acme", "agent", "bot")
    assert agent is not None
    assert agent.total_memories == 4


def test_a_limited_keys_jobs_are_looked_for_in_a_bounded_scan(lists: Lists) -> None:
    lists.ledger.put_job(a_job("mine"), [])
    for number in range(250):
        lists.ledger.put_job(a_job(f"j{number}", scope=Scope("acme", user_id="bob"), second=number + 1), [])
    lists.ledger.clear()
    page = limited(lists, ("anna",)).jobs("acme", size=1)
    assert ([job.scope.user_id for job in page.items], page.count, page.cursor) == (["anna"], Count(1), None)
    assert lists.ledger.calls["jobs"] == 3


def test_entities_are_listed_page_by_page_in_any_number(lists: Lists) -> None:
    lists.ledger.append(add(*(a_memory("m", n, scope=Scope("acme", user_id=f"u{n:03}")) for n in range(250))))
    lists.ledger.clear()
    counts = lists.reads.count_entities("acme")
    found = list(pages(lambda n: lists.reads.entities("acme", size=100, number=n, counts=counts)))
    assert [one.id for page in found for one in page.items] == [f"u{n:03}" for n in range(250)]
    assert {page.count for page in found} == {Count(250)}
    assert lists.ledger.calls["entities"] == 3
