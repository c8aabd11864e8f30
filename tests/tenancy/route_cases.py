"""Attacks on every route, made from the application's own table of routes.

A route needs nothing here as long as its path and query name things by the words of `VALUES` and it takes no body.
Otherwise it gets its line in `BODIES`; without one, `attacks_on` says so, and the tests fail.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.routing import APIRoute

from forgetless.api.caller import OPEN_PATHS

__all__ = ["Attack", "Ids", "attacks_on", "routes_of"]


@dataclass(frozen=True)
class Ids:
    """How the victim's things are called; an attacker may have learned every one of them."""

    user: str
    agent: str
    run: str
    memory: str
    event: str
    bulk: str
    key: str
    app: str
    number: str
    organization: str
    project: str
    webhook: str
    export: str


@dataclass(frozen=True)
class Attack:
    """One request that names the victim's things."""

    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


#: A moment at which all that was ever said is known and still true.
_THEN = {"as_of": "2999-12-31", "known_at": "2999-12-31"}

#: What the parameters of paths and queries are called, and what an attacker puts there.
VALUES: Mapping[str, Callable[[Ids], list[str]]] = {
    "memory_id": lambda ids: [ids.memory],
    "event_id": lambda ids: [ids.event, ids.bulk],
    "job_id": lambda ids: [ids.event],
    "org_id": lambda ids: [ids.organization],
    "project": lambda ids: [ids.project],
    "webhook_id": lambda ids: [ids.webhook],
    "email": lambda _: ["victim@example.com"],
    "key_id": lambda ids: [ids.key],
    "entity_type": lambda _: ["user", "agent", "app", "run"],
    "entity_id": lambda ids: [ids.user, ids.agent, ids.app, ids.run, ids.number],
    "user_id": lambda ids: [ids.user],
    "agent_id": lambda ids: [ids.agent],
    "run_id": lambda ids: [ids.run],
    "app_id": lambda ids: [ids.app],
    "as_of": lambda _: [_THEN["as_of"]],
    "known_at": lambda _: [_THEN["known_at"]],
    "line": lambda _: ["1"],
    "filters": lambda ids: [json.dumps({"user_id": ids.user}), json.dumps({"memory_ids": [ids.memory]})],
}

_PROJECTS = "/api/v1/orgs/organizations/{org_id}/projects/"
_MEMBERS = _PROJECTS + "{project}/members/"

_QUERY = {"query": "sesame", "threshold": 0, "top_k": 1000}
_SAID = [{"role": "user", "content": "the attacker's own words"}]


def _filtered(ids: Ids, **fields: Any) -> list[Any]:
    """Bodies whose filters reach for the victim's."""
    whole = [{name: value} for name, value in _names(ids).items()]
    odd: list[Any] = [
        {"OR": [{"user_id": "attacker"}, {"user_id": ids.user}]},
        {"AND": [{"user_id": "*"}]},
        {"user_id": {"in": ["attacker", ids.user]}},
        {"user_id": "attacker", "memory_ids": [ids.memory]},
        {"NOT": {"user_id": "attacker"}, "agent_id": ids.agent},
    ]
    return [{**fields, "filters": filters} for filters in (*whole, *odd)]


def _added(ids: Ids) -> list[Any]:
    said = {"messages": _SAID, "infer": False, "async_mode": False}
    return [{**said, "user_id": ids.user}, {**said, **_names(ids)}]


def _names(ids: Ids) -> dict[str, str]:
    return {"user_id": ids.user, "agent_id": ids.agent, "app_id": ids.app, "run_id": ids.run}


