"""The contract of the job queue: in memory, and on SQS as moto and our emulator serve it."""

from __future__ import annotations

import json
import zlib
from typing import Any, Protocol

import boto3
import pytest

from forgetless.adapters.queue_sqs import SqsQueue
from forgetless.domain.errors import QueueError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from forgetless.ports.queue import JobQueue
from tests.fakes.clock import FakeClock
from tests.fakes.queue import MemoryQueue

MAX_RECEIVES = 2


class Harness(Protocol):
    """A queue under test with its receiving side, which the port leaves to the platform."""

    queue: JobQueue

    def receive(self) -> list[tuple[str, str]]:
        """(body, receipt) of what is visible now; in flight from then on."""

    def delete(self, receipt: str) -> None: ...

    def release(self, receipt: str) -> None: ...

    def dead(self) -> list[str]:
        """Bodies of the dead letters."""


class MemoryHarness:
    def __init__(self) -> None:
        self.memory = MemoryQueue(FakeClock(), max_receives=MAX_RECEIVES)
        self.queue: JobQueue = self.memory

    def receive(self) -> list[tuple[str, str]]:
        return [(message.body, message.receipt) for message in self.memory.receive()]

    def delete(self, receipt: str) -> None:
        self.memory.delete(receipt)

    def release(self, receipt: str) -> None:
        self.memory.release(receipt)

    def dead(self) -> list[str]:
        return self.memory.dead_letters


class SqsHarness:
    def __init__(self, endpoint: str, name: str) -> None:
        self.sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
        self.dead_url = self._create(f"{name}-dead.fifo")
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": MAX_RECEIVES}
        self.url = self._create(f"{name}.fifo", RedrivePolicy=json.dumps(policy))
        self.queue: JobQueue = SqsQueue(self.url, endpoint_url=endpoint)

    def _create(self, name: str, **attributes: str) -> str:
        return self.sqs.create_queue(
            QueueName=name, Attributes={"FifoQueue": "true", "VisibilityTimeout": "30", **attributes}
        )["QueueUrl"]

    def _receive(self, url: str) -> list[Any]:
        reply = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        return list(reply.get("Messages", []))

    def receive(self) -> list[tuple[str, str]]:
        return [(message["Body"], message["ReceiptHandle"]) for message in self._receive(self.url)]

    def delete(self, receipt: str) -> None:
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)

    def release(self, receipt: str) -> None:
        self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=0)

    def dead(self) -> list[str]:
        return [message["Body"] for message in self._receive(self.dead_url)]


@pytest.fixture
def harness(endpoint: str | None, request: pytest.FixtureRequest) -> Harness:
    if endpoint is None:
        return MemoryHarness()
    return SqsHarness(endpoint, f"q{zlib.crc32(request.node.name.encode())}")


def job(number: int, user: str = "ann") -> Job:
    at = "2026-01-01T00:00:00.000000+00:00"
    return Job(f"job-{number}", Scope("t", user_id=user), JobState.PENDING, at, at)


def ids(received: list[tuple[str, str]]) -> list[str]:
    return [json.loads(body)["job_id"] for body, _ in received]


def test_a_message_carries_tenant_and_job_id_alone(harness: Harness) -> None:
    harness.queue.send(job(1), attempt="1")
    [(body, _)] = harness.receive()
    assert json.loads(body) == {"tenant": "t", "job_id": "job-1"}


def test_the_same_attempt_is_sent_once_and_another_one_again(harness: Harness) -> None:
    for attempt in ("1", "1", "2"):
        harness.queue.send(job(1), attempt=attempt)
    received = harness.receive()
    for _, receipt in received:
        harness.delete(receipt)
    assert ids(received + harness.receive()) == ["job-1", "job-1"]


def test_jobs_of_one_scope_come_in_the_order_of_sending(harness: Harness) -> None:
    for number in range(5):
        harness.queue.send(job(number), attempt="1")
    order: list[str] = []
    while received := harness.receive():
        order += ids(received)
        for _, receipt in received:
            harness.delete(receipt)
    assert order == [f"job-{number}" for number in range(5)]


def test_a_job_in_flight_holds_back_its_own_scope_only(harness: Harness) -> None:
    harness.queue.send(job(1, "ann"), attempt="1")
    assert ids(harness.receive()) == ["job-1"]
    harness.queue.send(job(2, "ann"), attempt="1")
    harness.queue.send(job(3, "ben"), attempt="1")
    assert ids(harness.receive()) == ["job-3"]


def test_a_released_job_comes_again_before_its_followers(harness: Harness) -> None:
    harness.queue.send(job(1), attempt="1")
    [(_, receipt)] = harness.receive()
    harness.queue.send(job(2), attempt="1")
    harness.release(receipt)
    assert ids(harness.receive())[0] == "job-1"


def test_a_job_in_flight_shows_again_when_its_worker_says(harness: Harness) -> None:
    harness.queue.send(job(1), attempt="1")
    [(_, receipt)] = harness.receive()
    harness.queue.hide(receipt, seconds=600.5)
    assert harness.receive() == []
    harness.queue.hide(receipt, seconds=0)
    assert ids(harness.receive()) == ["job-1"]


def test_what_was_never_received_cannot_be_hidden(harness: Harness) -> None:
    with pytest.raises(QueueError, match="hid"):
        harness.queue.hide("no receipt", seconds=5)


def test_a_job_that_is_never_done_becomes_a_dead_letter(harness: Harness) -> None:
    harness.queue.send(job(1), attempt="1")
    for _ in range(MAX_RECEIVES):
        [(_, receipt)] = harness.receive()
        harness.release(receipt)
    assert harness.receive() == []
    assert [json.loads(body)["job_id"] for body in harness.dead()] == ["job-1"]


def test_visibility_ends_with_time_in_memory() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock)
    queue.send(job(1), attempt="1")
    [first] = queue.receive(visibility_s=10)
    clock.advance(10)
    queue.delete(first.receipt)
    assert [message.receive_count for message in queue.receive()] == [2]


def test_the_memory_of_attempts_ends_after_five_minutes() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock)
    queue.send(job(1), attempt="1")
    clock.advance(300)
    queue.send(job(1), attempt="1")
    assert len(queue) == 2


@pytest.mark.parametrize("endpoint", ["moto", "emulator"], indirect=True)
def test_a_missing_queue_is_a_queue_error_that_names_the_reason(harness: SqsHarness) -> None:
    harness.sqs.delete_queue(QueueUrl=harness.url)
    with pytest.raises(QueueError, match=r"job-1 \(AWS\.SimpleQueueService\.NonExistentQueue|QueueDoesNotExist"):
        harness.queue.send(job(1), attempt="1")
