"""Reads and writes notes; writing goes through the queue."""

import os

import boto3
from titles import titled


def handler(event, context):
    """Answer GET and POST of /notes/{name}."""
    name = event["pathParameters"]["name"]
    if event["requestContext"]["http"]["method"] == "POST":
        boto3.client("sqs").send_message(QueueUrl=os.environ["WORK"], MessageBody=f"{name}={event['body']}")
        return {"statusCode": 202, "body": "queued"}
    return {"title": titled(name), "topic": os.environ["TOPIC"], "region": os.environ["AWS_REGION"]}
