"""Requests a minute over HTTP: no limit by default; otherwise 429 with the headers that mem0's clients read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from forgetless.domain.quotas import DefaultQuotas, Quotas
from forgetless.service.services import Ports, Services
from tests.unit.api.client import ADMIN, MEMBER, Api
from tests.unit.api.conftest import NewApi

NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture
def slow(new_api: NewApi) -> Api:
    """An API that gives each key six requests a minute."""
    api = new_api()
    world = api.world
    ports = Ports(world.ledger, world.index, world.embedder, world.queue, world.clock)
    world.services = Services(ports, quotas=DefaultQuotas(key=Quotas.of({"requests_per_minute": 6})))
    return api


def test_by_default_nothing_is_counted(api: Api) -> None:
    answers = [api.get("/configure/providers") for _ in range(100)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(name in answers[0].headers for name in NAMES)


def test_too_many_requests_are_429_with_the_time_to_wait(slow: Api) -> None:
    before = time.time()
    answers = [slow.get("/configure/providers"), slow.get("/nothing"), slow.post("/search", {"query": 1})]
    answers += [slow.get("/configure/providers") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 404, 422, 200, 200, 200, 429]
    assert not any(name in answer.headers for answer in answers[:6] for name in NAMES), "on the 429 alone"
    refused = answers[-1]
    wait = int(refused.headers["Retry-After"])
    message = "Rate limit exceeded: 6 requests per 1 minute, the quota requests_per_minute of this key; try again in "
    message += f"{wait} s."
    assert refused.json() == {"detail": message, "error": message}
    assert [refused.headers[name] for name in NAMES[:2]] == ["6", "0"]
    assert int(refused.headers[NAMES[2]]) >= before + wait
    assert "x-request-id" in refused.headers
    slow.world.clock.advance(wait)
    assert slow.get("/configure/providers").status_code == 200


def test_keys_are_counted_apart_and_what_is_open_not_at_all(slow: Api) -> None:
    for _ in range(7):
        slow.get("/configure/providers")
    assert slow.get("/configure/providers", key=ADMIN).status_code == 429
    assert slow.get("/configure/providers", key=MEMBER).status_code == 200
    assert slow.get("/health", key=ADMIN).status_code == 200


def test_a_refused_request_does_nothing(slow: Api) -> None:
    for _ in range(6):
        slow.get("/configure/providers")
    body = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}
    assert slow.post("/memories", body).status_code == 429
    assert slow.texts(key=MEMBER) == []


def test_what_a_limited_key_asks_is_counted_as_well(slow: Api, tmp_path: Path) -> None:
    made = slow.post("/api-keys", {"label": "a", "user_ids": ["alice"]}).json()["key"]
    statuses = [slow.get("/entities", key=made).status_code for _ in range(7)]
    assert statuses == [200] * 6 + [429]


def test_many_invalid_keys_of_one_address_are_429_before_anything_else(api: Api) -> None:
    answers = [api.get("/nothing", key=f"guess-{number}") for number in range(100)]
    assert [answer.status_code for answer in answers] == [401] * 60 + [429] * 40
    refused = answers[-1]
    message = "Too many invalid API keys from this address: try again in 1 s."
    assert refused.json() == {"detail": message, "error": message}
    assert refused.headers["Retry-After"] == "1"
    assert api.get("/configure/providers").status_code == 429  # it was not seen here before
    api.world.clock.advance(1)
    assert api.get("/configure/providers").status_code == 200
    assert api.get("/health", key="guess").status_code == 200
