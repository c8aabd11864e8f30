"""Nothing that a key receives depends on memories that it may not read: every byte and header of every answer.

Each request is sent in two worlds that are alike until, just before it, somebody else does something in one of them:
other users of the tenant if the key is limited, and otherwise another tenant. Scores are compared, too: what words
weigh depends on nothing that is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from fastapi.routing import APIRoute

from forgetless.api.access import GuardedRoute
from forgetless.api.app import create_app
from forgetless.api.mcp.tools import TOOLS
from forgetless.domain.keys import Role
from forgetless.domain.quotas import DefaultQuotas, Quotas
from forgetless.domain.usage import UsageKind
from forgetless.service.access.usage_meter import UsageMeter
from tests.tenancy.route_cases import Attack, Ids, attacks_on, routes_of
from tests.tenancy.twins import NAME, VIEWS, Twins, make_twins


def _order(route: APIRoute) -> tuple[bool, bool, str]:
    """Reads first, and what deletes most last, so that there is something to tell of."""
    (method,) = route.methods
    return method != "GET", method == "DELETE" or route.path == "/reset", route.path


ROUTES = sorted(routes_of(create_app(lambda: pytest.fail("no service is needed"), inline=True)), key=_order)
NAMES = [f"{'/'.join(sorted(route.methods))} {route.path}" for route in ROUTES]


@pytest.fixture(scope="module", params=VIEWS, ids=lambda view: view.name)
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    twins = make_twins(tmp_path_factory.mktemp("twins"), request.param)
    yield twins
    twins.close()


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_every_route(twins: Twins, route: APIRoute) -> None:
    assert isinstance(route, GuardedRoute)
    if not twins.view.role.allows(route.route.role):
        return  # 403, whatever is there (test_roles.py)
    own = twins.go_on()
    for request in [*attacks_on(route, own), *attacks_on(route, twins.ids)]:
        alone, crowded = twins.ask(request)
        assert alone == crowded, f"{request} {request.body}: {alone.difference(crowded)}"


def _scopes(ids: Ids) -> list[dict[str, str]]:
    return [
        {"user_id": ids.user},
        {"agent_id": ids.agent},
        {"run_id": ids.run},
        {"user_id": ids.user, "run_id": ids.run},
    ]


def _each(**fields: Any) -> Callable[[Ids], list[dict[str, Any]]]:
    return lambda ids: [{**scope, **fields} for scope in _scopes(ids)]


#: What is asked of each tool.
ARGUMENTS: Mapping[str, Callable[[Ids], list[dict[str, Any]]]] = {
    "add_memory": _each(text="zorblax sesame", infer=False),
    "search_memories": _each(query="zorblax sesame", threshold=0, limit=1000),
    "get_memories": _each(),
    "get_memory": lambda ids: [{"memory_id": ids.memory}],
    "update_memory": lambda ids: [{"memory_id": ids.memory, "text": "zorblax"}],
    "restore_memory": lambda ids: [{"memory_id": ids.memory}],
    "delete_memory": lambda ids: [{"memory_id": ids.memory}],
    "delete_all_memories": _each(),
    "list_entities": lambda _: [{}],
    "delete_entities": _each(),
}


def _call(tool: str, arguments: dict[str, Any]) -> Attack:
    call = {"name": tool, "arguments": arguments}
    return Attack("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})


def test_every_tool_has_its_arguments() -> None:
    assert set(ARGUMENTS) == set(TOOLS)


@pytest.mark.parametrize("tool", list(ARGUMENTS))
def test_every_tool(twins: Twins, tool: str) -> None:
    own = twins.go_on()
    for arguments in ARGUMENTS[tool](own) + ARGUMENTS[tool](twins.ids):
        alone, crowded = twins.ask(_call(tool, arguments), {"Accept": "application/json, text/event-stream"})
        assert alone == crowded, f"{tool} {arguments}: {alone.difference(crowded)}"
        assert alone.status == 200


_SEARCH = {"query": "zorblax sesame", "threshold": 0, "top_k": 1000, "filters": {"user_id": "attacker"}}


@pytest.mark.parametrize(
    "request_",
    [
        Attack("POST", "/search", {**_SEARCH, "explain": True}),
        Attack("POST", "/v3/memories/search/", _SEARCH),
        _call("search_memories", {**_SEARCH, "top_k": None, "limit": 1000, "explain": True}),
    ],
    ids=["self-hosted", "Platform", "MCP"],
)
def test_scores_by_words(twins: Twins, request_: Attack) -> None:
    twins.go_on()
    alone, crowded = twins.ask(request_, {"Accept": "application/json, text/event-stream"})
    assert alone == crowded, alone.difference(crowded)
    assert b"zorblax" in alone.body


@pytest.mark.parametrize("where", [{"user_id": "attacker"}, {"agent_id": "helper"}, {"run_id": "own-run"}])
def test_a_name_that_others_have_said_stays_in_a_question(twins: Twins, where: dict[str, str]) -> None:
    twins.go_on()
    question = f"What did {NAME} tell the attacker about sesame seeds?"
    body = {"query": question, "threshold": 0, "top_k": 1000, "filters": where, "explain": True}
    alone, crowded = twins.ask(Attack("POST", "/search", body))
    assert alone == crowded, alone.difference(crowded)


def test_scores_of_the_past_do_not_depend_on_others(twins: Twins) -> None:
    twins.go_on()
    past = {"as_of": "2026-02-01T12:00:00Z", "explain": True}
    alone, crowded = twins.ask(Attack("POST", "/search", {**_SEARCH, **past}))
    assert alone == crowded, alone.difference(crowded)
    assert b"bm25_raw" in alone.body


@pytest.mark.parametrize("user", ["attacker", "victim"])
def test_an_idempotency_key_that_somebody_else_uses(twins: Twins, user: str) -> None:
    twins.go_on()
    body = {"messages": [{"role": "user", "content": "zorblax"}], "infer": False, "user_id": user}
    for key in twins.idempotency_keys():
        alone, crowded = twins.ask(Attack("POST", "/memories", body), {"Idempotency-Key": key})
        assert alone == crowded, alone.difference(crowded)


def test_a_text_that_somebody_else_said_is_computed_again(twins: Twins) -> None:
    """Its vector is not found in the embedder's cache, so the time tells nothing."""
    if not twins.view.role.allows(Role.WRITE):
        return
    twins.go_on()
    said = {"infer": False, "user_id": "attacker"}
    costs = []
    for number, text in enumerate((twins.last_said(), "never said by anybody", "never said by anybody")):
        body = {**said, "messages": [{"role": "user", "content": text}], "run_id": f"new-run-{number}"}
        alone, crowded = twins.ask(Attack("POST", "/memories", body))
        assert alone == crowded, alone.difference(crowded)
        costs.append(crowded.computed)
    assert costs == [1, 1, 0], "what the key has said itself is found, and nothing else"


