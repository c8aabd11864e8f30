"""What every queue of bulk jobs does: in memory, and on SQS as moto and as our emulator serve it."""

from __future__ import annotations

import json
import zlib
from typing import Any, Protocol

import boto3
import pytest

from forgetless.adapters.queue_sqs import SqsBulkQueue
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import QueueError
from forgetless.domain.jobs import JobState
from forgetless.ports.bulk_queue import BulkQueue
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.fakes.clock import FakeClock

AT = "2026-01-01T00:00:00.000000+00:00"


class Harness(Protocol):
    queue: BulkQueue

    def receive(self) -> list[dict[str, Any]]:
        """The bodies of what is visible now; hidden from then on."""


class MemoryHarness:
    def __init__(self) -> None:
        self.memory = MemoryBulkQueue(FakeClock())
        self.queue: BulkQueue = self.memory

    def receive(self) -> list[dict[str, Any]]:
        names = ("tenant", "job_id", "version", "waits")
        return [{name: getattr(message, name) for name in names} for message in iter(self.memory.receive, None)]


class SqsHarness:
    def __init__(self, endpoint: str, name: str) -> None:
        self.sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
        self.url = self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
        self.queue: BulkQueue = SqsBulkQueue(self.url, endpoint_url=endpoint)

    def messages(self) -> list[Any]:
        reply = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        return list(reply.get("Messages", []))

    def receive(self) -> list[dict[str, Any]]:
        return [json.loads(message["Body"]) for message in self.messages()]


@pytest.fixture
def harness(endpoint: str | None, request: pytest.FixtureRequest) -> Harness:
    if endpoint is None:
        return MemoryHarness()
    return SqsHarness(endpoint, f"b{zlib.crc32(request.node.name.encode())}")


def job(id_: str = "job-1", *, tenant: str = "t", version: int = 1) -> BulkJob:
    return BulkJob(id_, tenant, BulkKind.ERASE, JobState.PENDING, AT, AT, {"ids": {"user_id": "x"}}, version=version)


def test_a_message_names_the_job_and_its_version_and_nothing_of_the_request(harness: Harness) -> None:
    harness.queue.send(job(version=7), waits=2)
    assert harness.receive() == [{"tenant": "t", "job_id": "job-1", "version": 7, "waits": 2}]


def test_two_jobs_of_a_tenant_are_received_at_the_same_time(harness: Harness) -> None:
    for id_ in ("job-1", "job-2"):
        harness.queue.send(job(id_))
    received = harness.receive() + harness.receive()
    assert {message["job_id"] for message in received} == {"job-1", "job-2"}


def test_the_same_message_may_be_sent_twice(harness: Harness) -> None:
    for _ in range(2):
        harness.queue.send(job())
    assert len(harness.receive() + harness.receive()) == 2


@pytest.mark.parametrize("delay_s", [600.5, 5000.0])
def test_a_delayed_message_is_not_received_yet(harness: Harness, delay_s: float) -> None:
    harness.queue.send(job("later"), delay_s=delay_s)
    harness.queue.send(job("now"))
    assert [message["job_id"] for message in harness.receive() + harness.receive()] == ["now"]


@pytest.mark.parametrize("endpoint", ["moto", "emulator"], indirect=True)
def test_the_tenant_is_the_message_group_whatever_its_name(harness: SqsHarness) -> None:
    for tenant in ("acme", "acme", "a \ud800 tenant\x00" + "x" * 500):
        harness.queue.send(job(tenant=tenant))
    received: list[Any] = []
    while found := harness.messages():
        received += found
    groups = {message["Attributes"]["MessageGroupId"] for message in received}
    assert (len(received), len(groups), {len(group) for group in groups}) == (3, 2, {64})


@pytest.mark.parametrize("endpoint", ["moto", "emulator"], indirect=True)
def test_a_missing_queue_is_a_queue_error_that_names_the_reason(harness: SqsHarness) -> None:
    harness.sqs.delete_queue(QueueUrl=harness.url)
    with pytest.raises(
        QueueError, match=r"bulk job job-1 \(AWS\.SimpleQueueService\.NonExistentQueue|QueueDoesNotExist"
    ):
        harness.queue.send(job())
