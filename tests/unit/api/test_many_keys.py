"""Many API keys: pages, and how many a tenant may have, how large they are, and what stays of those that ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.limits import MAX_KEY_LIMITS_BYTES, MOST_KEYS
from forgetless.domain.retention import DAY_S
from forgetless.domain.times import later
from forgetless.service.access import keys as keys_module
from forgetless.service.access.keys import USE, KeyService
from forgetless.service.jobs import delete_tenant
from forgetless.service.jobs.delete_tenant import NOBODY
from tests.contract.ledger.making import keys_of
from tests.unit.api.client import STRANGER, Api, put_key

GIVEN = "a secret that nobody can guess, really"


def make(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.post("/api-keys", {"label": "a", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pages(api: Api, limit: int, **more: Any) -> Iterator[list[str]]:
    query, cursor = f"/api-keys?limit={limit}", ""
    while True:
        answer = api.get(query + cursor, **more)
        assert answer.status_code == 200, answer.text
        yield [item["id"] for item in answer.json()]
        if "X-Next-Cursor" not in answer.headers:
            return
        cursor = f"&cursor={answer.headers['X-Next-Cursor']}"


def fill(api: Api, count: int, **fields: Any) -> list[ApiKey]:
    """Keys of the tenant, beside the two that it has."""
    at = api.world.clock.now()
    made = [ApiKey(key_hash(f"k{number}"), "default", Role.READ, at, **fields) for number in range(count)]
    assert all(api.world.ledger.put_key(key) for key in made)
    return made


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, api: Api) -> Api:
    """A tenant that may have four keys, and has two."""
    monkeypatch.setattr(api.world.services.keys, "_most", 4)
    return api


def test_keys_are_listed_in_pages_and_without_a_limit_all_at_once(api: Api) -> None:
    for _ in range(5):
        make(api)
        api.world.clock.advance(1)
    whole = api.get("/api-keys")
    assert "X-Next-Cursor" not in whole.headers
    everything = [item["id"] for item in whole.json()]
    assert len(everything) == 7
    for limit in (1, 3, 7):
        read = list(pages(api, limit))
        assert [one for page in read for one in page] == everything
        assert all(len(page) <= limit for page in read)
    assert [api.get(f"/api-keys?limit={limit}").status_code for limit in (0, MOST_KEYS + 1)] == [422, 422]


def test_keys_that_are_too_large_for_one_answer_are_on_several_pages(api: Api) -> None:
    """As an earlier version made them: 75 KB each, and no answer could hold 75 of them."""
    ids = tuple(f"{number}" + "é" * 240 for number in range(50))
    made = fill(api, 100, users=ids, agents=ids, apps=ids)
    read = list(pages(api, MOST_KEYS))
    assert {key.id for key in made} <= {one for page in read for one in page}
    assert len(read) > 3
    assert api.delete(f"/api-keys/{read[-1][0]}").status_code == 200


def test_the_last_use_is_that_of_the_keys_on_the_page(api: Api) -> None:
    first, second = make(api), make(api)
    api.get("/entities", key=first["key"])
    used = {item["id"]: item["last_used_at"] for item in api.get("/api-keys").json()}
    assert (used[first["id"]] is None, used[second["id"]]) == (False, None)


def test_a_tenant_has_so_many_keys_and_is_told_the_way_out(few: Api) -> None:
    first, second = make(few), make(few)
    for refused in (few.post("/api-keys", {"label": "a"}), few.post(f"/api-keys/{first['id']}/rotate")):
        assert refused.status_code == 409
        assert "There are 4 API keys already" in refused.json()["detail"]
        assert "DELETE /api-keys/{id}" in refused.json()["detail"]
        assert "the operator" in refused.json()["detail"]
    assert len(few.get("/api-keys").json()) == 4
    assert few.get("/entities", key=first["key"]).status_code == 200, "a rotation that is refused ends nothing"
    assert few.post("/api-keys", {"label": "theirs"}, key=STRANGER).status_code == 201
    assert few.delete(f"/api-keys/{second['id']}").status_code == 200
    assert few.post(f"/api-keys/{first['id']}/rotate", {"overlap_seconds": 0}).status_code == 201
    few.world.clock.advance(1)
    make(few)  # the one that was rotated has ended
    assert few.post("/api-keys", {"label": "a"}).status_code == 409


def test_a_tenant_that_has_more_keys_since_before_keeps_them(few: Api) -> None:
    made = fill(few, 6)
    assert few.post("/api-keys", {"label": "a"}).status_code == 409
    assert few.get("/entities", key="k5").status_code == 200
    assert len(few.get("/api-keys").json()) == 8
    for key in made[:4]:
        assert few.delete(f"/api-keys/{key.id}").status_code == 200
    assert few.post("/api-keys", {"label": "a"}).status_code == 409
    assert few.delete(f"/api-keys/{made[4].id}").status_code == 200
    make(few)


def test_the_operator_may_make_more_and_register_given_keys(few: Api) -> None:
    fill(few, 6)
    operator = KeyService(ledger=few.world.ledger, clock=few.world.clock, most=None)
    _, secret = operator.create("default", label="", role=Role.READ)
    few.world.services.keys.register("default", GIVEN, role=Role.WRITE, label="from the settings")
    assert [few.get("/entities", key=key).status_code for key in (secret, GIVEN)] == [200, 200]


def test_a_key_is_limited_to_so_many_bytes_of_ids(api: Api) -> None:
    ids = [f"{number:04}" + "é" * 62 for number in range(128)]  # of 128 bytes
    made = make(api, user_ids=ids[:64], agent_ids=ids[64:], app_ids=[])
    assert sum(len(id_.encode()) for id_ in ids) == MAX_KEY_LIMITS_BYTES
    refused = api.post("/api-keys", {"label": "a", "user_ids": ids[:64], "agent_ids": ids[64:], "app_ids": ["b"]})
    assert refused.status_code == 400
    assert "user_ids, agent_ids, app_ids: a key is limited to ids of at most 16,384 bytes" in refused.json()["detail"]
    assert api.post(f"/api-keys/{made['id']}/rotate").status_code == 201
    (larger,) = fill(api, 1, users=tuple(ids), agents=tuple(ids))
    assert api.post(f"/api-keys/{larger.id}/rotate").status_code == 201, "a key of an earlier version goes on"


def test_of_a_revoked_key_only_that_it_is_revoked_is_kept(api: Api) -> None:
    made = make(api, role="read", user_ids=["anna"])
    api.get("/entities", key=made["key"])
    ledger = api.world.ledger
    assert ledger.document("default", USE, made["id"]) is not None
    assert api.delete(f"/api-keys/{made['id']}").status_code == 200
    held = ledger.key(key_hash(made["key"]))
    assert held is not None
    assert held == held.bare
    assert (held.users, held.label, held.revoked) == ((), "", True)
    assert ledger.document("default", USE, made["id"]) is None


def test_a_sweep_forgets_keys_that_ended_long_ago_but_that_they_are_no_more(api: Api) -> None:
    clock, ledger = api.world.clock, api.world.ledger
    made = make(api, role="read", user_ids=["anna"], expires_at=later(clock.now(), DAY_S))
    api.get("/entities", key=made["key"])
    given = KeyLimits(("anna",), ("*",), ("*",))
    api.world.services.keys.register("default", GIVEN, role=Role.READ, label="given")
    held = ledger.key(key_hash(GIVEN))
    assert held is not None
    ended = later(clock.now(), 2 * DAY_S)
    assert ledger.put_key(type(held)(**{**_fields(held), "users": given.users, "expires_at": ended}), held=held)

    def left() -> list[str]:
        api.world.services.sweep.sweep()
        return [item["id"] for item in api.get("/api-keys").json()]

    clock.advance(90 * DAY_S)
    assert made["id"] in left()
    clock.advance(DAY_S + 1)
    assert made["id"] not in left()
    assert held.id in left()
    assert ledger.document("default", USE, made["id"]) is None
    clock.advance(DAY_S)
    assert held.id not in left()
    assert [key for key in keys_of(ledger, "default") if key.revoked and key != key.bare] == []
    with pytest.raises(keys_module.InvalidRequestError, match="revoked or has expired"):
        api.world.services.keys.register("default", GIVEN, role=Role.ADMIN, label="given again")


def _fields(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__slots__}


def test_the_keys_of_a_tenant_that_is_deleted_go_in_portions(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_tenant, "_KEYS", 2)
    world = api.world
    for number in range(5):
        put_key(world, f"theirs {number}", "other", Role.READ)
    asked: list[int] = []
    remove = world.ledger.remove_keys

    def removed(tenant: str, *, limit: int) -> int:
        asked.append(limit)
        return remove(tenant, limit=limit)

    monkeypatch.setattr(world.services.tenant_deletions._ledger, "remove_keys", removed)
    job = world.services.tenant_deletions.begin("other")
    assert keys_of(world.ledger, "other") == []
    put_key(world, "late", "other", Role.READ)
    for _ in range(8):
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
        world.clock.advance(400)
    ended = world.services.bulk.job(NOBODY, job.id)
    assert isinstance(ended, BulkJob)
    assert ended.finished
    assert ended.counts is not None
    assert ended.counts["keys"] == 6
    assert set(asked) == {2}
    assert keys_of(world.ledger, "other") == []
