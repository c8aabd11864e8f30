"""Thresholds in every dialect: a memory is found if and only if the score that is shown reaches the threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.domain.scoring import DEFAULT_THRESHOLD, probability
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_mcp import call

ALICE = {"user_id": "alice"}
TEXTS = ("a red bicycle", "the bicycle of the neighbour", "bread and butter every morning", "the sea at night")
QUERY = "the red bicycle with a bell"

PARTS = ("meaning", "words", "mass", "asks_when", "date", "question", "assistant")

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


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_that_sends_mem0s_default_finds_what_it_finds_without(api: Api, dialect: str) -> None:
    api.say("quantum chromodynamics", "zebras", run_id="alone")
    search = DIALECTS[dialect](api)
    shown = [(one["id"], one["score"]) for one in search()]
    assert shown == [(one["id"], one["score"]) for one in search(threshold=0.1)]
    assert 0 < len(shown) < len(search(threshold=0))


@pytest.mark.parametrize("past", ["", "as_of", "known_at"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_explanation_names_the_parts_of_the_score(api: Api, dialect: str, past: str) -> None:
    """The Platform's searches explain themselves; the others must be asked to."""
    when = {past: api.world.clock.now()} if past else {}
    asked = {} if dialect.startswith("Platform") else {"explain": True}
    for hit in DIALECTS[dialect](api)(threshold=0, **asked, **when):
        details = hit["score_breakdown"] if dialect.startswith("Platform") else hit["score_details"]
        parts = [details[name] for name in PARTS]
        assert min(1.0, max(0.0, sum(parts))) == pytest.approx(hit["score"], abs=1e-9)
        assert details["probability"] == pytest.approx(probability(hit["score"]))
        assert details["meaning"] == pytest.approx(0.6 * max(0, details.get("semantic", details.get("semantic_score"))))
