"""Lists and searches of the Platform's dialect: shapes of each version, pages, and what each field does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.client import Api
from tests.unit.api.platform.test_memories import add

V3, V2, V1 = "/v3/memories/search/", "/v2/memories/search/", "/v1/memories/search/"
ALICE = {"filters": {"user_id": "alice"}}


def search(api: Api, path: str = V3, **fields: Any) -> Any:
    answer = api.post(path, {"query": "tea", "threshold": 0, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_version_of_search_answers_in_its_own_shape(api: Api) -> None:
    id_ = add(api, "I like tea.")
    (hit,) = search(api, **ALICE)["results"]
    assert (hit["id"], 0 <= hit["score"] <= 1) == (id_, True)
    assert list(hit["score_breakdown"])[:3] == ["semantic", "bm25", "entity"]
    assert {"run_id", "session_id"} <= set(hit)
    assert search(api, V2, **ALICE) == [hit]
    assert search(api, V2, user_id="alice") == [hit]
    assert search(api, V1, user_id="alice") == [hit]
    assert search(api, V1, user_id="alice", output_format="v1.1") == {"results": [hit], "relations": []}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (V3, {"user_id": "alice"}, "top level are not supported"),
        (V3, {}, "One of the filters"),
        (V3, {"filters": {"NOT": {"user_id": "a"}}}, "One of the filters"),
        (V2, {"filters": {"metadata": {"a": 1}}}, "One of the filters"),
        (V1, {}, "At least one of the filters: agent_id, user_id, app_id, run_id is required!"),
        (V3, {**ALICE, "top_k": 0}, "top_k"),
        (V3, {**ALICE, "top_k": 1001}, "top_k"),
        (V3, {**ALICE, "threshold": 2}, "threshold"),
        (V3, {**ALICE, "reference_date": "never"}, "reference_date"),
        (V3, {"filters": {"color": "red"}}, "Top-level key"),
    ],
)
def test_a_bad_search_is_400_with_the_message_where_clients_look(
    api: Api, path: str, body: dict[str, Any], said: str
) -> None:
    answer = api.post(path, {"query": "x", **body})
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert answer.json()["detail"] == answer.json()["message"]


@pytest.mark.parametrize("path", [V1, V2, V3])
def test_an_empty_query_is_400(api: Api, path: str) -> None:
    body = {"query": " ", **ALICE}
    assert api.post(path, body).status_code == 400


def test_fields_leave_only_those_and_the_id(api: Api) -> None:
    add(api, "I like tea.")
    assert [set(hit) for hit in search(api, fields=["memory"], **ALICE)["results"]] == [{"id", "memory"}]
    listed = api.post("/v3/memories/", {**ALICE, "fields": ["memory", "categories"]}).json()["results"]
    assert [set(one) for one in listed] == [{"id", "memory", "categories"}]


def test_metadata_and_keywords_narrow_a_search(api: Api) -> None:
    first, second = add(api, "green tea"), add(api, "black tea")
    api.put(f"/v1/memories/{first}/", {"metadata": {"kind": "a"}})
    assert [hit["id"] for hit in search(api, metadata={"kind": "a"}, **ALICE)["results"]] == [first]
    words = {"AND": [{"user_id": "alice"}, {"keywords": {"icontains": "BLACK"}}]}
    assert [hit["id"] for hit in search(api, filters=words)["results"]] == [second]


def test_expired_memories_are_hidden_shown_and_judged_by_the_reference_date(api: Api) -> None:
    body = {"messages": "I like tea.", "user_id": "alice", "infer": False, "expiration_date": "2025-12-31"}
    assert api.post("/v3/memories/add/", body).status_code == 200
    assert search(api, **ALICE)["results"] == []
    assert len(search(api, show_expired=True, **ALICE)["results"]) == 1
    assert len(search(api, reference_date="2025-12-31", **ALICE)["results"]) == 1
    assert api.post("/v3/memories/", ALICE).json()["count"] == 0
    assert api.post("/v3/memories/", {**ALICE, "show_expired": True}).json()["count"] == 1


def test_top_k_and_limit_end_the_list(api: Api) -> None:
    for number in range(12):
        add(api, f"tea number {number}")
    assert len(search(api, **ALICE)["results"]) == 10
    assert len(search(api, top_k=3, **ALICE)["results"]) == 3
    assert len(search(api, V1, user_id="alice", limit=2)) == 2


def test_pages_tell_their_number_and_their_neighbours(api: Api) -> None:
    for number in range(5):
        add(api, str(number))
    page = api.post("/v3/memories/?page=2&page_size=2", {**ALICE, "page": 1}).json()
    assert ([one["memory"] for one in page["results"]], page["count"]) == (["2", "1"], 5)
    assert "page=3&page_size=2" in page["next"]
    assert "page=1&page_size=2" in page["previous"]
    last = api.post("/v3/memories/", {**ALICE, "page": 3, "page_size": 2}).json()
    assert (len(last["results"]), last["next"]) == (1, None)


def test_each_version_of_the_list_answers_in_its_own_shape(api: Api) -> None:
    add(api, "tea")
    bare = api.post("/v2/memories/", ALICE).json()
    assert [one["memory"] for one in bare] == ["tea"]
    assert api.post("/v2/memories/", {"user_id": "alice"}).json() == bare
    assert api.post("/v2/memories/?page=1&page_size=5", ALICE).json()["results"] == bare
    assert api.get("/v1/memories/?user_id=alice&limit=3&org_id=o").json() == bare
    assert api.get("/v1/memories/?user_id=alice&page=1&page_size=5").json()["results"] == bare
    assert api.get("/v1/memories/?user_id=*&keywords=TEA").json() == bare
    assert api.get("/v1/memories/", params={"filters": "{'user_id': 'alice'}"}).json() == bare


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "One of the filters: app_id, user_id, agent_id, run_id is required!"),
        ("user_id=a&limit=201", 400, "limit must be <= 200"),
        ("user_id=a&metadata=x", 400, "metadata must be a JSON object"),
        ("user_id=a&page=0", 400, "page"),
        ("user_id=a&page=2&page_size=5", 404, "Invalid page."),
    ],
)
def test_a_bad_list_of_version_1_is_refused_in_its_words(api: Api, query: str, status: int, said: str) -> None:
    answer = api.get(f"/v1/memories/?{query}")
    assert answer.status_code == status
    assert said in answer.text


def test_the_search_function_serves_the_searches_of_both_dialects(api: Api) -> None:
    from fastapi.testclient import TestClient  # noqa: PLC0415

    from forgetless.api.app import create_search_app  # noqa: PLC0415
    from tests.unit.api.client import ADMIN  # noqa: PLC0415

    add(api, "I like tea.")
    client = TestClient(create_search_app(lambda: api.world.services, inline=True))
    for path in (V1, V2, V3, "/search"):
        answer = client.post(path, json={"query": "tea", **ALICE}, headers={"Authorization": f"Token {ADMIN}"})
        assert answer.status_code == 200, path
    assert client.get("/v1/ping/", headers={"Authorization": f"Token {ADMIN}"}).status_code == 404
