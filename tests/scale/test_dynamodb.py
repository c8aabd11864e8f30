"""The most frequent requests cost no more requests of DynamoDB in a larger tenant. moto is slow, so both are small."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from forgetless.domain.keys import Role
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, job_event_id, memory_id
from forgetless.domain.scope import Scope
from forgetless.domain.signals import RowSignals
from forgetless.domain.sparse_words import RESERVED_ID
from forgetless.domain.times import later
from forgetless.ports.index import IndexRow
from tests.dynamo_server import DynamoServer
from tests.fakes.clock import FakeClock
from tests.scale.work import Meter, Work, counted, growth
from tests.unit.api.client import Api, make_api, put_key
from tests.unit.service.world import World, facts, make_world

pytestmark = [pytest.mark.timeout(900)]

#: Memories of the one user of each tenant. No read takes as many at once.
SIZES = {"small": 120, "large": 240}
_BATCH = 15
_PAGE = 10
_BEGAN = "2025-12-01T00:00:00.000000+00:00"
_BOB = {"user_id": "bob"}
_SAID = [{"role": "user", "content": "I drink my tea with ginger"}]

#: What is asked, by its name: method, path and body. A later case may find what an earlier one has changed.
CASES: dict[str, tuple[str, str, Any]] = {
    "search": ("POST", "/search", {"query": "tea", "filters": _BOB, "top_k": 5, "threshold": 0}),
    "get": ("GET", "/memories/<memory>", None),
    "history": ("GET", "/memories/<memory>/history", None),
    "newest": ("GET", f"/memories?user_id=bob&top_k={_PAGE}", None),
    "page": ("POST", "/v3/memories/", {"filters": _BOB, "page": 1, "page_size": _PAGE}),
    "entity": ("GET", "/v2/entities/user/bob/", None),
    "events": ("GET", f"/v1/events/?page_size={_PAGE}", None),
    "verbatim add": ("POST", "/memories", {"messages": _SAID, "infer": False, **_BOB}),
    "add of facts": ("POST", "/memories", {"messages": _SAID, **_BOB}),
    "update": ("PUT", "/memories/<memory>", {"text": "green tea"}),
    "deletion": ("DELETE", "/memories/<memory>", None),
}


@pytest.fixture(scope="module")
def api(dynamo_server: DynamoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Meter]]:
    """Both tenants in one table, and the meter of the ledger."""
    from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema  # noqa: PLC0415 - as the fixtures of all tests

    name, meter = f"ledger-{uuid.uuid4()}", Meter(FakeClock())
    dynamo_server.admin.create_table(TableName=name, **schema.DEFINITION)
    ledger = DynamoLedger(name, endpoint_url=dynamo_server.url, patience_s=100.0)
    numbers = iter(range(1_000))
    world = make_world(
        tmp_path_factory.mktemp("dynamo"),
        lambda _messages: facts(f"Bob grows {next(numbers)} kinds of mint"),
        ledger=counted("ledger", ledger, meter),
    )
    for tenant, size in SIZES.items():
        put_key(world, f"key of {tenant}", tenant, Role.ADMIN)
        _fill(world, tenant, size)
    yield make_api(world), meter
    world.services.close()
    dynamo_server.admin.delete_table(TableName=name)


def _fill(world: World, tenant: str, size: int) -> None:
    memories = [_memory(tenant, number) for number in range(size)]
    for start in range(0, size, _BATCH):
        some = memories[start : start + _BATCH]
        said = [Message(MessageRef(one.job_id, 0), one.scope, "user", one.text, one.created_at) for one in some]
        world.ledger.append([Event(EventKind.ADD, one) for one in some], messages=said)
        world.ledger.mark_indexed(some)
        world.index.insert([IndexRow(one, (1.0, *[0.0] * 63), {RESERVED_ID: 1.0}, RowSignals().pack()) for one in some])


def _memory(tenant: str, number: int) -> Memory:
    job_id, at = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant} {number}")), later(_BEGAN, number)
    return Memory(
        memory_id(job_id, 0),
        1,
        Scope(tenant, user_id="bob"),
        f"Note {number} about tea",
        at,
        at,
        job_id,
        role="user",
        sources=(MessageRef(job_id, 0),),
        event_id=job_event_id(job_id, 0),
    )


@pytest.mark.parametrize("name", CASES)
def test_a_request_costs_the_same_in_a_larger_tenant(
    api: tuple[Api, Meter], dynamo_server: DynamoServer, name: str
) -> None:
    number = list(CASES).index(name) + _BATCH

    def measure(tenant: str) -> Work:
        client, meter = api
        method, path, body = CASES[name]
        key = f"key of {tenant}"
        client.get("/configure/providers", key=key)
        client.world.services.audit.flush()  # what earlier requests have left to be noted
        before = len(dynamo_server.calls)
        with meter.measuring() as work:
            answer = client.call(method, path.replace("<memory>", _memory(tenant, number).id), key=key, json=body)
        assert answer.status_code == 200, answer.text
        calls = dynamo_server.calls[before:]
        work["DynamoDB calls"], work["DynamoDB items"] = len(calls), sum(map(_items, calls))
        return work

    small, large = measure("small"), measure("large")
    grown = growth(small, large)
    assert not grown, "\n".join(grown)


def test_every_page_of_the_clients_loop_costs_the_same(api: tuple[Api, Meter], dynamo_server: DynamoServer) -> None:
    """mem0's client asks for page after page until there is no next one."""
    client, _ = api
    pages: list[list[str]] = []
    seen: list[str] = []
    while True:
        client.world.services.audit.flush()
        client.world.services.meter.flush()
        before = len(dynamo_server.calls)
        body = {"filters": _BOB, "page": len(pages) + 1, "page_size": _PAGE}
        answer = client.post("/v3/memories/", body, key="key of large").json()
        calls = dynamo_server.calls[before:]
        pages.append([f"{operation} {_items((operation, asked))}" for operation, asked in calls])
        seen += [memory["id"] for memory in answer["results"]]
        if not answer["next"]:
            break
    assert len(seen) == len(set(seen)) == answer["count"]
    assert len(pages) == -(-len(seen) // _PAGE) > SIZES["small"] // _PAGE
    # The first page need not look up where one before it ended, and the last one has nothing to keep.
    assert {len(made) for made in pages[1:-1]} == {5}, pages
    assert len(pages[-1]) == 4


def _items(call: tuple[str, dict[str, Any]]) -> int:
    """How many items a request of DynamoDB names."""
    asked = call[1]
    tables = asked.get("RequestItems", {}).values()
    return sum(len(one["Keys"]) if "Keys" in one else len(one) for one in tables) or len(
        asked.get("TransactItems", [1])
    )
