"""The DynamoDB requests of the common routes, which docs/dynamodb.md states."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.domain.retention import DAY_S
from tests.dynamo_server import DynamoServer
from tests.fakes.clock import FakeClock
from tests.unit.api.client import Api, make_api
from tests.unit.service.world import facts, make_world

_DOCS = Path(__file__).parents[3] / "docs" / "dynamodb.md"
_ALICE = {"user_id": "alice"}
_SAID = [{"role": "user", "content": "I like tea"}]
_PAGE = {"filters": _ALICE, "page_size": 2}

#: What is asked, by its name in the docs: method, path and body.
ROUTES: dict[str, tuple[str, str, Any]] = {
    "verbatim add of one message": ("POST", "/memories", {"messages": _SAID, "infer": False, **_ALICE}),
    "verbatim add of five messages": ("POST", "/memories", {"messages": _SAID * 5, "infer": False, **_ALICE}),
    "add of one message that an LLM turns into a fact": ("POST", "/memories", {"messages": _SAID, **_ALICE}),
    "add that is queued": ("POST", "/v3/memories/add/", {"messages": _SAID, **_ALICE}),
    "search": ("POST", "/search", {"query": "tea", "filters": _ALICE}),
    "get": ("GET", "/memories/<memory>", None),
    "history": ("GET", "/memories/<memory>/history", None),
    "list of a user": ("GET", "/memories?user_id=alice", None),
    "first page of a user, with its count": ("POST", "/v3/memories/", {**_PAGE, "page": 1}),
    "each page after it": ("POST", "/v3/memories/", {**_PAGE, "page": 2}),
    "one entity": ("GET", "/v2/entities/user/alice/", None),
    "page of entities, with their count": ("GET", "/v1/entities/", None),
    "page of events, with their count": ("GET", "/v1/events/", None),
    "update": ("PUT", "/memories/<memory>", {"text": "I like green tea"}),
    "deletion of a memory": ("DELETE", "/memories/<memory>", None),
}

_NAMES = {
    "Query": ("query", "queries"),
    "BatchGetItem": ("batch read", "batch reads"),
    "PutItem": ("put", "puts"),
    "TransactWriteItems": ("transaction", "transactions"),
    "UpdateItem": ("update", "updates"),
    "DeleteItem": ("delete", "deletes"),
}


@pytest.fixture
def api(dynamo: Callable[..., DynamoLedger], tmp_path: Path) -> Iterator[Api]:
    """A process that has served its first requests."""
    numbers = count()
    ledger = dynamo(succeeded_jobs_s=30 * DAY_S, clock=FakeClock())  # as deployed, where jobs that succeeded expire
    world = make_world(tmp_path, lambda _messages: facts(f"Alice likes number {next(numbers)}"), ledger=ledger)
    api = make_api(world)
    api.say("first of all")
    world.say("hello", infer=True)
    world.find("tea")
    yield api
    world.services.close()


def test_the_common_routes_make_as_many_requests_as_the_docs_say(api: Api, dynamo_server: DynamoServer) -> None:
    (memory,) = api.say("I drink my tea with milk")
    made: dict[str, str] = {}
    for name, (method, path, body) in ROUTES.items():
        api.world.clock.advance(1)
        api.world.services.audit.flush()  # what earlier requests have left to be noted
        api.world.services.meter.flush()  # and to be counted
        dynamo_server.calls.clear()
        answer = api.call(method, path.replace("<memory>", memory), json=body)
        assert answer.status_code == 200, answer.text
        made[name] = in_words(Counter(operation for operation, _ in dynamo_server.calls))
    stated = dict(re.findall(r"^\| ([^|]+) \| (\d+:[^|]+) \| \d+ \|$", _DOCS.read_text(), re.MULTILINE))
    assert {name: words for name, words in made.items() if stated.get(name) != words} == {}
    assert stated.keys() == made.keys()


def in_words(requests: Counter[str]) -> str:
    """The requests as the docs state them."""
    kinds = [f"{requests[kind]} {words[requests[kind] > 1]}" for kind, words in _NAMES.items() if requests[kind]]
    assert set(requests) <= set(_NAMES)
    return f"{sum(requests.values())}: {', '.join(kinds)}"
