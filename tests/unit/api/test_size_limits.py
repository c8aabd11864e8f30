"""The sizes of what requests contain: every field has a limit, and an excess is refused by name in each dialect."""

from __future__ import annotations

import gc
import inspect
import json
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import anyio
import pytest
from annotated_types import MaxLen
from mcp_types import CallToolResult
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from forgetless.api.app import all_routes
from forgetless.api.body_limit import MAX_BODY_BYTES
from forgetless.api.caller import Caller
from forgetless.api.field_checks import Text
from forgetless.api.mcp.tools import TOOLS
from forgetless.api.platform.error_bodies import is_platform
from forgetless.api.size_limits import marks_of
from forgetless.api.value_count import MOST_VALUES, read_json
from forgetless.domain.limits import ADD_BYTES, RequestLimits
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected

SMALL = RequestLimits(messages=3, message_chars=40, query_chars=30, filter_nodes=12, batch=2, prompt_chars=50)
#: A text that is longer than every limit.
LONG = "x" * 300
HUGE = "x" * 11_000
WIDE = {"OR": [{}] * 20, "user_id": "alice"}
ONE_ID = "00000000-0000-4000-8000-000000000000"
SAID = [{"role": "user", "content": "tea"}]
SCHEMA = {"properties": {"name": {"type": "string"}}}
ORGANIZATION, PROJECT = (
    "/api/v1/orgs/organizations/{org}/projects/",
    "/api/v1/orgs/organizations/{org}/projects/{proj}/",
)


@pytest.fixture
def api(new_api: NewApi) -> Api:
    """An API with small limits."""
    api = new_api(mcp=True)
    api.world.services.limits = SMALL
    return api


# Every field has a limit.


def test_every_field_of_every_body_and_tool_has_a_limit() -> None:
    models = {*bodies(), *(tool.arguments for tool in TOOLS.values())}
    assert len(models) > 25
    assert [name for model in models for name in unbounded(model)] == []


def test_a_field_without_a_limit_is_found() -> None:
    class Inner(BaseModel):
        word: Text

    class Open(BaseModel):
        text: str
        maybe: Text | None = None
        anything: Any = None
        many: list[Inner]
        keys: dict[str, str]
        flag: bool = False
        one_of: Literal["a"] = "a"

    found = [name.rsplit(".", 2)[-2:] for name in unbounded(Open)]
    assert sorted(found) == [
        ["Inner", "word"],
        *(["Open", name] for name in ("anything", "keys", "many", "maybe", "text")),
    ]


def test_every_endpoint_with_something_to_check_has_a_caller_whose_limits_are_checked() -> None:
    for route in all_routes():
        hints = typing.get_type_hints(route.endpoint)
        given = {kind for name, kind in hints.items() if name not in {"return", "caller", "request"}}
        assert not given or hints.get("caller") is Caller, route


def bodies() -> Iterator[type[BaseModel]]:
    """The models of all bodies; a body that is no model fails the test, because nothing could check it."""
    for route in all_routes():
        for name, kind in typing.get_type_hints(route.endpoint).items():
            if inspect.isclass(kind) and issubclass(kind, BaseModel):
                yield kind
            assert "dict" not in str(kind), (route, name)


def unbounded(model: type[BaseModel]) -> Iterator[str]:
    """The fields of a model, and of the models in it, that may be of any size."""
    for name, info in model.model_fields.items():
        if _may_be_large(info) and not marks_of(info) and not _has_length(info):
            yield f"{model.__qualname__}.{name}"
        for kind in _kinds(info.annotation):
            if inspect.isclass(kind) and issubclass(kind, BaseModel):
                yield from unbounded(kind)


def _may_be_large(info: FieldInfo) -> bool:
    small = (bool, int, float, UUID, Enum, BaseModel, type(None))
    kinds = list(_kinds(info.annotation))
    in_a_list = any(typing.get_origin(kind) in {list, dict, tuple, set} for kind in kinds)
    leaves = [kind for kind in kinds if typing.get_origin(kind) is None and not isinstance(kind, str)]
    return in_a_list or not all(inspect.isclass(kind) and issubclass(kind, small) for kind in leaves)


def _has_length(info: FieldInfo) -> bool:
    marks = [*info.metadata, *(one for kind in _kinds(info.annotation) for one in _metadata(kind))]
    texts = [kind for kind in _kinds(info.annotation) if kind is str]
    lists = [kind for kind in _kinds(info.annotation) if typing.get_origin(kind) is list]
    return bool(marks) and len([mark for mark in marks if isinstance(mark, MaxLen)]) >= len(texts) + len(lists) > 0


