"""URLs of functions: a port each, payload 2.0, and Lambda's own answers when something fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.emulator.settings import Settings
from tests.emulator.conftest import Running
from tests.emulator.fidelity import assumed, documented

PROJECT = """
Resources:
  Open:
    Type: AWS::Serverless::Function
    Properties: &function
      CodeUri: code
      Handler: app.handler
      Timeout: 20
      FunctionUrlConfig: {AuthType: NONE, Cors: {AllowOrigins: ["https://a.example"], AllowMethods: [GET]}}
  Signed:
    Type: AWS::Serverless::Function
    Properties: {<<: *function, FunctionUrlConfig: {AuthType: AWS_IAM}}
  Reserved:
    Type: AWS::Serverless::Function
    Properties: {<<: *function, ReservedConcurrentExecutions: 0, FunctionUrlConfig: {AuthType: NONE}}
"""
CODE = """
def handler(event, context):
    if event["rawPath"] == "/fails":
        raise ValueError("no")
    return event
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("urls")
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(CODE)
    (folder / "template.yaml").write_text(PROJECT)
    running = Running(Settings(folder / "template.yaml", folder / "state", port=0, queue_port=0, init_limit=60.0))
    yield running
    running.stop()


def get(running: Running, function: str, path: str = "/", **options: Any) -> httpx.Response:
    return httpx.get(running.function_urls[function] + path, timeout=60.0, **options)


@documented("Lambda: urls-invocation")
def test_a_url_takes_every_path_in_format_two(running: Running) -> None:
    event = get(running, "Open", "/a/b?c=1").json()
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a/b")
    assert event["queryStringParameters"] == {"c": "1"}
    context = event["requestContext"]
    assert (context["stage"], context["domainName"]) == ("$default", "openurl.lambda-url.localhost")
    assert len(set(running.function_urls.values()) | {running.gateway}) == 4


@documented("Lambda: urls-configuration, CORS")
def test_a_url_answers_preflight_requests_itself(running: Running) -> None:
    headers = {"origin": "https://a.example", "access-control-request-method": "GET"}
    answer = httpx.options(running.function_urls["Open"], headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" in get(running, "Open", headers=headers).headers


@assumed("what clients report: 502 for every error of the function")
def test_an_error_of_the_function_is_a_502(running: Running) -> None:
    answer = get(running, "Open", "/fails")
    assert (answer.status_code, answer.text) == (502, "Internal Server Error")


@documented("Lambda: urls-configuration, throttling")
def test_a_url_beyond_the_reserved_concurrency_is_a_429(running: Running) -> None:
    assert get(running, "Reserved").status_code == 429


@documented("Lambda: urls-auth")
def test_a_url_for_iam_refuses_what_is_not_signed(running: Running) -> None:
    answer = get(running, "Signed")
    assert (answer.status_code, answer.json()) == (403, {"Message": "Forbidden"})
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/lambda/aws4_request"}
    answer = get(running, "Signed", headers=signed)
    assert answer.status_code == 501
    assert "--trust-tokens" in answer.json()["Message"]
