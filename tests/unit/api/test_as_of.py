"""as_of and known_at over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.client import Api

FILTERS = {"user_id": "alice"}


@pytest.fixture
def corrected(api: Api) -> tuple[Api, str, str]:
    """A memory that was corrected; its id and a time before the correction."""
    (id_,) = api.say("I live in Lisbon.")
    before = api.world.clock.now()
    api.world.clock.advance(3600)
    api.put(f"/memories/{id_}", {"text": "I live in Porto."})
    return api, id_, before


def test_lists_searches_and_gets_ask_for_a_moment(corrected: tuple[Api, str, str]) -> None:
    api, id_, before = corrected
    then: dict[str, Any] = {"known_at": before}
    (listed,) = api.get("/memories", params={"user_id": "alice", **then}).json()["results"]
    (found,) = api.post("/search", {"query": "Lisbon", "filters": FILTERS, "threshold": 0, **then}).json()["results"]
    got = api.get(f"/memories/{id_}", params=then).json()
    assert {one["memory"] for one in (listed, found, got)} == {"I live in Lisbon."}
    assert api.texts() == ["I live in Porto."]
    assert api.get(f"/memories/{id_}", params={"as_of": "2020-01-01"}).json() is None
    assert api.get("/memories", params={"user_id": "alice", "as_of": "2020-01-01"}).json() == {"results": []}
    assert api.post("/search", {"query": "x", "filters": FILTERS, "as_of": "2020-01-01"}).json() == {"results": []}


def test_explained_scores_of_the_past_have_their_components(corrected: tuple[Api, str, str]) -> None:
    api, _, before = corrected
    body = {"query": "Lisbon", "filters": FILTERS, "threshold": 0, "known_at": before, "explain": True}
    (found,) = api.post("/search", body).json()["results"]
    assert found["score_details"]["final_score"] == found["score"]


@pytest.mark.parametrize(
    ("as_of", "found"),
    [
        ("2026-01-01", 1),  # the whole day
        ("2025-12-31", 0),
        ("2026-01-01T00:00:30Z", 1),
        ("2026-01-01T00:00:30", 1),
        ("2026-01-01T07:00:30+07:00", 1),
        ("2026-01-01T07:00:30 07:00", 1),  # the plus, lost in a query string
        ("2026-01-01T00:00:00-01:00", 1),
        ("2025-12-31T23:59:59Z", 0),
    ],
)
def test_moments_are_days_or_times(api: Api, as_of: str, found: int) -> None:
    api.say("I live in Lisbon.")
    results = api.get("/memories", params={"user_id": "alice", "as_of": as_of}).json()["results"]
    assert len(results) == found


@pytest.mark.parametrize("name", ["as_of", "known_at"])
@pytest.mark.parametrize("value", ["yesterday", "", "2026-13-01", "9999-12-31T23:59:59-23:59"])
def test_a_moment_that_is_none_is_named(api: Api, name: str, value: str) -> None:
    for answer in (
        api.get("/memories", params={"user_id": "alice", name: value}),
        api.get("/memories/x", params={name: value}),
        api.post("/search", {"query": "x", "filters": FILTERS, name: value}),
    ):
        assert (answer.status_code, name in answer.json()["detail"]) == (400, True)
