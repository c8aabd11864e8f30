"""Add, read, change and delete: the contract's paths, fields, statuses and messages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from forgetless.domain.memory import text_hash
from tests.unit.api.client import ADMIN, MEMBER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

GET_KEYS = {"id", "memory", "hash", "version", "metadata", "score", "created_at", "updated_at"}
#: Which key and which add wrote it.
SOURCE = ("source_key", "source_job")
RAW_KEYS = [
    *("id", "memory", "user_id", "agent_id", "run_id", "hash", "version", "expiration_date", "metadata"),
    *("created_at", "updated_at"),
]
ONE = [{"role": "user", "content": "I like tea"}]


def test_verbatim_messages_come_back_with_role_and_no_actor(api: Api) -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "I like tea", "name": "Al", "tool_calls": []},
        {"role": "assistant", "content": "Noted"},
    ]
    answer = api.post("/memories", {"messages": messages, "user_id": " alice ", "infer": False, "unknown": 1})
    assert answer.status_code == 200
    assert list(answer.json()) == ["results", "event_id"]
    shown = [{k: v for k, v in item.items() if k != "id"} for item in answer.json()["results"]]
    assert shown == [
        {"memory": "I like tea", "event": "ADD", "version": 1, "actor_id": None, "role": "user"},
        {"memory": "Noted", "event": "ADD", "version": 1, "actor_id": None, "role": "assistant"},
    ]
    assert api.texts() == ["Noted", "I like tea"]


def test_extracted_facts_come_back_without_role_and_actor(new_api: NewApi) -> None:
    api = new_api([facts("Alice likes tea")])
    answer = api.post("/memories", {"messages": ONE, "user_id": "alice"})
    assert list(answer.json()) == ["results", "event_id"]
    (item,) = answer.json()["results"]
    assert list(item) == ["id", "memory", "event", "version"]
    assert (item["memory"], item["event"]) == ("Alice likes tea", "ADD")


def test_a_procedure_is_summarised_into_one_memory(new_api: NewApi) -> None:
    api = new_api(["1. opened the page"])
    body = {"messages": ONE, "agent_id": "bot", "memory_type": "procedural_memory"}
    (item,) = api.post("/memories", body).json()["results"]
    assert list(item) == ["id", "memory", "event", "version"]
    assert api.get(f"/memories/{item['id']}").json()["metadata"] == {"memory_type": "procedural_memory"}


def test_without_an_llm_the_answer_says_that_messages_were_stored_as_they_are(api: Api) -> None:
    answer = api.post("/memories", {"messages": ONE, "user_id": "alice"}).json()
    assert answer["extraction"] == "none"
    assert [item["memory"] for item in answer["results"]] == ["I like tea"]


def test_what_is_not_indexed_yet_is_said_to_be_so(api: Api) -> None:
    api.world.index.available = False
    answer = api.post("/memories", {"messages": ONE, "user_id": "alice", "infer": False})
    assert (answer.status_code, answer.json()["indexed"]) == (200, False)


def test_no_messages_are_no_memories(api: Api) -> None:
    answer = api.post("/memories", {"messages": [], "user_id": "alice"})
    assert (answer.status_code, answer.json()["results"]) == (200, [])


@pytest.mark.parametrize("ids", [{}, {"user_id": None}, {"user_id": ""}, {"app_id": "a"}])
def test_an_add_needs_an_identifier(api: Api, ids: dict[str, Any]) -> None:
    answer = api.post("/memories", {"messages": ONE, **ids})
    detail = "At least one identifier (user_id, agent_id, run_id) is required."
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id"])
@pytest.mark.parametrize("value", ["a\u00a0b", "a\tb", " ", "*", " * ", "a\x00b", "\x1b", "a\ufffdb", "é" * 128])
def test_identifiers_that_could_blur_a_scope_are_refused_everywhere(api: Api, field: str, value: str) -> None:
    kind = field.removesuffix("_id")
    answers = [
        api.post("/memories", {"messages": ONE, "infer": False, field: value}),
        api.get("/memories", params={field: value}),
        api.delete("/memories", params={field: value}),
        api.post("/search", {"query": "tea", "filters": {field: value}}),
        api.post("/search", {"query": "tea", field: value}),
    ]
    if value.strip() and "\x00" not in value:
        answers.append(
            api.client.request("DELETE", f"/entities/{kind}/{quote(value, safe='')}", headers={"X-API-Key": ADMIN})
        )
    for answer in answers:
        assert (answer.status_code, field in answer.json()["detail"]) == (400, True), answer.text


def test_an_empty_identifier_beside_another_is_refused_as_ignoring_it_would_widen_the_scope(api: Api) -> None:
    api.say("kept")
    assert api.delete("/memories?user_id=alice&run_id=").status_code == 400
    assert api.get("/memories?user_id=").status_code == 400
    assert api.texts() == ["kept"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"memory_type": "episodic"}, "memory_type"),
        ({"expiration_date": "tomorrow"}, "expiration_date"),
        ({"expiration_date": "2026-02-30"}, "expiration_date"),
        ({"expiration_date": "20260101"}, "expiration_date"),
        ({"metadata": {"k": "\ud800"}}, "metadata.k"),
        ({"metadata": {"big": 2**63}}, "metadata.big"),
        ({"metadata": {"text": "x" * 65_536}}, "65536"),
        ({"metadata": {"a": [[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]}}, "nests"),
        ({"user_id": "a\ud800"}, "user_id"),
        ({"prompt": "\udfff"}, "prompt"),
        ({"messages": [{"role": "\ud800", "content": "x"}]}, "messages[0].role"),
        ({"filters": {"user_id": "a\ud800"}}, "filters.user_id"),
        ({"metadata": {"\udfff": 1}}, "metadata"),
    ],
)
def test_a_business_rule_that_is_broken_is_400_and_named(api: Api, fields: dict[str, Any], named: str) -> None:
    body = json.dumps({"messages": ONE, "user_id": "alice", "infer": False, **fields})
    answer = api.call("POST", "/memories", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])
    assert named in answer.json()["detail"]
    assert api.texts() == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused_in_metadata(api: Api, number: str) -> None:
    body = f'{{"messages": [], "user_id": "alice", "metadata": {{"n": {number}}}}}'
    answer = api.call("POST", "/memories", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, "metadata.n" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"user_id": "alice"}, ["body", "messages"]),
        ({"user_id": "alice", "messages": None}, ["body", "messages"]),
        ({"user_id": "alice", "messages": [{"role": "user", "content": 4}]}, None),
        ({"user_id": "alice", "messages": [{"content": "x"}]}, ["body", "messages", 0, "role"]),
        ({"user_id": 7.5, "messages": []}, ["body", "user_id"]),
        ([1], ["body"]),
    ],
)
def test_a_body_outside_the_schema_is_422_in_pydantics_shape(api: Api, body: Any, loc: list[Any] | None) -> None:
    answer = api.post("/memories", body)
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert {"type", "loc", "msg", "input"} <= set(error)
    assert error["loc"] == (loc or ["body", "messages", 0, "content"])


def test_bad_json_is_422_with_the_type_json_invalid(api: Api) -> None:
    answer = api.call("POST", "/memories", content="{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "json_invalid")


def test_identity_keys_leave_the_metadata_and_empty_metadata_is_null(api: Api) -> None:
    (one,) = api.say("tea", metadata={"user_id": "bob", "agent_id": "x", "run_id": "r", "actor_id": "a"})
    (two,) = api.say("coffee", metadata={"user_id": "bob", "topic": "drinks"})
    assert api.get(f"/memories/{one}").json()["metadata"] is None
    assert api.get(f"/memories/{two}").json()["metadata"] == {"topic": "drinks"}
    assert api.get("/memories?user_id=bob").json() == {"results": []}


def test_one_memory_has_exactly_the_keys_that_it_has_values_for(api: Api) -> None:
    (memory,) = api.say("tea", run_id="r1", expiration_date="2026-12-31")
    item = api.get(f"/memories/{memory}").json()
    assert set(item) == GET_KEYS | {"user_id", "run_id", "role", "expiration_date", *SOURCE}
    assert (item["score"], item["hash"]) == (None, text_hash("tea"))
    assert item["created_at"].startswith("2026-01-01T00:00:01.0000")


def test_a_list_item_has_no_score(api: Api) -> None:
    api.say("tea")
    (item,) = api.get("/memories?user_id=alice").json()["results"]
    assert set(item) == (GET_KEYS - {"score"}) | {"user_id", "role", *SOURCE}


def test_a_list_is_newest_first_and_its_ids_are_joined_by_and(api: Api) -> None:
    api.say("one", run_id="r1")
    api.say("two", run_id="r2")
    api.say("three", run_id="r1", user_id="bob")
    assert api.texts() == ["two", "one"]
    assert api.texts("run_id=r1") == ["three", "one"]
    assert api.texts("run_id=r1&user_id=alice") == ["one"]


def test_a_list_shows_twenty_unless_asked_for_more(api: Api) -> None:
    api.say(*(f"fact {number}" for number in range(25)))
    assert len(api.texts()) == 20
    assert len(api.texts("user_id=alice&top_k=22")) == 22
    assert len(api.texts("user_id=alice&top_k=1000")) == 25


@pytest.mark.parametrize("top_k", ["1001", "-1", "many"])
def test_a_list_refuses_top_k_outside_its_range(api: Api, top_k: str) -> None:
    answer = api.get(f"/memories?user_id=alice&top_k={top_k}")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "top_k"])


def test_expired_memories_are_shown_on_demand(api: Api) -> None:
    api.say("old", expiration_date="2025-12-31")
    assert api.texts() == []
    assert api.found("old") == []
    assert api.texts("user_id=alice&show_expired=true") == ["old"]
    assert api.found("old", show_expired=True) == ["old"]


def test_the_unscoped_list_is_for_administrators_and_has_every_key(api: Api) -> None:
    api.say(*(f"fact {number}" for number in range(25)))
    refused = api.get("/memories", key=MEMBER)
    assert (refused.status_code, refused.json()) == (403, {"detail": "Admin role required to list all memories."})
    items = api.get("/memories").json()["results"]
    assert len(items) == 25
    assert list(items[0]) == RAW_KEYS
    assert (items[0]["user_id"], items[0]["agent_id"], items[0]["metadata"]) == ("alice", None, None)


@pytest.mark.parametrize("memory", ["unknown", "00000000-0000-0000-0000-000000000000", "%00", "%F0%9F%8D%B5"])
def test_an_unknown_memory_is_null_has_no_history_and_is_404_to_change(api: Api, memory: str) -> None:
    answer = api.get(f"/memories/{memory}")
    assert (answer.status_code, answer.json()) == (200, None)
    assert api.get(f"/memories/{memory}/history").json() == []
    assert api.put(f"/memories/{memory}", {"text": "x"}).status_code == 404
    assert api.delete(f"/memories/{memory}").status_code == 404


def test_404_names_the_memory_in_mem0s_words(api: Api) -> None:
    changed = api.put("/memories/m1", {"text": "x"}).json()
    assert changed == {"detail": "Memory with id m1 not found. Please provide a valid 'memory_id'"}
    assert api.delete("/memories/m1").json() == {"detail": "Memory with id m1 not found"}


def test_an_update_changes_text_and_merges_metadata(api: Api) -> None:
    (memory,) = api.say("tea", metadata={"a": 1, "b": 1})
    answer = api.put(f"/memories/{memory}", {"text": "coffee", "metadata": {"b": 2, "user_id": "bob"}})
    assert (answer.status_code, answer.json()) == (200, {"message": "Memory updated successfully!", "version": 2})
    item = api.get(f"/memories/{memory}").json()
    assert (item["memory"], item["metadata"], item["user_id"]) == ("coffee", {"a": 1, "b": 2}, "alice")


def test_an_expiration_date_is_set_kept_and_cleared_by_null(api: Api) -> None:
    (memory,) = api.say("tea")
    api.put(f"/memories/{memory}", {"expiration_date": "2030-01-01"})
    api.put(f"/memories/{memory}", {"metadata": {"a": 1}})
    assert api.get(f"/memories/{memory}").json()["expiration_date"] == "2030-01-01"
    assert api.put(f"/memories/{memory}", {"expiration_date": None}).status_code == 200
    assert "expiration_date" not in api.get(f"/memories/{memory}").json()


@pytest.mark.parametrize("body", [{}, {"text": None}, {"metadata": None, "text": None}, {"unknown": 1}])
def test_an_update_of_nothing_is_400(api: Api, body: dict[str, Any]) -> None:
    (memory,) = api.say("tea")
    answer = api.put(f"/memories/{memory}", body)
    detail = "At least one of text, metadata, or expiration_date must be provided."
    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


@pytest.mark.parametrize("body", [{"expiration_date": "soon"}, {"text": " "}, {"metadata": {"n": 2**64}}])
def test_an_update_keeps_the_rules_of_an_add(api: Api, body: dict[str, Any]) -> None:
    (memory,) = api.say("tea")
    assert api.put(f"/memories/{memory}", body).status_code == 400


def test_history_tells_what_happened_in_order(api: Api) -> None:
    (memory,) = api.say("tea")
    api.put(f"/memories/{memory}", {"text": "coffee"})
    items = api.get(f"/memories/{memory}/history").json()
    assert [(item["event"], item["old_memory"], item["new_memory"]) for item in items] == [
        ("ADD", None, "tea"),
        ("UPDATE", "tea", "coffee"),
    ]
    assert list(items[0]) == [
        *("id", "memory_id", "version", "old_memory", "new_memory", "event", "created_at", "updated_at"),
        *("is_deleted", "actor_id", "role"),
    ]
    assert (items[0]["updated_at"], items[0]["is_deleted"]) == (None, False)


def test_deleting_one_memory_leaves_the_event_without_its_text(api: Api) -> None:
    (memory,) = api.say("secret")
    answer = api.delete(f"/memories/{memory}", key=MEMBER)
    assert (answer.status_code, answer.json()) == (200, {"message": "Memory deleted successfully"})
    assert api.get(f"/memories/{memory}").json() is None
    history = api.get(f"/memories/{memory}/history")
    assert history.json()[-1]["is_deleted"] is True
    assert "secret" not in history.text


def test_deleting_a_scope_spares_the_others_and_never_complains(api: Api) -> None:
    api.say("hers")
    api.say("his", user_id="bob")
    for _ in range(2):
        answer = api.delete("/memories?user_id=alice")
        body = {"message": "All relevant memories deleted", "event_id": answer.json()["event_id"]}
        assert (answer.status_code, answer.json()) == (200, body)
    assert (api.texts(), api.texts("user_id=bob")) == ([], ["his"])


@pytest.mark.parametrize("query", ["", "?user_id=", "?app_id=a"])
def test_deleting_without_an_identifier_is_400(api: Api, query: str) -> None:
    answer = api.delete(f"/memories{query}")
    assert (answer.status_code, answer.json()) == (400, {"detail": "At least one identifier is required."})


def test_reset_empties_the_tenant(api: Api) -> None:
    api.say("hers")
    api.say("his", user_id="bob")
    answer = api.post("/reset")
    body = {"message": "All memories reset", "event_id": answer.json()["event_id"]}
    assert (answer.status_code, answer.json()) == (200, body)
    assert api.get("/memories").json() == {"results": []}


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\u202e\ufeff", "👩‍👩‍👧‍👦", "\U0010ffff", "đ" * 40_000])
def test_odd_text_is_kept_as_it_is(api: Api, text: str) -> None:
    (memory,) = api.say(text)
    assert api.get(f"/memories/{memory}").json()["memory"] == text
    assert api.post("/search", {"query": f"x{text[:100]}", "user_id": "alice"}).status_code == 200
