"""Versions on the wire: every answer about a memory has one, and If-Match compares it."""

from __future__ import annotations

import pytest

from tests.unit.api.client import Api


def test_versions_are_in_every_answer_about_a_memory(api: Api) -> None:
    (memory,) = api.say("tea")
    assert api.put(f"/memories/{memory}", {"text": "coffee"}).json()["version"] == 2
    one = api.get(f"/memories/{memory}")
    assert (one.json()["version"], one.headers["etag"]) == (2, '"2"')
    assert [item["version"] for item in api.get("/memories?user_id=alice").json()["results"]] == [2]
    assert [item["version"] for item in api.get("/memories").json()["results"]] == [2]
    assert [item["version"] for item in api.get(f"/memories/{memory}/history").json()] == [1, 2]
    found = api.post("/search", {"query": "coffee", "filters": {"user_id": "alice"}}).json()["results"]
    assert [item["version"] for item in found] == [2]
    platform = api.get(f"/v1/memories/{memory}/")
    assert (platform.json()["version"], platform.headers["etag"]) == (2, '"2"')


@pytest.mark.parametrize("path", ["/memories/{}", "/v1/memories/{}/"])
@pytest.mark.parametrize("tag", ['"1"', "1", ' "1" ', '"7", "1"', "*"])
def test_a_change_of_the_version_that_is_asked_for_is_made(api: Api, path: str, tag: str) -> None:
    (memory,) = api.say("tea")
    answer = api.put(path.format(memory), {"text": "coffee"}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["version"], answer.headers["etag"]) == (200, 2, '"2"')


@pytest.mark.parametrize("path", ["/memories/{}", "/v1/memories/{}/"])
@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_change_of_another_version_is_412_and_changes_nothing(api: Api, path: str, method: str) -> None:
    (memory,) = api.say("tea")
    api.put(f"/memories/{memory}", {"metadata": {"a": 1}})
    body = {"text": "coffee"} if method == "put" else None
    answer = api.call(method.upper(), path.format(memory), json=body, headers={"If-Match": '"1"'})
    assert answer.status_code == 412
    assert "is at version 2 now" in answer.json()["detail"]
    assert "retry-after" not in answer.headers
    assert api.get(f"/memories/{memory}").json()["memory"] == "tea"


@pytest.mark.parametrize("tag", ["", "new", '"1', 'W/"1"', '"-1"', "1,"])
def test_an_if_match_that_is_no_version_is_400(api: Api, tag: str) -> None:
    (memory,) = api.say("tea")
    answer = api.put(f"/memories/{memory}", {"text": "coffee"}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["detail"][:8]) == (400, "If-Match")


def test_a_batch_refuses_if_match_rather_than_ignoring_it(api: Api) -> None:
    (memory,) = api.say("tea")
    body = {"memories": [{"memory_id": memory, "text": "coffee"}]}
    answer = api.call("PUT", "/v1/batch/", json=body, headers={"If-Match": '"1"'})
    assert answer.status_code == 400
    assert api.get(f"/memories/{memory}").json()["memory"] == "tea"
