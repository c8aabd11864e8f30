"""From requests to events and from results to responses, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from local.emulator.asgi import Application
from local.emulator.gateway.app import Gateway
from local.emulator.gateway.event import build_event
from local.emulator.gateway.invoke_api import InvokeApi
from local.emulator.gateway.request import ApiPlace, HttpRequest
from local.emulator.gateway.response import MalformedResponseError, infer_response
from local.emulator.gateway.routes import Match, Routes
from local.emulator.held_bodies import HeldBodies
from local.emulator.invocation import InvokeResult, ThrottledError
from local.emulator.specs import ApiSpec, RouteSpec
from tests.emulator.fidelity import assumed, documented, own
from tests.emulator.gateways import NEVER, Function


def route(method: str, path: str) -> RouteSpec:
    return RouteSpec(method, path, "F")


ROUTES = Routes(
    [
        route("ANY", "$default"),
        route("ANY", "/{proxy+}"),
        route("GET", "/pets/{id}"),
        route("ANY", "/pets/{id}"),
        route("ANY", "/pets/{rest+}"),
        route("GET", "/pets/dog"),
        route("POST", "/search"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/pets/dog", "GET /pets/dog", None),
        ("POST", "/pets/dog", "ANY /pets/{id}", {"id": "dog"}),
        ("GET", "/pets/6", "GET /pets/{id}", {"id": "6"}),
        ("GET", "/pets/6/toys", "ANY /pets/{rest+}", {"rest": "6/toys"}),
        ("GET", "/a/b", "ANY /{proxy+}", {"proxy": "a/b"}),
        ("POST", "/search", "POST /search", None),
        ("GET", "/search", "ANY /{proxy+}", {"proxy": "search"}),
        ("GET", "/", "$default", None),
    ],
)
@documented("API Gateway: http-api-develop-routes")
def test_a_full_match_precedes_greedy_ones_and_a_verb_any(
    method: str, path: str, key: str, parameters: dict[str, str] | None
) -> None:
    match = ROUTES.find(method, path)
    assert match is not None
    assert (match.route.key, match.parameters) == (key, parameters)


@documented("API Gateway: http-api-develop-routes")
def test_without_a_default_an_unknown_path_has_no_route() -> None:
    assert Routes([route("GET", "/a")]).find("GET", "/a/") is None


def event(query: str = "", body: bytes = b"", stage: str = "$default", **headers: str) -> dict[str, Any]:
    listed = [(name.replace("_", "-"), value) for name, value in headers.items()]
    request = HttpRequest("POST", "/a b", query, listed, body, "10.0.0.1", trace_id="Root=1-2-3")
    match = Match(route("ANY", "/{proxy+}"), {"proxy": "a b"})
    return build_event(request, match, ApiPlace("api", stage, "api.localhost"), "id1")


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_the_event_has_format_two() -> None:
    made = event()
    assert made["version"] == "2.0"
    assert made["routeKey"] == made["requestContext"]["routeKey"] == "ANY /{proxy+}"
    assert made["rawPath"] == made["requestContext"]["http"]["path"] == "/a b"
    assert made["pathParameters"] == {"proxy": "a b"}
    assert made["requestContext"]["http"]["sourceIp"] == "10.0.0.1"
    assert made["requestContext"]["timeEpoch"] > 1_600_000_000_000
    assert made["headers"]["x-amzn-trace-id"] == "Root=1-2-3"


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_absent_things_have_no_keys() -> None:
    assert not {"body", "cookies", "queryStringParameters", "multiValueHeaders"} & set(event())
    assert event()["rawQueryString"] == ""
    assert "authorizer" not in event()["requestContext"]


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_repeated_query_keys_are_joined_and_the_raw_query_is_kept() -> None:
    made = event(query="a=1&a=2%20x&b=")
    assert made["queryStringParameters"] == {"a": "1,2 x", "b": ""}
    assert made["rawQueryString"] == "a=1&a=2%20x&b="


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_cookies_leave_the_headers() -> None:
    made = event(cookie="a=1; b=2")
    assert made["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in made["headers"]


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_repeated_headers_are_joined() -> None:
    request = HttpRequest("GET", "/", "", [("x-a", "1"), ("x-a", "2")], b"", "::1")
    made = build_event(request, Match(route("ANY", "$default")), ApiPlace("api", "$default", "d"), "id1")
    assert made["headers"]["x-a"] == "1,2"


@own("what a Host header names, and who may use the queue")
@pytest.mark.parametrize(("given", "passed"), [("[::1]:49", "localhost:49"), ("[::1]", "localhost"), ("a:1", "a:1")])
def test_an_address_of_ipv6_as_host_is_passed_on_as_localhost(given: str, passed: str) -> None:
    """Adapters split the header at the first colon; a request to http://[::1] was a 500."""
    assert event(host=given)["headers"]["host"] == passed


@pytest.mark.parametrize(
    ("kind", "body", "sent", "encoded"),
    [
        ("application/json", b'{"a":1}', '{"a":1}', False),
        ("text/plain", "ü".encode(), "ü", False),
        ("image/png", b"abc", "YWJj", True),
        ("application/json", b"\xff\xfe", "//4=", True),
    ],
)
@documented("API Gateway: http-api-develop-integrations-lambda")
def test_binary_bodies_travel_in_base64(kind: str, body: bytes, sent: str, encoded: bool) -> None:
    made = event(body=body, content_type=kind)
    assert (made["body"], made["isBase64Encoded"]) == (sent, encoded)


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_a_named_stage_precedes_the_path() -> None:
    assert event(stage="prod")["rawPath"] == "/prod/a b"


