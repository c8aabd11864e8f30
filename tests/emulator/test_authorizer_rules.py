"""Authorizers without a socket: their events, the meaning of their answers, and how long a decision is cached."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from local.emulator.gateway.authorizer import AuthorizerFailedError, Authorizers, ForbiddenError, UnauthorizedError
from local.emulator.gateway.event import build_event
from local.emulator.gateway.http_authorizer import HttpDialect
from local.emulator.gateway.request import ApiPlace, HttpRequest
from local.emulator.gateway.routes import Match
from local.emulator.invocation import InvokeResult
from local.emulator.specs import AuthorizerSpec, RouteSpec
from tests.emulator.fidelity import assumed, documented, own

HEADER = (("header", "x-key"),)
ARN = "arn:aws:execute-api:eu-x-1:123456789012:api/$default/GET/pets/6"


class Guard:
    """An authorizer's function: answers what it is told to and keeps what it was asked; None never answers."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        self.asked.append(json.loads(payload))
        future = asyncio.get_running_loop().create_future()
        if self.answer is not None:
            future.set_result(InvokeResult(json.dumps(self.answer).encode()))
        return future


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(key: str | None = "good", route: str = "/pets/{id}", query: str = "") -> dict[str, Any]:
    headers = [] if key is None else [("x-key", key), ("cookie", "a=1")]
    request = HttpRequest("GET", "/pets/6", query, headers, b"body", "10.0.0.1")
    match = Match(RouteSpec("GET", route, "F"), {"id": "6"})
    return build_event(request, match, ApiPlace("api", "$default", "api.localhost"), "id1")


def spec(**fields: Any) -> AuthorizerSpec:
    return AuthorizerSpec(**{"name": "A", "function": "G", "sources": HEADER, "simple": True} | fields)


def check(guard: Guard, *events: dict[str, Any], clock: Clock | None = None, **fields: Any) -> list[Any]:
    """Check events in turn; what refuses them is in the list in place of the context."""
    authorizers = Authorizers({"G": guard}, "eu-x-1", HttpDialect(), clock or Clock(), time_limit=0.05)

    async def run() -> list[Any]:
        found: list[Any] = []
        for one in events:
            try:
                found.append(await authorizers.check(spec(**fields), one))
            except (UnauthorizedError, ForbiddenError, AuthorizerFailedError) as error:
                found.append(type(error))
            if clock is not None:
                clock.now += 40
        return found

    return asyncio.run(run())


ALLOW = {"isAuthorized": True, "context": {"level": 3}}
DENY = {"isAuthorized": False}


@documented("API Gateway: http-api-lambda-authorizer")
def test_the_event_of_format_two_names_the_route_and_has_no_body() -> None:
    guard = Guard(ALLOW)
    check(guard, event())
    asked = guard.asked[0]
    assert (asked["version"], asked["type"], asked["routeArn"]) == ("2.0", "REQUEST", ARN)
    assert (asked["identitySource"], asked["cookies"]) == (["good"], ["a=1"])
    assert asked["pathParameters"] == {"id": "6"}
    assert not {"body", "isBase64Encoded"} & set(asked)


