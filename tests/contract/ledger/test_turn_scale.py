"""What a look of DynamoDB costs that wants the oldest of all tenants: it does not grow with the tenants of an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from forgetless.adapters.ledger_codec import to_blob
from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import Item, from_wire, to_wire
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.domain.documents import Document
from forgetless.domain.jobs import Job
from forgetless.domain.scope import Scope
from tests.contract.ledger.making import a_job, at, job_id
from tests.contract.ledger.old_ledgers import as_dynamodb_queued_by_age
from tests.dynamo_server import DynamoServer

TENANTS = [f"t{number:04d}" for number in range(1000)]
EACH = 3


@pytest.fixture
def table(dynamo: Callable[[], DynamoLedger]) -> Iterator[DynamoLedger]:
    with closing(dynamo()) as ledger:
        yield ledger


def copied(server: DynamoServer, table: DynamoLedger, of: Key, change: Callable[[Item, str, int], Item]) -> None:
    """Store what a ledger has stored of one tenant for all tenants, EACH times."""
    name = table._client.table
    stored = from_wire(server.admin.get_item(TableName=name, Key=to_wire(of._asdict()))["Item"])
    items = [change(dict(stored), tenant, number) for tenant in TENANTS for number in range(EACH)]
    for first in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": to_wire(item)}} for item in items[first : first + 25]]
        server.admin.batch_write_item(RequestItems={name: puts})


@pytest.fixture
def documents(table: DynamoLedger, dynamo_server: DynamoServer) -> DynamoLedger:
    """Each tenant has EACH documents that are due in one hour, of which the first tenants have the latest."""
    table.put_document(Document("model", "d", "0", {}, at(0), due_at=at(0)))

    def change(item: Item, tenant: str, number: int) -> Item:
        due = at(59 - int(tenant[1:]) % 60)
        key, place = item_keys.document(tenant, "d", f"{number}"), item_keys.turn(tenant, due, f"{number}")
        return {
            **item,
            **key._asdict(),
            "gsi1sk": place,
            "due": due,
            "tenant": to_blob(tenant),
            "id": to_blob(f"{number}"),
        }

    copied(dynamo_server, table, item_keys.document("model", "d", "0"), change)
    table.delete_document("model", "d", "0")
    return table


@pytest.fixture
def jobs(table: DynamoLedger, dynamo_server: DynamoServer) -> DynamoLedger:
    """Each tenant has EACH open jobs of one hour, of which the first tenants have the latest."""
    model = a_job("model", second=0, scope=Scope("model"))
    table.put_job(model, [])

    def change(item: Item, tenant: str, number: int) -> Item:
        id_, created = job_id(f"{tenant} {number}"), at(59 - int(tenant[1:]) % 60)
        place: dict[str, Any] = {
            "gsi1pk": item_keys.queue_of(item_keys.OPEN_QUEUES, id_),
            "gsi1sk": item_keys.turn(tenant, created, item_keys.part(id_)),
        }
        body = bytes(item["body"]).replace(model.id.encode(), id_.encode()).replace(at(0).encode(), created.encode())
        named = {"tenant": to_blob(tenant), "created": created, "body": body}
        return {**item, **item_keys.job(tenant, id_)._asdict(), **place, **named}

    copied(dynamo_server, table, item_keys.job("model", model.id), change)
    dynamo_server.admin.delete_item(
        TableName=table._client.table, Key=to_wire(item_keys.job("model", model.id)._asdict())
    )
    return table


def queries_of(server: DynamoServer, work: Callable[[], object]) -> int:
    server.calls.clear()
    work()
    return sum(operation == "Query" for operation, _ in server.calls)


def test_what_is_due_of_many_tenants_is_removed_with_a_query_for_each_portion(
    documents: DynamoLedger, dynamo_server: DynamoServer
) -> None:
    assert queries_of(dynamo_server, lambda: documents.due_documents("d", now=at(9999), limit=200)) == 2
    seen = 0
    for _ in range(3):
        found = documents.due_documents("d", now=at(9999), limit=200)
        seen += sum(documents.delete_document(one.tenant, "d", one.id) for one in found)
    assert seen == 600


def swept(ledger: DynamoLedger) -> list[Job]:
    """All stuck jobs, as a sweep sees them."""
    seen: list[Job] = []
    while found := ledger.stuck_jobs(
        now=at(9999), pending_before=at(9999), limit=100, after=seen[-1] if seen else None
    ):
        seen += found
    return seen


def test_a_sweep_sees_each_stuck_job_of_many_tenants_once(jobs: DynamoLedger, dynamo_server: DynamoServer) -> None:
    def look() -> list[Job]:
        return jobs.stuck_jobs(now=at(9999), pending_before=at(9999), limit=100)

    assert len(look()) == 100
    assert queries_of(dynamo_server, look) <= 2 * len(item_keys.OPEN_QUEUES)
    seen: list[Job] = []
    queries = queries_of(dynamo_server, lambda: seen.extend(swept(jobs)))
    assert len(seen) == len({job.id for job in seen}) == len(TENANTS) * EACH
    assert queries <= (len(seen) // 100 + 1) * 3 * len(item_keys.OPEN_QUEUES)


def test_a_sweep_sees_each_stuck_job_of_the_version_before_once_although_they_change(table: DynamoLedger) -> None:
    """The change gives each the new sort key, which has another place in the index, but the same one in the order."""
    for number in range(12):
        table.put_job(a_job(f"{number}", second=number, scope=Scope(f"t{7 * number % 12:02d}")), [])
    as_dynamodb_queued_by_age(table._client)
    seen: list[Job] = []
    while found := table.stuck_jobs(now=at(99), pending_before=at(99), limit=5, after=seen[-1] if seen else None):
        seen += found
        for job in found[::2]:
            assert table.update_job(job, held=job)
    assert [job.tenant for job in seen] == [f"t{number:02d}" for number in range(12)]


def test_a_look_for_metrics_finds_the_oldest_and_counts_with_few_queries(
    jobs: DynamoLedger, dynamo_server: DynamoServer
) -> None:
    assert queries_of(dynamo_server, lambda: jobs.backlog(jobs=200, counted=1000)) <= 16 * len(item_keys.OPEN_QUEUES)
    found = jobs.backlog(jobs=200, counted=1000)
    assert (found.open_jobs, len(found.oldest_jobs)) == (1000, 200)
    assert found.oldest_jobs[0].created_at == at(0), "the oldest, although it is of a tenant that comes late"