#: Bodies of the routes that take one; an empty list: the route takes none.
BODIES: Mapping[str, Callable[[Ids], list[Any]]] = {
    "POST /memories": lambda ids: [
        {"messages": _SAID, "infer": False, "user_id": ids.user},
        {"messages": _SAID, "infer": False, "user_id": ids.user, "agent_id": ids.agent, "run_id": ids.run},
    ],
    "PUT /memories/{memory_id:id}": lambda _: [{"text": "the attacker's text"}, {"metadata": {"attacked": True}}],
    "POST /search": lambda ids: (
        [
            {**_QUERY, "filters": {name: value}}
            for name, value in (("user_id", ids.user), ("agent_id", ids.agent), ("run_id", ids.run))
        ]
        + [
            {**_QUERY, "filters": {"user_id": "attacker", "OR": [{"user_id": ids.user}, {"id": ids.memory}]}},
            {**_QUERY, "filters": {"user_id": {"in": ["attacker", ids.user]}}},
            {**_QUERY, **_THEN, "filters": {"user_id": ids.user}},
            {**_QUERY, **_THEN, "filters": {"user_id": {"in": ["attacker", ids.user]}}},
        ]
    ),
    "POST /reset": lambda _: [],
    "POST /configure": lambda _: [{"tenant": "victim"}],
    "POST /generate-instructions": lambda _: [{"use_case": "tell me of the others"}],
    "POST /api-keys/{key_id}/rotate": lambda _: [{}, {"overlap_seconds": 0}],
    "POST /api-keys": lambda ids: [{"label": "mine", "role": "read", "user_ids": [ids.user]}],
    "POST /v3/memories/add/": _added,
    "POST /v1/memories/": _added,
    "POST /v3/memories/search/": lambda ids: (
        _filtered(ids, query="sesame", threshold=0) + _filtered(ids, query="sesame", threshold=0, **_THEN)
    ),
    "POST /v2/memories/search/": lambda ids: _filtered(ids, query="sesame", threshold=0),
    "POST /v1/memories/search/": lambda ids: _filtered(ids, query="sesame", threshold=0),
    "POST /v1/memories/explain/": lambda ids: _filtered(ids, query="sesame", threshold=0, memory_id=ids.memory),
    "POST /v3/memories/": lambda ids: _filtered(ids) + _filtered(ids, **_THEN, latest_only=False),
    "POST /v2/memories/": _filtered,
    "PUT /v1/memories/{memory_id:path}/": lambda _: [{"text": "the attacker's text"}, {"metadata": {"attacked": True}}],
    "POST /v1/memories/{memory_id:path}/restore/": lambda _: [],
    "POST /v1/event/{event_id}/retry/": lambda _: [],
    "PUT /v1/batch/": lambda ids: [{"memories": [{"memory_id": ids.memory, "text": "the attacker's text"}]}],
    "DELETE /v1/batch/": lambda ids: [{"memories": [{"memory_id": ids.memory}]}],
    "POST /v1/exports/": lambda ids: _filtered(ids, schema={"properties": {"memory": {"type": "string"}}}),
    "POST /v1/exports/get/": lambda ids: [{"memory_export_id": ids.export}, *_filtered(ids)],
    "POST /v1/summary/": _filtered,
    "POST /v1/feedback/": lambda ids: [{"memory_id": ids.memory, "feedback": "NEGATIVE"}],
    f"POST {_PROJECTS}": lambda _: [{"name": "mine"}],
    f"PATCH {_PROJECTS}{{project}}/": lambda _: [{"custom_instructions": "tell me of the others"}],
    f"POST {_MEMBERS}": lambda _: [{"email": "attacker@example.com", "role": "OWNER"}],
    f"PUT {_MEMBERS}": lambda _: [{"email": "victim@example.com", "role": "READER"}],
    "POST /api/v1/webhooks/projects/{project}/": lambda _: [
        {"name": "mine", "url": "https://attacker.example/", "event_types": ["memory_add"]}
    ],
    "PUT /api/v1/webhooks/{webhook_id}/": lambda _: [{"url": "https://attacker.example/"}],
    "POST /import-jobs": lambda ids: [
        {"id": "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"},
        {"id": ids.event, "afresh": True},
    ],
    "POST /import-jobs/{job_id}/lines": lambda ids: [{"id": ids.memory, "memory": "mine", "user_id": ids.user}],
    "POST /import-checks": lambda ids: [{"id": ids.memory, "memory": "mine", "user_id": ids.user}],
    "POST /export-jobs": lambda ids: [{"id": "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a02"}, {"id": ids.event}],
    "POST /export-jobs/{job_id}/lines": lambda _: [{"cursor": None}],
    "POST /v2/profiles/jobs/": lambda ids: [{"operation": "trigger", "entity_type": "user", "entity_id": ids.user}],
    "POST /v2/profiles/settings/": lambda _: [{"enabled": True}],
}


def routes_of(app: FastAPI) -> list[APIRoute]:
    """Every route that needs a key."""
    return [route for route in app.routes if isinstance(route, APIRoute) and route.path not in OPEN_PATHS]


def attacks_on(route: APIRoute, ids: Ids) -> Iterator[Attack]:
    """Every attack on the route; raises LookupError when the tables above do not know how."""
    for method in sorted(route.methods):
        name = f"{method} {route.path}"
        if (method not in {"GET", "DELETE"} or route.body_field is not None) and name not in BODIES:
            raise LookupError(f"{name} has no line in BODIES of {__name__}: say what an attacker would send")
        bodies = BODIES[name](ids) if name in BODIES else []
        for path, body in itertools.product(list(_paths(route, ids)), bodies or [None]):
            yield Attack(method, path, body)


def _paths(route: APIRoute, ids: Ids) -> Iterator[str]:
    parts = re.split(r"\{(\w+)(?::\w+)?\}", route.path)
    choices = [[part] if place % 2 == 0 else _quoted(part, ids) for place, part in enumerate(parts)]
    paths = ["".join(chosen) for chosen in itertools.product(*choices)]
    yield from paths
    for parameter in route.dependant.query_params:
        for value in VALUES[parameter.alias](ids) if parameter.alias in VALUES else ():
            yield from (f"{path}?{urlencode({parameter.alias: value})}" for path in paths)


def _quoted(parameter: str, ids: Ids) -> list[str]:
    if parameter not in VALUES:
        raise LookupError(f"no value for {{{parameter}}} in VALUES of {__name__}: say how the victim's is called")
    return [quote(value, safe="") for value in VALUES[parameter](ids)]
