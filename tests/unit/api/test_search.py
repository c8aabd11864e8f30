"""Search: fields, statuses, the keys of a hit, and filters."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from forgetless.api.app import create_search_app
from tests.unit.api.client import ADMIN, Api
from tests.unit.api.conftest import NewApi

ALICE = {"user_id": "alice"}
HIT_KEYS = {
    *("id", "memory", "hash", "version", "metadata", "score", "created_at", "updated_at", "user_id", "role"),
    *("source_key", "source_job"),
}
MEM0_DETAILS = {
    *("semantic_score", "bm25_score", "entity_boost", "raw_score", "max_possible_score", "final_score", "threshold"),
}
OUR_DETAILS = {
    *("bm25_raw", "dense_rank", "bm25_rank", "probability", "by_words_alone"),
    *("meaning", "words", "mass", "asks_when", "date", "question", "assistant"),
}


def test_a_hit_has_a_score_and_the_keys_of_a_memory(api: Api) -> None:
    api.say("Alice drinks green tea")
    (hit,) = api.post("/search", {"query": " green tea ", "filters": ALICE}).json()["results"]
    assert set(hit) == HIT_KEYS
    assert 0 < hit["score"] <= 1


def test_explain_adds_every_component_of_the_score(api: Api) -> None:
    api.say("Alice drinks green tea")
    body = {"query": "green tea", "filters": ALICE, "explain": True, "threshold": 0.2}
    (hit,) = api.post("/search", body).json()["results"]
    assert set(hit["score_details"]) == MEM0_DETAILS | OUR_DETAILS
    assert hit["score_details"]["final_score"] == hit["score"]
    assert hit["score_details"]["threshold"] == 0.2


def test_ids_beside_the_filters_are_copied_into_them(api: Api) -> None:
    api.say("her tea", run_id="r1")
    api.say("his tea", user_id="bob")
    assert api.found("tea", filters=None, user_id=" alice ") == ["her tea"]
    assert api.found("tea", filters={"run_id": "r1"}, user_id="alice") == ["her tea"]
    assert api.found("tea", filters={"run_id": "r1"}, user_id="bob") == []
    assert api.found("tea", filters={"user_id": "alice"}, user_id="bob") == ["his tea"]


@pytest.mark.parametrize(
    "filters",
    [
        None,
        {},
        {"topic": "tea"},
        {"app_id": "a"},
        {"AND": [ALICE]},
        {"user_id": {"ne": "alice"}},
        {"metadata": {"user_id": "alice"}},
    ],
)
def test_a_search_names_whose_memories_it_is_about_at_the_top_level(api: Api, filters: Any) -> None:
    answer = api.post("/search", {"query": "tea", "filters": filters})
    assert (answer.status_code, "user_id, agent_id, run_id" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": 7.5}, "user_id"),
        ({"user_id": ["alice"]}, "user_id"),
        ({"user_id": {"in": ["alice", "*"]}}, "user_id"),
        ({"user_id": {"in": ["alice", None]}}, "user_id"),
        ({"user_id": {"eq": "*"}}, "user_id"),
        ({**ALICE, "run_id": None}, "run_id"),
        ({**ALICE, "OR": [{"user_id": "*"}]}, "user_id"),
        ({**ALICE, "NOT": [{"AND": [{"app_id": "*"}]}]}, "app_id"),
        ({**ALICE, "topic": {"near": "tea"}}, "near"),
        ({**ALICE, "topic": {"in": "tea"}}, "topic"),
        ({**ALICE, "OR": {"topic": "tea"}}, "OR"),
        ({**ALICE, "topic": "\ud800"}, "filters.topic"),
        ({**ALICE, "n": {"gt": 2**64}}, "filters.n"),
        ({**ALICE, "n": json.loads("[" * 50 + "]" * 50)}, "filters nest deeper than 16 levels"),
    ],
)
def test_a_filter_outside_the_grammar_is_400_and_named(api: Api, filters: Any, named: str) -> None:
    body = json.dumps({"query": "tea", "filters": filters})
    answer = api.call("POST", "/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"topic": "tea"}, {"one", "two"}),
        ({"topic": "*"}, {"one", "two", "three"}),
        ({"topic": {"ne": "tea"}}, {"three", "four"}),
        ({"stars": {"gt": 1, "lte": 3}}, {"two", "three"}),
        ({"topic": {"in": ["tea", "coffee"]}}, {"one", "two", "three"}),
        ({"topic": {"nin": ["tea"]}}, {"three", "four"}),
        ({"topic": {"contains": "off"}}, {"three"}),
        ({"topic": {"icontains": "OFF"}}, {"three"}),
        ({"OR": [{"stars": 1}, {"AND": [{"topic": "tea"}, {"stars": {"gte": 2}}]}]}, {"one", "two"}),
        ({"NOT": [{"topic": "tea"}, {"stars": 3}]}, {"four"}),
        ({"role": "user"}, {"one", "two", "three", "four"}),
        ({"created_at": {"lt": "2026-01-01T00:00:02.5+00:00"}}, {"one", "two"}),
        ({"metadata": {"stars": 2}}, {"two"}),
    ],
)
def test_the_whole_grammar_filters(api: Api, condition: dict[str, Any], expected: set[str]) -> None:
    api.say("one", metadata={"topic": "tea", "stars": 1})
    api.say("two", metadata={"topic": "tea", "stars": 2})
    api.say("three", metadata={"topic": "coffee", "stars": 3})
    api.say("four")
    api.say("five", user_id="bob", metadata={"topic": "tea", "stars": 1})
    assert set(api.found("one two three four five", filters={**ALICE, **condition})) == expected


def test_several_users_are_searched_with_in(api: Api) -> None:
    api.say("her tea")
    api.say("his tea", user_id="bob")
    api.say("their tea", user_id="eve")
    assert set(api.found("tea", filters={"user_id": {"in": ["alice", "bob"]}})) == {"her tea", "his tea"}


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({"query": "  "}, 400, "query"),
        ({"top_k": -1}, 400, "top_k"),
        ({"top_k": 1001}, 422, "top_k"),
        ({"top_k": "many"}, 422, "top_k"),
        ({"threshold": -0.1}, 400, "threshold"),
        ({"threshold": 1.1}, 400, "threshold"),
        ({"query": None}, 422, "query"),
        ({"filters": "user_id=alice"}, 422, "filters"),
        ({"query": "\ud800"}, 400, "query"),
    ],
)
def test_a_search_outside_its_limits_is_refused(api: Api, fields: dict[str, Any], status: int, named: str) -> None:
    body = json.dumps({"query": "tea", "filters": ALICE, **fields})
    answer = api.call("POST", "/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, named in answer.text) == (status, True)


def test_a_threshold_that_is_no_number_is_refused(api: Api) -> None:
    body = '{"query": "tea", "filters": {"user_id": "alice"}, "threshold": NaN}'
    answer = api.call("POST", "/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}


def test_twenty_are_found_unless_asked_otherwise_and_unknown_fields_do_not_count(api: Api) -> None:
    api.say(*(f"tea number {number}" for number in range(25)))
    assert len(api.found("tea")) == 20
    assert len(api.found("tea", top_k=None, threshold=None, limit=3, rerank=True)) == 20
    assert len(api.found("tea", top_k=3)) == 3
    assert len(api.found("tea", top_k=1000)) == 25


def test_the_search_function_serves_search_alone(api: Api) -> None:
    api.say("green tea")
    app = create_search_app(lambda: api.world.services, inline=True)
    client = TestClient(app, headers={"X-API-Key": ADMIN})
    answer = client.post("/search", json={"query": "tea", "filters": ALICE})
    assert [hit["memory"] for hit in answer.json()["results"]] == ["green tea"]
    assert client.get("/memories?user_id=alice").status_code == 404
    assert client.get("/docs").status_code == 404
    assert TestClient(app).post("/search", json={}).status_code == 401


def test_a_response_carries_the_time_it_took(api: Api) -> None:
    answer = api.post("/search", {"query": "tea", "filters": ALICE})
    name, _, duration = answer.headers["server-timing"].partition(";dur=")
    assert (name, float(duration) >= 0) == ("total", True)


def test_the_search_function_writes_nothing_whatever_key_it_is_sent(new_api: NewApi, tmp_path: Path) -> None:
    api = new_api()
    api.say("tea")
    search = TestClient(create_search_app(lambda: api.world.services, inline=True))
    headers = {"X-API-Key": ADMIN, "Idempotency-Key": "k"}
    other = sqlite3.connect(tmp_path / "0" / "ledger.db")
    before = other.execute("PRAGMA data_version").fetchone()
    for _ in range(2):
        answer = search.post("/search", json={"query": "tea", "filters": {"user_id": "alice"}}, headers=headers)
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)
    assert other.execute("PRAGMA data_version").fetchone() == before, "it changes when another connection writes"
    api.say("pho")
    assert other.execute("PRAGMA data_version").fetchone() != before
    other.close()
