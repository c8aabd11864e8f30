"""The ranges that a reindex walks: every memory is in one, and pages cost the same; and the list of tenants."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from forgetless.adapters.ledger_dynamodb import item_keys
from forgetless.adapters.ledger_sqlite import ranges
from forgetless.adapters.ledger_sqlite.ledger import SqliteLedger
from forgetless.domain.bulk_jobs import MOST_RANGES
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_memory, add, delete, update


def in_range(ledger: Ledger, number: int, *, limit: int = 3, tenant: str = "acme") -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = ledger.list_range(tenant, number, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += [memory.id for memory in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


def everything(ledger: Ledger, **options: object) -> list[str]:
    return [id_ for number in range(MOST_RANGES) for id_ in in_range(ledger, number, **options)]  # type: ignore[arg-type]


def test_every_memory_but_the_deleted_ones_is_in_one_range(ledger: Ledger) -> None:
    memories = [a_memory(f"m{number}", second=number) for number in range(40)]
    ledger.append(add(*memories))
    ledger.append(add(a_memory("theirs", scope=Scope("other", user_id="anna"))))
    gone, replaced = memories[:10], memories[10]
    ledger.append([delete(memory) for memory in gone])
    ledger.append([update(replaced, superseded_by=memories[11].id)])
    found = everything(ledger)
    assert sorted(found) == sorted(memory.id for memory in memories[10:])
    assert max(len(in_range(ledger, number)) for number in range(MOST_RANGES)) < 30, "they are shared out"
    assert everything(ledger, tenant="nobody") == []


def test_ids_that_are_no_uuids_are_in_a_range_too(ledger: Ledger) -> None:
    odd = ["0", "zebra", "ý", "\U0010ffff", "4", "c", "C", "\x00", "\ud800"]
    ledger.append(add(*(replace(a_memory(f"m{n}", second=n), id=id_) for n, id_ in enumerate(odd))))
    assert sorted(everything(ledger, limit=2)) == sorted(odd)


def test_a_page_begins_where_the_one_before_ended_whatever_was_deleted_since(ledger: Ledger) -> None:
    memories = [a_memory(f"m{number}", second=number) for number in range(20)]
    ledger.append(add(*memories))
    whole = in_range(ledger, 0, limit=100)
    page = ledger.list_range("acme", 0, limit=1)
    ledger.append([delete(memory) for memory in memories if memory.id == whole[0]])
    rest = ledger.list_range("acme", 0, limit=100, cursor=page.cursor)
    assert [memory.id for memory in rest.items] == whole[1:]


def test_the_tenants_are_listed_in_pages(ledger: Ledger) -> None:
    names = [f"tenant-{number}" for number in range(7)] + ["", "\ud800"]
    for name in names:
        ledger.append(add(*(a_memory(f"{name!a}{n}", scope=Scope(name, user_id="u")) for n in range(3))))
    found: set[str] = set()
    cursor: str | None = None
    while True:
        page, cursor = ledger.list_tenants(limit=2, cursor=cursor)
        found |= set(page)
        if cursor is None:
            break
    assert found == set(names)


def test_a_ledger_without_memories_has_no_tenants(ledger: Ledger) -> None:
    assert ledger.list_tenants(limit=5) == ([], None)


def test_dynamodb_has_a_partition_for_each_range() -> None:
    assert len(item_keys.partitions("L", "acme", "tenant")) == MOST_RANGES


def test_sqlite_reads_a_page_by_its_primary_key(reopen: Callable[[], Ledger]) -> None:
    with closing(reopen()) as ledger:
        if not isinstance(ledger, SqliteLedger):
            return
        for query in (ranges._FIRST_PAGE, ranges._LATER_PAGE):
            steps = ledger._connections.read(
                lambda db, query=query: db.execute(f"EXPLAIN QUERY PLAN {query}", (b"", b"", b"", 1)).fetchall()
            )
            text = " ".join(str(step[3]) for step in steps)
            assert "SEARCH memories USING PRIMARY KEY (tenant=? AND id>? AND id<?)" in text
            assert "TEMP B-TREE" not in text
