"""The event of format 1.0 that a REST API gives to its functions, key by key."""

from __future__ import annotations

from typing import Any

import pytest

from local.emulator.gateway.event_one import rest_event
from local.emulator.gateway.request import ApiPlace, HttpRequest
from local.emulator.gateway.routes import Match
from local.emulator.specs import RouteSpec
from tests.emulator.fidelity import assumed, documented, read

PLACE = ApiPlace("api", "Prod", "api.execute-api.localhost", 3000)


def event(
    query: str = "",
    body: bytes = b"",
    binary: str = "",
    path: str = "/pets/a%20b",
    names: tuple[bytes, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    request = HttpRequest("POST", path, query, list(headers), body, "10.0.0.1", trace_id="Root=1-2-3", names=names)
    match = Match(RouteSpec("ANY", "/pets/{id}", "F", payload_version="1.0"), {"id": "a b"})
    return rest_event(request, match, PLACE, "id1", binary=frozenset({binary} - {""}))


@documented("API Gateway: set-up-lambda-proxy-integrations, input format")
def test_the_event_of_a_rest_api_has_these_keys_and_no_others() -> None:
    made = event()
    assert set(made) == {
        "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
        "multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body",
        "isBase64Encoded",
    }  # fmt: skip
    assert (made["resource"], made["httpMethod"], made["pathParameters"]) == ("/pets/{id}", "POST", {"id": "a b"})


@documented("API Gateway: set-up-lambda-proxy-integrations, input format")
def test_the_request_context_of_a_rest_api_names_stage_resource_and_caller() -> None:
    context = event(headers=(("user-agent", "curl/8"),))["requestContext"]
    assert set(context) == {
        "accountId", "apiId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod", "identity", "path",
        "protocol", "requestId", "requestTime", "requestTimeEpoch", "resourceId", "resourcePath", "stage",
    }  # fmt: skip
    assert (context["stage"], context["resourcePath"], context["httpMethod"]) == ("Prod", "/pets/{id}", "POST")
    assert context["requestTimeEpoch"] > 1_600_000_000_000
    assert (context["identity"]["sourceIp"], context["identity"]["userAgent"]) == ("10.0.0.1", "curl/8")
    assert {key for key, value in context["identity"].items() if value is None} == {
        "accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
        "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user", "userArn",
    }  # fmt: skip


@documented("API Gateway: set-up-lambda-proxy-integrations, input format")
def test_what_a_rest_request_does_not_have_is_null() -> None:
    request = HttpRequest("GET", "/", "", [], b"", "::1")
    made = rest_event(request, Match(RouteSpec("GET", "/", "F")), PLACE, "id1")
    absent = (
        "queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body",
    )  # fmt: skip
    assert [made[key] for key in absent] == [None] * 5
    assert made["isBase64Encoded"] is False


@documented("API Gateway: set-up-lambda-proxy-integrations, multi-value headers and query strings")
def test_the_last_value_of_a_repeated_key_stands_alone_and_all_of_them_in_a_list() -> None:
    made = event(query="a=1&a=2%20x&b=", headers=(("x-a", "1"), ("x-a", "2")), names=(b"X-A", b"x-a"))
    assert made["queryStringParameters"] == {"a": "2 x", "b": ""}
    assert made["multiValueQueryStringParameters"] == {"a": ["1", "2 x"], "b": [""]}
    assert (made["headers"]["X-A"], made["multiValueHeaders"]["X-A"]) == ("2", ["1", "2"])


@assumed("names of headers as the client wrote them, and those that the gateway sets in its own spelling")
def test_a_rest_api_keeps_the_spelling_of_headers() -> None:
    given = (("authorization", "x"), ("x-own", "y"), ("host", "a.example:1"), ("user-agent", "me"))
    made = event(headers=given, names=(b"Authorization", b"x-Own", b"host", b"user-agent"))
    assert set(made["headers"]) == {
        "Authorization", "x-Own", "Host", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port",
        "X-Forwarded-Proto",
    }  # fmt: skip
    assert set(made["multiValueHeaders"]) == set(made["headers"])


@read("aws-sam-cli, whose server spells all names so")
def test_a_header_whose_spelling_is_not_known_has_capitals() -> None:
    assert event(headers=(("x-api-key", "k"),))["headers"]["X-Api-Key"] == "k"


@documented("API Gateway: set-up-lambda-proxy-integrations, input format")
def test_a_rest_api_adds_who_forwarded_the_request() -> None:
    made = event(headers=(("x-forwarded-for", "1.2.3.4"),))
    assert made["headers"]["X-Forwarded-For"] == "1.2.3.4, 10.0.0.1"
    assert made["multiValueHeaders"]["X-Forwarded-For"] == ["1.2.3.4, 10.0.0.1"]
    assert (made["headers"]["X-Forwarded-Port"], made["headers"]["X-Forwarded-Proto"]) == ("3000", "http")


@pytest.mark.parametrize(
    ("kind", "binary", "body", "sent", "encoded"),
    [
        ("application/json", "", b'{"a":1}', '{"a":1}', False),
        ("image/png", "", b"abc", "abc", False),
        ("image/png", "image/png", b"abc", "YWJj", True),
        ("Image/PNG; q=1", "image/png", b"abc", "YWJj", True),
        ("image/png", "image/*", b"abc", "YWJj", True),
        ("text/plain", "*/*", b"abc", "YWJj", True),
        ("text/plain", "image/png", b"abc", "abc", False),
        ("image/png", "", b"\xffa", "�a", False),
    ],
)
@documented("API Gateway: api-gateway-payload-encodings")
def test_a_body_travels_in_base64_only_where_binary_media_types_say_so(
    kind: str, binary: str, body: bytes, sent: str, encoded: bool
) -> None:
    made = event(body=body, binary=binary, headers=(("content-type", kind),))
    assert (made["body"], made["isBase64Encoded"]) == (sent, encoded)


@read("live captures in github.com/hotsock/voker/pull/8: REST APIs keep the path's encoding, HTTP APIs decode it")
def test_the_path_of_a_rest_api_keeps_its_encoding() -> None:
    made = event()
    assert (made["path"], made["requestContext"]["path"]) == ("/pets/a%20b", "/Prod/pets/a%20b")
