"""No route tells a tenant anything of another, or lets it change anything: for every route of the application.

Two worlds get the same requests from the same attacker: one has a victim in another tenant, the other has not. If
the answers differ, something of the victim was read, counted or told apart from what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import Response

from forgetless.api.app import create_app
from forgetless.domain.keys import Role
from tests.tenancy.route_cases import Ids, attacks_on, routes_of
from tests.tenancy.worlds import MARK, Pair, make_pair

#: The table alone: no service is ever asked for.
ROUTES = routes_of(create_app(lambda: pytest.fail("no service is needed"), inline=True))
NAMES = [f"{'/'.join(sorted(route.methods))} {route.path}" for route in ROUTES]
SOME_IDS = Ids(*(f"victims-{name}" for name in Ids.__dataclass_fields__))


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """An administrator of another tenant against `default`."""
    pair = make_pair(tmp_path_factory.mktemp("tenants"), "attackers", Role.ADMIN)
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A key of the same tenant that is limited to other users."""
    pair = make_pair(tmp_path_factory.mktemp("users"), "default", Role.WRITE, "attacker", "nobody-yet")
    yield pair
    pair.close()


def test_the_table_has_the_routes_that_we_know() -> None:
    assert {"POST /memories", "POST /search", "DELETE /api-keys/{key_id}"} <= set(NAMES)


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_every_route_has_its_attacks(route: APIRoute) -> None:
    assert list(attacks_on(route, SOME_IDS))


def test_a_route_without_a_case_is_noticed() -> None:
    app = FastAPI()

    def new(strange_id: str) -> Response:
        raise NotImplementedError

    app.add_api_route("/new/{strange_id}", new, methods=["GET"])
    app.add_api_route("/new", new, methods=["POST"])
    for route in routes_of(app):
        with pytest.raises(LookupError, match=r"strange_id|BODIES"):
            list(attacks_on(route, SOME_IDS))


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_another_tenant_learns_and_changes_nothing(tenants: Pair, route: APIRoute) -> None:
    _hold_off(tenants, route)


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_a_key_limited_to_other_users_learns_and_changes_nothing(users: Pair, route: APIRoute) -> None:
    _hold_off(users, route)


def _hold_off(pair: Pair, route: APIRoute) -> None:
    for attack in attacks_on(route, pair.ids):
        inhabited, empty = pair.attack(attack)
        assert inhabited.comparable() == empty.comparable(), f"{attack} tells that there is somebody"
        assert MARK not in inhabited.body, f"{attack} shows the victim's words"
        assert inhabited.status < 500, f"{attack} fails: {inhabited.body}"
        assert pair.damage() == [], f"{attack} changes the victim's data"