def _metadata(kind: Any) -> list[Any]:
    found = []
    for mark in getattr(kind, "__metadata__", ()):
        found += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return found


def _kinds(kind: Any) -> Iterator[Any]:
    """The type and every type in it."""
    yield kind
    if typing.get_origin(kind) is not Literal:
        for inner in typing.get_args(kind)[: 1 if hasattr(kind, "__metadata__") else None]:
            yield from _kinds(inner)


# What is too large is refused by name.

REFUSED = [
    # messages of an add, their texts and everything beside them
    ("POST", "/memories", {"messages": SAID * 4}, "messages: it has 4 entries; at most 3"),
    ("POST", "/memories", {"messages": [{"role": "user", "content": "x" * 41}]}, "messages[0].content: it has 41 char"),
    ("POST", "/memories", {"messages": [{"role": LONG, "content": "x"}]}, "messages[0].role: it has 300"),
    ("POST", "/memories", {"messages": SAID, "prompt": "x" * 51}, "prompt: it has 51 characters; at most 50"),
    ("POST", "/memories", {"messages": SAID, "memory_type": LONG}, "memory_type: it has 300"),
    ("POST", "/memories", {"messages": SAID, "expiration_date": LONG}, "expiration_date: it has 300"),
    ("POST", "/memories", {"messages": SAID, "user_id": LONG}, "Invalid user_id: it must not be longer than 255"),
    ("POST", "/memories", {"messages": SAID, "metadata": {"a": "x" * 70_000}}, "metadata must not be larger"),
    ("POST", "/v3/memories/add/", {"messages": SAID * 4}, "messages: it has 4 entries; at most 3"),
    ("POST", "/v3/memories/add/", {"messages": "x" * 41}, "messages[0].content: it has 41 characters; at most 40"),
    (
        "POST",
        "/v1/memories/",
        {"messages": [{"role": "user", "content": ["x" * 20, {"text": "y" * 20}]}]},
        "messages[0].content: it has 41",
    ),
    ("POST", "/v1/memories/", {"messages": [{**SAID[0], "name": LONG}]}, "messages[0].name: it has 300"),
    ("POST", "/v3/memories/add/", {"messages": SAID, "custom_instructions": LONG}, "custom_instructions: it has 300"),
    (
        "POST",
        "/v3/memories/add/",
        {"messages": SAID, "agent_custom_instructions": LONG},
        "agent_custom_instructions: it has 300",
    ),
    ("POST", "/v3/memories/add/", {"messages": SAID, "includes": LONG}, "includes: it has 300"),
    ("POST", "/v3/memories/add/", {"messages": SAID, "excludes": LONG}, "excludes: it has 300"),
    ("POST", "/v3/memories/add/", {"messages": SAID, "timestamp": LONG}, "timestamp: it has 300"),
    (
        "POST",
        "/v3/memories/add/",
        {"messages": SAID, "custom_categories": [{"a": "x" * 70_000}]},
        "custom_categories: it has 70",
    ),
    # changes
    ("PUT", f"/memories/{ONE_ID}", {"text": "x" * 41}, "text: it has 41 characters; at most 40"),
    ("PUT", f"/v1/memories/{ONE_ID}/", {"text": "x" * 41}, "text: it has 41 characters; at most 40"),
    (
        "PUT",
        "/v1/batch/",
        {"memories": [{"memory_id": ONE_ID, "text": "x"}] * 3},
        "Maximum of 2 memories can be updated",
    ),
    ("PUT", "/v1/batch/", {"memories": [{"memory_id": ONE_ID, "text": "x" * 41}]}, "memories[0].text: it has 41"),
    ("PUT", "/v1/batch/", {"memories": [{"memory_id": LONG, "text": "x"}]}, "memory_id should be a valid UUID"),
    ("DELETE", "/v1/batch/", {"memories": [{"memory_id": ONE_ID}] * 3}, "Maximum of 2 memories can be deleted"),
    # searches and lists
    ("POST", "/search", {"query": "x" * 31}, "query: it has 31 characters; at most 30"),
    (
        "POST",
        "/search",
        {"query": "x", "filters": WIDE},
        "filters: more than 12 keys, groups and list entries together",
    ),
    ("POST", "/search", {"query": "x", "filters": {"a": {"in": list(range(12))}}}, "filters: more than 12"),
    ("POST", "/search", {"query": "x", "filters": {"a": "x" * 600_000}}, "filters: 600008 bytes of JSON"),
    ("POST", "/search", {"query": "x", "as_of": LONG}, "as_of: it has 300"),
    ("POST", "/v3/memories/search/", {"query": "x" * 31}, "query: it has 31 characters; at most 30"),
    ("POST", "/v3/memories/search/", {"query": "x", "filters": WIDE}, "filters: more than 12"),
    ("POST", "/v2/memories/search/", {"query": "x", "fields": ["a"] * 101}, "fields: it has 101 entries; at most 100"),
    ("POST", "/v2/memories/search/", {"query": "x", "fields": ["a", LONG]}, "fields[1]: it has 300"),
    (
        "POST",
        "/v1/memories/search/",
        {"query": "x", "metadata": {"a": 1, "b": 2}, "categories": ["c"] * 11},
        "metadata: more than 12",
    ),
    ("POST", "/v3/memories/", {"filters": WIDE}, "filters: more than 12"),
    ("POST", "/v2/memories/", {"keywords": LONG}, "keywords: it has 300"),
    ("GET", '/v1/memories/?user_id=a&filters={"OR":[' + ",".join(["{}"] * 20) + "]}", None, "filters: more than 12"),
    ("GET", "/v1/memories/?user_id=a" + "&categories=c" * 13, None, "categories: more than 12"),
    ("DELETE", '/v1/memories/?user_id=a&filters={"OR":[' + ",".join(["{}"] * 20) + "]}", None, "filters: more than 12"),
    ("GET", f"/v1/memories/?user_id=a&keywords={HUGE}{HUGE}", None, "keywords: it has 22000 characters; at most 20000"),
    ("GET", "/v1/memories/?user_id=a" + "&fields=a" * 1001, None, "fields: it has 1001 entries"),
    # what an LLM reads, and documents
    ("POST", "/generate-instructions", {"use_case": "x" * 51}, "use_case: it has 51 characters; at most 50"),
    ("POST", "/v1/exports/", {"schema": {"a": "x" * 70_000}, "filters": {"user_id": "a"}}, "schema: it has 7000"),
    ("POST", "/v1/exports/", {"schema": SCHEMA, "filters": WIDE}, "filters: more than 12"),
    ("POST", "/v1/exports/", {"schema": SCHEMA, "export_instructions": LONG}, "export_instructions: it has 300"),
    ("POST", "/v1/exports/get/", {"memory_export_id": LONG}, "memory_export_id: it has 300"),
    ("POST", "/v1/summary/", {"filters": WIDE}, "filters: more than 12"),
    ("POST", "/v1/feedback/", {"memory_id": ONE_ID, "feedback_reason": HUGE}, "feedback_reason: it has 11000"),
    ("POST", "/v2/profiles/jobs/", {"operation": LONG}, "operation: it has 300"),
    ("POST", ORGANIZATION, {"name": LONG}, "name: it has 300"),
    ("PATCH", PROJECT, {"description": HUGE}, "description: it has 11000"),
    ("PATCH", PROJECT, {"custom_instructions": LONG}, "custom_instructions: it has 300"),
    ("PATCH", PROJECT, {"custom_categories": [{"a": "x" * 70_000}]}, "custom_categories: it has 7"),
    ("PATCH", PROJECT, {"usecase_setting": ["x" * 70_000]}, "usecase_setting: it has 7"),
    ("POST", f"{PROJECT}members/", {"email": LONG}, "email: it has 300"),
    ("POST", "/api-keys", {"label": "a", "user_ids": [LONG]}, "Invalid user_ids: it must not be longer"),
]


