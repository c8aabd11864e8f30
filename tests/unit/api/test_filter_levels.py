"""How deeply filters may nest: 16 levels of groups, whatever they are made of, in both dialects and in MCP."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from forgetless.domain.filters.parse_common import MAX_DEPTH, TOO_DEEP
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi


@pytest.fixture
def api(new_api: NewApi) -> Api:
    return new_api(mcp=True)


def nested(form: str, levels: int) -> dict[str, Any]:
    """A filter of this many levels, the innermost of which has as much within it as a condition may have."""
    one: dict[str, Any] = {"user_id": {"in": ["alice"]}, "metadata": {"topic": {"ne": "tea"}}}
    for _ in range(levels - 1):
        one = {"NOT": one} if form == "NOT" else {form.removesuffix(" list"): [one]}
    return one


def answers(api: Api, where: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """The status and the text of each way to send a filter."""
    beside = {"filters": {"AND": [where], "user_id": "alice"}}
    arguments = {"name": "get_memories", "arguments": {"user_id": "alice", "filters": where}}
    tool = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}
    sent = {
        "search": api.post("/search", {"query": "tea", **beside}),
        "v3 search": api.post("/v3/memories/search/", {"query": "tea", **beside}),
        "v3 list": api.post("/v3/memories/", beside),
        "delete": api.delete(f"/v1/memories/?user_id=nobody&filters={quote(json.dumps(beside['filters']))}"),
        "tool": api.call("POST", "/mcp", json=tool, headers={"Accept": "application/json, text/event-stream"}),
    }
    return {name: (answer.status_code, answer.text) for name, answer in sent.items()}


@pytest.mark.parametrize("form", ["AND", "OR", "NOT", "NOT list"])
def test_a_filter_may_have_16_levels_in_every_form_and_dialect(api: Api, form: str) -> None:
    for name, (status, text) in answers(api, nested(form, MAX_DEPTH - 1)).items():
        assert (status, TOO_DEEP in text, '"isError":true' in text) == (200, False, False), (name, text)
    for levels in (MAX_DEPTH, MAX_DEPTH + 20):
        for name, (status, text) in answers(api, nested(form, levels)).items():
            if name == "tool" and levels == MAX_DEPTH:  # its filter has no level around it
                assert TOO_DEEP not in text
                continue
            assert (status, TOO_DEEP in text) == (200 if name == "tool" else 400, True), (name, text)


def test_metadata_beside_a_filter_of_a_deletion_is_no_further_level(api: Api) -> None:
    where = quote(json.dumps({"role": "user", **nested("AND", MAX_DEPTH)}))
    assert (
        api.delete(f"/v1/memories/?user_id=x&filters={where}&metadata={quote(json.dumps({'a': 1}))}").status_code == 200
    )


@pytest.mark.parametrize("path", ["/memories", "/v1/memories/", "/audit"])
def test_an_id_that_a_query_names_twice_is_refused(api: Api, path: str) -> None:
    api.say("tea", user_id="b")
    for method in ("GET", "DELETE"):
        answer = api.call(method, f"{path}?user_id=a&user_id=b")
        if answer.status_code != 405:
            assert (answer.status_code, "user_id: the query has it 2 times" in answer.text) == (400, True), answer.text
    assert len(api.get("/memories?user_id=b").json()["results"]) == 1


def test_an_id_twice_in_the_address_of_mcp_is_refused(api: Api) -> None:
    tool = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_memories", "arguments": {}}}
    headers = {"Accept": "application/json, text/event-stream"}
    answer = api.call("POST", "/mcp?user_id=a&user_id=b", json=tool, headers=headers)
    assert "user_id: the query has it 2 times" in answer.text
