"""as_of and known_at in every dialect: a user moves from Lisbon to Berlin, and the Lisbon fact is corrected later."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from forgetless.api.app import create_search_app
from tests.unit.api.client import ADMIN, Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_mcp import call, refusal
from tests.unit.service.world import facts

QUERY = "Where does she live?"
ALICE = {"user_id": "alice"}
FILTERS = {"filters": ALICE}
#: All that a search finds, whatever its score.
WIDE = {"query": QUERY, "threshold": 0}

LISBON, PORTO, BERLIN = "She lives in Lisbon.", "She lives in Porto.", "She lives in Berlin."
DAY_S = 86_400

#: The memories that a list or search shows at a moment.
Shows = Callable[[Api, Mapping[str, str]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Story:
    """The API after the story, and the times in it."""

    api: Api
    id_: str
    in_lisbon: str
    in_berlin: str
    corrected: str


@pytest.fixture
def story(new_api: NewApi) -> Story:
    """Lisbon, a day later Berlin, which supersedes it, and a day later still: it had been Porto, not Lisbon."""
    api = new_api([facts(LISBON), facts({"text": BERLIN, "supersedes": [1]})], mcp=True)
    clock = api.world.clock
    (id_,) = api.say("I live in Lisbon.", infer=True)
    in_lisbon = clock.now()
    clock.advance(DAY_S)
    api.say("I moved to Berlin.", infer=True)
    in_berlin = clock.now()
    clock.advance(DAY_S)
    api.put(f"/memories/{id_}", {"text": PORTO})
    return Story(api, id_, in_lisbon, in_berlin, clock.now())


def _answer(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def _results(answer: Any) -> list[dict[str, Any]]:
    found = _answer(answer)["results"]
    assert isinstance(found, list)
    return found


SHOWS: dict[str, Shows] = {
    "self-hosted list": lambda api, then: _results(api.get("/memories", params={**ALICE, **then})),
    "self-hosted search": lambda api, then: _results(api.post("/search", {**WIDE, **FILTERS, **then})),
    "v3 list": lambda api, then: _results(api.post("/v3/memories/", {**FILTERS, **then})),
    "v2 list": lambda api, then: list(_answer(api.post("/v2/memories/", {**FILTERS, **then}))),
    "v1 list": lambda api, then: list(_answer(api.get("/v1/memories/", params={**ALICE, **then}))),
    "v3 search": lambda api, then: _results(api.post("/v3/memories/search/", {**WIDE, **FILTERS, **then})),
    "v2 search": lambda api, then: list(_answer(api.post("/v2/memories/search/", {**WIDE, **FILTERS, **then}))),
    "v1 search": lambda api, then: list(_answer(api.post("/v1/memories/search/", {**WIDE, **ALICE, **then}))),
    "get_memories": lambda api, then: list(call(api, "get_memories", **ALICE, **then)["results"]),
    "search_memories": lambda api, then: list(call(api, "search_memories", **WIDE, **ALICE, **then)["results"]),
}


@pytest.mark.parametrize("shows", SHOWS.values(), ids=list(SHOWS))
def test_the_story_is_told_as_of_each_moment(story: Story, shows: Shows) -> None:
    def texts(**then: str) -> list[str]:
        return [item["memory"] for item in shows(story.api, then)]

    assert texts() == [BERLIN]
    assert texts(as_of=story.in_berlin) == [BERLIN]
    # What was true: the correction holds for the whole time that it is about, but was not always known.
    assert texts(as_of=story.in_lisbon) == [PORTO]
    assert texts(as_of=story.in_lisbon, known_at=story.in_berlin) == [LISBON]
    assert texts(known_at=story.in_lisbon) == [LISBON]
    assert texts(known_at=story.in_berlin) == [BERLIN]
    assert texts(as_of="2020-01-01") == []


def test_the_platform_gets_one_memory_as_it_was(story: Story) -> None:
    def got(**then: str) -> Any:
        return story.api.get(f"/v1/memories/{story.id_}/", params=then)

    assert _answer(got())["memory"] == _answer(got(as_of=story.in_lisbon))["memory"] == PORTO
    before = _answer(got(known_at=story.in_lisbon))
    assert (before["memory"], before["lifecycle_state"], before["replaced_by"]) == (LISBON, "active", None)
    assert _answer(got(known_at=story.in_berlin))["lifecycle_state"] == "superseded"
    gone = got(as_of=story.in_berlin)
    assert (gone.status_code, gone.json()["detail"]) == (404, "Memory not found!")


def test_the_mcp_tool_gets_one_memory_as_it_was(story: Story) -> None:
    def got(**then: str) -> Any:
        return call(story.api, "get_memory", memory_id=story.id_, **then)["memory"]["memory"]

    assert got() == got(as_of=story.in_lisbon) == PORTO
    assert got(known_at=story.in_berlin) == LISBON
    said = refusal(story.api, "get_memory", memory_id=story.id_, as_of=story.in_berlin)
    assert said.endswith("not found at that moment.")


def test_pages_of_the_past_count_what_was_there(story: Story) -> None:
    api, clock = story.api, story.api.world.clock
    api.say("Likes tea.", "Rides a bicycle.")
    then = {"as_of": clock.now()}
    clock.advance(DAY_S)
    api.say("Likes coffee.")
    paged = {**FILTERS, **then, "page": 2, "page_size": 2}
    page = _answer(api.post("/v3/memories/", paged))
    assert (page["count"], [item["memory"] for item in page["results"]], page["next"]) == (3, [BERLIN], None)
    first = _answer(api.get("/v1/memories/", params={**ALICE, **then, "page": 1, "page_size": 2}))
    assert (first["count"], len(first["results"])) == (3, 2)
    # The address of the next page asks about the same moment.
    following = _answer(api.get(first["next"]))
    assert [item["memory"] for item in following["results"]] == [BERLIN]
    second = call(api, "get_memories", **ALICE, **then, page=2, page_size=2)["results"]
    assert [item["memory"] for item in second] == [BERLIN]


def test_superseded_memories_of_the_past_are_listed_on_request(story: Story) -> None:
    def texts(**then: str) -> list[str]:
        answer = story.api.post("/v3/memories/", {**FILTERS, "latest_only": False, **then})
        return [item["memory"] for item in _results(answer)]

    assert texts() == texts(as_of=story.in_berlin) == [BERLIN, PORTO]
    assert texts(known_at=story.in_berlin) == [BERLIN, LISBON]
    assert texts(as_of=story.in_lisbon) == [PORTO]
    assert texts(as_of="2020-01-01") == []


def test_expiration_is_judged_at_the_reference_date_where_one_is_given(new_api: NewApi) -> None:
    api = new_api()
    api.say("Parks on level 2.", expiration_date="2026-01-05")
    then = {"as_of": "2026-01-04", **WIDE, **FILTERS}
    assert len(_results(api.post("/v3/memories/search/", then))) == 1
    assert _results(api.post("/v3/memories/search/", {**then, "reference_date": "2026-01-06"})) == []


@pytest.mark.parametrize("name", ["as_of", "known_at"])
@pytest.mark.parametrize("value", ["yesterday", "", "2026-13-01"])
def test_a_bad_moment_is_named_in_the_shape_of_the_dialect(new_api: NewApi, name: str, value: str) -> None:
    api = new_api(mcp=True)
    (id_,) = api.say("I live in Lisbon.")
    then = {name: value}
    for path in ("/v3/memories/search/", "/v2/memories/search/", "/v1/memories/search/"):
        body = _refused(api.post(path, {**WIDE, **FILTERS, **then}))
        assert name in body["message"]
        assert body["message"] == body["detail"]
    for path in ("/v3/memories/", "/v2/memories/"):
        assert name in _refused(api.post(path, {**FILTERS, **then}))["message"]
    (text,) = _refused(api.get("/v1/memories/", params={**ALICE, **then}))
    assert name in text
    assert name in _refused(api.get(f"/v1/memories/{id_}/", params=then))["error"]
    assert f"Invalid {name}" in refusal(api, "search_memories", **WIDE, **ALICE, **then)
    assert f"Invalid {name}" in refusal(api, "get_memories", **ALICE, **then)
    assert f"Invalid {name}" in refusal(api, "get_memory", memory_id=id_, **then)


def test_a_moment_of_another_type_is_named(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    for path in ("/v3/memories/search/", "/v3/memories/"):
        assert "as_of" in _refused(api.post(path, {**WIDE, **FILTERS, "as_of": 1767225600}))["message"]
    assert "known_at" in refusal(api, "search_memories", **WIDE, **ALICE, known_at=["2026"])


def test_tools_that_write_take_no_moment(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    (id_,) = api.say("I live in Lisbon.")
    assert "as_of" in refusal(api, "delete_memory", memory_id=id_, as_of="2026-01-01")
    assert "as_of" in refusal(api, "update_memory", memory_id=id_, text="x", as_of="2026-01-01")
    assert api.texts() == ["I live in Lisbon."]


def test_the_search_function_reads_the_past_and_writes_nothing(story: Story, tmp_path: Path) -> None:
    world = story.api.world
    search = TestClient(create_search_app(lambda: world.services, inline=True), headers={"X-API-Key": ADMIN})
    with closing(sqlite3.connect(tmp_path / "0" / "ledger.db")) as other:
        # It changes when another connection writes.
        before = other.execute("PRAGMA data_version").fetchone()
        for path in ("/search", "/v3/memories/search/", "/v2/memories/search/", "/v1/memories/search/"):
            answer = search.post(path, json={**WIDE, **FILTERS, "known_at": story.in_lisbon})
            assert (answer.status_code, LISBON in answer.text) == (200, True), path
        assert other.execute("PRAGMA data_version").fetchone() == before
        story.api.say("Likes tea.")
        assert other.execute("PRAGMA data_version").fetchone() != before


def _refused(answer: Any) -> Any:
    assert answer.status_code == 400, answer.text
    return answer.json()
