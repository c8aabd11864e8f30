"""Adds in the Platform's dialect: inline, in the background, awaited; and the meaning of each field."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import Any

import pytest

from forgetless.domain.errors import DependencyError, IndexUnavailableError
from forgetless.domain.limits import MOST_ATTEMPTS
from forgetless.ports.llm import ChatMessage
from tests.fakes.clock import FakeClock
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import World, facts

ADD = "/v3/memories/add/"
SAID = [{"role": "user", "content": "I moved to Porto."}]


class WorkingClock(FakeClock):
    """A clock whose sleep gives the queue's worker its turn, as another process would have it."""

    world: World

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.world.clock.advance(seconds)
        work(self.world)


def work(world: World) -> None:
    """Do what is in the queue, as often as the queue would bring it."""
    for message in world.queue.receive():
        job = json.loads(message.body)
        for _ in range(MOST_ATTEMPTS):
            with suppress(DependencyError):
                world.services.ingest.run(job["tenant"], job["job_id"], seconds=30)
        world.queue.delete(message.receipt)


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": SAID, "user_id": "alice", **fields}


def stored(api: Api, user: str = "alice", **options: Any) -> list[dict[str, Any]]:
    answer = api.post("/v3/memories/", {"filters": {"user_id": user}, **options})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_an_add_goes_through_the_queue_and_its_event_tells_how(new_api: NewApi) -> None:
    api = new_api([facts("The user moved to Porto")])
    answer = api.post(ADD, body()).json()
    assert answer["status"] == "PENDING"
    assert "results" not in answer
    event = f"/v1/event/{answer['event_id']}/"
    assert api.get(event).json()["status"] == "PENDING"
    assert stored(api) == []
    work(api.world)
    told = api.get(event).json()
    assert (told["status"], told["error"]) == ("SUCCEEDED", None)
    assert [result["data"]["memory"] for result in told["results"]] == ["The user moved to Porto"]
    assert told["latency"] >= 0
    listed = api.get("/v1/events/").json()
    assert listed["count"] == 1
    assert listed["results"] == [told]


def test_a_failed_event_says_why(new_api: NewApi) -> None:
    api = new_api(lambda _messages: "nonsense")
    event_id = api.post(ADD, body()).json()["event_id"]
    work(api.world)
    told = api.get(f"/v1/event/{event_id}/").json()
    assert told["status"] == "FAILED"
    assert "provider_bad_reply" in told["error"]


@pytest.mark.parametrize(
    ("path", "fields", "shape"),
    [
        (ADD, {}, "v3"),
        ("/v1/memories/", {}, "list"),
        ("/v1/memories/", {"output_format": "v1.1"}, "results"),
    ],
)
@pytest.mark.parametrize("how", [{"infer": False}, {"async_mode": False}])
def test_each_version_answers_in_its_own_shape(
    new_api: NewApi, path: str, fields: dict[str, Any], shape: str, how: dict[str, Any]
) -> None:
    api = new_api([facts("I moved to Porto.")])
    answer = api.post(path, body(**fields, **how)).json()
    results = answer if shape == "list" else answer["results"]
    assert [(one["memory"], one["data"], one["event"]) for one in results] == [
        ("I moved to Porto.", {"memory": "I moved to Porto."}, "ADD")
    ]
    if shape == "v3":
        assert answer["status"] == "SUCCEEDED"
        assert uuid.UUID(answer["event_id"])
    if shape == "results":
        assert answer["relations"] == []


@pytest.mark.parametrize(("output_format", "shape"), [("v1.0", list), ("v1.1", dict)])
def test_version_1_tells_of_a_queued_add_in_its_own_shape(new_api: NewApi, output_format: str, shape: type) -> None:
    answer = new_api([facts("x")]).post("/v1/memories/", body(output_format=output_format)).json()
    assert isinstance(answer, shape)
    (told,) = answer if isinstance(answer, list) else answer["results"]
    assert told["status"] == "PENDING"
    assert told["event_id"]
    assert "queued" in told["message"]


def test_without_an_llm_the_messages_are_stored_at_once(api: Api) -> None:
    answer = api.post(ADD, body()).json()
    assert (answer["status"], answer["extraction"], len(answer["results"])) == ("SUCCEEDED", "none", 1)


