"""The API over a whole service without network, called as an HTTP client calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi.testclient import TestClient

from forgetless.api.app import create_app
from forgetless.domain.keys import ApiKey, Role, key_hash
from tests.unit.service.world import World

__all__ = ["ADMIN", "MEMBER", "STRANGER", "Api", "make_api", "put_key"]

#: Keys: an administrator and another user of the tenant `default`, an administrator of another tenant.
ADMIN = "key-of-the-administrator"
MEMBER = "key-of-a-member"
STRANGER = "key-of-another-tenant"

_CREATED_AT = "2026-01-01T00:00:00.000000+00:00"


@dataclass
class Api:
    """The client, and the world behind it."""

    client: TestClient
    world: World

    def call(self, method: str, path: str, *, key: str | None = ADMIN, **options: Any) -> httpx2.Response:
        """One request with the key in X-API-Key."""
        headers = {**({"X-API-Key": key} if key else {}), **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        return self.call("POST", path, json=body, **options)

    def put(self, path: str, body: Any, **options: Any) -> httpx2.Response:
        return self.call("PUT", path, json=body, **options)

    def delete(self, path: str, **options: Any) -> httpx2.Response:
        return self.call("DELETE", path, **options)

    def say(self, *texts: str, key: str = ADMIN, user_id: str = "alice", **fields: Any) -> list[str]:
        """Store messages as they are, a second after the last; returns their ids."""
        self.world.clock.advance(1)
        messages = [{"role": "user", "content": text} for text in texts]
        body = {"messages": messages, "user_id": user_id, "infer": False, **fields}
        answer = self.post("/memories", body, key=key)
        assert answer.status_code == 200, answer.text
        return [result["id"] for result in answer.json()["results"]]

    def texts(self, query: str = "user_id=alice", *, key: str = ADMIN) -> list[str]:
        """What a list shows."""
        return [item["memory"] for item in self.get(f"/memories?{query}", key=key).json()["results"]]

    def found(self, query: str, *, key: str = ADMIN, **fields: Any) -> list[str]:
        """What a search finds."""
        body = {"query": query, "filters": {"user_id": "alice"}, "threshold": 0, **fields}
        answer = self.post("/search", body, key=key)
        assert answer.status_code == 200, answer.text
        return [item["memory"] for item in answer.json()["results"]]


def put_key(world: World, key: str, tenant: str, role: Role, *users: str) -> None:
    """Make a key known; a limited one may use all agents and apps."""
    all_ = ("*",) if users else ()
    world.ledger.put_key(ApiKey(key_hash(key), tenant, role, _CREATED_AT, users=users, agents=all_, apps=all_))


def make_api(world: World, *, inline: bool = True, mcp: bool = False) -> Api:
    """The application over `world`, with its three keys."""
    for key, tenant, role in ((ADMIN, "default", Role.ADMIN), (MEMBER, "default", Role.WRITE)):
        put_key(world, key, tenant, role)
    put_key(world, STRANGER, "other", Role.ADMIN)
    app = create_app(lambda: world.services, inline=inline, mcp=mcp)
    return Api(TestClient(app, follow_redirects=False), world)
