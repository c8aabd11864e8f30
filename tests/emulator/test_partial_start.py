"""A project starts as far as it can: a function that cannot run here answers with the reason, the others run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.emulator.reload import Watch, watched
from local.emulator.specs import Place, TemplateError
from local.emulator.template.reader import read_template
from tests.emulator.fidelity import own

MIXED = """
Globals: {Function: {Timeout: 60, CodeUri: code, Handler: app.handler, Runtime: python3.13}}
Resources:
  Picture:
    Type: AWS::Serverless::Function
    Metadata: {Dockerfile: Dockerfile}
    Properties:
      PackageType: Image
      Events:
        Get: {Type: HttpApi, Properties: {Path: /picture, Method: GET}}
        Work: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn}}
        Tick: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
  Script:
    Type: AWS::Serverless::Function
    Properties: {Runtime: nodejs20.x, Events: {Get: {Type: HttpApi, Properties: {Path: /script, Method: GET}}}}
  Lost:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: nowhere, Events: {Get: {Type: HttpApi, Properties: {Path: /lost, Method: GET}}}}
  Works:
    Type: AWS::Serverless::Function
    Properties: {Events: {Get: {Type: HttpApi, Properties: {Path: /works, Method: GET}}}}
  Inline:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      InlineCode: "def handler(event, context): return 'from the template'"
      Events: {Get: {Type: Api, Properties: {Path: /inline, Method: GET}}}
  Work: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 60}}
"""
REASONS = {"Picture": "it is an image", "Script": "its runtime is nodejs20.x", "Lost": "there is no folder nowhere"}


@own("partial starts")
def test_what_cannot_run_here_answers_with_the_reason_and_the_rest_runs(start: Callable[..., Any]) -> None:
    running = start(MIXED, {"invoke_port": 0}, code__app="def handler(event, context): return 'ok'")
    assert running.http.get("/works").text == "ok"
    invoked = httpx.post(f"{running.invoke_url}/2015-03-31/functions/Inline/invocations", timeout=60)
    assert invoked.json() == "from the template"
    client = boto3.client(
        "lambda", endpoint_url=running.invoke_url, region_name="us-east-1", aws_access_key_id="x",
        aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    for line, (name, reason) in zip((4, 13, 16), REASONS.items(), strict=True):
        answer = running.http.get(f"/{name.lower()}")
        assert answer.status_code == 500
        assert answer.json()["message"].startswith(f"{name} is not run here: {reason}")
        with pytest.raises(ClientError, match=reason) as refused:
            client.invoke(FunctionName=name, Payload=b"{}")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        told = [warning for warning in running.warnings if f"{name} is not run here" in warning]
        assert len(told) == 1
        assert f"template.yaml:{line}: {name} is not run here: {reason}" in told[0]
    client.close()


@own("partial starts")
def test_messages_for_a_function_that_cannot_run_wait(start: Callable[..., Any]) -> None:
    running = start(MIXED, code__app="def handler(event, context): return 'ok'")
    assert f"Mounting Picture (not run here: 500) at {running.gateway}/picture [GET]" in running.announced
    assert not [line for line in running.announced if line.startswith(("Feeding", "Telling"))]
    sqs = running.sqs()
    url = sqs.get_queue_url(QueueName="Work")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="later")
    assert running.status()["receivers"] == {}
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "later"


@own("partial starts")
def test_a_project_without_a_function_that_can_run_does_not_start(start: Callable[..., Any]) -> None:
    template = MIXED[: MIXED.index("  Works:")] + MIXED[MIXED.index("\n  Work: ") :]
    with pytest.raises(TemplateError, match=r"Picture is not run here.*Lost is not run here"):
        start(template, code__app="")


@own("partial starts")
def test_code_that_is_missing_is_waited_for_and_no_other_folder_of_a_function_that_is_not_run(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    path = project(MIXED, code__app="")
    assert watched(read_template(path, Place()), "the template") == {
        "Works": (tmp_path / "code",),
        "Inline": (path,),
        "the template": (path, tmp_path / "nowhere"),
    }
    changed = Watch(watched(read_template(path, Place()), "the template"), lambda _: None)
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "app.py").touch()
    assert changed.look() == ["the template"]


@own("partial starts")
def test_functions_elsewhere_have_no_problem(start: Callable[..., Any]) -> None:
    running = start(MIXED, {"functions_at": "http://127.0.0.1:1"}, code__app="")
    assert not [warning for warning in running.warnings if "is not run here" in warning]
    assert "Feeding Picture from queue Work" in running.announced
