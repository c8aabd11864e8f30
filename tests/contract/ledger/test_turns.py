"""What waits of one tenant, however much it is, hides nothing of the others, and a look at it is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys, turn_queues
from forgetless.adapters.ledger_dynamodb.table import Between, key_of
from forgetless.domain.documents import Document
from forgetless.domain.erasures import Target
from forgetless.domain.jobs import JobState
from forgetless.domain.scope import Scope
from forgetless.domain.times import later
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import a_job, at, job_id
from tests.contract.ledger.old_ledgers import as_dynamodb_queued_by_age
from tests.dynamo_server import DynamoServer

HOUR_S = 3600.0
NOW = later(at(0), 9 * HOUR_S)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the look of before could see is one page of now, and a tenant fills it."""
    monkeypatch.setattr(turn_queues, "_PAGE", 4)
    monkeypatch.setattr(turn_queues, "_MOST_OLD", 4)


@pytest.fixture
def table(dynamo: Callable[[], DynamoLedger]) -> Iterator[DynamoLedger]:
    with closing(dynamo()) as ledger:
        yield ledger


def put_due(ledger: Ledger, tenant: str, hours: float, count: int = 1) -> None:
    for number in range(count):
        due_at = later(at(0), hours * HOUR_S + number)
        ledger.put_document(Document(tenant, "d", f"{tenant} {hours} {number}", {}, at(0), due_at=due_at))


def due(ledger: Ledger, *, each: int = 3, now: str = NOW) -> list[str]:
    return [one.id for one in ledger.due_in_turn("d", now=now, limit=99, each=each)]


def test_more_due_documents_than_a_look_takes_hide_nothing_of_the_others(ledger: Ledger) -> None:
    for hours in range(3):
        put_due(ledger, "acme", hours, 12)
    put_due(ledger, "victim", 2.9)
    put_due(ledger, "zeta", 2)
    first, second = ["acme 0 0", "zeta 2 0", "victim 2.9 0"], ["acme 0 1", "acme 0 2"]
    assert due(ledger) == first + second
    found = [one.id for one in ledger.due_documents("d", now=NOW, limit=50)]
    assert [int(id_.split()[1][0]) for id_ in found] == [0] * 12 + [1] * 12 + [2] * 14, "the oldest hour first"
    assert {"victim 2.9 0", "zeta 2 0"} < set(found)