@documented("API Gateway: http-api-mappings")
@pytest.mark.parametrize(
    ("stage", "path", "raw_path"),
    [
        ("$default", "/orders/a", "/a"),
        ("$default", "/orders", "/"),
        ("$default", "/a", "/a"),
        ("prod", "/prod/a", "/prod/a"),
        ("prod", "/orders/a", "/prod/a"),
    ],
)
def test_a_domains_mapping_is_taken_off_and_names_the_stage(stage: str, path: str, raw_path: str) -> None:
    spec = ApiSpec("Api", stage=stage, routes=(route("ANY", "/a"), route("ANY", "/")))
    client = TestClient(Gateway([spec], {"F": ToldPath()}, 3000, "us-east-1", mapping="/orders"))
    assert client.get(path).text == raw_path


class ToldPath:
    """A function that answers the path of its event."""

    def submit(self, payload: bytes, **_: str) -> asyncio.Future[InvokeResult]:
        answer: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        told = {"statusCode": 200, "body": orjson.loads(payload)["rawPath"]}
        answer.set_result(InvokeResult(orjson.dumps(told)))
        return answer


@pytest.mark.parametrize(
    ("result", "body"),
    [(b'{"a": 1}', b'{"a": 1}'), (b'"plain"', b"plain"), (b"[1]", b"[1]"), (b"null", b"null")],
)
@documented("API Gateway: http-api-develop-integrations-lambda")
def test_a_result_without_status_is_a_200_of_json(result: bytes, body: bytes) -> None:
    response = infer_response(result)
    assert (response.status, response.body) == (200, body)
    assert response.headers == [(b"content-type", b"application/json")]


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_status_headers_cookies_and_base64_are_taken_from_the_result() -> None:
    response = infer_response(
        b'{"statusCode": "201", "headers": {"X-A": 1, "Connection": "close", "Content-Type": "image/png"},'
        b' "cookies": ["a=1", "b=2"], "body": "YWJj", "isBase64Encoded": true}'
    )
    assert (response.status, response.body) == (201, b"abc")
    assert response.headers == [
        (b"x-a", b"1"), (b"content-type", b"image/png"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"),
    ]  # fmt: skip


@assumed("the type that API Gateway gives")
def test_a_body_without_type_is_plain_text() -> None:
    headers = infer_response(b'{"statusCode": 200, "body": "a"}').headers
    assert headers == [(b"content-type", b"text/plain;charset=utf-8")]


@documented("API Gateway: api-gateway-known-issues")
def test_headers_that_the_gateway_sets_itself_are_dropped_or_renamed() -> None:
    response = infer_response(b'{"statusCode": 200, "headers": {"Content-Length": "9", "WWW-Authenticate": "Basic"}}')
    assert response.headers == [(b"x-amzn-remapped-www-authenticate", b"Basic")]


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_the_gateway_adds_who_forwarded_the_request() -> None:
    headers = event(x_forwarded_for="1.2.3.4")["headers"]
    assert headers["x-forwarded-for"] == "1.2.3.4, 10.0.0.1"
    assert (headers["x-forwarded-port"], headers["x-forwarded-proto"]) == ("3000", "http")


@pytest.mark.parametrize(
    "result",
    [
        b"no json",
        b'{"statusCode": "ok"}',
        b'{"statusCode": 99}',
        b'{"statusCode": true}',
        b'{"statusCode": 200, "body": {"a": 1}}',
        b'{"statusCode": 200, "headers": {"a": ["b"]}}',
        b'{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}',
        b'{"statusCode": 200, "body": "no base64!", "isBase64Encoded": true}',
        '{"statusCode": 200, "body": "ü", "isBase64Encoded": true}'.encode(),
    ],
)
@assumed("which forms are refused")
def test_a_malformed_result_is_refused(result: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        infer_response(result)


async def _status(app: Application, body: bytes, path: str = "/a", **headers: str) -> int:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode()}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await app({**scope, "query_string": b"", "headers": raw, "state": {}}, receive, send)
    return int(sent[0]["status"])


async def _waiting(app: Application, *bodies: bytes, **headers: str) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(_status(app, body, **headers)) for body in bodies]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    return tasks


async def _cancel(tasks: list[asyncio.Task[int]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@own("bodies of requests that wait have a bound")
def test_bodies_of_requests_that_wait_for_an_environment_have_a_bound() -> None:
    function = Function(NEVER)
    held = HeldBodies(most=1_000_000)
    gateway = Gateway(
        [ApiSpec("Api", routes=(route("ANY", "$default"),))], {"F": function}, 3000, "us-east-1", held=held
    )

    async def play() -> None:
        large = await _waiting(gateway, b"a" * 300_000, b"a" * 300_000)
        assert await _status(gateway, b"a" * 300_000) == 503
        small = await _waiting(gateway, *[b"a" * 50_000] * 8)
        assert await _status(gateway, b"a" * 1) == 503
        assert len(function.events) == 10
        await _cancel(large)
        function.answer = {"statusCode": 201}
        assert await _status(gateway, b"a" * 300_000) == 201
        await _cancel(small)

    asyncio.run(play())


@own("events that wait have a bound")
def test_events_of_the_invoke_api_that_wait_have_a_bound_with_them() -> None:
    function = Function(ThrottledError("busy"))
    app = InvokeApi({"F": function}, lambda _: None, held=HeldBodies(most=1_000_000))
    path, event = "/2015-03-31/functions/F/invocations", b'"%s"' % (b"a" * 200_000)

    async def play() -> None:
        later = {"x_amz_invocation_type": "Event"}
        assert [await _status(app, event, path, **later) for _ in range(3)] == [202, 202, 429]  # they are tried again
        await app.close()
        await asyncio.sleep(0)
        function.answer = {}
        assert await _status(app, event, path) == 200

    asyncio.run(play())
