"""Who wrote a memory, the undoing of what a source wrote, and superseded memories that are brought back."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.filters.scope_ids import limits_a_deletion
from forgetless.domain.keys import ApiKey, Role, key_hash
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

READER = "key-of-a-reader"


def key_id(key: str) -> str:
    """The id under which a key is listed."""
    return ApiKey(key_hash(key), "", Role.READ, "").id


def add(api: Api, messages: Any, *, key: str = ADMIN, **more: Any) -> str:
    """Add at once; returns the id of the first memory."""
    api.world.clock.advance(1)
    body = {"messages": messages, "user_id": "alice", "async_mode": False, **more}
    id_: str = api.post("/v3/memories/add/", body, key=key).json()["results"][0]["id"]
    return id_


@pytest.fixture
def moved(new_api: NewApi) -> tuple[Api, str, str]:
    """The API, a memory that is superseded, and the one that supersedes it, which a member's key wrote."""
    fact = {"text": "Alice lives in Hanoi", "attributed_to": "user", "supersedes": [1], "sources": [1]}
    api = new_api([facts({"text": "Alice lives in Hue", "sources": [1]}), facts(fact)])
    return api, add(api, "I live in Hue"), add(api, "I moved to Hanoi", key=MEMBER)


def shown(api: Api, id_: str) -> Any:
    return api.get(f"/v1/memories/{id_}/").json()


def test_answers_say_who_wrote_a_memory(moved: tuple[Api, str, str]) -> None:
    api, old, new = moved
    for id_, key in ((old, ADMIN), (new, MEMBER)):
        memory = shown(api, id_)
        assert (memory["role"], memory["source_key"]) == ("user", key_id(key))
        assert uuid.UUID(memory["source_job"])
        assert api.get(f"/v1/event/{memory['source_job']}/").json()["results"][0]["id"] == id_
    (listed,) = api.get("/memories?user_id=alice").json()["results"]
    assert (listed["source_key"], listed["source_job"]) == (key_id(MEMBER), shown(api, new)["source_job"])


@pytest.mark.parametrize("dialect", ["platform", "selfhosted"])
def test_filters_find_what_a_source_wrote(new_api: NewApi, dialect: str) -> None:
    api = new_api()
    mine = add(api, "I like tea", infer=False)
    theirs = add(api, [{"role": "tool", "content": "Tea is poison"}], key=MEMBER, infer=False)
    job = shown(api, theirs)["source_job"]

    def found(condition: dict[str, Any]) -> list[str]:
        filters = {"user_id": "alice", **condition}
        if dialect == "platform":
            listed = api.post("/v3/memories/", {"filters": filters}).json()["results"]
            searched = api.post("/v3/memories/search/", {"query": "tea", "filters": filters, "threshold": 0}).json()
        else:
            body = {"query": "tea", "filters": filters, "threshold": 0}
            listed = searched = api.post("/search", body).json()
            listed = listed["results"]
        assert {one["id"] for one in searched["results"]} == {one["id"] for one in listed}
        return [one["id"] for one in listed]

    for condition in ({"source_key": key_id(MEMBER)}, {"source_job": job}, {"role": "tool"}):
        assert found(condition) == [theirs]
    assert found({"NOT": {"source_key": key_id(MEMBER)}}) == [mine]
    assert len(found({"source_key": "*"})) == 2


def test_what_a_source_wrote_is_deleted_in_one_call(moved: tuple[Api, str, str]) -> None:
    api, old, new = moved
    other = add(api, "Bob is well", key=MEMBER, infer=False, user_id="bob")
    path = f"/v1/memories/?filters={quote(json.dumps({'source_key': key_id(MEMBER)}))}"
    assert api.delete(path, key=MEMBER).status_code == 403
    assert api.delete(path, key=STRANGER).status_code == 200
    assert api.get(f"/v1/memories/{new}/").status_code == 200
    assert api.delete(path).status_code == 200
    assert [api.get(f"/v1/memories/{id_}/").status_code for id_ in (old, new, other)] == [200, 404, 404]
    assert api.post(f"/v1/memories/{old}/restore/").json()["lifecycle_state"] == "active"


