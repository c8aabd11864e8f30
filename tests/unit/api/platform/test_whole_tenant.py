"""Only an administrator reads a whole tenant, however the filter is written and whoever made an export."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.filters.parse_platform import parse_platform_filter
from forgetless.domain.filters.scope_ids import pins_an_entity
from tests.unit.api.client import MEMBER, Api

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
