"""Texts that the embedder refuses, over the API, with each ledger: adds, changes and searches go by words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from forgetless.domain.limits import MOST_REFUSALS
from forgetless.ports.ledger import Ledger
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool

ALICE = {"user_id": "alice"}
HEADER = "X-Forgetless-Ranked-By"


@pytest.fixture(params=["sqlite", "dynamodb"])
def open_ledger(request: pytest.FixtureRequest, dynamo: Callable[[], Ledger]) -> Callable[[], Ledger | None]:
    return dynamo if request.param == "dynamodb" else lambda: None


@pytest.fixture
def api(new_api: NewApi) -> Api:
    api = new_api(mcp=True)
    api.world.embedder.refuses = lambda text: "poison" in text
    return api


def test_a_refused_text_is_stored_found_changed_listed_and_deleted(api: Api) -> None:
    tea, poison = api.say("green tea", "the poison is on the shelf")
    assert api.found("shelf")[0] == "the poison is on the shelf"
    assert api.put(f"/memories/{tea}", {"text": "poison in a cup"}).status_code == 200
    assert api.found("cup")[0] == "poison in a cup"
    for _ in range(MOST_REFUSALS):
        api.world.clock.advance(60)
        api.world.services.sweep.sweep()
    assert {one.memory_id for one in api.world.ledger.set_aside(limit=9)} == {tea, poison}
    assert api.found("shelf")[0] == "the poison is on the shelf"
    assert api.delete(f"/memories/{poison}").status_code == 200
    api.world.clock.advance(60)
    api.world.services.sweep.sweep()
    assert api.found("shelf poison") == ["poison in a cup"]
    assert api.world.index.count() == 1


@pytest.mark.parametrize("past", [False, True])
def test_a_refused_query_goes_by_words_and_the_answer_says_so(api: Api, past: bool) -> None:
    api.say("the shelf is high", "green tea")
    when = {"known_at": "2100-01-01"} if past else {}
    body = {"query": "poison shelf", "filters": ALICE, "explain": True, **when}
    answer = api.post("/search", body)
    assert (answer.status_code, answer.headers[HEADER]) == (200, "words")
    hit = answer.json()["results"][0]
    assert hit["memory"] == "the shelf is high"
    assert (hit["score_details"]["by_words_alone"], hit["score_details"]["meaning"]) == (True, 0.0)
    answer = api.post("/v3/memories/search/", body)
    assert (answer.status_code, answer.headers[HEADER]) == (200, "words")
    assert answer.json()["results"][0]["score_breakdown"]["by_words_alone"] is True
    shown = call_tool(api, "search_memories", {**ALICE, "query": "poison shelf", **when})
    assert isinstance(shown, dict)
    assert shown["ranked_by"] == "words"
    assert shown["results"][0]["memory"] == "the shelf is high"


def test_any_other_query_says_nothing_of_it(api: Api) -> None:
    api.say("the shelf is high")
    api.post("/search", {"query": "poison", "filters": ALICE})
    answer = api.post("/search", {"query": "shelf", "filters": ALICE, "explain": True})
    assert HEADER not in answer.headers
    assert answer.json()["results"][0]["score_details"]["by_words_alone"] is False
    assert "ranked_by" not in call_tool(api, "search_memories", {**ALICE, "query": "shelf"})
