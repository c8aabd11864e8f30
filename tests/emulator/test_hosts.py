"""A foreign Host header reaches neither queue, gateway nor Runtime API, and nobody without the token the queue."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from local.emulator.hosts import Hosts
from tests.emulator.conftest import Running
from tests.emulator.fidelity import own

_QUEUE = """
Resources:
  Work:
    Type: AWS::SQS::Queue
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: 60
      Events: {All: {Type: HttpApi}}
"""
_CODE = """
    import os, urllib.request
    import boto3

    def handler(event, context):
        sqs = boto3.client("sqs", region_name="us-east-1")
        url = sqs.get_queue_url(QueueName="Work")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="hello")
        return os.environ["AWS_LAMBDA_RUNTIME_API"]
"""


@own("what a Host header names, and who may use the queue")
@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("localhost:9324", True),
        ("LOCALHOST.:9324", True),
        ("127.0.0.1:9324", True),
        ("127.9.9.9:9324", True),
        ("[::1]:9324", True),
        ("evil.example:9324", False),
        ("evil.example", False),
        ("localhost:80", False),
        ("localhost", False),
        ("localhost.evil.example:9324", False),
        ("127.0.0.1.evil.example:9324", False),
        ("10.0.0.1:9324", False),
        ("evil@localhost:9324", False),
        ("localhost:9324:9324", False),
        ("localhost:９３２４", False),
        ("", False),
    ],
)
def test_only_this_machine_is_meant(header: str, allowed: bool) -> None:
    assert Hosts("127.0.0.1", port=9324).allow(header) is allowed


@own("what a Host header names, and who may use the queue")
def test_names_and_addresses_that_are_allowed() -> None:
    assert Hosts("127.0.0.1", ("memory.example.com",)).allow("Memory.example.com:8443")
    assert Hosts("127.0.0.1", ("*",)).allow("anything.example")
    assert Hosts("172.17.0.1", port=1).allow("172.17.0.1:1")
    assert Hosts("0.0.0.0").allow("192.168.1.5:3000")
    assert not Hosts("0.0.0.0").allow("evil.example:3000")
    assert not Hosts("172.17.0.1").allow("172.17.0.2")


def sqs_with(url: str, token: str | None) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        aws_session_token=token,
    )


@own("what a Host header names, and who may use the queue")
def test_the_queue_wants_its_token_which_functions_have(start: Callable[..., Running]) -> None:
    running = start(_QUEUE, {"queue_token": "a-token"}, code__app=_CODE)
    assert running.http.get("/").status_code == 200, running.log()
    for token in (None, "", "another"):
        with contextlib.closing(sqs_with(running.queue_url, token)) as sqs, pytest.raises(ClientError) as refused:
            sqs.get_queue_url(QueueName="Work")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with contextlib.closing(sqs_with(running.queue_url, "a-token")) as sqs:
        url = sqs.get_queue_url(QueueName="Work")["QueueUrl"]
        assert [one["Body"] for one in sqs.receive_message(QueueUrl=url)["Messages"]] == ["hello"]
    assert running.status()["queues"]  # which is read by /health, and holds numbers only


@own("what a Host header names, and who may use the queue")
def test_no_server_answers_for_another_machine(start: Callable[..., Running]) -> None:
    code = """
        import os
        def handler(event, context):
            return os.environ["AWS_LAMBDA_RUNTIME_API"]
    """
    running = start(settings={"invoke_port": 0, "allowed_hosts": ("memory.example",)}, code__app=code)
    runtime = f"http://{running.http.get('/').text}"
    foreign = {"host": "evil.example"}
    assert running.http.get("/", headers=foreign).status_code == 421
    assert "--allow-host" in running.http.get("/", headers=foreign).text
    assert running.http.get("/", headers={"host": "memory.example"}).status_code == 200
    assert httpx.get(f"{running.queue_url}/_emulator/status", headers=foreign).status_code == 421
    for host in ("evil.example", f"evil.example:{runtime.rpartition(':')[2]}", "localhost", ""):
        call = httpx.get(f"{runtime}/2018-06-01/runtime/invocation/next", headers={"host": host})
        assert call.status_code == 421
    # The environment did not notice them.
    assert running.http.get("/").status_code == 200
