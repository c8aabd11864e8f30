"""Every field, parameter, part of a path and header with values of other kinds: refused or answered, never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from fastapi.routing import APIRoute

from forgetless.api.mcp.tools import TOOLS
from tests.scale.tool_cases import TOOL_CASES
from tests.tenancy.route_cases import BODIES, Attack, Ids, attacks_on, routes_of
from tests.unit.api.client import Api, make_api
from tests.unit.service.world import make_world

#: One of each JSON type, and those of which Python's containers and comparisons think differently.
_VALUES: tuple[Any, ...] = (
    None, True, -1, 1e308, 10**30, "x", [], [None], [{}], {}, {"a": {}}, {"in": [{}]},
)  # fmt: skip

#: One of each kind of text that readers of numbers, times, ids, filters and cursors stumble over.
_TEXTS = (
    "", "-1", "1e9", "9" * 400, "\u0661", "null", "a\x00b", "\u202e", "*", "%", "0001-01-01",
    "9999-12-31T23:59:59+14:00", "[{}]", '{"AND": [{}]}', "[" * 500, "x" * 3000,
)  # fmt: skip
_HEADERS = ("If-Match", "Prefer", "Idempotency-Key")


#: A new world for each, because some requests erase everything.
_PARTS = 6


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[tuple[Api, str]]:
    api = make_api(make_world(tmp_path), mcp=True)
    [memory] = api.say("tea with lemon", user_id="alice", metadata={"topic": "tea"})
    yield api, memory
    api.world.services.close()
    api.world.ledger.close()


@pytest.mark.parametrize("name", sorted(name for name in BODIES if BODIES[name](Ids(*"abcdefghijklm"))))
def test_no_value_of_a_field_is_an_internal_error(stage: tuple[Api, str], name: str) -> None:
    api, memory = stage
    ids = Ids("alice", "bot", "r1", memory, "e", "b", "k", "web", "1", "default", "default", "w", "x")
    [route] = [one for one in routes_of(api.client.app) if name in _names_of(one)]  # type: ignore[arg-type]
    method = name.partition(" ")[0]
    attacks = [one for one in attacks_on(route, ids) if one.method == method and one.body is not None]
    failed = []
    for body in _bodies(route, attacks):
        content = json.dumps(body)
        answer = api.call(method, attacks[0].path, content=content, headers={"Content-Type": "application/json"})
        if answer.status_code >= 500:
            failed.append((content, answer.status_code))
    assert not failed


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_no_argument_of_a_tool_is_an_internal_error(stage: tuple[Api, str], name: str) -> None:
    api, memory = stage
    given = dict(TOOL_CASES[name][0].arguments) if name in TOOL_CASES else {"user_id": "alice"}
    given = {key: memory if str(value).startswith("<") else value for key, value in given.items()}
    fields = {**dict.fromkeys(TOOLS[name].announced.input_schema["properties"]), **given}
    for key in fields:
        for value in _VALUES:
            call = {"name": name, "arguments": {**given, key: value}}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            answer = api.call("POST", "/mcp", json=message, headers={"Accept": "application/json, text/event-stream"})
            assert answer.status_code < 500, (call, answer.text)
            assert "-32603" not in answer.text, (call, answer.text)


@pytest.mark.parametrize("part", range(_PARTS))
def test_no_parameter_part_of_a_path_or_header_is_an_internal_error(stage: tuple[Api, str], part: int) -> None:
    api, memory = stage
    ids = Ids("alice", "bot", "r1", memory, "e", "b", "k", "web", "1", "default", "default", "w", "x")
    failed = []
    for route in routes_of(api.client.app)[part::_PARTS]:  # type: ignore[arg-type]
        attack = next(iter(attacks_on(route, ids)))
        content = None if attack.body is None else json.dumps(attack.body)
        for path, headers in _requests(route, attack.path):
            answer = api.call(
                attack.method, path, content=content, headers={"Content-Type": "application/json", **headers}
            )
            if answer.status_code >= 500:
                failed.append((attack.method, path, headers, answer.status_code))
    assert not failed


def _requests(route: APIRoute, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The path with each text as each parameter, instead of each of its parts and in each header."""
    bare, _, query = path.partition("?")
    for name in [one.alias for one in route.dependant.query_params] or [None]:
        for text in _TEXTS if name else ():
            yield f"{bare}?{urlencode({**dict(parse_qsl(query)), name: text})}", {}
    for place in [place for place, one in enumerate(route.path.split("/")) if one.startswith("{")]:
        for text in _TEXTS[1:]:
            parts = bare.split("/")
            parts[place] = quote(text, safe="")
            yield "/".join(parts), {}
    for name in _HEADERS:
        for text in ("", '"-1"', '"' + "9" * 400 + '"', "wait=1e99", "x" * 300):
            yield path, {name: text}


def _names_of(route: APIRoute) -> set[str]:
    return {f"{method} {route.path}" for method in route.methods}


def _bodies(route: APIRoute, attacks: list[Attack]) -> Iterator[Any]:
    known = {json.dumps(one.body): one.body for one in attacks}
    yield from _VALUES
    for body in {tuple(body): body for body in known.values()}.values():
        yield from _changed(body)
    first = next(iter(known.values()))
    if route.body_field is not None and isinstance(first, dict):
        for field in getattr(route.body_field.field_info.annotation, "model_fields", {}):
            yield from ({**first, field: value} for value in _VALUES)


def _changed(value: Any) -> Iterator[Any]:
    """The value with each place of it replaced by each of the values."""
    places: list[Any] = sorted(value) if isinstance(value, dict) else list(range(len(value)))
    for place in places:
        part = value[place]
        inner = _changed(part) if isinstance(part, dict | list) else ()
        for one in (*_VALUES, *inner):
            whole = dict(value) if isinstance(value, dict) else list(value)
            whole[place] = one
            yield whole