def test_more_open_jobs_than_a_look_takes_hide_nothing_of_the_others(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.adapters.ledger_dynamodb.jobs._OLDEST", 3)
    ledger.put_jobs([(a_job(f"acme {number}", second=number), []) for number in range(60)])
    ledger.put_jobs([(a_job("victim", second=70, scope=Scope("victim")), [])])
    found = ledger.stuck_in_turn(now=at(80), pending_before=at(80), limit=9, each=2)
    assert {(job.tenant, job.id) for job in found} == {("acme", job_id("acme 0")), ("victim", job_id("victim"))}
    every = ledger.stuck_jobs(now=at(80), pending_before=at(80), limit=99)
    assert [job.created_at for job in every] == [at(number) for number in [*range(60), 70]]


def test_more_open_erasures_than_a_look_takes_hide_nothing_of_the_others(ledger: Ledger) -> None:
    many = [ledger.begin_erasure("acme", [Target({"user_id": f"u{n}"})], at=at(n)) for n in range(20)]
    theirs = [ledger.begin_erasure("victim", [Target({"user_id": f"u{n}"})], at=at(50 + n)) for n in range(2)]
    assert ledger.open_erasures(limit=9, each=3) == [many[0], theirs[0], many[1], theirs[1], many[2]]
    assert ledger.open_erasures(limit=3, each=9) == [many[0], theirs[0], many[1]]
    ledger.end_erasure("acme", many[0].number, expires_at=at(99))
    assert ledger.open_erasures(limit=9, each=1) == [many[1], theirs[0]]


def queries_of(server: DynamoServer, work: Callable[[], object]) -> int:
    server.calls.clear()
    work()
    return sum(operation == "Query" for operation, _ in server.calls)


def test_what_a_tenant_has_beyond_its_share_is_not_read(table: DynamoLedger, dynamo_server: DynamoServer) -> None:
    put_due(table, "acme", 1, 40)
    put_due(table, "acme", 1.5, 40)
    put_due(table, "victim", 1.2)
    put_due(table, "later", 8)
    put_due(table, "later", 10, 40)
    assert queries_of(dynamo_server, lambda: due(table)) == 3, "a page of acme, one of the others, old entries"
    put_due(table, "this hour", 9.5, 40)
    assert queries_of(dynamo_server, lambda: due(table)) == 4, "what is due later in this hour is one page"


def test_a_look_that_is_too_long_goes_on_next_time(table: DynamoLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_queues, "_MOST_PAGES", 2)
    tenants = [f"t{number}" for number in range(7)]
    for tenant in tenants:
        put_due(table, tenant, 1, 9)
    looks = [{one.split()[0] for one in due(table)} for _ in range(5)]
    assert set().union(*looks[:4]) == set(tenants)
    assert (looks[0], looks[4]) == ({"t0", "t1"}, {"t0", "t1"})


def test_a_look_that_comes_round_sees_what_is_before_its_place(
    table: DynamoLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant in ("a", "b"):
        put_due(table, tenant, 1, 9)
    with monkeypatch.context() as short:
        short.setattr(turn_queues, "_MOST_PAGES", 1)
        assert due(table, each=1) == ["a 1 0"]
    put_due(table, "b", 0)
    assert due(table, each=1) == ["b 0 0", "a 1 0"]


def test_entries_of_the_version_before_are_found_and_moved(
    table: DynamoLedger, dynamo: Callable[[], DynamoLedger]
) -> None:
    put_due(table, "acme", 1, 2)
    put_due(table, "acme", 10)
    job = a_job("old", second=1)
    table.put_job(job, [])
    erasure = table.begin_erasure("acme", [Target()], at=at(1))
    as_dynamodb_queued_by_age(table._client)
    put_due(table, "acme", 0.5)
    put_due(table, "victim", 1.5)
    table.put_job(a_job("new", second=2, scope=Scope("new")), [])

    assert due(table) == ["acme 0.5 0", "victim 1.5 0", "acme 1 0", "acme 1 1"]
    assert [one.id for one in table.due_documents("d", now=NOW, limit=3)] == ["acme 0.5 0", "acme 1 0", "acme 1 1"]
    assert table.stuck_jobs(now=at(9), pending_before=at(9), limit=1) == [job]
    assert job in table.stuck_in_turn(now=at(9), pending_before=at(9), limit=9, each=9)
    assert [one.id for one in table.backlog(jobs=9, counted=9).oldest_jobs] == [job_id("old"), job_id("new")]
    assert table.open_erasures(limit=9, each=9) == [erasure]

    held = table.document("acme", "d", "acme 1 0")
    assert held is not None
    assert table.put_document(replace(held, version=2))
    assert table.update_job(replace(job, attempts=1), held=job)
    queues = (item_keys.due_queue("d"), *item_keys.OPEN_QUEUES)
    entries = [entry for queue in queues for entry in table._table.queue_entries(queue)]
    assert sum(not entry["gsi1sk"].startswith(item_keys.IN_TURN) for entry in entries) == 2
    assert due(table) == ["acme 0.5 0", "victim 1.5 0", "acme 1 0", "acme 1 1"]


def test_the_version_before_finds_new_entries(table: DynamoLedger) -> None:
    """It reads all sort keys up to a time, so it works while this one is deployed, and after it was taken back."""
    put_due(table, "acme", 1)
    put_due(table, "~ odd \ud800", 2)
    keys = list(table._table.queue(item_keys.due_queue("d"), Between(" ", NOW + "~")))
    assert keys == [
        item_keys.document("acme", "d", "acme 1 0"),
        item_keys.document("~ odd \ud800", "d", "~ odd \ud800 2 0"),
    ]
    table.put_job(a_job("a", state=JobState.PENDING), [])
    table.begin_erasure("acme", [Target()], at=at(1))
    queues = (*item_keys.OPEN_QUEUES, item_keys.OPEN_ERASURES)
    assert len([key_of(one) for queue in queues for one in table._table.queue_entries(queue)]) == 2
