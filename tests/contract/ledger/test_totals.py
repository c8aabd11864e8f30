"""Kept totals, lists of entities and the ends of pages: the same in both ledgers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema
from forgetless.adapters.ledger_dynamodb import totals as counters
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire
from forgetless.adapters.ledger_dynamodb.totals_migration import keep_totals
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite import totals as rows
from forgetless.domain.errors import InvalidRequestError, LedgerError
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import ENTITY_KINDS, Entity, EntityCounts, PageEnd, Totals
from tests.contract.ledger.making import ANNA, a_job, a_memory, add, at, delete, entities_of, update
from tests.contract.ledger.old_ledgers import as_dynamodb_of_version_2, sqlite_of_schema

BOTH = Scope("acme", user_id="anna", agent_id="bot")
LATER = "2026-12-31"


def totals_of(ledger: Ledger) -> tuple[Totals | None, ...]:
    """Of the tenant, of the user and of the agent."""
    return tuple(ledger.kept_totals("acme", ids) for ids in ({}, {"user_id": "anna"}, {"agent_id": "bot"}))


def test_totals_follow_every_change(ledger: Ledger) -> None:
    assert totals_of(ledger) == (Totals(0, 0),) * 3
    one, two, three = (a_memory("a", place, scope=BOTH if place else ANNA) for place in range(3))
    ledger.append(add(one, two, three))
    assert totals_of(ledger) == (Totals(3, 0), Totals(3, 0), Totals(2, 0))
    expires = update(two, expiration_date=LATER)
    ledger.append([expires])
    assert totals_of(ledger) == (Totals(3, 1), Totals(3, 1), Totals(2, 1))
    stays = update(expires.memory, second=2, expiration_date=None)
    ledger.append([stays])
    assert totals_of(ledger) == (Totals(3, 0), Totals(3, 0), Totals(2, 0))
    superseded = update(three, superseded_by=one.id)
    ledger.append([superseded])
    assert totals_of(ledger) == (Totals(2, 0), Totals(2, 0), Totals(1, 0))
    ledger.append([superseded])  # a repeat
    ledger.append([update(superseded.memory, second=3, superseded_by=None)])
    assert totals_of(ledger) == (Totals(3, 0), Totals(3, 0), Totals(2, 0))
    ledger.append([delete(one), delete(stays.memory, second=4)])
    assert totals_of(ledger) == (Totals(1, 0), Totals(1, 0), Totals(1, 0))
    assert ledger.kept_totals("other", {}) == Totals(0, 0)
    assert ledger.faults(seconds=20, thorough=True).found == ()


def test_several_events_of_one_memory_in_one_call_count_once(ledger: Ledger) -> None:
    memory = a_memory("a", expiration_date=LATER)
    changed = update(memory, text="new")
    ledger.append([*add(memory), changed])
    assert ledger.kept_totals("acme", {}) == Totals(1, 1)
    other = a_memory("b")
    ledger.append([*add(other), delete(other)])
    assert ledger.kept_totals("acme", {"user_id": "anna"}) == Totals(1, 1)


def test_one_entity_is_read_alone_and_is_gone_with_its_last_memory(ledger: Ledger) -> None:
    first, last = a_memory("a", second=3, scope=BOTH), a_memory("b", second=7)
    ledger.append(add(first, last))
    assert ledger.entity("acme", "user", "anna") == Entity("user", "anna", 2, at(3), at(7))
    assert ledger.entity("acme", "agent", "bot") == Entity("agent", "bot", 1, at(3), at(3))
    assert ledger.entity("acme", "app", "bot") is None
    ledger.append([delete(first, second=9)])
    assert ledger.entity("acme", "user", "anna") == Entity("user", "anna", 1, at(7), at(7))
    assert ledger.entity("acme", "agent", "bot") is None


def test_entities_come_in_pages_of_any_size_and_kinds(ledger: Ledger) -> None:
    names = [f"{name} {number}" for name in ("a", "nul \x00 \ud800") for number in range(4)]
    ledger.append(add(*(a_memory("a", n, scope=Scope("acme", user_id=id_, run_id=id_)) for n, id_ in enumerate(names))))
    ledger.append(add(a_memory("b", scope=Scope("other", user_id="other"))))
    for limit in (1, 3, 16, 99):
        found = entities_of(ledger, "acme", limit=limit)
        assert [(one.kind, one.id) for one in found] == sorted(
            (kind, name) for kind in ("run", "user") for name in names
        )
    runs = ledger.entities("acme", limit=99, kinds=("run",))
    assert (sorted(one.id for one in runs.items), runs.cursor) == (sorted(names), None)
    assert ledger.entities("acme", limit=5, kinds=("app", "agent")).items == ()
    kinds = dict.fromkeys(ENTITY_KINDS, 0) | {"run": 8, "user": 8}
    assert ledger.count_entities("acme", limit=99) == EntityCounts(kinds)
    few = ledger.count_entities("acme", limit=10)
    assert (sum(few.by_kind.values()), few.exact) == (10, False)


def test_entities_without_memories_neither_count_nor_end_a_list(ledger: Ledger) -> None:
    memories = [a_memory(f"u{n}", scope=Scope("acme", user_id=f"u{n}")) for n in range(6)]
    ledger.append(add(*memories))
    ledger.append([delete(memory) for memory in memories[:5]])
    assert [one.id for one in entities_of(ledger, "acme", limit=1)] == ["u5"]
    assert ledger.count_entities("acme", limit=99).by_kind["user"] == 1


@pytest.mark.parametrize("cursor", ["x", "", "é", "bm90IGpzb24", "WzFd", "WyJhIiwiYiJd", "WyJ1c2VyIiwxXQ", "W" * 5000])
def test_a_cursor_of_something_else_is_refused_by_name(ledger: Ledger, cursor: str) -> None:
    """Among them are `not json`, [1], ["a","b"] and ["user",1]."""
    for read in (
        lambda: ledger.entities("acme", limit=3, cursor=cursor),
        lambda: ledger.list_memories("acme", {}, limit=3, cursor=cursor),
        lambda: ledger.jobs("acme", limit=3, cursor=cursor),
        lambda: ledger.documents("acme", "feedback", limit=3, cursor=cursor),
    ):
        with pytest.raises(InvalidRequestError, match="cursor"):
            read()


def test_jobs_are_counted_up_to_a_limit(ledger: Ledger) -> None:
    for number in range(5):
        ledger.put_job(a_job(f"j{number}", second=number), [])
    assert ledger.count_jobs("acme", limit=9) == 5
    assert ledger.count_jobs("acme", limit=3) == 4
    assert ledger.count_jobs("nobody", limit=3) == 0


def test_the_end_of_a_page_is_kept_until_it_expires(ledger: Ledger) -> None:
    end = PageEnd("after", 20, 70, exact=False)
    ledger.keep_page_end("acme", "name", end, now=at(0), expires_at=at(10))
    assert ledger.page_end("acme", "name", now=at(9)) == end
    assert ledger.page_end("acme", "name", now=at(10)) is None
    assert ledger.page_end("other", "name", now=at(9)) is None
    assert ledger.page_end("acme", "other", now=at(9)) is None
    newer = PageEnd("further", 30, 70, exact=True)
    ledger.keep_page_end("acme", "name", newer, now=at(1), expires_at=at(20))
    assert ledger.page_end("acme", "name", now=at(9)) == newer
    ledger.expire_page_ends(now=at(19))
    assert ledger.page_end("acme", "name", now=at(19)) == newer


def test_ends_of_pages_vanish_from_the_file_with_and_without_sweep(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        for number in range(30):
            ledger.keep_page_end("acme", str(number), PageEnd("x", 1, 1, exact=True), now=at(0), expires_at=at(5))
        ledger.keep_page_end("acme", "new", PageEnd("x", 1, 1, exact=True), now=at(6), expires_at=at(20))
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM page_ends").fetchone() == (11,)
        assert ledger.expire_page_ends(now=at(6)) == 10
        assert ledger.page_end("acme", "new", now=at(6)) is not None


def test_ends_of_pages_vanish_from_the_table_by_its_own_expiry(dynamo: Callable[[], DynamoLedger]) -> None:
    with closing(dynamo()) as ledger:
        ledger.keep_page_end("acme", "name", PageEnd("x", 1, 1, exact=True), now=at(0), expires_at=at(5))
        scan = ledger._client.call("scan", TableName=ledger._client.table)["Items"]
        (item,) = [from_wire(one) for one in scan if one["sk"]["S"] == "PAGE"]
        assert item["expires_at"] == 1767225605


def test_times_are_not_looked_up_in_a_list_that_is_too_long(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    memories = [a_memory("a", place, second=place) for place in range(6)]
    ledger.append(add(*memories))
    ledger.append([delete(memories[0], second=9)])
    for module in ("ledger_sqlite.totals", "ledger_dynamodb.memories"):
        monkeypatch.setattr(f"forgetless.adapters.{module}.SCANNED_ROWS", 4)
    assert entities_of(ledger, "acme") == [Entity("user", "anna", 5, at(0), at(5))]
    monkeypatch.undo()
    assert entities_of(ledger, "acme") == [Entity("user", "anna", 5, at(1), at(5))]


@pytest.mark.parametrize("number", [3, 9])
def test_a_file_of_before_gets_its_totals(tmp_path: Path, number: int) -> None:
    path = tmp_path / "ledger.db"
    odd = Scope("acme", user_id="nul \x00 \ud800", app_id="app")
    mine = [a_memory("a", place, second=place, expiration_date=LATER if place < 2 else None) for place in range(4)]
    kept = [*mine, a_memory("b", scope=odd, text="\ud800", second=8, expiration_date=LATER)]
    uncounted = [a_memory("c", expiration_date=LATER), a_memory("d", superseded_by=mine[0].id, expiration_date=LATER)]
    sqlite_of_schema(number, path, [*kept, *uncounted], deleted=uncounted[:1])
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.kept_totals("acme", {}) == Totals(5, 3)
        assert ledger.kept_totals("acme", {"user_id": "anna"}) == Totals(4, 2)
        assert entities_of(ledger, "acme") == [
            Entity("app", "app", 1, at(8), at(8)),
            Entity("user", "anna", 4, at(0), at(3)),
            Entity("user", odd.user_id, 1, at(8), at(8)),
        ]
        ledger.append([delete(mine[0], second=9)])
        assert ledger.kept_totals("acme", {"user_id": "anna"}) == Totals(3, 1)
        assert ledger.faults(seconds=20, thorough=True).found == ()


def test_totals_that_do_not_agree_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        ledger.append(add(a_memory("a", scope=BOTH), a_memory("b", scope=BOTH)))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE totals SET expiring = 1 WHERE kind = 'user'")
            db.execute("DELETE FROM totals WHERE kind = 'agent'")
            db.execute("UPDATE totals SET id = x'61' WHERE kind = 'tenant'")
        assert ledger.faults(seconds=20, thorough=True).found == (
            "3 memories that their total does not count",
            "1 totals without memories",
        )


@pytest.mark.parametrize("query", [rows._PAGE, rows._COUNT, rows._READ, *(rows._TIMES.format(k) for k in ENTITY_KINDS)])
def test_totals_are_read_by_their_key(tmp_path: Path, query: str) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        ledger.ping()
    with closing(sqlite3.connect(path)) as db:
        plan = " ".join(str(row[3]) for row in db.execute("EXPLAIN QUERY PLAN " + query, [None] * query.count("?")))
    assert "TEMP B-TREE" not in plan
    assert "SEARCH totals USING PRIMARY KEY" in plan or "USING COVERING INDEX memories_by_" in plan


class TestCounters:
    """What only DynamoDB has: a total is the sum of several counters."""

    def test_a_name_without_memories_goes_when_entities_are_read(self, dynamo: Callable[[], DynamoLedger]) -> None:
        with closing(dynamo()) as ledger:
            memory = a_memory("a", scope=Scope("acme", user_id="erased"))
            ledger.append(add(memory))
            ledger.append([delete(memory)])
            assert entities_of(ledger, "acme") == []
            scan = ledger._client.call("scan", TableName=ledger._client.table)["Items"]
            assert not [item for item in scan if item["pk"]["S"].startswith("N#")]
            ledger.append(add(a_memory("b", scope=memory.scope)))
            assert ledger.kept_totals("acme", {"user_id": "erased"}) == Totals(1, 0)

    def test_a_page_ends_where_too_many_counters_were_read(
        self, dynamo: Callable[[], DynamoLedger], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with closing(dynamo()) as ledger:
            ledger.append(add(*(a_memory("a", n, scope=Scope("acme", user_id=f"u{n}")) for n in range(9))))
            monkeypatch.setattr(counters, "SCANNED_ROWS", 4)
            page = ledger.entities("acme", limit=99)
            assert (len(page.items), page.cursor is not None) == (4, True)
            assert len(entities_of(ledger, "acme", limit=99)) == 9

    def test_a_table_of_before_gets_its_totals(self, dynamo: Callable[[], DynamoLedger]) -> None:
        with closing(dynamo()) as ledger:
            long = a_memory("l", text="x" * 120_000, expiration_date=LATER, scope=BOTH)
            gone = a_memory("g", expiration_date=LATER)
            ledger.append(add(*(a_memory("a", n) for n in range(3)), long, gone))
            ledger.append([delete(gone)])
            client = ledger._client
            as_dynamodb_of_version_2(client)
            with closing(dynamo()) as other:
                with pytest.raises(LedgerError, match="migrate"):
                    other.ping()
                assert other.migrate() == len(schema.MIGRATIONS) - 1
            keep_totals(client)  # it may run again, because it writes absolute numbers
            with closing(dynamo()) as other:
                assert other.kept_totals("acme", {}) == Totals(4, 1)
                assert other.kept_totals("acme", {"user_id": "anna"}) == Totals(4, 1)
                assert other.kept_totals("acme", {"agent_id": "bot"}) == Totals(1, 1)
                other.append([delete(long)])
                assert other.kept_totals("acme", {}) == Totals(3, 0)
                assert other.kept_totals("acme", {"user_id": "anna"}) == Totals(3, 0)
