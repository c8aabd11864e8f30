"""Topics: what functions publish with boto3 comes to the functions and queues that subscribed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.emulator.settings import Settings
from tests.emulator.conftest import Running
from tests.emulator.fidelity import documented, own

PROJECT = """
Resources:
  Alerts: {Type: AWS::SNS::Topic, Properties: {Subscription: [{Protocol: sqs, Endpoint: !GetAtt Copies.Arn}]}}
  Orders: {Type: AWS::SNS::Topic, Properties: {TopicName: orders.fifo, FifoTopic: true}}
  Copies: {Type: AWS::SQS::Queue}
  Raw: {Type: AWS::SQS::Queue}
  InOrder: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  ToRaw:
    Type: AWS::SNS::Subscription
    Properties: {TopicArn: !Ref Alerts, Protocol: sqs, Endpoint: !GetAtt Raw.Arn, RawMessageDelivery: true,
                 FilterPolicy: {kind: [red]}}
  ToOrder:
    Type: AWS::SNS::Subscription
    Properties: {TopicArn: !Ref Orders, Protocol: sqs, Endpoint: !GetAtt InOrder.Arn}
  ByMail: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref Alerts, Protocol: email, Endpoint: a@b.example}}
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: 20
      Environment: {Variables: {TOPIC: !Ref Alerts}}
      Events:
        All: {Type: HttpApi}
        Told: {Type: SNS, Properties: {Topic: !Ref Alerts}}
"""
CODE = """
import json, os, boto3
def handler(event, context):
    if "Records" in event:
        print("TOLD", json.dumps(event))
        return
    kind = {"DataType": "String", "StringValue": event["rawPath"][1:]}
    sns = boto3.client("sns")
    return sns.publish(TopicArn=os.environ["TOPIC"], Message="<text>", Subject="S", MessageAttributes={"kind": kind})
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("topics")
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(CODE)
    (folder / "template.yaml").write_text(PROJECT)
    running = Running(Settings(folder / "template.yaml", folder / "state", port=0, queue_port=0, init_limit=60.0))
    yield running
    running.stop()


def client(running: Running, service: str) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, endpoint_url=running.queue_url, region_name="us-east-1", **keys)


def received(running: Running, queue: str, wait: int = 20) -> list[dict[str, Any]]:
    sqs = client(running, "sqs")
    url = f"{running.queue_url}/123456789012/{queue}"
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait, MessageAttributeNames=["All"])
    for message in answer.get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return list(answer.get("Messages", []))


@documented("SNS: sns-lambda-as-subscriber, sns-sqs-as-subscriber")
def test_a_message_comes_to_functions_and_queues_in_their_forms(running: Running) -> None:
    assert running.http.get("/red").status_code == 200
    envelope = json.loads(received(running, "Copies")[0]["Body"])
    assert (envelope["Type"], envelope["Message"], envelope["Subject"]) == ("Notification", "<text>", "S")
    assert envelope["MessageAttributes"] == {"kind": {"Type": "String", "Value": "red"}}
    raw = received(running, "Raw")[0]
    assert (raw["Body"], raw["MessageAttributes"]["kind"]["StringValue"]) == ("<text>", "red")
    line = running.logged("TOLD ").split("TOLD ")[1].splitlines()[0]
    record = json.loads(line)["Records"][0]
    assert (record["EventSource"], record["Sns"]["Message"]) == ("aws:sns", "<text>")
    assert record["Sns"]["TopicArn"] == "arn:aws:sns:us-east-1:123456789012:Alerts"


@documented("SNS: sns-message-filtering")
def test_a_filter_policy_keeps_messages_back(running: Running) -> None:
    assert running.http.get("/blue").status_code == 200
    assert json.loads(received(running, "Copies")[0]["Body"])["Message"] == "<text>"
    assert received(running, "Raw", wait=0) == []


@documented("SNS: sns-fifo-topics")
def test_a_fifo_topic_hands_on_group_and_deduplication(running: Running) -> None:
    sns, topic = client(running, "sns"), "arn:aws:sns:us-east-1:123456789012:orders.fifo"
    with pytest.raises(ClientError, match="MessageGroupId"):
        sns.publish(TopicArn=topic, Message="one")
    for _ in range(2):
        sns.publish(TopicArn=topic, Message="one", MessageGroupId="g", MessageDeduplicationId="d")
    assert [json.loads(one["Body"])["Message"] for one in received(running, "InOrder.fifo")] == ["one"]
    assert received(running, "InOrder.fifo", wait=0) == []


@documented("SNS: API_PublishBatch, API_CreateTopic, API_GetTopicAttributes")
def test_topics_are_made_listed_and_published_to_in_batches(running: Running) -> None:
    sns = client(running, "sns")
    arn = sns.create_topic(Name="made")["TopicArn"]
    assert arn in [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsConfirmed"] == "0"
    entries = [{"Id": "a", "Message": "one"}, {"Id": "b", "Message": "x" * 300_000}]
    answer = sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
    assert ([one["Id"] for one in answer["Successful"]], [one["Id"] for one in answer["Failed"]]) == (["a"], ["b"])
    subscribers = sns.list_subscriptions_by_topic(TopicArn="arn:aws:sns:us-east-1:123456789012:Alerts")
    assert sorted(one["Protocol"] for one in subscribers["Subscriptions"]) == ["lambda", "sqs", "sqs"]
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.publish(TopicArn=f"{arn}-not", Message="one")
    with pytest.raises(ClientError, match="SetTopicAttributes of SNS is not emulated"):
        sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="x")


@own("warnings")
def test_a_subscription_that_cannot_be_served_is_named(running: Running) -> None:
    assert any("ByMail: its subscription by email to a@b.example is not emulated" in one for one in running.warnings)


@own("services that are not here")
def test_a_call_to_another_service_is_told_what_to_do(running: Running) -> None:
    for service, call in (
        ("dynamodb", lambda client: client.list_tables()),
        ("s3", lambda client: client.list_buckets()),
        ("sts", lambda client: client.get_caller_identity()),
    ):
        with pytest.raises(ClientError, match=rf"\(NotEmulated\).*{service} is not emulated here: .*--with-moto"):
            call(client(running, service))


@own("services that are not here")
def test_functions_are_invoked_by_boto3_without_a_port_of_their_own(running: Running) -> None:
    answer = client(running, "lambda").invoke(FunctionName="Hello", Payload=b'{"Records": []}')
    assert (answer["StatusCode"], answer["Payload"].read()) == (200, b"null")
