"""The DynamoDB requests of an add and of a search, which docs/dynamodb.md states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.domain.retention import DAY_S
from tests.dynamo_server import DynamoServer
from tests.fakes.clock import FakeClock
from tests.unit.service.world import World, facts, make_world


@pytest.fixture
def world(dynamo: Callable[..., DynamoLedger], tmp_path: Path) -> World:
    """A process that has served its first requests."""
    numbers = count()
    ledger = dynamo(succeeded_jobs_s=30 * DAY_S, clock=FakeClock())  # as deployed, where jobs that succeeded expire
    world = make_world(tmp_path, lambda _messages: facts(f"Alice likes number {next(numbers)}"), ledger=ledger)
    world.say("first of all")
    world.say("hello", infer=True)
    return world


def test_an_add_and_a_search_make_as_many_requests_as_the_docs_say(world: World, dynamo_server: DynamoServer) -> None:
    def requests(call: Callable[[], object]) -> Counter[str]:
        dynamo_server.calls.clear()
        call()
        return Counter(operation for operation, _ in dynamo_server.calls)

    reads = {"Query": 1, "BatchGetItem": 6}
    assert requests(lambda: world.say("I like tea")) == {**reads, "TransactWriteItems": 1, "UpdateItem": 1}
    assert requests(lambda: world.say(*map(str, range(5)))) == {**reads, "TransactWriteItems": 2}
    assert requests(lambda: world.say("I live in Rome", infer=True)) == {
        "Query": 2,
        "BatchGetItem": 15,
        "PutItem": 2,
        "TransactWriteItems": 2,
        "UpdateItem": 1,
        "DeleteItem": 1,
    }
    assert requests(lambda: world.find("tea")) == {"BatchGetItem": 1}
