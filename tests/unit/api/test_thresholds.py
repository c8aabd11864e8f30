"""Thresholds in every dialect: a memory is found if and only if the score that is shown reaches the threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.domain.scoring import DEFAULT_THRESHOLD
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_mcp import call

ALICE = {"user_id": "alice"}
TEXTS = ("a red bicycle", "the bicycle of the neighbour", "bread and butter every morning", "the sea at night")
QUERY = "the red bicycle with a bell"

#: The results of one search with these fields.
Search = Callable[..., list[dict[str, Any]]]


def _posted(path: str) -> Callable[[Api], Search]:
    def of(api: Api) -> Search:
        def search(**fields: Any) -> list[dict[str, Any]]:
            answer = api.post(path, {"query": QUERY, "filters": ALICE, **fields})
            assert answer.status_code == 200, answer.text
            found = answer.json()
            results: list[dict[str, Any]] = found if isinstance(found, list) else found["results"]
            return results

        return search

    return of


def _by_mcp(api: Api) -> Search:
    def search(**fields: Any) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = call(api, "search_memories", query=QUERY, **ALICE, **fields)["results"]
        return results

    return search


DIALECTS = {
    "self-hosted": _posted("/search"),
    **{f"Platform {version}": _posted(f"/{version}/memories/search/") for version in ("v1", "v2", "v3")},
    "MCP": _by_mcp,
}


@pytest.fixture
def api(new_api: NewApi) -> Api:
    """An API with /mcp and some memories."""
    api = new_api(mcp=True)
    api.say(*TEXTS)
    return api


@pytest.mark.parametrize("past", ["", "as_of", "known_at"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_shown_is_what_reaches_the_threshold(api: Api, dialect: str, past: str) -> None:
    search = DIALECTS[dialect](api)
    when = {past: api.world.clock.now()} if past else {}
    everything = [(one["id"], one["score"]) for one in search(threshold=0, **when)]
    assert len(everything) == len(TEXTS)
    scores = [score for _, score in everything]
    middle = scores[1]
    for threshold in (middle, math.nextafter(middle, 1), math.nextafter(middle, 0), scores[0], None):
        asked = {} if threshold is None else {"threshold": threshold}
        least = DEFAULT_THRESHOLD if threshold is None else threshold
        assert [(one["id"], one["score"]) for one in search(**asked, **when)] == [
            (id_, score) for id_, score in everything if score >= least
        ]


def test_the_default_finds_a_cosine_of_mem0s_threshold_without_a_common_word(api: Api) -> None:
    api.say("quantum chromodynamics", "zebras", run_id="alone")
    api.world.index.search_words = lambda *_: []  # type: ignore[method-assign]
    found = api.post("/search", {"query": QUERY, "filters": ALICE, "threshold": 0, "explain": True}).json()["results"]
    cosines = {one["id"]: one["score_details"]["semantic_score"] for one in found}
    shown = {one["id"] for one in api.post("/search", {"query": QUERY, "filters": ALICE}).json()["results"]}
    assert shown == {id_ for id_, cosine in cosines.items() if cosine >= 0.1}
    assert 0 < len(shown) < len(cosines)