@documented("API Gateway: http-api-lambda-authorizer")
def test_the_event_of_format_one_names_the_method_arn() -> None:
    guard = Guard({"policyDocument": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": ARN}]}})
    check(guard, event(), payload_version="1.0", simple=False)
    assert (guard.asked[0]["version"], guard.asked[0]["methodArn"]) == ("1.0", ARN)


@documented("API Gateway: http-api-lambda-authorizer")
def test_an_authorizer_that_takes_too_long_failed() -> None:
    assert check(Guard(None), event()) == [AuthorizerFailedError]


@pytest.mark.parametrize("answer", [{}, {"isAuthorized": "yes"}, [], "text", 7, {"policyDocument": {}}])
@documented("API Gateway: http-api-lambda-authorizer")
def test_an_answer_of_another_shape_failed(answer: Any) -> None:
    assert check(Guard(answer), event()) == [AuthorizerFailedError]


@documented("API Gateway: http-api-lambda-authorizer")
def test_a_decision_is_kept_for_its_time_and_no_longer() -> None:
    guard = Guard(ALLOW)
    assert check(guard, event(), event(), event(), clock=Clock(), ttl=60.0) == [{"level": 3}] * 3
    assert len(guard.asked) == 2


@assumed("that refusals are cached as permissions are")
def test_a_refusal_is_kept_too() -> None:
    guard = Guard(DENY)
    assert check(guard, event(), event(), ttl=60.0) == [ForbiddenError] * 2
    assert len(guard.asked) == 1


@documented("API Gateway: http-api-lambda-authorizer")
def test_a_decision_counts_for_all_routes_unless_the_route_key_is_a_source() -> None:
    guard = Guard(ALLOW)
    check(guard, event(), event(route="/other"), ttl=60.0)
    assert len(guard.asked) == 1
    check(guard, event(), event(route="/other"), ttl=60.0, sources=(*HEADER, ("context", "routeKey")))
    assert len(guard.asked) == 3


@documented("API Gateway: http-api-lambda-authorizer")
def test_query_sources_keep_their_case() -> None:
    sources = (("query", "Key"),)
    assert check(Guard(ALLOW), event(query="Key=a"), event(query="key=a"), sources=sources) == [
        {"level": 3},
        UnauthorizedError,
    ]


@pytest.mark.parametrize("key", [None, ""])
@documented("API Gateway: http-api-lambda-authorizer")
def test_a_missing_or_empty_source_is_refused_unasked(key: str | None) -> None:
    guard = Guard(ALLOW)
    assert check(guard, event(key)) == [UnauthorizedError]
    assert guard.asked == []


def allow(resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([allow("arn:aws:execute-api:*/GET/pets/*")], {}),
        ([allow(ARN[:-1] + "?")], {}),
        ([allow("*"), allow(ARN) | {"Effect": "Deny"}], ForbiddenError),
        ([allow(ARN + "/toys")], ForbiddenError),
        ([allow("*") | {"Action": "execute-api:ManageConnections"}], ForbiddenError),
        ([allow("*") | {"Action": ["s3:Get*", "Execute-API:inv*"]}], {}),
        ([{"Effect": "Allow", "NotAction": "s3:*", "NotResource": ARN + "*"}], ForbiddenError),
        ([{"Effect": "Allow", "NotAction": "s3:*", "NotResource": ARN + "/*"}], {}),
        ([{"Effect": "Allow", "Resource": "*"}], AuthorizerFailedError),
        ([allow("*") | {"Effect": "Maybe"}], AuthorizerFailedError),
        ([allow("*") | {"Effect": {}}], AuthorizerFailedError),
        (["*"], AuthorizerFailedError),
    ],
)
@documented("IAM: policy evaluation")
def test_a_policy_allows_what_it_covers_and_a_denial_wins(statements: list[Any], found: Any) -> None:
    answer = {"policyDocument": {"Statement": statements}}
    assert check(Guard(answer), event(), simple=False) == [found]


@pytest.mark.parametrize(("effect", "found"), [("Allow", ForbiddenError), ("Deny", ForbiddenError)])
@own("conditions of a policy are not evaluated")
def test_a_statement_with_a_condition_may_deny_but_never_allow(effect: str, found: Any) -> None:
    conditional = allow("*") | {"Effect": effect, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    statements = [conditional] if effect == "Allow" else [allow("*"), conditional]
    assert check(Guard({"policyDocument": {"Statement": statements}}), event(), simple=False) == [found]


@assumed("that a kept policy is read anew for each request; API Gateway says that a policy should allow several routes")
def test_a_kept_policy_of_an_http_api_is_read_anew_for_each_route() -> None:
    guard = Guard({"policyDocument": {"Statement": [allow("*/GET/pets/6")]}})
    other = event()
    other["requestContext"]["http"]["path"] = "/pets/7"
    assert check(guard, event(), other, ttl=60.0, simple=False) == [{}, ForbiddenError]
    assert len(guard.asked) == 1
