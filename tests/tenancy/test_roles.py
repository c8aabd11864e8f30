"""What each role may do, for every route of the application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute

from forgetless.api.app import create_app
from forgetless.domain.keys import Role
from tests.tenancy.route_cases import Attack, Ids, attacks_on, routes_of
from tests.unit.api.client import Api, make_api, put_key
from tests.unit.service.world import make_world

ROUTES = routes_of(create_app(lambda: pytest.fail("no service is needed"), inline=True))
NAMES = [f"{'/'.join(sorted(route.methods))} {route.path}" for route in ROUTES]
SOME_IDS = Ids(*(f"some-{name}" for name in Ids.__dataclass_fields__))

#: All that is not GET and that a key may do which may only read.
READING = {
    "POST /search",
    "POST /configure",
    "POST /v1/memories/explain/",
    "POST /v1/memories/search/",
    "POST /v2/memories/search/",
    "POST /v3/memories/search/",
    "POST /v2/memories/",
    "POST /v3/memories/",
    "POST /v1/exports/get/",
    "POST /v1/summary/",
}
_PROJECTS = "/api/v1/orgs/organizations/{org_id}/projects/"
#: What needs an administrator.
ADMINISTRATION = {
    "GET /configure",
    "DELETE /memories",
    "DELETE /entities/{entity_type}/{entity_id:id}",
    "POST /reset",
    "GET /audit",
    "GET /api-keys",
    "POST /api-keys",
    "POST /api-keys/{key_id}/rotate",
    "DELETE /api-keys/{key_id}",
    "GET /export",
    "POST /import-jobs",
    "POST /import-jobs/{job_id}/lines",
    "POST /import-checks",
    "POST /export-jobs",
    "POST /export-jobs/{job_id}/lines",
    "GET /api/v1/webhooks/{webhook_id}/deliveries/",
    "DELETE /v1/event/{event_id}/",
    "DELETE /v1/memories/",
    "DELETE /v1/entities/{entity_type}/{entity_id:path}/",
    "DELETE /v2/entities/{entity_type}/{entity_id:path}/",
    f"POST {_PROJECTS}",
    f"PATCH {_PROJECTS}{{project}}/",
    f"DELETE {_PROJECTS}{{project}}/",
    f"POST {_PROJECTS}{{project}}/members/",
    f"PUT {_PROJECTS}{{project}}/members/",
    f"DELETE {_PROJECTS}{{project}}/members/",
    "GET /api/v1/webhooks/projects/{project}/",
    "POST /api/v1/webhooks/projects/{project}/",
    "PUT /api/v1/webhooks/{webhook_id}/",
    "DELETE /api/v1/webhooks/{webhook_id}/",
}
#: What access says; whether a list of everybody's memories is allowed is a matter of the request, not of the route.
LACKING = {"Admin role required.", "Write role required: this key may only read."}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    world = make_world(tmp_path_factory.mktemp("roles"))
    api = make_api(world)
    for role in Role:
        put_key(world, f"key-of-{role}", "default", role)
    yield api
    world.ledger.close()


def refused(api: Api, attack: Attack, key: str | None) -> str | None:
    """Why the role is not enough; None when something else decided."""
    answer = api.call(attack.method, attack.path, key=key, json=attack.body)
    detail = answer.json().get("detail") if answer.status_code == 403 else None
    return detail if detail in LACKING else None


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("name", "route"), list(zip(NAMES, ROUTES, strict=True)), ids=NAMES)
def test_a_role_reaches_what_it_may_and_nothing_else(api: Api, name: str, route: APIRoute, role: Role) -> None:
    needed = Role.ADMIN if name in ADMINISTRATION else Role.READ if name in READING else None
    needed = needed or (Role.READ if name.startswith("GET ") else Role.WRITE)
    for attack in attacks_on(route, SOME_IDS):
        reason = refused(api, attack, f"key-of-{role}")
        assert (reason is None) == role.allows(needed), f"{attack} as {role}: {reason}"
        assert reason is None or needed in reason.lower()


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_without_a_key_every_route_is_401(api: Api, route: APIRoute) -> None:
    for attack in attacks_on(route, SOME_IDS):
        assert api.call(attack.method, attack.path, key=None, json=attack.body).status_code == 401


def test_roles_are_ordered() -> None:
    assert [[one.allows(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
