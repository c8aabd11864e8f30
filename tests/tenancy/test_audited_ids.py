"""Whom a request of an administrator was about is found in the audit list by the id: for every route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from fastapi.routing import APIRoute

from forgetless.domain.scope import SCOPE_IDS
from tests.tenancy.route_cases import Attack, Ids, attacks_on
from tests.tenancy.test_every_route import NAMES, ROUTES
from tests.tenancy.worlds import make_victim
from tests.unit.api.client import Api, make_api
from tests.unit.service.world import make_world

#: What the application never reads, although clients send it.
_UNREAD = {"POST /v2/profiles/jobs/": "there are no profiles"}
#: A field that is no id, although it has the word.
_NO_IDS = {"tenant"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    world = make_world(tmp_path)
    yield make_api(world)
    world.ledger.close()


@pytest.mark.parametrize(("route", "name"), list(zip(ROUTES, NAMES, strict=True)), ids=NAMES)
def test_who_was_meant_is_found_by_the_id(api: Api, route: APIRoute, name: str) -> None:
    ids = make_victim(api)
    for attack in attacks_on(route, ids):
        meant = set() if name in _UNREAD else _meant(attack, ids, name)
        answer = api.call(attack.method, attack.path, json=attack.body)
        assert answer.status_code < 500, answer.text
        if answer.status_code < 400:
            for id_ in meant:
                assert answer.headers["x-request-id"] in _found(api, id_), f"{attack} does not name {id_}"


def _meant(attack: Attack, ids: Ids, route: str) -> set[str]:
    """The ids of whom the request is about, by what it names."""
    stands_for = {id_: id_ for id_ in (ids.user, ids.agent, ids.app, ids.run, ids.memory)}
    stands_for[ids.export] = ids.user
    if route == "DELETE /v1/entities/{entity_type}/{entity_id:path}/":
        stands_for = {ids.number: ids.user}
    if "{event_id}" in route:
        stands_for |= {ids.event: ids.user, ids.bulk: ids.user}
    return {stands_for[word] for word in _words(attack) if word in stands_for}


def _words(attack: Attack) -> Iterator[str]:
    parts = urlsplit(attack.path)
    yield from map(unquote, parts.path.split("/"))
    for _, value in parse_qsl(parts.query):
        yield from _texts(json.loads(value) if value.startswith("{") else value)
    yield from _texts(attack.body)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name not in _NO_IDS:
                yield from _texts(one)


def _found(api: Api, id_: str) -> set[str]:
    """The requests that are found by this id, under whatever name."""
    pages = [api.world.services.audit.page("default", limit=1000, named={name: [id_]}) for name in _KINDS]
    return {entry.request_id for page in pages for entry in page.entries}


_KINDS = (*SCOPE_IDS, "memory_id")
