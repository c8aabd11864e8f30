"""Adds that take several calls of the LLM, as each interface answers them: in the background, with an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from forgetless.domain.limits import JOB_S
from forgetless.domain.llm_context import LEAST_CONTEXT
from forgetless.ports.llm import ChatMessage
from forgetless.service.writing.extraction_calls import KnownContext
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool
from tests.unit.service.world import facts

LONG = {"messages": [{"role": "user", "content": f"I like {it}{' so much' * 60}."} for it in ("tea", "pho", "rain")]}
ADD = {**LONG, "user_id": "alice"}
FOUND = ["I like pho", "I like rain", "I like tea"]


@pytest.fixture
def api(new_api: NewApi) -> Api:
    def reply(messages: Sequence[ChatMessage]) -> str:
        new = messages[1].content.partition("new_messages")[2]
        return facts(*[f"I like {it}" for it in ("tea", "pho", "rain") if f"I like {it} so much" in new])

    api = new_api(reply, mcp=True)
    known: KnownContext = api.world.services._llm_context
    known.__init__(LEAST_CONTEXT, api.world.clock)  # type: ignore[misc]
    return api


def ended(api: Api, event_id: str) -> dict[str, Any]:
    """The event after the queue's worker has done its job."""
    before = api.get(f"/v1/event/{event_id}/").json()
    assert (before["status"], before["metadata"]) == ("PENDING", {"llm_calls_done": 0, "llm_calls": 3})
    api.world.services.ingest.run("default", event_id, seconds=JOB_S)
    event: dict[str, Any] = api.get(f"/v1/event/{event_id}/").json()
    assert sorted(result["memory"] for result in event["results"]) == FOUND
    return event


def test_the_self_hosted_dialect_says_504_at_once_and_a_repeat_gives_the_results(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    answer = api.post("/memories", ADD, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    assert "too long for one call" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "5"
    ended(api, answer.json()["event_id"])
    again = api.post("/memories", ADD, headers=key)
    assert (again.status_code, sorted(one["memory"] for one in again.json()["results"])) == (200, FOUND)


@pytest.mark.parametrize("path", ["/v3/memories/add/", "/v1/memories/"])
def test_the_platform_dialect_says_pending_as_always(api: Api, path: str) -> None:
    answer = api.post(path, {**ADD, "output_format": "v1.1"} if "v1" in path else ADD)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["results"][0] if "v1" in path else body)["status"] == "PENDING"
    assert ended(api, body["event_id"])["status"] == "SUCCEEDED"


def test_the_platform_dialect_says_504_to_who_wants_to_wait(api: Api) -> None:
    answer = api.post("/v3/memories/add/", {**ADD, "async_mode": False})
    assert answer.status_code == 504
    ended(api, answer.json()["event_id"])


def test_the_tool_of_mcp_names_the_event(api: Api) -> None:
    answer = call_tool(api, "add_memory", ADD)
    assert "too long for one call of the LLM; this add continues in the background" in str(answer)
    [job] = api.world.ledger.jobs("default", limit=9)[0]
    assert job.id in str(answer)
    ended(api, job.id)
