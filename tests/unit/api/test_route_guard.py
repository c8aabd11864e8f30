"""Every endpoint is behind a declared role, and the route is looked up only once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Match
from starlette.routing import Route as StarletteRoute

from forgetless.api.access import GuardedRoute
from forgetless.api.app import all_routes, create_app, create_mcp_app, create_search_app
from forgetless.api.body_limit import MAX_BODY_BYTES
from forgetless.api.caller import MCP_PATH, is_open_path
from forgetless.domain.keys import Role
from forgetless.service.services import Services
from tests.unit.api.client import ADMIN, Api, put_key
from tests.unit.api.conftest import NewApi


def unneeded() -> Services:
    raise AssertionError("no service is needed")


WHOLE = create_app(unneeded, inline=True, mcp=True)
APPS = (WHOLE, create_search_app(unneeded, inline=True), create_mcp_app(unneeded, inline=True))
GUARDED = [route for route in WHOLE.routes if isinstance(route, GuardedRoute)]


def first_match(routes: Sequence[BaseRoute], method: str, path: str) -> BaseRoute | None:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)


@pytest.mark.parametrize("app", APPS, ids=["whole", "search", "mcp"])
def test_what_has_no_role_is_open_or_mcp_which_asks_for_each_tool(app: FastAPI) -> None:
    for route in app.routes:
        if isinstance(route, GuardedRoute):
            assert route.route.role in Role
        else:
            assert isinstance(route, StarletteRoute)
            assert is_open_path(route.path) or route.path in {MCP_PATH, "/docs/oauth2-redirect"}


def test_all_of_our_routes_are_served() -> None:
    assert [route.route for route in GUARDED] == all_routes()


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.route.method} {route.route.shown}")
def test_no_route_is_hidden_by_one_before_it(route: GuardedRoute) -> None:
    assert first_match(WHOLE.routes, route.route.method, route.route.path) is route


def test_an_endpoint_without_a_role_cannot_be_added() -> None:
    app = create_app(unneeded, inline=True)
    with pytest.raises(TypeError):
        app.add_api_route("/unguarded", lambda: None, methods=["GET"])
    with pytest.raises(TypeError):
        app.get("/unguarded")(lambda: None)
    assert first_match(app.routes, "GET", "/unguarded") is None


def test_a_role_that_is_lacking_is_told_before_the_body_is_read(api: Api) -> None:
    put_key(api.world, "a-reader", "default", Role.READ)
    too_large = b" " * (MAX_BODY_BYTES + 1)
    headers = {"Content-Type": "application/json", "Idempotency-Key": "not\tprintable"}
    answers = [
        api.call("POST", "/memories", key=key, content=too_large, headers=headers) for key in ("a-reader", ADMIN)
    ]
    assert [answer.status_code for answer in answers] == [403, 413]


@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("POST", "/memories", None, 401),
        ("POST", "/nowhere", None, 401),
        ("POST", "/health", None, 401),
        ("POST", "/nowhere", ADMIN, 404),
        ("PATCH", "/memories", ADMIN, 405),
        ("HEAD", "/memories", ADMIN, 405),
        ("HEAD", "/health", None, 405),
        ("GET", "/health", None, 200),
    ],
)
def test_who_asks_comes_before_what_there_is(api: Api, method: str, path: str, key: str | None, status: int) -> None:
    assert api.call(method, path, key=key).status_code == status


def test_mcp_takes_part_in_all_but_roles(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    assert api.call("POST", MCP_PATH, key=None).status_code == 401
    assert api.call("POST", MCP_PATH, content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413
