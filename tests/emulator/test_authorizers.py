"""Authorizers, CORS and stages of foreign templates, and the Invoke API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.emulator.fidelity import documented

pytestmark = pytest.mark.slow

TEMPLATE = """
Globals: {Function: {Timeout: 60}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: %(stage)s
      CorsConfiguration: {AllowOrigins: ['https://a.example'], AllowMethods: [GET], AllowHeaders: [x-key]}
      Auth:
        DefaultAuthorizer: Key
        Authorizers:
          Key:
            FunctionArn: !GetAtt Guard.Arn
            AuthorizerPayloadFormatVersion: '2.0'
            EnableSimpleResponses: true
            Identity: {Headers: [X-Key], ReauthorizeEvery: %(ttl)s}
  Guard:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: app.guard}
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Events:
        All: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: '/{proxy+}', Method: ANY}}
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /open, Method: GET, Auth: {Authorizer: NONE}}}
"""
CODE = """
def guard(event, context):
    key = event["identitySource"][0]
    print("asked", key)
    if key == "broken": raise ValueError("on purpose")
    if key == "odd": return {"allowed": True}
    return {"isAuthorized": key == "good", "context": {"who": key, "level": 3}}
def handler(event, context):
    if event.get("fail"): raise ValueError("on purpose")
    return event.get("requestContext", event)
"""


def template(ttl: int = 60, stage: str = "$default") -> str:
    return TEMPLATE % {"ttl": ttl, "stage": stage}


def ask(running: Any, key: str | None, path: str = "/x") -> tuple[int, Any]:
    answer = running.http.get(path, headers={} if key is None else {"x-key": key})
    return answer.status_code, answer.json()


@documented("API Gateway: http-api-lambda-authorizer")
def test_an_authorizer_decides_and_its_context_keeps_its_types(start: Any) -> None:
    running = start(template(), code__app=CODE)
    status, context = ask(running, "good")
    assert (status, context["authorizer"]) == (200, {"lambda": {"who": "good", "level": 3}})
    assert ask(running, "bad") == (403, {"message": "Forbidden"})
    assert ask(running, "broken") == (500, {"message": "Internal Server Error"})
    assert ask(running, "odd") == (500, {"message": "Internal Server Error"})


@documented("API Gateway: http-api-lambda-authorizer")
def test_without_its_identity_source_an_authorizer_is_not_asked(start: Any) -> None:
    running = start(template(), code__app=CODE)
    assert ask(running, None) == (401, {"message": "Unauthorized"})
    assert running.status()["functions"]["Guard"]["pids"] == []


@documented("API Gateway: http-api-lambda-authorizer")
def test_a_route_may_go_without_the_default_authorizer(start: Any) -> None:
    status, context = ask(start(template(), code__app=CODE), None, "/open")
    assert status == 200
    assert "authorizer" not in context


@pytest.mark.parametrize(("ttl", "times"), [(60, 2), (0, 4)])
@documented("API Gateway: http-api-lambda-authorizer")
def test_decisions_are_cached_by_identity_source_for_all_routes(start: Any, ttl: int, times: int) -> None:
    running = start(template(ttl=ttl), code__app=CODE)
    for path in ("/a", "/b"):
        ask(running, "good", path)
        ask(running, "bad", path)
    running.eventually(lambda: running.log().count("asked") >= times)
    assert running.log().count("asked") == times


@documented("API Gateway: http-api-cors")
def test_the_gateway_answers_preflight_requests_itself(start: Any) -> None:
    running = start(template(), code__app=CODE)
    headers = {"origin": "https://a.example", "access-control-request-method": "GET"}
    answer = running.http.options("/x", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-allow-methods"] == "GET"
    other = running.http.options("/x", headers=headers | {"origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


@documented("API Gateway: http-api-develop-integrations-lambda")
def test_a_named_stage_is_part_of_the_path(start: Any) -> None:
    running = start(template(stage="v1"), code__app=CODE)
    assert ask(running, None, "/v1/open")[1]["http"]["path"] == "/v1/open"
    assert ask(running, None, "/open") == (404, {"message": "Not Found"})


@pytest.fixture
def client(start: Any) -> Iterator[Any]:
    running = start(template(), {"invoke_port": 0}, code__app=CODE)
    client = boto3.client(
        "lambda", endpoint_url=running.invoke_url, region_name="us-east-1",
        aws_access_key_id="x", aws_secret_access_key="x",
    )  # fmt: skip
    yield client
    client.close()


@documented("Lambda: API_Invoke")
def test_boto3_invokes_functions_by_name_and_arn(client: Any) -> None:
    for name in ("Hello", "arn:aws:lambda:us-east-1:123456789012:function:Hello"):
        answer = client.invoke(FunctionName=name, Payload=b'{"a": 1}')
        assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, {"a": 1})


@documented("Lambda: API_Invoke")
def test_a_functions_error_is_a_200_with_a_header(client: Any) -> None:
    answer = client.invoke(FunctionName="Hello", Payload=b'{"fail": true}')
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.load(answer["Payload"])["errorType"] == "ValueError"


@pytest.mark.parametrize(("kind", "status"), [("Event", 202), ("DryRun", 204)])
@documented("Lambda: API_Invoke")
def test_asynchronous_and_dry_invocations_do_not_wait(client: Any, kind: str, status: int) -> None:
    answer = client.invoke(FunctionName="Hello", InvocationType=kind, Payload=b"{}")
    assert answer["StatusCode"] == status


@pytest.mark.parametrize(("kind", "size"), [("Event", 256 * 1024 + 1), ("RequestResponse", 6 * 1024 * 1024 + 1)])
@documented("Lambda: gettingstarted-limits")
def test_a_payload_above_the_limit_of_its_kind_is_refused(client: Any, kind: str, size: int) -> None:
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="Hello", InvocationType=kind, Payload=json.dumps("x" * (size - 2)).encode())


@documented("Lambda: API_Invoke")
def test_a_payload_that_is_no_json_is_refused(client: Any) -> None:
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="Hello", Payload=b"no json")


@documented("Lambda: API_Invoke")
def test_an_unknown_function_is_not_found(client: Any) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="Nobody")
