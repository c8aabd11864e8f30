"""Functions fed from queues: order, partial failures, dead letters, throttling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.emulator.fidelity import documented

TEMPLATE = """
Resources:
  Eat:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: %(seconds)s
      %(properties)s
      Events:
        Work: {Type: SQS, Properties: {Queue: !GetAtt Work.Arn, %(event)s}}
  Work:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: %(seconds)s
      %(queue)s
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
  Dead: {Type: AWS::SQS::Queue, Properties: {%(dead)s}}
"""
EAT = """
def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    print("batch", *bodies)
    if "raise" in bodies: raise ValueError("on purpose")
    bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": key} for key in bad]}
"""
REPORT = "FunctionResponseTypes: [ReportBatchItemFailures]"


def template(
    properties: str = "", event: str = "BatchSize: 10", queue: str = "", dead: str = "", seconds: int = 600
) -> str:
    texts = {"properties": properties, "event": event, "queue": queue, "dead": dead, "seconds": seconds}
    return TEMPLATE % texts


def send(running: Any, *bodies: str, name: str = "Work", **options: str) -> None:
    sqs = running.sqs()
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": body, **options} for n, body in enumerate(bodies)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)


def depth(running: Any, *names: str) -> int:
    queues = running.status()["queues"]
    return sum(count for name in names for count in queues[name].values())


@pytest.mark.slow
@documented("Lambda: invocation-eventsourcemapping")
def test_processed_messages_are_deleted(start: Any) -> None:
    running = start(template(), code__app=EAT)
    send(running, "a", "b", "c")
    running.eventually(lambda: depth(running, "Work") == 0)
    assert sum(line.count(" batch ") for line in running.logged("batch").splitlines()) >= 1


@pytest.mark.slow
@documented("Lambda: invocation-eventsourcemapping")
def test_a_group_is_processed_in_order(start: Any) -> None:
    fifo = "FifoQueue: true\n      ContentBasedDeduplication: true"
    running = start(template(event="BatchSize: 1", queue=fifo, dead="FifoQueue: true"), code__app=EAT)
    send(running, *"12345", name="Work.fifo", MessageGroupId="g")
    running.eventually(lambda: depth(running, "Work.fifo") == 0)
    printed = [line.split("batch ")[1] for line in running.logged("batch 5").splitlines() if "batch " in line]
    assert printed == list("12345")


@pytest.mark.slow
@documented("Lambda: services-sqs-scaling")
def test_no_more_batches_run_at_once_than_the_mapping_allows(start: Any, tmp_path: Path) -> None:
    code = """
        import os, time
        def handler(event, context):
            while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")): time.sleep(0.01)
        """
    event = "BatchSize: 1, ScalingConfig: {MaximumConcurrency: 2}"
    running = start(template(event=event), {"max_environments": 5}, code__app=code)
    send(running, *"12345")
    running.wait_for("Eat", busy=2, waiting=0)
    assert running.status()["queues"]["Work"] == {"visible": 3, "in_flight": 2, "delayed": 0}
    (tmp_path / "code" / "go").touch()
    running.eventually(lambda: depth(running, "Work") == 0)


@pytest.mark.slow
@documented("Lambda: services-sqs-errorhandling")
def test_a_throttled_batch_goes_back_to_the_queue(start: Any) -> None:
    running = start(template(properties="ReservedConcurrentExecutions: 0", seconds=1), code__app=EAT)
    send(running, "a")
    running.logged("throttled until the visibility time-out")
    assert "batch" not in running.log()
    assert depth(running, "Work", "Dead") == 1
