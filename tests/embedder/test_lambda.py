"""The service as a Lambda function: events of a function URL in, its responses out, over several invocations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from embedder.aws_secret import read_key
from embedder.errors import EmbedderError
from tests.embedder import tiny

DRIVER = """
import json, sys
from embedder.lambda_function import handler
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


def event(method: str, path: str, body: object = None) -> dict[str, object]:
    """What a function URL sends (payload version 2.0)."""
    text = None if body is None else json.dumps(body)
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7", "userAgent": "curl"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "abc.lambda-url.eu-central-1.on.aws"},
        "requestContext": {"http": http, "requestId": "1", "stage": "$default", "timeEpoch": 1},
        "body": text,
        "isBase64Encoded": False,
    }


@pytest.fixture(scope="module")
def answers(model_dir: Path) -> list[dict[str, object]]:
    events = [
        event("POST", "/v1/embeddings", {"input": ["dog", "the cat"]}),
        event("POST", "/v1/embeddings", {"input": ""}),
        event("POST", "/embed", {"inputs": "dog"}),
        event("GET", "/ready"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDDER_")}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        env=environment | {"EMBEDDER_MODEL_DIR": str(model_dir)},
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_invocation_is_answered(answers: list[dict[str, object]]) -> None:
    assert [answer["statusCode"] for answer in answers] == [200, 400, 200, 200]


def test_vectors_come_in_openais_shape(answers: list[dict[str, object]]) -> None:
    data = json.loads(str(answers[0]["body"]))["data"]
    assert [len(item["embedding"]) for item in data] == [tiny.HIDDEN, tiny.HIDDEN]
    [bare] = json.loads(str(answers[2]["body"]))
    assert bare == pytest.approx(data[0]["embedding"], abs=1e-5)


def test_errors_keep_their_shape(answers: list[dict[str, object]]) -> None:
    assert json.loads(str(answers[1]["body"]))["error"]["param"] == "input"


def test_the_key_is_read_from_the_secret_that_the_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-central-1")
        arn = client.create_secret(Name="forgetless/embedder", SecretString="k3y")["ARN"]
        empty = client.create_secret(Name="empty", SecretBinary=b"x")["ARN"]
        assert read_key(arn) == "k3y"
        with pytest.raises(EmbedderError, match="EMBEDDER_API_KEY: the secret has no text"):
            read_key(empty)
        with pytest.raises(EmbedderError, match=r"EMBEDDER_API_KEY: .*\(ResourceNotFoundException"):
            read_key(arn.replace("forgetless", "another"))
    assert (read_key(""), read_key("plain")) == ("", "plain")
