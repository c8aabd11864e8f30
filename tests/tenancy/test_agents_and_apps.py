"""A key that is limited to users and to some of their agents and apps: what it reads and writes, by every way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetless.domain.errors import ForbiddenError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.recipes import CURRENT
from forgetless.domain.scope import Scope
from forgetless.service.access.limited_index import LimitedIndex
from forgetless.service.access.limited_ledger import LimitedLedger
from tests.unit.api.client import Api, make_api
from tests.unit.service.world import World, make_world

LIMITED = "key-of-anna-for-one-agent"
LIMITS = KeyLimits(("anna",), ("helper",))
AT = "2026-01-01T00:00:00.000000+00:00"
SAID = [{"role": "user", "content": "tea"}]

#: Scopes within the limits, and beyond them.
MINE = (
    Scope("default", user_id="anna"),
    Scope("default", user_id="anna", agent_id="helper"),
    Scope("default", user_id="anna", run_id="any run"),
)
OTHERS = (
    Scope("default", user_id="anna", agent_id="doctor"),
    Scope("default", user_id="anna", app_id="clinic"),
    Scope("default", user_id="anna", agent_id="helper", app_id="clinic"),
    Scope("default", user_id="bob", agent_id="helper"),
    Scope("default", agent_id="helper"),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    for number, scope in enumerate(MINE):
        world.say(f"tea mine {number}", scope=scope)
    for number, scope in enumerate(OTHERS):
        world.say(f"tea other {number}", scope=scope)
    yield world
    world.ledger.close()


@pytest.fixture
def api(world: World) -> Api:
    api = make_api(world)
    world.ledger.put_key(ApiKey(key_hash(LIMITED), "default", Role.WRITE, AT, users=LIMITS.users, agents=LIMITS.agents))
    return api


@pytest.mark.parametrize("path", ["/memories", "/v3/memories/add/"])
def test_it_adds_for_listed_agents_and_apps_alone_and_for_any_run(api: Api, path: str) -> None:
    taken = [{}, {"agent_id": "helper"}, {"run_id": "ALICES-RUN"}, {"agent_id": "helper", "run_id": "r"}]
    for ids in taken:
        body = {"messages": SAID, "user_id": "anna", "infer": False, **ids}
        assert api.post(path, body, key=LIMITED).status_code == 200
    refused = api.post(path, {"messages": SAID, "user_id": "anna", "agent_id": "doctor"}, key=LIMITED)
    assert (refused.status_code, "agent_id" in refused.text) == (403, True)
    assert api.post(path, {"messages": SAID, "agent_id": "helper"}, key=LIMITED).status_code == 403
    if path.startswith("/v3"):
        refused = api.post(path, {"messages": SAID, "user_id": "anna", "app_id": "clinic"}, key=LIMITED)
        assert (refused.status_code, "app_id" in refused.text) == (403, True)


@pytest.mark.parametrize(
    ("query", "count"), [("user_id=anna", 3), ("agent_id=helper", 1), ("agent_id=doctor", 0), ("user_id=bob", 0)]
)
def test_it_lists_what_is_within_its_limits(api: Api, query: str, count: int) -> None:
    found = api.texts(query, key=LIMITED)
    assert len(found) == count
    assert not [text for text in found if "other" in text]


def test_it_searches_what_is_within_its_limits(api: Api) -> None:
    for filters in ({"user_id": "anna"}, {"agent_id": "helper"}, {"user_id": "anna", "OR": [{"agent_id": "doctor"}]}):
        for more in ({}, {"as_of": "2030-01-01"}):
            found = api.found("tea", filters=filters, key=LIMITED, **more)
            assert not [text for text in found if "other" in text]
    assert len(api.found("tea", filters={"user_id": "anna"}, key=LIMITED)) == 3


def test_totals_and_entities_do_not_tell_of_the_others(api: Api) -> None:
    listed = api.get("/entities", key=LIMITED).json()
    assert {(one["type"], one["id"], one["total_memories"]) for one in listed} == {
        ("user", "anna", 3),
        ("agent", "helper", 1),
        ("run", "any run", 1),
    }
    assert api.get("/v2/entities/user/anna/", key=LIMITED).json()[0]["total_memories"] == 3
    assert api.get("/v2/entities/agent/doctor/", key=LIMITED).json() == []
    page = api.post("/v3/memories/", {"filters": {"user_id": "anna"}}, key=LIMITED).json()
    assert (page["count"], len(page["results"])) == (3, 3)


def test_memories_jobs_and_histories_of_other_agents_do_not_exist(api: Api, world: World) -> None:
    others = world.ledger.list_memories("default", {"agent_id": "doctor"}, limit=9).items
    for memory in others:
        assert api.get(f"/memories/{memory.id}", key=LIMITED).json() is None
        assert api.get(f"/memories/{memory.id}/history", key=LIMITED).json() == []
        assert api.put(f"/memories/{memory.id}", {"text": "mine now"}, key=LIMITED).status_code == 404
        assert api.delete(f"/memories/{memory.id}", key=LIMITED).status_code == 404
        assert api.get(f"/v1/event/{memory.job_id}/", key=LIMITED).status_code == 404
    assert len(others) == 1
    assert len(api.get("/v1/events/", key=LIMITED).json()["results"]) == 3


def test_the_index_looks_within_the_limits_alone(world: World) -> None:
    index = LimitedIndex(world.index, LIMITS)
    assert len(index.search_words("default", CURRENT.query_words("tea"), EVERYTHING, 99)) == len(MINE)
    everything = LimitedIndex(world.index, KeyLimits(("anna",), ("*",), ("*",)))
    assert len(everything.search_words("default", CURRENT.query_words("tea"), EVERYTHING, 99)) == len(MINE) + 3


def test_it_erases_no_scope_because_that_could_take_more(world: World) -> None:
    ledger = LimitedLedger(world.ledger, LIMITS)
    with pytest.raises(ForbiddenError):
        ledger.begin_erasure("default", [], at=AT)
    with pytest.raises(ForbiddenError):
        ledger.erase_scope_messages("default", {"user_id": "anna"}, at=AT)
    assert ledger.kept_totals("default", {"user_id": "anna"}) is None


def test_pages_end_although_rows_of_others_stand_between(world: World) -> None:
    ledger, found, cursor = LimitedLedger(world.ledger, LIMITS), [], None
    for _ in range(99):
        page = ledger.list_memories("default", {}, limit=1, cursor=cursor)
        found += [memory.text for memory in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == ["tea mine 2", "tea mine 1", "tea mine 0"]


def test_members_of_a_project_are_not_shown_to_it(api: Api) -> None:
    ping = api.get("/v1/ping/").json()
    place = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{ping['project_id']}/members/"
    assert api.post(place, {"email": "carol@example.com"}).status_code == 200
    assert len(api.get(place).json()["members"]) == 1
    assert api.get(place, key=LIMITED).json()["members"] == []
    project = place.removesuffix("members/")
    assert len(api.get(project).json()["members"]) == 1
    assert api.get(project, key=LIMITED).json()["members"] == []
    assert "carol" not in api.get(f"{project}?fields=members", key=LIMITED).text