def test_prefer_waits_for_the_result(new_api: NewApi) -> None:
    clock = WorkingClock()
    api = new_api([facts("The user moved to Porto")], clock=clock)
    clock.world = api.world
    answer = api.post(ADD, body(), headers={"Prefer": "respond-async, wait=10"})
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert [one["memory"] for one in answer.json()["results"]] == ["The user moved to Porto"]


def test_an_awaited_add_says_so_when_the_index_does_not_have_it_yet(new_api: NewApi) -> None:
    clock = WorkingClock()
    api = new_api([facts("The user moved to Porto")], clock=clock)
    clock.world = api.world

    def down() -> None:
        raise IndexUnavailableError("Milvus does not answer")

    api.world.index.before_insert = down
    answer = api.post(ADD, body(), headers={"Prefer": "wait=10"}).json()
    assert (answer["status"], answer["indexed"]) == ("SUCCEEDED", False)


def test_prefer_gives_up_after_its_time_and_after_25_seconds_at_most(new_api: NewApi) -> None:
    clock = FakeClock()
    api = new_api([facts("x")], clock=clock)
    answer = api.post(ADD, body(), headers={"Prefer": "wait=900"})
    assert answer.json()["status"] == "PENDING"
    assert sum(clock.slept) == pytest.approx(25)


def test_an_awaited_add_that_fails_is_an_error(new_api: NewApi) -> None:
    clock = WorkingClock()
    api = new_api(lambda _messages: "nonsense", clock=clock)
    clock.world = api.world
    answer = api.post(ADD, body(), headers={"Prefer": "wait=10"})
    assert answer.status_code == 502
    assert "provider_bad_reply" in answer.json()["detail"]
    assert answer.json()["event_id"]


def test_a_timestamp_dates_the_memory_and_the_time_of_recording_is_kept(api: Api) -> None:
    api.post(ADD, body(infer=False, timestamp=1_700_000_000))
    (memory,) = stored(api)
    assert memory["created_at"] == "2023-11-14T22:13:20.000000+00:00"
    assert memory["recorded_at"].startswith("2026-01-01")
    assert memory["structured_attributes"]["year"] == 2023
    assert stored(api, start_date="2023-11-14", end_date="2023-11-14")


def test_an_observation_date_reaches_the_llm_as_the_time_of_the_message(new_api: NewApi) -> None:
    api = new_api([facts("The user moved")])
    api.post(ADD, body(observation_date="2023-05-04", async_mode=False))
    assert "2023-05-04" in prompt(api, 1)
    assert stored(api)[0]["created_at"].startswith("2023-05-04")


def prompt(api: Api, place: int) -> str:
    assert api.world.llm is not None
    message: ChatMessage = api.world.llm.calls[-1].messages[place]
    return message.content


def test_instructions_includes_and_excludes_reach_the_llm_and_go_before_the_projects(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts("x"))
    project = api.get("/v1/ping/").json()
    path = f"/api/v1/orgs/organizations/{project['org_id']}/projects/{project['project_id']}/"
    settings = {"custom_instructions": "ONLY-PROJECT", "exclusion_prompt": "PROJECT-SECRETS"}
    assert api.call("PATCH", path, json=settings).status_code == 200
    api.post(ADD, body(async_mode=False))
    assert "ONLY-PROJECT" in prompt(api, 0)
    assert "PROJECT-SECRETS" in prompt(api, 0)
    mine = {"custom_instructions": "ONLY-MINE", "includes": "TRAVEL", "excludes": "MY-SECRETS"}
    api.post(ADD, body(async_mode=False, **mine))
    rules = prompt(api, 0)
    assert all(word in rules for word in ("ONLY-MINE", "TRAVEL", "MY-SECRETS"))
    assert "PROJECT" not in rules


