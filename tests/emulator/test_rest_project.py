"""A REST API of a real process, over a real socket: what only both together show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.fidelity import assumed

pytestmark = pytest.mark.slow

TEMPLATE = """
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: 60
      Events: {Hello: {Type: Api, Properties: {Path: '/hello/{name}', Method: get}}}
"""
CODE = """
import json
def handler(event, context):
    told = {"names": list(event["headers"]), "name": event["pathParameters"]["name"], "path": event["path"]}
    return {"statusCode": 200, "body": json.dumps(told)}
"""


@assumed("names of headers as the client wrote them, and those that the gateway sets in its own spelling")
def test_a_function_behind_a_rest_api_sees_headers_as_they_were_written(start: Any) -> None:
    running = start(TEMPLATE, code__app=CODE)
    told = running.http.get("/Prod/hello/a%20b", headers={"Authorization": "x", "x-lower": "y"}).json()
    assert {"Authorization", "x-lower", "Host", "User-Agent"} <= set(told["names"])
    assert (told["name"], told["path"]) == ("a b", "/hello/a%20b")
    assert running.http.get("/hello").json() == {"message": "Missing Authentication Token"}
