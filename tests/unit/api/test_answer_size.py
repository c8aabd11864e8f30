"""Answers stay below Lambda's 6 MB, and say if they were cut: before, each of these was a 500 without a reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult

from forgetless.api.answer_size import TRUNCATED_HEADER, fitting
from forgetless.api.history_answer import NEXT_VERSION_HEADER
from forgetless.api.json_response import json_response, sent_bytes, small_response
from forgetless.api.mcp.serialize import BESIDE_BYTES, FoundMemory, answer_bytes, shown_memories
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.domain.scope import Scope
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected

#: What Lambda sends at most, without anything for headers.
LAMBDA_BYTES = 6 * 1024 * 1024
METADATA = {"notes": '"' * 32_000}


@pytest.fixture
def full(api: Api) -> Api:
    """A user with 100 memories, each with 64 KB of metadata, which Lambda counts twice."""
    api.say(*[f"tea number {number}" for number in range(100)], metadata=METADATA)
    return api


def fits(answer: httpx2.Response) -> Any:
    """The answer's JSON; it must be small enough for Lambda."""
    assert answer.status_code == 200, answer.text[:300]
    assert len(json.dumps(answer.text)) < LAMBDA_BYTES
    return answer.json()


SEARCHES = [
    ("/search", {"query": "tea", "filters": {"user_id": "alice"}, "threshold": 0, "top_k": 100}),
    ("/v3/memories/search/", {"query": "tea", "filters": {"user_id": "alice"}, "threshold": 0, "top_k": 100}),
    ("/v2/memories/search/", {"query": "tea", "user_id": "alice", "threshold": 0, "top_k": 100}),
    ("/v1/memories/search/", {"query": "tea", "user_id": "alice", "threshold": 0, "top_k": 100}),
    (
        "/v1/memories/search/",
        {"query": "tea", "user_id": "alice", "threshold": 0, "top_k": 100, "output_format": "v1.1"},
    ),
]


_ODD = st.sampled_from('\x7f\x00\x1f\n"\\é€😀\ud800')


