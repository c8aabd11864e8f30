"""A queue as its sender and its worker see it: the emulator's SQS, or one in memory for the threads of one process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3

from forgetless.adapters.queue_sqs import SqsQueue
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from tests.fakes.queue import MemoryQueue

__all__ = ["Message", "QueueInMemory", "QueueOnSqs", "a_job_of"]

#: Longer than any test takes: what is in flight stays so until it is released or deleted.
VISIBILITY_S = 600


@dataclass(frozen=True, slots=True)
class Message:
    """A message in flight."""

    job_id: str
    group: str
    receipt: str
    receive_count: int


def a_job_of(user: str, number: int) -> Job:
    at = "2026-01-01T00:00:00.000000+00:00"
    return Job(f"{user} {number}", Scope("t", user_id=user), JobState.PENDING, at, at)


class QueueOnSqs:
    """The FIFO queue of this name, made where it is missing."""

    def __init__(self, name: str, *, endpoint: str) -> None:
        key = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self._sqs: Any = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1", **key)
        attributes = {"FifoQueue": "true", "VisibilityTimeout": str(VISIBILITY_S)}
        self._url = self._sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
        self._queue = SqsQueue(self._url, endpoint_url=endpoint)

    def send(self, job: Job, *, attempt: str) -> None:
        self._queue.send(job, attempt=attempt)

    def receive(self) -> list[Message]:
        names = ["MessageGroupId", "ApproximateReceiveCount"]
        found = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=2, AttributeNames=names)
        return [
            Message(
                json.loads(message["Body"])["job_id"],
                message["Attributes"]["MessageGroupId"],
                message["ReceiptHandle"],
                int(message["Attributes"]["ApproximateReceiveCount"]),
            )
            for message in found.get("Messages", [])
        ]

    def delete(self, receipt: str) -> None:
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def hide(self, receipt: str, *, seconds: float) -> None:
        self._queue.hide(receipt, seconds=seconds)

    def close(self) -> None:
        self._sqs.close()


class QueueInMemory:
    """The same over a queue in memory."""

    def __init__(self, queue: MemoryQueue) -> None:
        self._queue = queue

    def send(self, job: Job, *, attempt: str) -> None:
        self._queue.send(job, attempt=attempt)

    def receive(self) -> list[Message]:
        found = self._queue.receive(limit=2, visibility_s=VISIBILITY_S)
        return [Message(json.loads(m.body)["job_id"], m.group, m.receipt, m.receive_count) for m in found]

    def delete(self, receipt: str) -> None:
        self._queue.delete(receipt)

    def hide(self, receipt: str, *, seconds: float) -> None:
        self._queue.hide(receipt, seconds=seconds)

    def close(self) -> None:
        pass
