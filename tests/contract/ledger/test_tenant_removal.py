"""A closed tenant takes nothing new, loses every record of its own, and leaves its name to another one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger, tenant_removal
from forgetless.adapters.ledger_sqlite.schema import _MIGRATIONS
from forgetless.adapters.ledger_sqlite.tenant_removal import KEPT_TO_THE_END, TABLES
from forgetless.domain.documents import Document
from forgetless.domain.erasures import Erasure, ErasureState, Target
from forgetless.domain.errors import TenantDeletedError
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.scope import Scope
from forgetless.domain.usage import OF_TENANT, UsageKind, Use, Used
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import IdempotencyRecord, PageEnd
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, at, delete, job_id, keys_of, update

#: Neither is a part of the other's name in any key, although one begins with the other.
OTHER = Scope("acme2", user_id="anna")


def fill(ledger: Ledger, scope: Scope) -> None:
    """One record of each kind, and a memory that is deleted already."""
    tenant = scope.tenant
    gone = a_memory("gone", scope=scope)
    memory = a_memory("a", scope=scope, expiration_date="2030-01-01")
    ledger.append(add(memory, gone), messages=[a_message("a", scope=scope)])
    ledger.append([update(memory)])
    ledger.append([delete(gone)])
    ledger.put_job(a_job("waits", scope=scope), [a_message("waits", scope=scope)])
    ledger.put_document(Document(tenant, "project", "p", {"name": "x" * 9}, at(1)))
    record = IdempotencyRecord("print", at(9), 200, "answer")
    ledger.begin_request(tenant, "request", record, now=at(1), expires_at=at(99))
    ledger.keep_page_end(tenant, "page", PageEnd("after", 1, 1, exact=True), now=at(1), expires_at=at(99))
    ledger.add_usage([Use(tenant, "key", period, {UsageKind.ADDS: 1}) for period in (at(1)[:10], at(1)[:16])])
    ledger.put_key(ApiKey(f"hash of {tenant}", tenant, Role.ADMIN, at(1)))


def empty(ledger: Ledger, tenant: str, *, limit: int = 2) -> int:
    """Call `remove_tenant` to its end; returns how much it removed."""
    removed, cursor = ledger.remove_tenant(tenant, limit=limit)
    count = removed
    while cursor is not None:
        removed, cursor = ledger.remove_tenant(tenant, limit=limit, cursor=cursor)
        count += removed
    return count


def is_empty(ledger: Ledger, scope: Scope) -> bool:
    tenant = scope.tenant
    return not (
        ledger.read(tenant, [a_memory("a", scope=scope).id, a_memory("gone", scope=scope).id])
        or ledger.history(tenant, a_memory("gone", scope=scope).id)
        or ledger.list_memories(tenant, {}, limit=9, superseded=True).items
        or ledger.used(tenant, ["key"], now=at(1))["key"] != Used()
        or ledger.usage_of(tenant, OF_TENANT, first="2026-01-01", last="2026-01-31")
        or ledger.jobs(tenant, limit=9)[0]
        or ledger.job_messages(tenant, job_id("waits"))
        or ledger.documents(tenant, "project", limit=9)[0]
        or ledger.document(tenant, "project", "p")
        or ledger.page_end(tenant, "page", now=at(2))
        or (totals := ledger.kept_totals(tenant, {})) is None
        or totals.live
        or ledger.unindexed(before=at(99), limit=9, tenant=tenant)
    )


def test_a_closed_tenant_takes_nothing_new_and_can_be_deleted_from(ledger: Ledger) -> None:
    mine = a_memory("a")
    ledger.append(add(mine))
    begun = ledger.close_tenant("acme", at=at(5))
    assert (begun.targets, begun.closes, ledger.erasure_state("acme").closed) == ((Target(),), True, True)
    assert ledger.close_tenant("acme", at=at(6)) == begun, "a repeat begins nothing"
    late = a_memory("late", erasures_before=begun.number)
    with pytest.raises(TenantDeletedError):
        ledger.append(add(late))
    with pytest.raises(TenantDeletedError):
        ledger.append([], messages=[a_message("late")])
    with pytest.raises(TenantDeletedError):
        ledger.append([update(mine)])
    with pytest.raises(TenantDeletedError):
        ledger.put_job(a_job("late", erasures_before=begun.number), [])
    ledger.append([delete(mine)])
    ledger.append(add(a_memory("b", scope=OTHER)))
    assert not ledger.erasure_state("acme2").closed


def test_it_stays_closed_whatever_becomes_of_its_erasures(ledger: Ledger) -> None:
    first = ledger.close_tenant("acme", at=at(5))
    assert ledger.erasure("acme", first.number) == first == ledger.open_erasures(limit=9, each=9)[0]
    ledger.begin_erasure("acme", [Target({"user_id": "anna"})], at=at(6))
    ledger.end_erasure("acme", first.number, expires_at=at(7))
    ledger.raise_erasures("acme", 9)
    ledger.begin_erasure("acme", [Target({"user_id": "anna"})], at=at(99))
    assert ledger.erasure_state("acme").closed
    assert ledger.close_tenant("acme", at=at(99)) == first


def test_everything_of_one_tenant_goes_and_nothing_of_another(ledger: Ledger) -> None:
    for scope in (ANNA, OTHER):
        fill(ledger, scope)
    before = ledger.history("acme2", a_memory("a", scope=OTHER).id)
    ledger.close_tenant("acme", at=at(5))
    assert empty(ledger, "acme") > 5
    assert empty(ledger, "acme") == 0
    assert is_empty(ledger, ANNA)
    assert ledger.list_events("acme", limit=9).items == ()
    assert not is_empty(ledger, OTHER)
    assert ledger.history("acme2", a_memory("a", scope=OTHER).id) == before
    assert ledger.job("acme2", job_id("waits")) is not None
    assert ledger.tidy() == 0
    assert ledger.faults(seconds=9, thorough=True).found == ()
    record = IdempotencyRecord("another print", at(9), 200, "answer")
    assert ledger.begin_request("acme", "request", record, now=at(2), expires_at=at(99)) is None
    assert ledger.begin_request("acme2", "request", record, now=at(2), expires_at=at(99)) is not None


def test_keys_go_with_their_places_in_the_list(ledger: Ledger) -> None:
    for tenant, count in (("acme", 3), ("acme2", 1)):
        for number in range(count):
            ledger.put_key(ApiKey(f"{tenant} {number}", tenant, Role.READ, at(number)))
    assert sorted(ledger.tenants_with_keys()) == ["acme", "acme2"]
    assert [ledger.remove_keys("acme", limit=2) for _ in range(3)] == [2, 1, 0]
    assert (keys_of(ledger, "acme"), ledger.key("acme 1")) == ([], None)
    assert [key.hash for key in keys_of(ledger, "acme2")] == ["acme2 0"]
    assert ledger.tenants_with_keys() == ["acme2"]


def test_a_forgotten_tenant_is_as_good_as_new(ledger: Ledger) -> None:
    for second in (1, 2, 3):
        ledger.begin_erasure("acme", [Target({"user_id": "anna"})], at=at(second))
    ledger.close_tenant("acme", at=at(5))
    assert [ledger.forget_tenant("acme", limit=2) for _ in range(3)] == [False, True, True]
    assert ledger.erasure_state("acme") == ErasureState()
    assert ledger.erasure_markers("acme", beyond=0) == []
    ledger.append(add(a_memory("a")))
    ledger.put_job(a_job("b"), [])
    assert ledger.close_tenant("acme", at=at(9)).number == 1


def test_nothing_is_removed_of_a_tenant_that_is_not_closed(ledger: Ledger) -> None:
    ledger.append(add(a_memory("a")))
    number = ledger.begin_erasure("acme", [Target({"user_id": "bob"})], at=at(1)).number
    assert empty(ledger, "acme") == 0
    assert ledger.forget_tenant("acme", limit=9)
    assert len(ledger.list_memories("acme", {}, limit=9).items) == 1
    assert ledger.erasure("acme", number) is not None


def test_a_reopened_ledger_knows_which_tenant_is_closed(reopen: Callable[[], Ledger]) -> None:
    with closing(reopen()) as ledger:
        begun = ledger.close_tenant("acme", at=at(5))
    with closing(reopen()) as ledger:
        assert ledger.erasure_state("acme").closed
        assert ledger.erasure("acme", begun.number) == begun


def test_every_table_of_sqlite_that_names_a_tenant_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        fill(ledger, ANNA)
        ledger.close_tenant("acme", at=at(5))
        ledger.begin_request("acme", "r2", IdempotencyRecord("p", at(9)), now=at(1), expires_at=at(99))
        empty(ledger, "acme")
        ledger.forget_tenant("acme", limit=9)
        ledger.remove_keys("acme", limit=9)
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
        of_tenants = {table for table, names in columns.items() if "tenant" in names}
        assert of_tenants == {*TABLES, *KEPT_TO_THE_END, "keys"}
        assert {table: db.execute(f"SELECT count(*) FROM {table}").fetchone() for table in of_tenants} == dict.fromkeys(
            of_tenants, (0,)
        )
        assert db.execute("SELECT count(*) FROM texts WHERE body <> x''").fetchone() == (0,)


def test_a_file_of_schema_15_gets_tenants_that_are_open(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.create_function("digest_of_name", 2, lambda name, key: name)
        for script in _MIGRATIONS[:15]:
            for statement in script.split(";"):
                db.execute(statement)
        db.execute("INSERT INTO incarnations (name) VALUES ('one')")
        db.execute(
            "INSERT INTO erasure_states (tenant, last, hiding, first, key) VALUES (?, 1, 1, 1, x'01')", (b"acme",)
        )
        db.execute(
            "INSERT INTO erasures (tenant, number, id, begun_at, marker, targets)"
            " VALUES (?, 1, 'id', '2026', CAST('[]' AS BLOB), CAST('[[{},[]]]' AS BLOB))",
            (b"acme",),
        )
        db.execute("PRAGMA user_version = 15")
        db.commit()
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.erasure_state("acme") == ErasureState(1, 1, 1, b"\x01")
        assert ledger.erasure("acme", 1) == Erasure("acme", 1, (Target(),), "2026", "id")
        assert ledger.close_tenant("acme", at=at(5)).number == 2
        assert ledger.erasure_state("acme").closed


def test_a_step_of_a_removal_is_bounded(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append(add(a_memory(f"m{number}", second=number)))
    ledger.close_tenant("acme", at=at(9))
    removed, cursor = ledger.remove_tenant("acme", limit=2)
    assert removed <= 2
    assert cursor is not None


def test_a_transaction_overwrites_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_removal, "HISTORIES_AT_ONCE", 3000)
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        ledger.append(add(*(a_memory("a", position, text="x" * 1000) for position in range(6))))
        ledger.close_tenant("acme", at=at(1))
        removed, cursor = ledger.remove_tenant("acme", limit=100)
        counts = [removed]
        while cursor is not None:
            removed, cursor = ledger.remove_tenant("acme", limit=100, cursor=cursor)
            counts.append(removed)
        assert ledger.history("acme", a_memory("a", 0).id) == []
    assert [count for count in counts if count] == [6, 2, 2, 2, 2], "memories, their events by bytes, totals"
