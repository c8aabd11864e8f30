"""Only an administrator reads a whole tenant, however the filter is written and whoever made an export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.filters.scope_ids import pins_an_entity
from forgetless.domain.jobs import JobState
from forgetless.domain.keys import Role
from forgetless.service.reading.job_lists import JobChoice
from tests.unit.api.client import ADMIN, MEMBER, Api, put_key

EVERYBODY: list[dict[str, Any]] = [
    {"user_id": "*"},
    {"OR": [{"user_id": "x"}, {"NOT": {"user_id": "x"}}]},
    {"OR": [{"user_id": "x"}, {"user_id": "*"}]},
    {"OR": [{"user_id": "x"}, {"created_at": {"gte": "2000-01-01"}}]},
    {"OR": [{"user_id": "x"}, {"AND": [{"OR": [{"user_id": "y"}, {"agent_id": "*"}]}]}]},
    {"AND": [{"OR": [{"user_id": "x"}, {"text": {"contains": "food"}}]}, {"agent_id": "*"}]},
    {"OR": [{"user_id": "x"}, {"user_id": {"ne": "x"}}]},
]
SOMEBODY: list[dict[str, Any]] = [
    {"user_id": "alice"},
    {"OR": [{"user_id": "alice"}, {"agent_id": "bot"}]},
    {"AND": [{"user_id": "alice"}, {"OR": [{"text": {"contains": "food"}}, {"NOT": {"text": {"contains": "food"}}}]}]},
    {"OR": [{"AND": [{"user_id": "alice"}, {"text": {"contains": "food"}}]}, {"user_id": {"in": ["bob", "carol"]}}]},
    {"user_id": "alice", "agent_id": "*"},
]
READS = ["/v3/memories/", "/v2/memories/", "/v3/memories/search/", "/v1/summary/"]
SCHEMA = {"type": "object", "properties": {"notes": {"type": "array", "items": {"type": "string"}}}}


@pytest.mark.parametrize("filters", EVERYBODY)
def test_a_filter_that_matches_everybody_needs_an_administrator(api: Api, filters: dict[str, Any]) -> None:
    assert not pins_an_entity(parse_platform_filter(filters))
    for path in READS:
        body = {"query": "tea", "filters": filters}
        assert api.post(path, body, key=MEMBER).status_code == 403, path
        assert api.post(path, body).status_code == 200, path
    asked = {"schema": SCHEMA, "filters": filters}
    assert api.post("/v1/exports/", asked, key=MEMBER).status_code == 403


@pytest.mark.parametrize("filters", SOMEBODY)
def test_a_filter_that_names_somebody_on_each_branch_needs_none(api: Api, filters: dict[str, Any]) -> None:
    assert pins_an_entity(parse_platform_filter(filters))
    for path in READS:
        assert api.post(path, {"query": "tea", "filters": filters}, key=MEMBER).status_code == 200, path


def test_an_administrators_export_of_everybody_is_for_administrators(api: Api) -> None:
    api.say("Alice has epilepsy")
    made = api.post("/v1/exports/", {"schema": SCHEMA, "filters": {"user_id": "*"}}).json()
    for asked in ({"memory_export_id": made["id"]}, {"filters": {"user_id": "*"}}):
        assert "epilepsy" in api.post("/v1/exports/get/", asked).text
        refused = api.post("/v1/exports/get/", asked, key=MEMBER)
        assert (refused.status_code, "epilepsy" in refused.text) == (403, False)


def test_everybodys_events_and_feedback_are_for_administrators(api: Api) -> None:
    (memory,) = api.say("Alice has epilepsy", user_id="alice")
    api.say("Bob drinks tea", user_id="bob", agent_id="bot")
    api.post("/v1/feedback/", {"memory_id": memory, "feedback": "NEGATIVE", "feedback_reason": "not epilepsy"})
    for key, role in ((MEMBER, Role.WRITE), ("reads", Role.READ)):
        put_key(api.world, key, "default", role)
        for path in ("/v1/events/", "/v1/events/?status=SUCCEEDED&event_type=ADD", "/v1/feedback/"):
            refused = api.get(path, key=key)
            assert (refused.status_code, "epilepsy" in refused.text) == (403, False), (role, path)
            assert "epilepsy" in api.get(path).text
        assert events(api, "user_id=bob", key=key) == events(api, "agent_id=bot", key=key) == ["Bob drinks tea"]
    assert events(api, "user_id=alice&status=SUCCEEDED", key=MEMBER) == ["Alice has epilepsy"]
    assert events(api, "user_id=alice&agent_id=bot") == events(api, "run_id=r") == []
    assert "user_id" in api.get("/v1/events/", key=MEMBER).text
    put_key(api.world, "limited-to-bob", "default", Role.READ, "bob")
    assert "epilepsy" not in api.get("/v1/events/", key="limited-to-bob").text
    assert api.get("/v1/feedback/", key="limited-to-bob").json() == {"results": []}


def test_bulk_jobs_are_found_by_the_scope_that_they_are_about() -> None:
    day, request = "2026-01-01", {"ids": {"user_id": "bob"}}
    job = BulkJob("job", "default", BulkKind.DELETE, JobState.PENDING, day, day, request)
    assert JobChoice(ids=(("user_id", "bob"),)).allows(job)
    assert not JobChoice(ids=(("user_id", "bo"),)).allows(job)
    assert not JobChoice(ids=(("user_id", "bob"),)).allows(replace(job, request={"filters": {}}))


def events(api: Api, query: str, *, key: str = ADMIN) -> list[str]:
    """The texts of the memories that the events name."""
    listed = api.get(f"/v1/events/?{query}", key=key)
    assert listed.status_code == 200, listed.text
    return [result["data"]["memory"] for event in listed.json()["results"] for result in event["results"]]