@pytest.mark.parametrize(("method", "path", "body", "reason"), REFUSED)
def test_what_is_too_large_is_400_and_names_field_and_limit(
    api: Api, method: str, path: str, body: dict[str, Any] | None, reason: str
) -> None:
    scoped = body
    if body is not None and path in {"/memories", "/v1/memories/", "/v3/memories/add/", "/search"}:
        scoped = {"user_id": "alice", **body}
    answer = api.call(method, place_of(api, path), json=scoped)
    assert answer.status_code == 400, answer.text
    assert reason in answer.text
    if isinstance(answer.json(), dict):
        assert reason in answer.json()["detail"]


def place_of(api: Api, path: str) -> str:
    """The path with the ids of the tenant's own organization and project."""
    ids = api.get("/v1/ping/").json()
    return path.replace("{org}", ids["org_id"]).replace("{proj}", ids["project_id"])


def test_what_is_as_large_as_the_limit_is_accepted(api: Api) -> None:
    said = [{"role": "user", "content": f"{number}" + "x" * 39} for number in range(3)]
    for path in ("/memories", "/v3/memories/add/"):
        assert api.post(path, {"messages": said, "user_id": "alice", "infer": False}).status_code == 200
    assert len(api.found("x" * 30, filters={"user_id": "alice", "OR": [{}] * 10})) == 6


