"""The whole API over the DynamoDB ledger: a client sees the same as over SQLite."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forgetless.domain.limits import RequestLimits
from forgetless.ports.ledger import Ledger
from tests.dynamo_server import DynamoServer, error
from tests.unit.api.client import STRANGER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts


@pytest.fixture
def open_ledger(dynamo: Callable[[], Ledger]) -> Callable[[], Ledger]:
    return dynamo


def test_what_is_added_is_read_found_changed_and_forgotten(api: Api) -> None:
    tea, dog = api.say("I like tea", "my dog is called Rex", metadata={"k": 1})
    api.say("bob likes beer", user_id="bob", agent_id="helper")
    assert api.texts() == ["my dog is called Rex", "I like tea"]
    assert api.get(f"/memories/{tea}").json()["metadata"] == {"k": 1}
    assert api.found("tea")[0] == "I like tea"
    assert api.texts(key=STRANGER) == []

    assert api.put(f"/memories/{tea}", {"text": "I like coffee"}).status_code == 200
    assert api.found("coffee")[0] == "I like coffee"
    history = api.get(f"/memories/{tea}/history").json()
    assert [line["event"] for line in history] == ["ADD", "UPDATE"]
    entities = {(one["type"], one["id"]): one["total_memories"] for one in api.get("/entities").json()}
    assert entities == {("user", "alice"): 2, ("user", "bob"): 1, ("agent", "helper"): 1}

    assert api.delete(f"/memories/{tea}").status_code == 200
    assert api.get(f"/memories/{tea}").json() is None
    assert "coffee" not in api.get(f"/memories/{tea}/history").text
    assert api.found("coffee") == api.found("dog") == ["my dog is called Rex"]
    assert api.delete("/memories?user_id=alice").status_code == 200
    assert api.texts() == []
    assert api.texts("user_id=bob") == ["bob likes beer"]
    assert api.get(f"/memories/{dog}").json() is None
    assert api.post("/reset").status_code == 200
    assert api.get("/entities").json() == []


def test_facts_supersede_each_other_and_the_job_can_be_asked_for(new_api: NewApi) -> None:
    replies = iter([facts("Alice lives in Hue"), facts({"text": "Alice lives in Da Nang", "supersedes": [1]})])
    api = new_api(lambda _messages: next(replies))
    for text in ("I live in Hue", "I moved to Da Nang"):
        api.world.clock.advance(1)
        answer = api.post("/memories", {"messages": [{"role": "user", "content": text}], "user_id": "alice"})
        assert answer.status_code == 200, answer.text
        event = api.get(f"/v1/event/{answer.json()['event_id']}/").json()
        assert event["status"] == "SUCCEEDED"
    assert api.texts() == ["Alice lives in Da Nang"]
    assert api.found("Hue") == ["Alice lives in Da Nang"]


def test_a_throttled_table_is_503_with_retry_after_and_nothing_is_lost(api: Api, dynamo_server: DynamoServer) -> None:
    api.say("tea")
    api.world.ledger._client.patience_s = 0.2  # type: ignore[attr-defined]
    dynamo_server.rules.append(lambda *_: error("ProvisionedThroughputExceededException"))
    body = {"messages": [{"role": "user", "content": "dog"}], "user_id": "alice", "infer": False}
    refused = api.post("/memories", body)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert api.get("/memories?user_id=alice").status_code == 503
    dynamo_server.rules.clear()
    assert api.texts() == ["tea"]
    assert api.post("/memories", body).status_code == 200
    assert api.texts() == ["dog", "tea"]


def test_an_add_of_hundreds_of_messages_is_stored_whole_and_can_be_erased(api: Api) -> None:
    said = [f"fact number {number}" for number in range(40)]
    api.say(*said)
    assert api.texts("user_id=alice&top_k=100") == said[::-1]
    assert api.delete("/memories?user_id=alice").status_code == 200
    assert api.texts() == []


def test_the_longest_text_that_a_request_may_have_leaves_nothing_behind(api: Api) -> None:
    """An item of DynamoDB holds 400 KB; this text has 600 KB."""
    longest = "茶" * RequestLimits().message_chars
    [id_] = api.say(longest)
    assert api.get(f"/memories/{id_}").json()["memory"] == longest
    changed = longest[:-1] + "!"
    assert api.put(f"/memories/{id_}", {"text": changed}).status_code == 200
    history = api.get(f"/memories/{id_}/history")
    assert [item["new_memory"] for item in history.json()] == [longest, changed]
    assert api.delete(f"/memories/{id_}").status_code == 200
    assert "茶" not in api.get("/export").text
