"""moto beside the emulator: a project's stores are there, its buckets tell functions, and nothing reaches the cloud."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from local.emulator.moto.server import OneAtATime
from local.emulator.specs import Place
from local.emulator.template.reader import read_template
from tests.emulator.fidelity import documented, own

PROJECT = """
Resources:
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      BillingMode: PAY_PER_REQUEST
      SSESpecification: {SSEEnabled: true}
  Simple: {Type: AWS::Serverless::SimpleTable}
  Uploads: {Type: AWS::S3::Bucket}
  Title: {Type: AWS::SSM::Parameter, Properties: {Name: /app/title, Type: String, Value: !Sub "of ${Things}"}}
  Key:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: key, GenerateSecretString: {SecretStringTemplate: '{"user": "me"}', GenerateStringKey: word}}
  Odd: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !ImportValue Elsewhere}}
  Copies: {Type: AWS::SQS::Queue}
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: 60
      Environment: {Variables: {TABLE: !Ref Things, BUCKET: !Ref Uploads, SECRET: !Ref Key, SIMPLE: !Ref Simple}}
      Events:
        All: {Type: HttpApi}
        Came:
          Type: S3
          Properties:
            Bucket: !Ref Uploads
            Events: s3:ObjectCreated:*
            Filter: {S3Key: {Rules: [{Name: prefix, Value: in/}, {Name: suffix, Value: .txt}]}}
"""
CODE = """
import json, os, boto3
def handler(event, context):
    if "Records" in event:
        print("CAME", json.dumps(event["Records"]))
        return
    table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
    table.put_item(Item={"id": "1", "text": "kept"})
    boto3.resource("dynamodb").Table(os.environ["SIMPLE"]).put_item(Item={"id": "1"})
    for key in ("out/no.txt", "in/no.png", "in/a b.txt"):
        boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=key, Body=b"content")
    title = boto3.client("ssm").get_parameter(Name="/app/title")["Parameter"]["Value"]
    secret = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["SECRET"])["SecretString"])
    queue = boto3.client("sqs").get_queue_url(QueueName="Copies")["QueueUrl"]
    return [table.get_item(Key={"id": "1"})["Item"]["text"], title, sorted(secret), queue]
"""


@pytest.mark.slow
@documented("S3: notification-content-structure, and what each service's API says")
def test_stores_are_made_and_objects_of_a_bucket_come_to_the_function(start: Any) -> None:
    running = start(PROJECT, settings={"with_moto": True}, code__app=CODE)
    answer = running.http.get("/").json()
    assert answer == ["kept", "of Things", ["user", "word"], f"{running.queue_url}/123456789012/Copies"]
    line = running.logged("CAME ").split("CAME ")[1].splitlines()[0]
    [record] = json.loads(line)
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert (record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]) == ("uploads", "in/a+b.txt")
    assert record["s3"]["object"]["size"] == 7
    assert running.log().count("CAME ") == 1
    assert any(warning.startswith("Odd is not made in moto") for warning in running.warnings)


@own("services that are not here")
def test_without_moto_a_call_to_a_store_fails_at_once_and_never_leaves_this_machine(start: Any) -> None:
    running = start(PROJECT, code__app=CODE)
    assert running.http.get("/").status_code == 500
    assert "dynamodb is not emulated here: start the emulator with --with-moto" in running.logged("NotEmulated")


@own("--with-moto")
def test_the_stores_of_a_template_have_the_names_that_functions_know(project: Any) -> None:
    stores = {store.logical_id: store for store in read_template(project(PROJECT, code__app=CODE), Place()).stores}
    assert stores["Things"].properties["TableName"] == "Things"
    assert "SSESpecification" not in stores["Things"].properties
    assert stores["Simple"].kind == "AWS::DynamoDB::Table"
    assert stores["Uploads"].properties == {"BucketName": "uploads"}
    assert stores["Odd"].problem


@own("moto's transactions fail beside other requests")
@pytest.mark.parametrize(("target", "together"), [("DynamoDB_20120810.TransactWriteItems", 0), ("", 2)])
def test_moto_gets_one_request_to_dynamodb_after_the_other(target: str, together: int) -> None:
    both = Barrier(2)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            both.wait(0.2)
        except BrokenBarrierError:
            return [b"alone"]
        return [b"together"]

    server = OneAtATime(application)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: list(server({"HTTP_X_AMZ_TARGET": target}, None)), range(2)))
    assert answers.count([b"together"]) == together