TOOL_CALLS = [
    ("add_memory", {"text": "x" * 41}, "text: it has 41 characters; at most 40"),
    ("add_memory", {"messages": SAID * 4}, "messages: it has 4 entries; at most 3"),
    ("add_memory", {"messages": [{"role": "user", "content": "x" * 41}]}, "messages[0].content: it has 41"),
    ("search_memories", {"query": "x" * 31}, "query: it has 31 characters; at most 30"),
    ("search_memories", {"query": "x", "filters": WIDE}, "filters: more than 12"),
    ("get_memories", {"filters": WIDE}, "filters: more than 12"),
    ("add_memory", {"messages": "[" + "{}," * 100_000 + "{}]"}, "messages: the body has more than"),
    ("get_memory", {"memory_id": LONG}, "memory_id: it has 300"),
    ("update_memory", {"memory_id": ONE_ID, "text": "x" * 41}, "text: it has 41"),
]


@pytest.mark.parametrize(("tool", "asked", "reason"), TOOL_CALLS)
def test_a_tool_says_what_is_too_large(api: Api, tool: str, asked: dict[str, Any], reason: str) -> None:
    async def ask() -> CallToolResult:
        scope = {} if "memory_id" in asked else {"user_id": "alice"}
        async with connected(api.client.app) as client:
            return await client.call_tool(tool, {**scope, **asked})

    answer = anyio.run(ask)
    assert answer.is_error
    assert reason in answer.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "key"),
    [("/memories", "detail"), ("/v3/memories/", "message"), ("/v1/feedback/", "error"), ("/mcp", "detail")],
)
def test_a_body_that_is_too_large_is_413_in_the_shape_of_the_dialect(api: Api, path: str, key: str) -> None:
    answer = api.call("POST", path, content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert str(MAX_BODY_BYTES) in answer.json()[key]
    assert answer.json()["detail"] == answer.json()[key]


def test_a_limited_key_has_the_same_limits(api: Api) -> None:
    made = api.post("/api-keys", {"label": "bob", "user_ids": ["bob"]}).json()
    answer = api.post("/memories", {"messages": SAID * 4, "user_id": "bob"}, key=made["key"])
    assert (answer.status_code, "messages" in answer.json()["detail"]) == (400, True)


def test_metadata_counts_for_each_message_that_stores_it(new_api: NewApi) -> None:
    """Metadata of 64 KB and 500 messages would be 32 MB in one transaction."""
    api, metadata = new_api(), {"notes": "x" * 60_000}
    many = ADD_BYTES // 60_000 + 1
    said = [{"role": "user", "content": f"{number}"} for number in range(many)]
    answer = api.post("/memories", {"messages": said, "user_id": "alice", "metadata": metadata, "infer": False})
    assert (answer.status_code, f"each of the {many} messages" in answer.json()["detail"]) == (400, True)
    assert api.texts() == []


# The exact requests that kept a process busy for seconds or minutes.

BUSY = [
    ("/v3/memories/", {"filters": {"user_id": "alice", "AND": [{}] * 100_000}}, "filters"),
    ("/search", {"query": "x", "filters": {"user_id": "alice", "AND": [{}] * 100_000}}, "filters"),
    (
        "/search",
        {"query": "x", "filters": {"user_id": "alice", "OR": [{"k": {"in": list(range(1000))}}] * 399}},
        "body",
    ),
    ("/search", {"query": "\ufdfa" * 400_000, "filters": {"user_id": "alice"}}, "query"),
    (
        "/search",
        {
            "query": " ".join(f"w{number}" for number in range(300_000)),
            "filters": {"user_id": "alice"},
            "as_of": "2030-01-01",
        },
        "query",
    ),
    ("/memories", {"messages": SAID * 10_000, "user_id": "alice", "infer": False}, "messages"),
    ("/v3/memories/add/", {"messages": ["x"] * 200_000, "user_id": "alice", "infer": False}, "body"),
    ("/generate-instructions", {"use_case": "x" * 5_000_000}, "use_case"),
    ("/memories", {"messages": SAID, "user_id": "alice", "prompt": "x" * 5_000_000}, "prompt"),
]


@pytest.mark.parametrize(("path", "body", "field"), BUSY)
def test_a_request_that_would_keep_the_process_busy_is_refused_before_any_work(
    new_api: NewApi, path: str, body: dict[str, Any], field: str
) -> None:
    api = new_api()
    calls = len(api.world.embedder.calls)
    answer = api.post(path, body)
    assert answer.status_code == 400, answer.text[:200]
    assert answer.json()["detail"].startswith(f"{field}:")
    assert len(api.world.embedder.calls) == calls


# Wrong entries were each described before they were counted: ten seconds of a core for a request of 6 MB.

WRONG = [1] * 100_001
MANY_WRONG = [
    ("POST", "/v3/memories/search/", {"query": "x", "filters": {"user_id": "a"}, "fields": WRONG}, "fields"),
    ("POST", "/v3/memories/", {"filters": {"user_id": "a"}, "categories": WRONG}, "categories"),
    ("POST", "/v3/memories/add/", {"messages": "x", "user_id": "a", "deduced_memories": WRONG}, "deduced_memories"),
    (
        "POST",
        "/v3/memories/add/",
        {"messages": "x", "user_id": "a", "custom_categories": [dict.fromkeys(map(str, range(100_001)), 1)]},
        "custom_categories",
    ),
    ("POST", "/v3/memories/add/", {"messages": [{}] * 100_001, "user_id": "a"}, "messages"),
    ("POST", "/memories", {"messages": [{"role": "user", "content": [{}] * 100_001}], "user_id": "a"}, "messages"),
    ("PUT", "/v1/batch/", {"memories": [{}] * 100_001}, "memories"),
    ("DELETE", "/v1/batch/", {"memories": [{}] * 100_001}, "memories"),
    ("PATCH", PROJECT, {"custom_categories": WRONG}, "custom_categories"),
    ("POST", "/memories", {"messages": SAID, "user_id": "a", "unknown": [[]] * 100_001}, "unknown"),
    ("POST", "/search", [WRONG], "body"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), MANY_WRONG)
def test_a_body_with_too_many_values_is_refused_before_any_model_reads_it(
    api: Api, method: str, path: str, body: Any, field: str
) -> None:
    answer = api.call(method, place_of(api, path), json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{field}: the body has more than 100000 keys and list entries together")
    assert len(answer.json()) > 1 or not is_platform(path), "in the shape of its dialect"


def test_a_body_with_as_many_values_as_allowed_is_read(api: Api) -> None:
    body = {"query": "x", "filters": {"user_id": "alice"}, "unknown": [0] * (MOST_VALUES - 4)}
    assert api.post("/search", body).status_code == 200
    body["unknown"].append(0)
    assert api.post("/search", body).status_code == 400


@pytest.mark.parametrize("levels", [17, 25, 5000])
def test_a_filter_that_nests_deeply_is_400(api: Api, levels: int) -> None:
    text = '{"query": "x", "filters": ' + '{"AND": [' * levels + '{"user_id": "alice"}' + "]}" * levels + "}"
    for path in ("/search", "/v3/memories/search/"):
        answer = api.call("POST", path, content=text.encode(), headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, answer.text


@pytest.mark.parametrize("field", ["timestamp", "observation_date", "observation_datetime"])
@pytest.mark.parametrize("value", ["0001-01-01", -62135596800, "9999-12-31T23:59:59.999999Z", 253402300799])
def test_an_add_at_an_end_of_the_calendar_is_stored(api: Api, field: str, value: str | int) -> None:
    """It was a 500: the hour before the first one has no date."""
    body = {"messages": "tea", "user_id": "alice", "infer": False, field: value}
    assert api.post("/v3/memories/add/", body).status_code == 200
    assert api.texts() == ["tea"]


def test_no_garbage_is_looked_for_while_a_body_is_read() -> None:
    """Each look would walk through the whole heap: two million values took fourteen times as long."""
    body = json.dumps({"x": [[] for _ in range(MOST_VALUES)]}).encode()
    gc.collect()
    before = gc.get_stats()[0]["collections"]
    read = read_json(body)
    # With the collector on, there would be one for every few hundred of the lists.
    assert gc.get_stats()[0]["collections"] - before < 5
    assert gc.isenabled()
    assert len(read["x"]) == MOST_VALUES
    with pytest.raises(ValueError, match="Expecting"):
        read_json(b"[")
    assert gc.isenabled()


def test_a_body_of_mcp_with_too_many_values_is_refused_before_the_sdk_reads_it(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    arguments, many = {"query": "x", "user_id": "alice"}, [[]] * MOST_VALUES
    for params, most in (
        ({"arguments": {**arguments, "filters": {"in": many}}}, "filters: the body has more than 100000"),
        ({"arguments": {**arguments, "unknown": many * 3}}, "body: the body has more than 100000"),
        ({"arguments": arguments, "_meta": {"a": many[:1001]}}, "body: the body has more than 1000"),
    ):
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search_memories", **params}}
        answer = api.post("/mcp", call)
        assert (answer.status_code, answer.json()["detail"][: len(most)]) == (400, most)