@given(st.text(st.one_of(st.characters(), _ODD), max_size=60))
def test_the_size_of_a_body_is_that_of_the_string_that_lambda_sends(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    assert sent_bytes(body) == len(json.dumps(text))
    many = 500_000 // max(1, len(body)) + 1
    assert sent_bytes(body * many) == len('""') + many * (len(json.dumps(text)) - len('""')), "a large one"


@pytest.mark.parametrize(("path", "body"), SEARCHES)
def test_a_search_has_the_best_results_that_fit(full: Api, path: str, body: dict[str, Any]) -> None:
    answer = full.post(path, body)
    found = fits(answer)
    shown = found["results"] if isinstance(found, dict) else found
    assert 20 < len(shown) < 100
    assert answer.headers[TRUNCATED_HEADER] == f"{len(shown)} of 100"
    assert not isinstance(found, dict) or found["truncated"] is True
    few = full.post(path, {**body, "top_k": 5})
    assert TRUNCATED_HEADER not in few.headers
    assert [item["id"] for item in shown[:5]] == [item["id"] for item in _results(fits(few))]


@pytest.mark.parametrize("query", ["user_id=alice&top_k=100", "top_k=1000"])
def test_a_list_ends_where_it_must_and_its_cursor_continues_it(full: Api, query: str) -> None:
    answers = [fits(full.get(f"/memories?{query}"))]
    while cursor := answers[-1].get("next_cursor"):
        answers.append(fits(full.get(f"/memories?{query}&cursor={cursor}")))
    assert 20 < len(answers[0]["results"]) < 100
    assert len({item["id"] for answer in answers for item in answer["results"]}) == 100
    assert sum(len(answer["results"]) for answer in answers) == 100


def _call(api: Api, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The tool's answer as an object; it must be small enough for Lambda."""

    async def ask() -> CallToolResult:
        async with connected(api.client.app) as client:
            return await client.call_tool(tool, {**arguments, "user_id": "alice"})

    answer = anyio.run(ask)
    assert not answer.is_error
    assert answer.structured_content is not None
    assert len(json.dumps(answer.model_dump_json())) < LAMBDA_BYTES
    return answer.structured_content


def test_a_tool_shows_what_fits_as_text_and_as_an_object(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    api.say(*[f"tea number {number}" for number in range(100)], metadata=METADATA)
    found = _call(api, "search_memories", {"query": "tea", "limit": 100, "threshold": 0})
    assert found["truncated"] is True
    assert 5 < len(found["results"]) < 100
    listed = _call(api, "get_memories", {"page_size": 100})
    assert 5 < len(listed["results"]) < 100
    following = _call(api, "get_memories", {"page_size": 100, "cursor": listed["next_cursor"]})
    assert following["results"][0]["memory"] == f"tea number {99 - len(listed['results'])}"


def test_a_tools_answer_has_room_beside_its_results() -> None:
    one = FoundMemory(id="a", memory="", version=1, created_at="", updated_at="")
    full = one.model_copy(update={"memory": "x" * ((ANSWER_BYTES - answer_bytes(one)) // 2)})
    beside = {"ignored": ["\U0001f335" * 64] * 20}
    largest = shown_memories([full, one], "\U0001f335" * 1000).model_copy(update=beside)
    assert len(largest.results) == 1
    assert ANSWER_BYTES < answer_bytes(largest) < ANSWER_BYTES + BESIDE_BYTES < LAMBDA_BYTES


@pytest.mark.parametrize("path", ["/memories/{}/history", "/v1/memories/{}/history/"])
def test_a_long_history_goes_on_at_the_next_version(api: Api, path: str) -> None:
    [id_] = api.say("0")
    _update(api, id_, [f"{number} " + "x" * 700_000 for number in range(1, 9)])
    versions, start, answers = [], "1", 0
    while start:
        answer = api.get(path.format(id_), params={"from_version": start})
        versions += [item["version"] for item in fits(answer)]
        start, answers = answer.headers.get(NEXT_VERSION_HEADER, ""), answers + 1
    assert versions == list(range(1, 10))
    assert 1 < answers < 9


@pytest.mark.parametrize("path", ["/memories/{}", "/v1/memories/{}/", "/memories/{}/history"])
def test_a_memory_that_alone_is_too_long_is_shortened(api: Api, path: str) -> None:
    """An earlier version stored it. The export still has all of it."""
    said = (IncomingMessage("user", '"' * 2_000_000),)
    outcome = api.world.services.add.add(AddRequest(Scope("default", user_id="alice"), said, infer=False))
    found = fits(api.get(path.format(outcome.results[0].id)))
    item = found[0] if isinstance(found, list) else found
    assert item["truncated"] is True
    assert 100 < len(item.get("memory") or item["new_memory"]) < 2000


@pytest.mark.parametrize("path", ["/memories", "/v3/memories/add/", "/v1/memories/"])
def test_an_add_names_everything_that_it_stored(api: Api, path: str) -> None:
    messages = [{"role": "user", "content": f"{number} " + '"' * 12_000} for number in range(200)]
    answer = api.post(path, {"messages": messages, "user_id": "alice", "infer": False})
    results = _results(fits(answer))
    assert len({item["id"] for item in results}) == 200
    assert all(item["truncated"] and item["memory"].startswith(f"{place} ") for place, item in enumerate(results))
    assert api.get(f"/memories/{results[7]['id']}").json()["memory"] == messages[7]["content"]


def test_an_event_names_everything_that_it_stored(api: Api) -> None:
    messages = [{"role": "user", "content": f"{number} " + '"' * 12_000} for number in range(200)]
    added = api.post("/v3/memories/add/", {"messages": messages, "user_id": "alice", "infer": False})
    event = fits(api.get(f"/v1/event/{added.json()['event_id']}/"))
    assert len(event["results"]) == 200
    assert event["results"][3]["truncated"] is True


def test_a_summary_without_an_llm_has_the_texts_that_fit(api: Api) -> None:
    api.say(*[f"{number} " + '"' * 29_000 for number in range(100)])
    answer = api.post("/v1/summary/", {"filters": {"user_id": "alice"}})
    [summary] = fits(answer)
    assert summary["memories"] == 100
    assert summary["truncated"] is True
    assert 20 < len(summary["summary"].splitlines()) < 100


def test_every_other_answer_that_would_be_too_large_says_what_to_do() -> None:
    with pytest.raises(InvalidRequestError, match="ask for fewer results"):
        json_response({"text": "x" * LAMBDA_BYTES})


@pytest.mark.parametrize("text", ['a"b\\c\n' * 100, "naïve 好 😀 \u2028" * 100, "\x00\x1f\x7f", "plain"])
def test_the_size_of_a_body_is_that_of_its_json_string(text: str) -> None:
    body = json_response(text).body
    for ascii_only in (True, False):
        assert len(json.dumps(bytes(body).decode(), ensure_ascii=ascii_only).encode()) <= sent_bytes(bytes(body)) + 2


@pytest.mark.parametrize("text", ["\x7f", '"', "\\", "é", "好", "😀", "\ud800", "plain "])
def test_an_answer_that_is_not_measured_is_small_enough_whatever_it_holds(text: str) -> None:
    content = {"text": text * 1000}
    size = sent_bytes(bytes(json_response(content).body))
    assert small_response(content, most_bytes=size - 1) is None
    small = small_response(content, most_bytes=size * 6)
    assert small is not None
    assert small.body == json_response(content).body


@pytest.mark.parametrize(("sizes", "kept"), [([], 0), ([9], 1), ([3, 3, 3], 2), ([3, 9, 1], 1), ([7], 1), ([1] * 7, 7)])
def test_the_first_items_that_fit_are_kept_and_always_one(sizes: Sequence[int], kept: int) -> None:
    assert fitting(sizes, budget=7, size=lambda size: size) == list(sizes)[:kept]


def test_the_budget_leaves_room_for_what_lambda_sends_beside_the_body() -> None:
    assert ANSWER_BYTES < LAMBDA_BYTES - 500_000


def _results(found: Any) -> list[dict[str, Any]]:
    return found["results"] if isinstance(found, dict) else found


def _update(api: Api, id_: str, texts: Sequence[str]) -> None:
    for text in texts:
        api.world.services.changes.update(UpdateRequest("default", id_, text=text))
