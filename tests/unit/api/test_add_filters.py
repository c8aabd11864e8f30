"""Ids inside the `filters` of an add count as named: for the scope, for keys with limits, and for Idempotency-Key."""

from __future__ import annotations

from typing import Any

from forgetless.domain.keys import Role
from tests.unit.api.client import Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool, texts_of

SAID = [{"role": "user", "content": "I use Rust"}]
PATHS = ("/v3/memories/add/", "/v1/memories/", "/memories")


def ids_of(api: Api, path: str, **body: Any) -> dict[str, str]:
    """The ids of what one add stored."""
    answer = api.post(path, {"messages": SAID, "infer": False, **body})
    assert answer.status_code == 200, answer.text
    results = answer.json() if isinstance(answer.json(), list) else answer.json()["results"]
    (memory,) = api.world.ledger.read("default", [one["id"] for one in results]).values()
    return memory.scope.ids()


def test_ids_of_filters_are_the_scope_in_every_dialect(api: Api) -> None:
    for path in PATHS:
        assert ids_of(api, path, filters={"user_id": "Jane Doe"}) == {"user_id": "Jane Doe"}
        both = {"AND": [{"user_id": 42}, {"agent_id": {"eq": " coach "}}]}
        assert ids_of(api, path, filters=both) == {"user_id": "42", "agent_id": "coach"}
        ids = {"user_id": "mai", "run_id": "r1"}
        assert ids_of(api, path, user_id="mai", filters=ids) == ids
    assert ids_of(api, PATHS[0], filters={"app_id": "shop"}) == {"app_id": "shop"}


#: Adds that name nobody, or somebody in a way that says nothing of what is stored; and what the error names.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"filters": {"OR": [{"user_id": "a"}]}}, "OR"),
    ({"filters": {"NOT": {"user_id": "a"}}}, "NOT"),
    ({"filters": {"user_id": {"in": ["a"]}}}, "user_id"),
    ({"filters": {"user_id": "*"}}, "'*'"),
    ({"filters": {"user_id": " "}}, "user_id"),
    ({"filters": {"user_id": "a\u200bb"}}, "user_id"),
    ({"filters": {"user_id": "a"}, "user_id": "b"}, "user_id"),
    ({"filters": {"user_id": "a", "topic": "x"}}, "topic"),
    ({"filters": {"user_id": None}}, "At least one"),
    ({"filters": {}}, "At least one"),
]


def test_what_names_nobody_or_two_is_400_and_stores_nothing(api: Api) -> None:
    for path in PATHS:
        for body, named in REFUSED:
            answer = api.post(path, {"messages": SAID, "infer": False, **body})
            assert (answer.status_code, named in answer.json()["detail"]) == (400, True), (path, body, answer.text)
    assert api.get("/entities").json() == []


def test_a_limited_key_reaches_its_own_users_alone_by_filters(api: Api) -> None:
    put_key(api.world, "key-of-bob", "default", Role.WRITE, "bob")
    for path in PATHS:
        for filters, status in (({"user_id": "bob"}, 200), ({"user_id": "alice"}, 403), ({"agent_id": "x"}, 403)):
            answer = api.post(path, {"messages": SAID, "infer": False, "filters": filters}, key="key-of-bob")
            assert answer.status_code == status, (path, filters, answer.text)
        beside = {"messages": SAID, "infer": False, "user_id": "bob", "filters": {"user_id": "alice"}}
        assert api.post(path, beside, key="key-of-bob").status_code == 400
    assert [one["id"] for one in api.get("/entities").json()] == ["bob"]


def test_an_idempotency_key_and_the_audit_list_see_the_ids_of_filters(api: Api) -> None:
    for path in PATHS:
        body = {"messages": SAID, "infer": False}
        headers = {"Idempotency-Key": "k1"}
        alice = {**body, "filters": {"user_id": "alice"}}
        first = api.post(path, alice, headers=headers)
        assert api.post(path, alice, headers=headers).json() == first.json()
        bob = api.post(path, {**body, "filters": {"user_id": "bob"}}, headers=headers)
        assert bob.status_code == 422, bob.text
    assert len(api.texts()) == len(PATHS)
    assert api.texts("user_id=bob") == []
    listed = api.get("/audit?user_id=alice").json()["entries"]
    assert {one["route"] for one in listed} >= {f"POST {path}" for path in PATHS}, listed


def test_an_erasure_of_a_user_named_by_filters_takes_the_stored_answer(api: Api) -> None:
    body = {"messages": SAID, "infer": False, "filters": {"user_id": "alice"}}
    first = api.post("/v3/memories/add/", body, headers={"Idempotency-Key": "k"}).json()
    assert api.delete("/entities/user/alice").status_code == 200
    again = api.post("/v3/memories/add/", body, headers={"Idempotency-Key": "k"})
    assert "Idempotency-Replayed" not in again.headers or "I use Rust" not in again.text
    assert first["results"]


def test_facts_that_a_client_deduced_are_stored_one_by_one(new_api: NewApi) -> None:
    api = new_api()
    said = [{"role": "user", "content": "a\nb"}]
    body: dict[str, Any] = {"messages": said, "infer": False, "deduced_memories": ["a", " ", "b"], "user_id": "oc"}
    for path in ("/v3/memories/add/", "/v1/memories/"):
        assert api.call("POST", path, json=body).status_code == 200
    assert sorted(api.texts("user_id=oc")) == ["a", "a", "b", "b"]
    for user, more in (("x", {"deduced_memories": []}), ("y", {"infer": True})):
        assert api.post("/v3/memories/add/", {**body, **more, "user_id": user}).status_code == 200
        assert api.texts(f"user_id={user}") == ["a\nb"]
    for wrong in ("a", [4], [{"text": "a"}], ["x"] * 501, ["x" * 200_001]):
        answer = api.post("/v3/memories/add/", {**body, "deduced_memories": wrong})
        assert (answer.status_code, "deduced_memories" in answer.text) == (400, True), answer.text


def test_roles_are_filtered_in_every_dialect(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    said = [{"role": "human", "content": "tea by Ann"}, {"role": "ai", "content": "tea by a bot"}]
    assert api.post("/v3/memories/add/", {"messages": said, "infer": False, "user_id": "mai"}).status_code == 200
    asked = {"query": "tea", "threshold": 0, "filters": {"user_id": "mai", "role": "assistant"}}
    for path in ("/search", "/v3/memories/search/", "/v2/memories/search/", "/v3/memories/", "/v2/memories/"):
        found = api.post(path, asked).json()
        found = found if isinstance(found, list) else found["results"]
        assert [one["memory"] for one in found] == ["tea by a bot"], path
    for tool, query in (("search_memories", {"query": "tea", "threshold": 0}), ("get_memories", {})):
        answer = call_tool(api, tool, {**query, "filters": {"user_id": "mai", "role": {"ne": "user"}}})
        assert texts_of(answer) == ["tea by a bot"]
