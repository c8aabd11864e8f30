"""Base paths: of a named stage, a custom domain or a proxy, taken off or not; and addresses that begin with it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mangum import Mangum
from starlette.testclient import TestClient

from forgetless.api.app import create_app
from forgetless.api.base_path import base_path_of, take_off_base_path
from forgetless.runtime.settings import _OWN_PATHS
from tests.unit.api.client import ADMIN, Api
from tests.unit.servers import event_loop


def event(path: str, stage: str = "$default", query: str = "") -> dict[str, Any]:
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"authorization": f"Token {ADMIN}", "host": "localhost"},
        "requestContext": {"http": http, "requestId": "r", "stage": stage},
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(
    ("path", "stage", "configured", "inside", "shown"),
    [
        ("/health", "$default", "", "/health", ""),
        ("/prod/health", "prod", "", "/health", "/prod"),
        ("/prod", "prod", "", "/", "/prod"),
        ("/production/health", "prod", "", "/production/health", ""),
        ("/v1/v1/memories/", "v1", "", "/v1/memories/", "/v1"),
        # A custom domain's mapping, left in the path and taken off, alone and with a named stage.
        ("/memory/health", "$default", "/memory", "/health", "/memory"),
        ("/health", "$default", "/memory", "/health", "/memory"),
        ("/memory/prod/health", "prod", "/memory", "/health", "/memory"),
        ("/prod/health", "prod", "/memory", "/health", "/memory"),
        ("/tools/memory", "$default", "/tools/memory", "/", "/tools/memory"),
        ("/memory", "$default", "/memory", "/", "/memory"),
        # An id is neither decoded twice nor taken for a prefix.
        ("/memory/v2/entities/user/100%25/", "$default", "/memory", "/v2/entities/user/100%25/", "/memory"),
        ("/v1/memories/memory/", "$default", "/memory", "/v1/memories/memory/", "/memory"),
    ],
)
def test_a_gateways_prefix_is_taken_off_and_shown(
    path: str, stage: str, configured: str, inside: str, shown: str
) -> None:
    scope: dict[str, Any] = {"path": path, "aws.event": event(path, stage)}
    take_off_base_path(scope, configured)
    assert (scope["path"], base_path_of(scope)) == (inside, shown)


def test_a_servers_root_path_is_taken_off_too() -> None:
    scope: dict[str, Any] = {"path": "/memory/health", "root_path": "/memory"}
    take_off_base_path(scope, "")
    assert (scope["path"], scope["root_path"], base_path_of(scope)) == ("/health", "", "/memory")


def test_a_named_stage_serves_the_api_and_its_addresses_work(api: Api) -> None:
    api.say("one", "two", "three", user_id="ann")
    path, query = "/prod/v1/memories/", "user_id=ann&page=1&page_size=2"
    with event_loop():
        handler = Mangum(create_app(lambda: api.world.services, inline=True), lifespan="off")
        page = handler(event(path, "prod", query), None)  # type: ignore[arg-type]
        root = handler(event("/prod", "prod"), None)  # type: ignore[arg-type]
    assert '"next":"/prod/v1/memories/?' in page["body"]
    assert (root["statusCode"], root["headers"]["location"]) == (307, "/prod/docs")


@pytest.fixture
def behind_a_proxy(api: Api) -> TestClient:
    hosts = ("https://claude.ai/api/mcp/auth_callback",)
    app = create_app(lambda: api.world.services, inline=True, mcp=True, base_path="/memory", oauth_redirects=hosts)
    return TestClient(app, headers={"X-API-Key": ADMIN}, follow_redirects=False)


@pytest.mark.parametrize("prefix", ["", "/memory"])
def test_behind_a_proxy_that_takes_the_base_path_off_or_leaves_it(behind_a_proxy: TestClient, prefix: str) -> None:
    assert behind_a_proxy.get(f"{prefix}/health", headers={"X-API-Key": ""}).json() == {"status": "ok"}
    assert behind_a_proxy.get(f"{prefix}/").headers["location"] == "/memory/docs"
    assert behind_a_proxy.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/memory"}]
    page = behind_a_proxy.get(f"{prefix}/docs").text
    assert "<code>/memory</code>" in page
    assert 'href="openapi.json"' in page, "relative, so it works below any path"
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    tools = behind_a_proxy.post(f"{prefix}/mcp", json=call, headers={"Accept": "application/json, text/event-stream"})
    assert tools.json()["result"]["tools"]
    refused = behind_a_proxy.post(f"{prefix}/mcp", json=call, headers={"X-API-Key": "wrong"})
    metadata = re.findall(r'resource_metadata="https?://testserver([^"]*)"', refused.headers["www-authenticate"])
    assert metadata == ["/memory/.well-known/oauth-protected-resource/mcp"]
    assert behind_a_proxy.get(metadata[0]).json()["resource"].endswith("/memory/mcp")
    # The dialect is judged by the API's own path.
    assert "error" in behind_a_proxy.get(f"{prefix}/v1/memories/none/").json()
    assert behind_a_proxy.get(f"{prefix}/nothing").status_code == 404


def test_what_a_base_path_may_not_begin_with_are_the_apis_own_paths(behind_a_proxy: TestClient) -> None:
    routes = behind_a_proxy.app.routes  # type: ignore[attr-defined]
    own = {route.path[1:].partition("/")[0] for route in routes} - {""}
    assert own - {"api"} == _OWN_PATHS
