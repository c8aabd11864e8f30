"""Rules, schedules, topics, buckets and URLs of a template, read and handed over, without processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.emulator.invocation import InvokeResult
from local.emulator.sns.topics import Topics
from local.emulator.specs import Place, SubscriptionSpec, Target, Template
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from local.emulator.template.reader import read_template
from local.emulator.triggers.deliveries import Deliveries, Targets
from tests.emulator.fidelity import documented, own

FUNCTION = "F: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.handler}}"


def read(project: Callable[..., Path], resources: str) -> Template:
    return read_template(project(f"Resources:\n  {FUNCTION}\n{resources}", code__app=""), Place())


def told(template: Template) -> str:
    return " | ".join(template.warnings)


@documented("CloudFormation: AWS::Events::Rule and AWS::Scheduler::Schedule")
def test_rules_and_schedules_name_functions_and_queues(project: Callable[..., Path]) -> None:
    template = read(
        project,
        """
  Q: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, ContentBasedDeduplication: true}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      ScheduleExpression: rate(1 day)
      Targets:
        - {Id: a, Arn: !GetAtt F.Arn, Input: '{"a": 1}'}
        - {Id: b, Arn: !GetAtt Q.Arn, SqsParameters: {MessageGroupId: g}}
        - {Id: c, Arn: !Sub "${F.Arn}:live", InputPath: $.detail}
        - {Id: d, Arn: "arn:aws:states:us-east-1:123456789012:stateMachine:S"}
  Off: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: rate(1 day), State: DISABLED,
        Targets: [{Id: a, Arn: !GetAtt F.Arn}]}}
  Pattern: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [a]}, Targets: [{Id: a, Arn: !GetAtt F.Arn}]}}
  Other:
    Type: AWS::Scheduler::Schedule
    Properties: {ScheduleExpression: rate(2 days), ScheduleExpressionTimezone: Europe/Paris,
                 Target: {Arn: !GetAtt F.Arn, RoleArn: r}}
""",
    )
    function = Target("function", "F")
    assert [(one.target, one.name, one.payload, one.source) for one in template.schedules] == [
        (function, "Rule", '{"a": 1}', "aws.events"),
        (Target("queue", "Q.fifo", "g"), "Rule", None, "aws.events"),
        (function, "Rule", None, "aws.events"),
        (function, "Other", None, "aws.scheduler"),
    ]
    for text in (
        "Rule: InputPath of its target is not emulated", "stateMachine:S is no function or queue of this template",
        "Pattern: no event bus is emulated", "Other: ScheduleExpressionTimezone is not emulated",
    ):  # fmt: skip
        assert text in told(template)


@documented("CloudFormation: AWS::S3::Bucket NotificationConfiguration")
def test_a_bucket_itself_may_name_whom_it_tells(project: Callable[..., Path]) -> None:
    template = read(
        project,
        """
  Q: {Type: AWS::SQS::Queue}
  T: {Type: AWS::SNS::Topic}
  B:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: named
      NotificationConfiguration:
        LambdaConfigurations: [{Event: "s3:ObjectRemoved:*", Function: !GetAtt F.Arn}]
        QueueConfigurations:
          - Event: s3:ObjectCreated:Put
            Queue: !GetAtt Q.Arn
            Filter: {S3Key: {Rules: [{Name: Prefix, Value: a/}]}}
        TopicConfigurations: [{Event: "s3:ObjectCreated:*", Topic: !Ref T}, {Event: x, Topic: "arn:aws:sns:a:1:Gone"}]
""",
    )
    found = [(one.bucket, one.target.kind, one.target.name, one.events, one.prefix) for one in template.bucket_events]
    assert found == [
        ("named", "function", "F", ("s3:ObjectRemoved:*",), ""),
        ("named", "queue", "Q", ("s3:ObjectCreated:Put",), "a/"),
        ("named", "topic", "T", ("s3:ObjectCreated:*",), ""),
    ]
    assert "B: NotificationConfiguration names arn:aws:sns:a:1:Gone" in told(template)


@own("warnings")
def test_a_trigger_that_cannot_be_read_is_left_out_alone(project: Callable[..., Path]) -> None:
    template = read(
        project,
        """
  Bad: {Type: AWS::Events::Rule, Properties: {ScheduleExpression: sometimes, Targets: [{Id: a, Arn: !GetAtt F.Arn}]}}
  Worse: {Type: AWS::SNS::Subscription, Properties: {Protocol: lambda}}
  T: {Type: AWS::SNS::Topic}
  S: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref T, Protocol: lambda, Endpoint: !GetAtt F.Arn,
      FilterPolicy: {a: [{near: 1}]}}}
""",
    )
    assert [one.target.name for one in template.subscriptions] == ["F"]
    for text in ("Bad: ", "sometimes", "Worse: ", "this trigger is left out", "S: FilterPolicy: near is no operator"):
        assert text in told(template)


class Called:
    """A function that keeps its events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        self.events.append(json.loads(payload))
        future = asyncio.get_running_loop().create_future()
        future.set_result(InvokeResult(b"null"))
        return future


@own("triggers")
def test_an_event_comes_to_a_function_a_queue_or_through_a_topic_and_a_refusal_is_logged(tmp_path: Path) -> None:
    lines: list[str] = []

    async def tell() -> tuple[list[Any], list[str]]:
        queues, function = QueueService(Store(tmp_path / "q.sqlite3")), Called()
        await queues.put_queue("Q", {})
        await queues.put_queue("Q.fifo", {"FifoQueue": "true"})
        deliveries = Deliveries({"F": function}, queues, lambda name, line: lines.append(f"{name} {line}"))
        subscription = SubscriptionSpec("T", Target("queue", "Q"), raw=True)
        topics = Topics(["T"], [subscription], Place(), deliveries, lines.append)
        targets = Targets(deliveries, topics, lambda name, line: lines.append(f"{name} {line}"))
        for target in (Target("function", "F"), Target("queue", "Q"), Target("topic", "T"), Target("queue", "Q.fifo")):
            await targets.tell(target, b'{"x":1}')
        await asyncio.sleep(0)
        bodies = [message.body for message in await queues.receive("Q", 10)]
        await deliveries.close()
        queues.close()
        return function.events, bodies

    assert asyncio.run(tell()) == ([{"x": 1}], ['{"x":1}', '{"x":1}'])
    assert lines == ["Q.fifo an event was refused: The request must contain the parameter MessageGroupId."]
