"""Entities and events: who has memories, and how an add ended."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import pytest

from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.errors import LlmUnavailableError, ProviderAuthError
from forgetless.service.jobs.ingest import JobHeldError
from tests.unit.api.client import ADMIN, STRANGER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts


def test_entities_are_sorted_and_counted(api: Api) -> None:
    api.say("one", run_id="r1")
    api.say("two", agent_id="bot")
    api.say("three", user_id="abel")
    items = api.get("/entities").json()
    assert [(item["type"], item["id"], item["total_memories"]) for item in items] == [
        ("agent", "bot", 1),
        ("run", "r1", 1),
        ("user", "abel", 1),
        ("user", "alice", 2),
    ]
    assert list(items[0]) == ["id", "type", "total_memories", "created_at", "updated_at"]


@pytest.mark.parametrize(("kind", "left"), [("user", ["his"]), ("run", ["his"]), ("agent", ["hers", "his"])])
def test_deleting_an_entity_forgets_what_is_its_own(api: Api, kind: str, left: list[str]) -> None:
    api.say("his", user_id="bob")
    api.say("hers", user_id="e1", run_id="e1")
    for _ in range(2):
        answer = api.delete(f"/entities/{kind}/e1")
        body = {"message": "Entity deleted", "event_id": answer.json()["event_id"]}
        assert (answer.status_code, answer.json()) == (200, body)
    assert [item["memory"] for item in api.get("/memories").json()["results"]] == left


@pytest.mark.parametrize("kind", ["app", "users", "*"])
def test_an_unknown_kind_of_entity_is_422(api: Api, kind: str) -> None:
    answer = api.delete(f"/entities/{kind}/e1")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["path", "entity_type"])


def test_an_event_shows_a_finished_add_with_its_memories(new_api: NewApi) -> None:
    api = new_api([facts("Alice likes tea")])
    body = {"messages": [{"role": "user", "content": "tea!"}], "user_id": "alice", "metadata": {"a": 1}}
    added = api.post("/memories", body).json()
    event = api.get(f"/v1/event/{added['event_id']}/").json()
    assert list(event) == [
        *("id", "event_type", "status", "payload", "metadata", "results", "created_at", "updated_at"),
        *("started_at", "completed_at", "latency", "graph_status", "error"),
    ]
    memory = added["results"][0]["id"]
    text = "Alice likes tea"
    assert event["results"] == [{"id": memory, "event": "ADD", "memory": text, "data": {"memory": text}}]
    assert (event["event_type"], event["status"], event["error"]) == ("ADD", "SUCCEEDED", None)


def test_an_event_shows_no_text_of_a_memory_that_is_gone(api: Api) -> None:
    added = api.post("/memories", {"messages": [{"role": "user", "content": "tea"}], "user_id": "a", "infer": False})
    api.delete("/memories?user_id=a")
    event = api.get(f"/v1/event/{added.json()['event_id']}/")
    assert event.json()["results"][0]["memory"] is None
    assert "tea" not in event.text


def test_a_failed_add_keeps_its_reason(new_api: NewApi) -> None:
    api = new_api(["nonsense", "more nonsense"])
    body = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice"}
    assert api.post("/memories", body).status_code == 502
    (job,) = api.world.ledger.jobs("default", limit=10)[0]
    event = api.get(f"/v1/event/{job.id}/").json()
    assert (event["status"], event["results"]) == ("FAILED", [])
    assert event["error"].startswith("provider_bad_reply")


@pytest.mark.parametrize("event_id", ["unknown", str(uuid.UUID(int=1))])
def test_an_unknown_event_is_404_in_the_platforms_words(api: Api, event_id: str) -> None:
    answer = api.get(f"/v1/event/{event_id}/")
    text = "Event not found or you don't have permission to access it."
    body = {"error": text, "detail": text}
    assert (answer.status_code, answer.json()) == (404, body)


def test_another_tenants_event_is_unknown(api: Api) -> None:
    added = api.post("/memories", {"messages": [], "user_id": "a", "infer": False}).json()
    answer = api.get(f"/v1/event/{added['event_id']}/", key=STRANGER)
    assert answer.status_code == 404


def test_an_event_shows_how_far_a_bulk_job_is(api: Api) -> None:
    bulk = api.world.services.bulk
    job = bulk.start("default", BulkKind.ERASE, {"ids": {"user_id": "bob"}}, total=9)
    event = api.get(f"/v1/event/{job.id}/").json()
    assert list(event) == [
        *("id", "event_type", "status", "payload", "metadata", "results", "created_at", "updated_at"),
        *("started_at", "completed_at", "latency", "graph_status", "error"),
    ]
    assert (event["event_type"], event["status"], event["payload"]) == ("ERASE", "PENDING", {"user_id": "bob"})
    assert event["metadata"] == {"done": 0, "total": 9, "set_aside": 0}
    assert api.get(f"/v1/event/{job.id}/", key=STRANGER).status_code == 404


def test_a_bulk_job_is_cancelled_by_an_administrator_unless_it_erases(api: Api) -> None:
    bulk = api.world.services.bulk
    job, erasure = (bulk.start("default", kind, {}) for kind in (BulkKind.REINDEX, BulkKind.ERASE))
    for _ in range(2):
        event = api.delete(f"/v1/event/{job.id}/").json()
        assert (event["status"], event["error"]) == ("FAILED", "cancelled")
    assert api.get(f"/v1/event/{job.id}/").json() == event
    assert api.delete(f"/v1/event/{erasure.id}/").status_code == 409
    assert api.get(f"/v1/event/{erasure.id}/").json()["status"] == "PENDING"
    assert api.delete("/v1/event/unknown/").status_code == 404
    added = api.post(
        "/memories", {"messages": [{"role": "user", "content": "x"}], "user_id": "a", "infer": False}
    ).json()
    assert api.delete(f"/v1/event/{added['event_id']}/").status_code == 409


def test_events_list_adds_and_bulk_jobs_together(api: Api) -> None:
    api.say("tea")
    job = api.world.services.bulk.start("default", BulkKind.REINDEX, {})
    api.say("coffee")
    listed = api.get("/v1/events/").json()
    assert [item["event_type"] for item in listed["results"]] == ["ADD", "REINDEX", "ADD"]
    assert (listed["count"], listed["next"]) == (3, None)
    assert listed["results"][1] == api.get(f"/v1/event/{job.id}/").json()
    pages = [api.get(f"/v1/events/?page={number}&page_size=1").json()["results"] for number in (1, 2, 3)]
    assert [item["id"] for (item,) in pages] == [item["id"] for item in listed["results"]]


def test_events_of_one_state_or_kind_are_found_among_many_others(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = api.world.services.bulk
    failed = bulk.start("default", BulkKind.REINDEX, {})
    bulk.cancel("default", failed.id)
    for number in range(4):
        api.say(f"tea {number}")
    waiting = bulk.start("default", BulkKind.EXPORT, {})

    def ids(query: str) -> list[str]:
        return [one["id"] for one in api.get(f"/v1/events/?{query}").json()["results"]]

    assert ids("status=FAILED") == ids("event_type=REINDEX") == [failed.id]
    assert ids("event_type=EXPORT&status=PENDING") == [waiting.id]
    assert ids("event_type=EXPORT&status=FAILED") == []
    assert len(ids("event_type=ADD")) == 4
    pages = [api.get(f"/v1/events/?event_type=ADD&page_size=3&page={page}").json() for page in (1, 2)]
    assert [(len(page["results"]), page["next"] is None) for page in pages] == [(3, False), (1, True)]
    # The page is empty where the most rows were looked at, and its cursor goes on behind them.
    monkeypatch.setattr("forgetless.service.reading.lists.SCANNED_ROWS", 3)
    bounded = api.get("/v1/events/?status=FAILED").json()
    assert (bounded["results"], bounded["count_is_lower_bound"]) == ([], True)
    assert ids(f"status=FAILED&cursor={bounded['next_cursor']}") == [failed.id]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("status=LOST", "status"),
        ("event_type=add", "must be one of ADD, ERASE"),
        ("event_type=", "event_type"),
    ],
)
def test_an_unknown_state_or_kind_of_events_is_400_and_says_which_there_are(api: Api, query: str, named: str) -> None:
    answer = api.get(f"/v1/events/?{query}")
    assert answer.status_code == 400
    assert named in answer.text


def test_a_held_add_says_why_and_when_it_is_tried_and_a_failed_one_is_started_again(new_api: NewApi) -> None:
    answers: list[str | Exception] = [ProviderAuthError("status 401"), "nonsense", "nonsense", facts("Alice likes tea")]

    def reply(_messages: object) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    api = new_api(reply, inline=False)
    event_id = api.post("/v3/memories/add/", {"messages": "I like tea", "user_id": "alice"}).json()["event_id"]

    def run() -> dict[str, Any]:
        with suppress(JobHeldError):
            api.world.services.ingest.run("default", event_id, seconds=60)
        event: dict[str, Any] = api.get(f"/v1/event/{event_id}/").json()
        return event

    held = run()
    assert (held["status"], held["error"]) == ("PENDING", "provider_auth_failed: status 401")
    assert held["next_try_at"] > api.world.clock.now()
    assert api.get("/health", key=ADMIN).json()["parts"]["llm"].startswith("provider_auth_failed: status 401")
    assert api.get("/health", key=None).json() == {"status": "degraded"}
    retry = f"/v1/event/{event_id}/retry/"
    assert api.post(retry, {}).status_code == 409, "it is not failed"
    api.world.clock.advance(11)
    failed = run()
    assert (failed["status"], failed["error"].partition(":")[0]) == ("FAILED", "provider_bad_reply")
    assert "next_try_at" not in failed
    assert api.post(retry, {}, key=STRANGER).status_code == 404
    again = api.post(retry, {})
    assert (again.status_code, again.json()["status"], again.json()["error"]) == (202, "PENDING", None)
    assert run()["status"] == "SUCCEEDED"
    assert api.post(retry, {}).status_code == 409
    assert api.texts() == ["Alice likes tea"]


def test_an_add_behind_one_that_is_held_says_what_it_waits_for(new_api: NewApi) -> None:
    answers = [LlmUnavailableError("down"), facts("Alice likes tea")]

    def reply(_messages: object) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    api = new_api(reply, inline=False)

    def add(text: str, **ids: str) -> str:
        body = {"messages": text, **(ids or {"user_id": "alice"})}
        return str(api.post("/v3/memories/add/", body).json()["event_id"])

    def told(event_id: str) -> tuple[object, object]:
        event = api.get(f"/v1/event/{event_id}/").json()
        return event["error"], event.get("next_try_at")

    first, second, other = add("I like tea"), add("I like pho", user_id="alice", run_id="r"), add("x", user_id="bob")
    assert told(second) == (None, None)
    with suppress(JobHeldError):
        api.world.services.ingest.run("default", first, seconds=60)
    error, next_try = told(first)
    assert error == "provider_unavailable: down"
    behind = ("waiting: an earlier add of the same user, agent and app is held; its event has the reason", next_try)
    assert (told(second), told(other)) == (behind, (None, None))
    api.world.clock.advance(20)
    assert told(second) == behind, "the first one is due, and still before it"
    api.world.services.ingest.run("default", first, seconds=60)
    assert (told(first), told(second)) == ((None, None), (None, None))
