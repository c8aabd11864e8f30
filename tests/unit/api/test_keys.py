"""Keys over HTTP: created once, listed without their secret, revoked for good; roles and limits."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.times import later, seconds_between
from forgetless.service.access.keys import CACHE_S, USED_RESOLUTION_S
from tests.contract.ledger.making import keys_of
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api, put_key

READER = "key-that-may-only-read"
LIMITED = "key-limited-to-alice-and-carol"
SHOWN = ["label", "key_prefix", "created_at", "role", "user_ids", "agent_ids", "app_ids", "expires_at"]
UNKNOWN_KEY = "7b0b7f4e-0000-5000-8000-000000000000"


def make(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.post("/api-keys", {"label": "laptop", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def limited(api: Api) -> Api:
    """An API with a key that is limited to alice and carol."""
    put_key(api.world, LIMITED, "default", Role.WRITE, "alice", "carol")
    return api


def test_a_key_is_made_shown_once_and_works(api: Api) -> None:
    made = make(api)
    assert list(made) == ["id", "key", *SHOWN]
    assert made["key"].startswith(made["key_prefix"])
    assert len(made["key_prefix"]) == 12
    assert (made["role"], made["user_ids"]) == ("write", [])
    assert api.get("/entities", key=made["key"]).status_code == 200
    assert made["key"] not in api.get("/api-keys").text


def test_keys_are_listed_newest_first_with_their_last_use(api: Api) -> None:
    first = make(api)
    api.world.clock.advance(5)
    second = make(api, label="phone", role="read")
    api.get("/entities", key=second["key"])
    listed = api.get("/api-keys").json()
    assert [item["id"] for item in listed[:2]] == [second["id"], first["id"]]
    assert list(listed[0]) == ["id", *SHOWN, "last_used_at"]
    assert listed[0]["last_used_at"] >= listed[0]["created_at"]
    assert listed[1]["last_used_at"] is None


def test_the_last_use_is_noted_now_and_then_but_not_for_each_request(api: Api) -> None:
    made = make(api)

    def last_use() -> str:
        api.get("/entities", key=made["key"])
        found: str = api.get("/api-keys").json()[0]["last_used_at"]
        return found

    first = last_use()
    api.world.clock.advance(CACHE_S + 1)
    assert last_use() == first
    api.world.clock.advance(USED_RESOLUTION_S)
    assert last_use() > first


def test_a_revoked_key_stops_here_at_once_and_is_listed_no_more(api: Api) -> None:
    made = make(api)
    assert api.get("/entities", key=made["key"]).status_code == 200
    answer = api.delete(f"/api-keys/{made['id']}")
    assert (answer.status_code, answer.json()) == (200, {"message": "API key revoked."})
    assert api.get("/entities", key=made["key"]).status_code == 401
    assert made["id"] not in api.get("/api-keys").text
    again = api.delete(f"/api-keys/{made['id']}")
    assert (again.status_code, again.json()) == (400, {"detail": "API key is already revoked."})


def test_another_process_refuses_a_revoked_key_once_its_cache_has_aged(api: Api) -> None:
    made = make(api)
    assert api.get("/entities", key=made["key"]).status_code == 200
    held = api.world.ledger.key(key_hash(made["key"]))
    assert held is not None
    other = type(api.world.services.keys)(ledger=api.world.ledger, clock=api.world.clock)
    other.revoke("default", held.id)  # as another environment does
    api.world.clock.advance(CACHE_S)
    assert api.get("/entities", key=made["key"]).status_code == 401


@pytest.mark.parametrize("key_id", [UNKNOWN_KEY, "nonsense", "%00"])
def test_an_unknown_key_cannot_be_revoked(api: Api, key_id: str) -> None:
    answer = api.delete(f"/api-keys/{key_id}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "API key not found."})


def test_another_tenants_keys_are_neither_seen_nor_revoked(api: Api) -> None:
    made = make(api)
    assert made["id"] not in api.get("/api-keys", key=STRANGER).text
    assert api.delete(f"/api-keys/{made['id']}", key=STRANGER).status_code == 404
    assert api.get("/entities", key=made["key"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"label": ""}, 422),
        ({"label": "x" * 201}, 422),
        ({"label": "a", "role": "owner"}, 422),
        ({"label": "a", "user_ids": "alice"}, 422),
        ({"label": "a", "user_ids": ["*"]}, 400),
        ({"label": "a", "user_ids": [""]}, 400),
        ({"label": "a", "role": "admin", "user_ids": ["alice"]}, 400),
        # Misspelt, these would make a key without limits, or one for ever.
        ({"label": "a", "user_id": "alice"}, 422),
        ({"label": "a", "userIds": ["alice"]}, 422),
        ({"label": "a", "run_ids": ["r"]}, 422),
        ({"label": "a", "expires": "2030-01-01"}, 422),
    ],
)
def test_what_is_no_key_is_refused(api: Api, body: dict[str, Any], status: int) -> None:
    before = api.get("/api-keys").json()
    assert api.post("/api-keys", body).status_code == status
    assert api.get("/api-keys").json() == before


def test_a_label_is_valid_unicode(api: Api) -> None:
    answer = api.call("POST", "/api-keys", content=b'{"label": "\\ud800"}')
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "label"])


def test_a_secret_is_never_kept_under_an_idempotency_key(api: Api) -> None:
    answer = api.post("/api-keys", {"label": "a"}, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, "Idempotency-Key" in answer.json()["detail"]) == (400, True)


def test_a_reader_searches_and_reads_but_changes_nothing(api: Api) -> None:
    put_key(api.world, READER, "default", Role.READ)
    (memory,) = api.say("tea")
    assert api.found("tea", key=READER) == ["tea"]
    assert api.texts(key=READER) == ["tea"]
    refused = [
        api.post("/memories", {"messages": [], "user_id": "alice"}, key=READER),
        api.put(f"/memories/{memory}", {"text": "coffee"}, key=READER),
        api.delete(f"/memories/{memory}", key=READER),
    ]
    assert {answer.status_code for answer in refused} == {403}
    assert refused[0].json() == {"detail": "Write role required: this key may only read."}
    assert api.texts() == ["tea"]


@pytest.mark.parametrize("key", [MEMBER, READER])
@pytest.mark.parametrize(("method", "path"), [("GET", "/api-keys"), ("POST", "/api-keys"), ("DELETE", "/api-keys/x")])
def test_keys_are_for_administrators(api: Api, method: str, path: str, key: str) -> None:
    put_key(api.world, READER, "default", Role.READ)
    answer = api.call(method, path, key=key, content=b"no json")
    assert (answer.status_code, answer.json()) == (403, {"detail": "Admin role required."})


def test_a_refused_key_does_not_get_an_answer_that_another_key_got(api: Api) -> None:
    put_key(api.world, READER, "default", Role.READ)
    body = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}
    once = {"Idempotency-Key": "once"}
    assert api.post("/memories", body, headers=once).status_code == 200
    assert api.post("/memories", body, key=READER, headers=once).status_code == 403


def test_a_limited_key_works_for_its_users(limited: Api) -> None:
    (memory,) = limited.say("tea", key=LIMITED)
    limited.say("coffee", key=LIMITED, user_id="carol")
    assert limited.found("tea", key=LIMITED) == ["tea"]
    assert limited.put(f"/memories/{memory}", {"text": "green tea"}, key=LIMITED).status_code == 200
    assert limited.texts(key=LIMITED) == ["green tea"]
    assert [item["event"] for item in limited.get(f"/memories/{memory}/history", key=LIMITED).json()] == [
        "ADD",
        "UPDATE",
    ]
    assert limited.delete(f"/memories/{memory}", key=LIMITED).status_code == 200
    assert limited.texts() == []


@pytest.mark.parametrize("who", [{"user_id": "bob"}, {"agent_id": "bot"}])
def test_a_limited_key_adds_for_nobody_else(limited: Api, who: dict[str, str]) -> None:
    body = {"messages": [{"role": "user", "content": "tea"}], "infer": False, **who}
    answer = limited.post("/memories", body, key=LIMITED)
    assert (answer.status_code, "user_id" in answer.json()["detail"]) == (403, True)
    assert limited.get("/memories").json() == {"results": []}


def test_for_a_limited_key_others_memories_do_not_exist(limited: Api) -> None:
    added = limited.post(
        "/memories", {"messages": [{"role": "user", "content": "tea"}], "user_id": "bob", "infer": False}
    ).json()
    memory = added["results"][0]["id"]
    assert limited.get(f"/memories/{memory}", key=LIMITED).json() is None
    assert limited.get(f"/memories/{memory}/history", key=LIMITED).json() == []
    assert limited.put(f"/memories/{memory}", {"text": "x"}, key=LIMITED).status_code == 404
    assert limited.delete(f"/memories/{memory}", key=LIMITED).status_code == 404
    assert limited.get(f"/v1/event/{added['event_id']}/", key=LIMITED).status_code == 404
    assert limited.texts("user_id=bob", key=LIMITED) == []
    assert limited.found("tea", key=LIMITED, filters={"user_id": "bob"}) == []
    assert limited.texts("user_id=bob") == ["tea"]


def test_a_limited_key_lists_and_counts_its_own_among_an_agents_memories(limited: Api) -> None:
    for number in range(3):
        limited.say(f"bob {number}", user_id="bob", agent_id="bot")
        limited.say(f"alice {number}", agent_id="bot")
    limited.say("carol", user_id="carol", agent_id="bot")
    assert limited.texts("agent_id=bot&top_k=2", key=LIMITED) == ["carol", "alice 2"]
    assert limited.texts("agent_id=bot", key=LIMITED) == ["carol", "alice 2", "alice 1", "alice 0"]
    items = limited.get("/entities", key=LIMITED).json()
    assert [(item["type"], item["id"], item["total_memories"]) for item in items] == [
        ("agent", "bot", 4),
        ("user", "alice", 3),
        ("user", "carol", 1),
    ]


def test_a_limited_keys_search_is_filled_with_its_own_however_many_others_match(limited: Api) -> None:
    for number in range(80):
        limited.say(f"tea {number}", user_id="bob", agent_id="bot")
    limited.say("tea of alice", agent_id="bot")
    assert limited.found("tea", key=LIMITED, filters={"agent_id": "bot"}, top_k=5) == ["tea of alice"]


def test_a_limited_key_lists_everything_only_within_a_scope(limited: Api) -> None:
    assert limited.get("/memories", key=LIMITED).status_code == 403


def test_a_limited_key_has_idempotent_answers_of_its_own(limited: Api) -> None:
    bobs = {"messages": [{"role": "user", "content": "bob's tea"}], "user_id": "bob", "infer": False}
    once = {"Idempotency-Key": "once"}
    answers = [limited.post("/memories", bobs, headers=once) for _ in range(2)]
    assert ["idempotency-replayed" in answer.headers for answer in answers] == [False, True]
    assert limited.post("/memories", bobs, key=LIMITED, headers=once).status_code == 403
    add = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}
    answers = [limited.post("/memories", add, key=LIMITED, headers={"Idempotency-Key": "two"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert limited.texts() == ["tea"]


def test_limits_hold_with_an_extracting_llm_too(new_api: Any) -> None:
    from tests.unit.service.world import facts  # noqa: PLC0415

    api = new_api([facts("Alice likes tea")])
    put_key(api.world, LIMITED, "default", Role.WRITE, "alice")
    body = {"messages": [{"role": "user", "content": "tea!"}], "user_id": "alice"}
    assert api.post("/memories", {**body, "user_id": "bob"}, key=LIMITED).status_code == 403
    assert api.post("/memories", body, key=LIMITED).json()["results"][0]["memory"] == "Alice likes tea"


def test_an_administrators_key_has_no_limits_to_lose(api: Api) -> None:
    assert api.get("/memories", key=ADMIN).status_code == 200


def test_limits_to_agents_and_apps_go_with_users(api: Api) -> None:
    made = make(api, user_ids=["alice"], agent_ids=[" bot ", "*"], app_ids=["jose\u0301"])
    assert (made["agent_ids"], made["app_ids"]) == (["bot", "*"], ["jos\u00e9"])
    for field in ("agent_ids", "app_ids"):
        refused = api.post("/api-keys", {"label": "a", field: ["bot"]})
        assert (refused.status_code, "user_ids" in refused.json()["detail"]) == (400, True)
        assert api.post("/api-keys", {"label": "a", "role": "admin", field: ["bot"]}).status_code == 400
        assert api.post("/api-keys", {"label": "a", "user_ids": ["alice"], field: ["a b\u200b"]}).status_code == 400


@pytest.mark.parametrize("lists", [{"agents": ("bot",)}, {"apps": ("*",)}])
def test_a_stored_key_whose_limits_this_version_does_not_know_is_refused(api: Api, lists: dict[str, Any]) -> None:
    """A later version may allow agents without users; that must not mean everything here."""
    api.world.ledger.put_key(ApiKey(key_hash("later"), "default", Role.WRITE, "2026-01-01T00:00:00+00:00", **lists))
    assert api.get("/memories?user_id=alice", key="later").status_code == 401


def test_a_key_expires_in_every_process(api: Api) -> None:
    now = api.world.clock.now()
    made = make(api, expires_at=later(now, 20))
    assert made["expires_at"] == later(now, 20)
    assert api.get("/entities", key=made["key"]).status_code == 200
    api.world.clock.advance(21)  # less than a key is kept without being read again
    assert api.get("/entities", key=made["key"]).status_code == 401
    assert api.get("/entities", key=made["key"]).status_code == 401
    refused = api.post("/api-keys", {"label": "a", "expires_at": now})
    assert (refused.status_code, "expires_at" in refused.json()["detail"]) == (400, True)
    assert api.post("/api-keys", {"label": "a", "expires_at": "soon"}).status_code == 400


def test_a_key_is_rotated_without_downtime(api: Api) -> None:
    old = make(api, role="read", user_ids=["alice"], agent_ids=["bot"])
    api.world.clock.advance(5)
    answer = api.post(f"/api-keys/{old['id']}/rotate", {"overlap_seconds": 60})
    new = answer.json()
    assert answer.status_code == 201
    same = ("label", "role", "user_ids", "agent_ids", "app_ids", "expires_at")
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert new["replaces"] == {"id": old["id"], "expires_at": later(new["created_at"], 60)}
    both = [api.get("/entities", key=key["key"]).status_code for key in (old, new)]
    assert both == [200, 200]
    api.world.clock.advance(61)
    both = [api.get("/entities", key=key["key"]).status_code for key in (old, new)]
    assert both == [401, 200]
    assert api.post(f"/api-keys/{old['id']}/rotate").status_code == 400  # its time is over
    assert api.post(f"/api-keys/{UNKNOWN_KEY}/rotate").status_code == 404


def test_a_key_that_expires_gets_a_successor_that_lives_as_long(api: Api) -> None:
    old = make(api, expires_at=later(api.world.clock.now(), 1000))
    api.world.clock.advance(990)
    new = api.post(f"/api-keys/{old['id']}/rotate").json()
    assert new["replaces"]["expires_at"] == old["expires_at"]  # the overlap does not make it live longer
    assert 999 < seconds_between(new["created_at"], new["expires_at"]) <= 1000


def test_a_rotation_beside_a_revocation_leaves_no_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    old = api.post("/api-keys", {"label": "a", "role": "write"}).json()
    keys = api.world.services.keys
    store = keys._stored

    def stored_then_revoked(key: ApiKey) -> tuple[ApiKey, str]:
        made = store(key)
        assert api.delete(f"/api-keys/{old['id']}").status_code == 200
        return made

    monkeypatch.setattr(keys, "_stored", stored_then_revoked)
    answer = api.post(f"/api-keys/{old['id']}/rotate")
    assert (answer.status_code, "revoked while it was rotated" in answer.text) == (409, True)
    left = [key for key in keys_of(api.world.ledger, "default") if key.revoked]
    assert [key.bare for key in left] == left
    assert len(left) == 2


@pytest.mark.parametrize("lifetime", [None, 100_000])
def test_a_key_that_is_rotated_again_gets_another_successor_that_lives_as_long(api: Api, lifetime: int | None) -> None:
    ends = None if lifetime is None else later(api.world.clock.now(), lifetime)
    old = make(api, expires_at=ends)
    first = api.post(f"/api-keys/{old['id']}/rotate", {"overlap_seconds": 60}).json()
    second = api.post(f"/api-keys/{old['id']}/rotate", {"overlap_seconds": 3600}).json()
    assert second["replaces"] == first["replaces"]  # the earliest overlap ends the old key
    for made in (first, second):
        lives = made["expires_at"] and seconds_between(made["created_at"], made["expires_at"])
        assert (lives is None) if lifetime is None else (abs(lives - lifetime) < 1)
    listed = {item["id"]: item["expires_at"] for item in api.get("/api-keys").json()}
    assert listed[old["id"]] == first["replaces"]["expires_at"]


def test_a_rotation_changes_neither_role_nor_limits(api: Api) -> None:
    key = api.post("/api-keys", {"label": "a"}).json()
    before = api.get("/api-keys").json()
    for body in ({"role": "read"}, {"user_ids": ["bob"]}, {"overlap": 5}):
        refused = api.post(f"/api-keys/{key['id']}/rotate", body)
        assert (refused.status_code, next(iter(body)) in refused.text) == (422, True)
    assert api.get("/api-keys").json() == before


def test_without_an_overlap_a_key_that_this_process_knows_is_refused_at_once(api: Api) -> None:
    old = make(api)
    assert api.get("/entities", key=old["key"]).status_code == 200
    assert api.post(f"/api-keys/{old['id']}/rotate", {"overlap_seconds": 0}).status_code == 201
    assert api.get("/entities", key=old["key"]).status_code == 401


def test_an_empty_list_of_users_does_not_make_an_unlimited_key(api: Api) -> None:
    before = len(api.get("/api-keys").json())
    refused = api.post("/api-keys", {"label": "a", "user_ids": []})
    assert (refused.status_code, "user_ids" in refused.json()["detail"]) == (400, True)
    assert "leave it out" in refused.json()["detail"]
    assert len(api.get("/api-keys").json()) == before


@pytest.mark.parametrize("seconds", [-1, 30 * 86_400 + 1])
def test_the_overlap_is_bounded(api: Api, seconds: int) -> None:
    made = make(api)
    assert api.post(f"/api-keys/{made['id']}/rotate", {"overlap_seconds": seconds}).status_code in (400, 422)
    assert api.post(f"/api-keys/{made['id']}/rotate", headers={"Idempotency-Key": "k"}).status_code == 400