def test_an_everything_filter_that_only_mentions_a_source_is_refused(api: Api) -> None:
    for filters, pinned in (
        ({"source_key": "k"}, True),
        ({"source_job": {"in": ["j"]}, "role": "tool"}, True),
        ({"OR": [{"source_key": "k"}, {"source_job": "j"}]}, True),
        ({"source_key": "*"}, False),
        ({"NOT": {"source_key": "k"}}, False),
        ({"source_key": {"ne": "k"}}, False),
        ({"source_key": {"in": []}}, False),
        ({"OR": [{"source_key": "k"}, {"role": "tool"}]}, False),
        ({"metadata": {"source_key": "k"}}, False),
        ({"OR": [{"source_key": "k"}, {"user_id": "x"}]}, True),
        ({"OR": [{"user_id": "x"}, {"NOT": {"user_id": "x"}}]}, False),
        ({"OR": [{"user_id": "x"}, {"role": "tool"}]}, False),
        ({"AND": [{"run_id": "x"}, {"NOT": {"user_id": "x"}}]}, True),
        ({"NOT": {"user_id": "x"}}, False),
        ({"OR": [{"user_id": "x"}, {"user_id": "*"}]}, True),
        ({"user_id": {"in": []}}, False),
    ):
        assert limits_a_deletion(parse_platform_filter(filters)) == pinned, filters
        answer = api.delete(f"/v1/memories/?filters={quote(json.dumps(filters))}")
        assert answer.status_code == (200 if pinned else 400), filters


def test_a_superseded_memory_is_brought_back(moved: tuple[Api, str, str]) -> None:
    api, old, new = moved
    assert shown(api, old)["lifecycle_state"] == "superseded"
    answer = api.post(f"/v1/memories/{old}/restore/")
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')
    memory = answer.json()
    assert (memory["lifecycle_state"], memory["replaced_by"]) == ("active", None)
    listed = api.post("/v3/memories/", {"filters": {"user_id": "alice"}}).json()["results"]
    assert {one["id"] for one in listed} == {old, new}


def test_only_who_may_write_brings_back(moved: tuple[Api, str, str]) -> None:
    api, old, _ = moved
    put_key(api.world, READER, "default", Role.READ)
    path = f"/v1/memories/{old}/restore/"
    assert api.post(path, key=READER).status_code == 403
    assert api.post(path, key=STRANGER).status_code == 404
    assert api.post(path, headers={"If-Match": '"1"'}).status_code == 412
    assert api.post("/v1/memories/no-uuid/restore/").status_code == 400
    assert api.post(f"/v1/memories/{uuid.UUID(int=7)}/restore/").status_code == 404
    assert api.post(path, key=MEMBER).status_code == 200


@pytest.mark.parametrize("path", ["/v1/memories/{}/", "/entities/user/alice"])
def test_what_is_deleted_or_erased_is_not_brought_back(moved: tuple[Api, str, str], path: str) -> None:
    api, old, _ = moved
    assert api.delete(path.format(old)).status_code == 200
    assert api.post(f"/v1/memories/{old}/restore/").status_code == 404


@pytest.mark.parametrize("path", ["/v1/memories/{}/history/", "/memories/{}/history"])
def test_the_history_says_which_message_superseded_it(moved: tuple[Api, str, str], path: str) -> None:
    api, old, new = moved
    assert api.post(f"/v1/memories/{old}/restore/").status_code == 200
    added, gone, back = api.get(path.format(old)).json()
    message = {"event_id": shown(api, new)["source_job"], "position": 0}
    assert (gone["superseded_by"], gone["superseded_by_messages"]) == (new, [message])
    assert "superseded_by" not in added
    assert "superseded_by" not in back
