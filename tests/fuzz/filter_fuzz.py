"""Random filters of both dialects against the evaluator: no crash, no leak, and exactly what matches.

There are two tenants, and keys of every kind: an administrator's, one that may read, one that is limited to a user, and
an administrator's of the other tenant.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetless.domain.errors import ForgetlessError
from forgetless.domain.filters.ast import And, Filter
from forgetless.domain.filters.evaluate import evaluate
from forgetless.domain.filters.parse import parse_filter
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.keys import Role
from forgetless.domain.memory import Memory
from tests.fuzz.random_json import mutated, odd
from tests.fuzz.targets import FaultFoundError
from tests.unit.api.client import ADMIN, STRANGER, Api, make_api, put_key
from tests.unit.service.world import make_world

__all__ = ["FilterFuzz"]

READER, BOB = "key-of-a-reader", "key-of-bob"
_USERS = ("alice", "bob", "carol", "dave")
_AGENTS, _RUNS, _APPS = ("", "bot", "cook"), ("", "r1", "r2"), ("", "web")
_TOPICS = ("food", "work", None)
#: Memories of each tenant. A page holds 200.
_MEMORIES = 60
_EVERY_PAGE = 200

#: Values of the fields that both dialects have.
_VALUES: Mapping[str, Sequence[Any]] = {
    "user_id": (*_USERS, "nobody", "*"),
    "agent_id": ("bot", "cook", "*"),
    "run_id": ("r1", "r2", "*"),
    "app_id": ("web", "other", "*"),
    "created_at": ("2026-01-01", "2026-01-02T05:00:00Z", "2027-01-01"),
}
_OPERATORS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "contains", "icontains")


class FilterFuzz:
    """Lists and searches with random filters, and compares what they show with what must be shown."""

    name = "filters"

    def __init__(self, folder: Path) -> None:
        self._api = _filled(folder)
        ledger = self._api.world.ledger
        self._all = {tenant: ledger.list_memories(tenant, {}, limit=1000).items for tenant in ("default", "other")}

    def case(self, rng: random.Random) -> str:
        key = rng.choice((ADMIN, READER, BOB, STRANGER))
        platform = rng.random() < 0.6
        filters = _random_filter(rng, platform=platform)
        path, body = _request(rng, filters, platform=platform)
        content = json.dumps(body).encode()
        answer = self._api.call("POST", path, key=key, content=content, headers={"Content-Type": "application/json"})
        told = f"{path} as {key} with {body!r}: {answer.status_code} {answer.text[:500]}"
        if answer.status_code >= 500:
            raise FaultFoundError(told)
        if answer.status_code != 200:
            return str(answer.status_code)
        shown = answer.json()["results"]
        ids = [item["id"] for item in shown]
        if len(set(ids)) < len(ids):
            raise FaultFoundError(f"shown twice: {told}")
        visible = self._visible(key)
        if foreign := set(ids) - {memory.id for memory in visible}:
            raise FaultFoundError(f"leaked {sorted(foreign)}: {told}")
        parse = parse_platform_filter if platform else parse_filter
        expected = _matching(visible, parse, filters)
        if expected is not None and (set(ids) != expected if "search" not in path else not set(ids) <= expected):
            raise FaultFoundError(f"expected {len(expected)}, got {len(ids)}: {told}")
        return "matched" if ids else "empty"

    def close(self) -> None:
        self._api.world.services.close()
        self._api.world.ledger.close()

    def _visible(self, key: str) -> Sequence[Memory]:
        whole = self._all["other" if key == STRANGER else "default"]
        return [memory for memory in whole if key != BOB or memory.scope.user_id == "bob"]


def _filled(folder: Path) -> Api:
    api = make_api(make_world(folder))
    put_key(api.world, READER, "default", Role.READ)
    put_key(api.world, BOB, "default", Role.WRITE, "bob")
    rng = random.Random(1)
    for key in (ADMIN, STRANGER):
        for number in range(_MEMORIES):
            fields = {name: value for name, value in _some_ids(rng).items() if value}
            user = fields.pop("user_id")
            topic = rng.choice(_TOPICS)
            metadata = {"n": number % 7, **({"topic": topic} if topic else {})}
            text = f"memory {number} about {topic or 'nothing'}"
            body = {
                "messages": [{"role": "user", "content": text}],
                "user_id": user,
                "infer": False,
                "metadata": metadata,
                **fields,
            }
            assert api.post("/v3/memories/add/", body, key=key).status_code == 200
            api.world.clock.advance(3600)
    return api


def _some_ids(rng: random.Random) -> dict[str, str]:
    return {
        "user_id": rng.choice(_USERS),
        "agent_id": rng.choice(_AGENTS),
        "run_id": rng.choice(_RUNS),
        "app_id": rng.choice(_APPS),
    }


def _request(rng: random.Random, filters: Any, *, platform: bool) -> tuple[str, dict[str, Any]]:
    search = {"query": "memory about food", "threshold": 0, "filters": filters}
    if not platform:
        return "/search", {**search, "top_k": 200}
    if rng.random() < 0.2:
        return "/v3/memories/search/", {**search, "top_k": 200}
    return f"/v3/memories/?page=1&page_size={_EVERY_PAGE}", {"filters": filters, "show_expired": True}


def _matching(visible: Sequence[Memory], parse: Callable[[Any], Filter], filters: dict[str, Any]) -> set[str] | None:
    try:
        where = And((parse(filters),))
    except ForgetlessError:  # the route reads more forms, such as ids beside the filter
        return None
    return {memory.id for memory in visible if memory.live and evaluate(where, memory)}


def _random_filter(rng: random.Random, *, platform: bool) -> dict[str, Any]:
    filters = _group(rng, 0, platform=platform)
    if rng.random() < (0.7 if platform else 0.95):
        filters = {**filters, "user_id": rng.choice(_USERS)}
    if rng.random() < 0.15:
        changed = mutated(rng, filters)
        return changed if isinstance(changed, dict) else {"user_id": changed}
    return filters


def _group(rng: random.Random, depth: int, *, platform: bool) -> dict[str, Any]:
    kind = rng.random()
    if depth >= 3 or kind < 0.5:
        return _condition(rng, platform=platform)
    items = [_group(rng, depth + 1, platform=platform) for _ in range(rng.randint(0 if rng.random() < 0.05 else 1, 3))]
    name = rng.choice(("AND", "OR", "NOT"))
    return {name: items if name != "NOT" or rng.random() < 0.5 else (items or [{}])[0]}


def _condition(rng: random.Random, *, platform: bool) -> dict[str, Any]:
    own = {"metadata": (None,)} if platform else {"topic": ("food", "work", "*"), "n": (0, 3, 6, "3")}
    fields: dict[str, Sequence[Any]] = {**_VALUES, **own}
    name = rng.choice(sorted(fields))
    if name == "metadata":
        return {"metadata": {rng.choice(("topic", "n")): rng.choice(("food", "work", 3, "3"))}}
    value = rng.choice(fields[name])
    operators = ("eq", "ne", "in") if platform and name != "created_at" else _OPERATORS
    operator = rng.choice(operators if rng.random() < 0.95 else (*_OPERATORS, "odd"))
    if operator == "odd":
        return {name: odd(rng)}
    if value == "*" or rng.random() < 0.4:
        return {name: value}
    if operator in {"in", "nin"}:
        return {name: {operator: [rng.choice(fields[name][:2]) for _ in range(rng.randrange(4))]}}
    return {name: {operator: value}}