def test_an_agents_own_instructions_count_where_there_is_an_agent(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts("x"))
    fields = {"agent_custom_instructions": "FOR-AGENTS", "custom_instructions": "FOR-ALL", "async_mode": False}
    api.post(ADD, body(**fields))
    assert "FOR-AGENTS" not in prompt(api, 0)
    api.post(ADD, body(agent_id="robot", **fields))
    assert "FOR-AGENTS" in prompt(api, 0)
    assert "FOR-ALL" in prompt(api, 0)
    api.post(ADD, {"messages": SAID, "agent_id": "robot", **fields})
    assert "FOR-AGENTS" in prompt(api, 0)
    assert "FOR-ALL" not in prompt(api, 0)


def test_categories_are_assigned_in_the_one_call(new_api: NewApi) -> None:
    reply = facts({"text": "The user moved to Porto", "categories": ["places", "invented"]})
    api = new_api([reply])
    api.post(ADD, body(async_mode=False, custom_categories=[{"places": "cities"}, {"pets": "animals"}]))
    assert '"places": "cities"' in prompt(api, 1)
    assert api.world.llm is not None
    assert len(api.world.llm.calls) == 1
    assert stored(api)[0]["categories"] == ["places"]
    assert stored(api, categories=["places"])
    assert not stored(api, categories=["pets"])


def test_general_categories_stand_in_and_the_self_hosted_dialect_asks_for_none(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts({"text": f"fact {uuid.uuid4()}", "categories": ["travel"]}))
    api.post(ADD, body(async_mode=False))
    assert stored(api)[0]["categories"] == ["travel"]
    api.post("/memories", {"messages": SAID, "user_id": "bob"})
    assert '"categories"' not in prompt(api, 0) + prompt(api, 1)


def test_an_immutable_memory_is_not_changed_and_can_be_deleted(api: Api) -> None:
    memory_id = api.post(ADD, body(infer=False, immutable=True)).json()["results"][0]["id"]
    assert stored(api)[0]["immutable"] is True
    for refused in (
        api.put(f"/v1/memories/{memory_id}/", {"text": "else"}),
        api.put("/v1/batch/", {"memories": [{"memory_id": memory_id, "text": "else"}]}),
        api.put(f"/memories/{memory_id}", {"text": "else"}),
    ):
        assert refused.status_code == 400
        assert "immutable" in refused.json()["detail"]
    assert stored(api)[0]["memory"] == "I moved to Porto."
    assert api.delete(f"/v1/memories/{memory_id}/").status_code == 200


def test_facts_of_user_and_agent_are_found_by_and_and_by_or(api: Api) -> None:
    api.post(ADD, body(infer=False, agent_id="robot"))
    both = {"AND": [{"user_id": "alice"}, {"agent_id": "robot"}]}
    either = {"OR": [{"user_id": "nobody"}, {"agent_id": "robot"}]}
    for filters in (both, either):
        assert len(api.post("/v3/memories/", {"filters": filters}).json()["results"]) == 1


def test_contents_come_as_text_as_parts_and_as_one_message(api: Api) -> None:
    parts = [{"type": "text", "text": "a cat"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
    for messages in ("a cat", {"role": "user", "content": "a cat"}, [{"role": "user", "content": parts}]):
        answer = api.post(ADD, {"messages": messages, "user_id": "alice", "infer": False})
        assert [one["memory"] for one in answer.json()["results"]] == ["a cat"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"user_id": None}, "At least one of user_id"),
        ({"user_id": "*"}, "not '*'"),
        ({"user_id": "a\u0000b"}, "control characters"),
        ({"messages": []}, "messages must be a list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": {}, "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 4}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "contain no text"),
        ({"expiration_date": "soon"}, "expiration_date"),
        ({"timestamp": "yesterday"}, "timestamp must be"),
        ({"metadata": [1]}, "metadata"),
        ({"custom_categories": ["a"]}, "custom_categories"),
    ],
)
@pytest.mark.parametrize("path", [ADD, "/v1/memories/"])
def test_a_bad_add_is_400_and_names_the_field(api: Api, path: str, fields: dict[str, Any], said: str) -> None:
    answer = api.post(path, body(infer=False, **fields) if "user_id" not in fields else {**body(), **fields})
    assert answer.status_code == 400
    told = answer.json()
    assert told["error"] == "400 Bad Request"
    assert said in told["details"]["message"]
    assert told["detail"] == told["details"]["message"]