def test_a_quota(twins: Twins) -> None:
    for api in (twins.alone, twins.crowded):
        api.world.services.meter.flush()
        key, now = twins.view.key(), api.world.clock.now()
        used = api.world.ledger.used(key.tenant, [key.id], now=now)[key.id].day.get(UsageKind.SEARCHES, 0)
        own = Quotas.of({"searches_per_day": used + 5})
        # The quota of a tenant is shared by its own keys alone.
        quotas = DefaultQuotas(key=own, tenant=Quotas() if twins.view.tenant == "default" else own)
        api.world.services.meter = UsageMeter(ledger=api.world.ledger, clock=api.world.clock, defaults=quotas)
    search = {"query": "tea", "filters": {"user_id": "attacker"}}
    try:
        found = []
        for _ in range(7):
            for _ in range(3):
                twins.crowded.post("/search", search)  # a neighbour, who uses up its own
            alone, crowded = twins.ask(Attack("POST", "/search", search))
            assert alone == crowded, alone.difference(crowded)
            found.append((alone.status, dict(alone.headers).get("x-ratelimit-remaining")))
        assert found == [(200, None)] * 5 + [(429, "0")] * 2
    finally:
        for api in (twins.alone, twins.crowded):
            api.world.services.meter = UsageMeter(ledger=api.world.ledger, clock=api.world.clock)


@pytest.mark.parametrize("path", ["/health", "/", "/docs", "/openapi.json"])
def test_what_is_told_without_a_key(twins: Twins, path: str) -> None:
    twins.let_others()
    alone, crowded = twins.ask(Attack("GET", path), {"X-API-Key": ""})
    assert alone == crowded, alone.difference(crowded)
