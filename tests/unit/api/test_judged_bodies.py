"""Bodies are judged at little cost, in a turn of their tenant if they are large, and errors are described briefly."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import typing
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from annotated_types import MaxLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from starlette.exceptions import HTTPException
from starlette.types import Message

from forgetless.api.caller import Caller, set_caller
from forgetless.api.errors import MOST_DESCRIBED
from forgetless.api.idempotency import fingerprint
from forgetless.api.judged_body import JudgedBody
from forgetless.api.mcp.tools import TOOLS
from forgetless.api.selfhosted.search_wire import SearchBody
from forgetless.api.size_limits import Bound
from forgetless.api.value_count import MOST_VALUES, has_more_values
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.heavy_work import HEAVY_BYTES, HEAVY_WORK
from forgetless.domain.limits import RequestLimits
from tests.unit.api.client import STRANGER
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_size_limits import bodies

T = TypeVar("T")

LIMITS = RequestLimits()
MODELS = sorted({*bodies(), *(tool.arguments for tool in TOOLS.values())}, key=lambda model: model.__qualname__)
SCOPE = {"query": "x", "filters": {"user_id": "alice"}}
MCP_HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


# Lists and objects are counted before their entries are judged.


def test_every_list_and_object_of_every_body_and_tool_is_counted_first() -> None:
    assert len(MODELS) > 25
    assert [name for model in MODELS for name in uncounted(model)] == []


def test_a_list_that_is_not_counted_first_is_found() -> None:
    class Inner(BaseModel):
        words: list[str]

    class Open(BaseModel):
        keys: dict[str, str] | None = None
        counted: typing.Annotated[list[dict[str, int]], MaxLen(3)]
        inner: Inner

    found = [name.rsplit(".", 2)[-2:] for name in uncounted(Open)]
    assert sorted(found) == [["Inner", "words"], ["Open", "counted"], ["Open", "keys"]]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__qualname__)
@pytest.mark.parametrize("wrong", [[1], [[]], [{"k": []}]], ids=["numbers", "lists", "objects"])
def test_many_wrong_entries_are_not_each_an_error(model: type[BaseModel], wrong: list[Any]) -> None:
    """A hundred thousand errors take most of a second."""
    for name, info in model.model_fields.items():
        alias = info.alias or name
        for value in (wrong * 50_000, {str(place): wrong for place in range(50_000)}):
            assert errors_of(model, {alias: value}) <= LIMITS.batch


def errors_of(model: type[BaseModel], body: dict[str, Any]) -> int:
    try:
        model.model_validate(body, context=LIMITS)
    except InvalidRequestError:
        return 1
    except ValidationError as error:
        return error.error_count()
    return 0


def uncounted(model: type[BaseModel]) -> Iterator[str]:
    """The fields of a model, and of the models in it, that have a list or an object of any number of entries."""
    for name, info in model.model_fields.items():
        for kind, marks in kinds(info.annotation, info.metadata):
            if typing.get_origin(kind) in {list, dict, set, tuple} and not any(
                isinstance(mark, Bound | MaxLen) for mark in marks
            ):
                yield f"{model.__qualname__}.{name}"
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from uncounted(kind)


def kinds(kind: Any, marks: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """The type and every type in it, each with its marks."""
    if hasattr(kind, "__metadata__"):
        inner = [
            one for mark in kind.__metadata__ for one in (mark.metadata if isinstance(mark, FieldInfo) else [mark])
        ]
        yield from kinds(kind.__origin__, [*marks, *inner])
        return
    yield kind, marks
    origin = typing.get_origin(kind)
    for one in typing.get_args(kind) if origin is not typing.Literal else ():
        yield from kinds(one, [] if origin in {list, dict, set, tuple} else marks)


# Values are counted in the text.

TEXTS = [
    *([], {}, [[]], {"a": []}, [1, 2, {"a": [{}, [], ""]}], "x", 1, None, {"": ""}, {"a": {"b": {"c": [[[]]]}}}),
    *({"a,[": '\\"[,{'}, ["\\"], [",\\\\"], ["", "", '"'], {"é": "∢,", "[": [" "]}),
]


@pytest.mark.parametrize("value", TEXTS, ids=json.dumps)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("indent", [None, 2])
def test_values_are_counted_without_reading_them(value: Any, encoding: str, indent: int | None) -> None:
    body, number = json.dumps(value, ensure_ascii=False, indent=indent).encode(encoding), values_in(value)
    assert not has_more_values(body, number)
    assert has_more_values(body, number - 1)


def values_in(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return len(inner) + sum(map(values_in, inner))


def test_a_body_with_far_too_many_values_is_not_even_read(new_api: NewApi) -> None:
    """Its end is no JSON, which nobody finds out."""
    answer = new_api().call("POST", "/search", content=b"[" + b"1," * 2 * MOST_VALUES + b"1,")
    assert (answer.status_code, answer.json()["detail"][:30]) == (400, "body: the body has more than 1")


# What takes long waits for a turn.


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        ({**SCOPE, "unknown": "x" * 60_000}, 0),
        ({**SCOPE, "unknown": "x" * 70_000}, 1),
        ({**SCOPE, "unknown": [1] * 900}, 0),
        ({**SCOPE, "unknown": [1] * 1100}, 1),
        ({"query": ["x"] * 1100}, 1),
        ({**SCOPE, "filters": {"a": [[]] * 3000}}, 1),
    ],
)
def test_a_large_body_is_judged_in_a_turn(body: Any, turns: int) -> None:
    taken: list[Callable[[], Any]] = []

    def run(call: Callable[[], T], /) -> Awaitable[T]:
        taken.append(call)
        return asyncio.to_thread(call)

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def judge() -> Exception | None:
        scope: dict[str, Any] = {"type": "http", "headers": [], "state": {}}
        set_caller(scope, Caller(lambda: pytest.fail("no service is needed"), None))
        judged = JudgedBody(scope, receive, model=SearchBody, run=run)
        try:
            assert isinstance(await judged.json(), SearchBody)
        except HTTPException:
            assert judged.refusal is not None
        return judged.refusal

    refusal = asyncio.run(judge())
    assert (refusal is None) == ("unknown" in body)
    assert len(taken) == turns


def mcp(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


LONG = "x" * HEAVY_BYTES
HEAVY = [
    ("POST", "/search", {**SCOPE, "unknown": LONG}, {}, 200),
    ("POST", "/search", {**SCOPE, "unknown": [1] * 30_000}, {}, 200),
    ("PUT", "/v1/batch/", {"memories": [1] * 30_000}, {}, 400),
    ("POST", "/memories", {"messages": LONG, "user_id": "alice"}, {"Idempotency-Key": "a"}, 400),
    ("POST", "/mcp", mcp("tools/list", _meta={"a": LONG}), MCP_HEADERS, 200),
    ("POST", "/mcp", mcp("tools/list", _meta={"a": [1] * 30_000}), MCP_HEADERS, 400),
    (
        "POST",
        "/mcp",
        mcp("tools/call", name="search_memories", arguments={**SCOPE, "filters": f'{{"a": "{LONG}"}}'}),
        MCP_HEADERS,
        200,
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), HEAVY)
def test_others_are_answered_while_a_heavy_body_waits(
    new_api: NewApi, method: str, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    """If the event loop waited, nobody would be answered."""
    api = new_api(inline=False, mcp=True)
    with api.client, ThreadPoolExecutor(2) as threads:
        with HEAVY_WORK.of_owner(may_fail=False):
            heavy = threads.submit(api.call, method, path, json=body, headers=headers)
            time.sleep(0.3)
            other = threads.submit(api.get, "/entities", key=STRANGER)
            assert other.result(10).status_code == 200
            assert not heavy.done()
        assert heavy.result(20).status_code == status


# Errors are described briefly.


def test_few_errors_of_many_are_described(new_api: NewApi) -> None:
    api, wrong = new_api(), {"label": "a", "user_ids": [[]] * 90}
    answer = api.post("/api-keys", wrong)
    assert (answer.status_code, len(answer.json()["detail"])) == (422, MOST_DESCRIBED)
    answer = api.put("/v1/batch/", {"memories": [{"memory_id": 1, "text": 1}] * 1000})
    assert (answer.status_code, answer.json()["detail"].count(";")) == (400, MOST_DESCRIBED - 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v3/memories/add/", {"messages": "x", "custom_categories": [{"k" * 60_000: 1}]}),
        ("/search", {"query": ["x" * 100_000]}),
        ("/search", {"x" * 100_000: 1}),
        ("/api-keys", {"label": "a", "k" * 100_000: 1}),
        ("/api-keys", {"label": "a", "role": "x" * 100_000}),
    ],
)
def test_an_error_is_described_at_bounded_length(new_api: NewApi, path: str, body: dict[str, Any]) -> None:
    answer = new_api().post(path, body)
    assert answer.status_code in {400, 422}
    assert len(answer.content) < 5000


@pytest.mark.parametrize("content", [b"x" * 1_000_000, b'{"a": NaN}'])
def test_what_is_no_json_is_described_too(new_api: NewApi, content: bytes) -> None:
    answer = new_api().call("POST", "/search", content=content, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, len(answer.content) < 3000) == (422, True)


def test_the_errors_of_a_tool_are_few_and_short(new_api: NewApi) -> None:
    arguments = {"user_id": ["x" * 90_000], "query": 1, "as_of": 1}
    call = mcp("tools/call", name="search_memories", arguments=arguments)
    answer = new_api(mcp=True).post("/mcp", call, headers=MCP_HEADERS)
    assert answer.json()["result"]["isError"]
    assert len(answer.content) < 2000


# The digest of a body.


def test_the_digest_of_an_ordinary_body_does_not_depend_on_the_order_of_its_keys() -> None:
    canonical = hashlib.sha256(b'{"a":[2,"\\u00e9"],"b":1}').hexdigest()
    assert fingerprint(b'{"a": [2, "\xc3\xa9"], "b": 1}') == fingerprint(b'{"b":1,"a":[2,"\xc3\xa9"]}') == canonical


def test_a_body_with_too_many_values_is_digested_as_it_is() -> None:
    body = json.dumps({"b": 1, "a": [1] * MOST_VALUES}).encode()
    assert fingerprint(body) == hashlib.sha256(body).hexdigest()
