"""SqsQueue: what it does apart from the contract, which tests/contract/queue proves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from forgetless.adapters.queue_sqs import SqsQueue
from forgetless.domain.errors import QueueError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.scope import Scope
from tests.unit.servers import Answer, in_turn, serve

AT = "2026-01-01T00:00:00.000000+00:00"
JOB = Job("job-1", Scope("t", user_id="ann"), JobState.PENDING, AT, AT)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_REGION", raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.delenv(name, raising=False)


def test_botocore_is_not_loaded_before_the_first_send() -> None:
    script = (
        "import sys; from forgetless.adapters.queue_sqs import SqsQueue; SqsQueue('https://sqs.eu-west-1.amazonaws.com/1/q');"
        "sys.exit('botocore' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0


def test_group_and_deduplication_id_come_from_scope_job_and_attempt() -> None:
    with serve(in_turn(Answer(body={"MessageId": "m", "MD5OfMessageBody": "0"}))) as server:
        queue = SqsQueue(server.url + "/1/q.fifo", endpoint_url=server.url)
        for attempt in ("1", "1", "2"):
            queue.send(JOB, attempt=attempt)
    sent = [request.body for request in server.requests]
    assert {body["MessageGroupId"] for body in sent} == {JOB.scope.writer_key()}
    ids = list(dict.fromkeys(body["MessageDeduplicationId"] for body in sent))
    assert (len(ids), {len(id_) for id_ in ids}) == (2, {64})


def test_no_connection_is_a_queue_error() -> None:
    with serve(in_turn(Answer())) as server:
        pass
    queue = SqsQueue(server.url + "/1/q.fifo", endpoint_url=server.url)
    with pytest.raises(QueueError, match=r"job-1 \(EndpointConnectionError\)"):
        queue.send(JOB, attempt="1")


def test_a_failing_server_is_asked_twice() -> None:
    with serve(in_turn(Answer(503))) as server, pytest.raises(QueueError, match="503"):
        SqsQueue(server.url + "/1/q.fifo", endpoint_url=server.url).send(JOB, attempt="1")
    assert len(server.requests) == 2


def test_a_queue_that_is_not_on_aws_needs_neither_endpoint_nor_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with serve(in_turn(Answer(body={"MessageId": "m", "MD5OfMessageBody": "0"}))) as server:
        SqsQueue(server.url + "/1/q.fifo").send(JOB, attempt="1")
    assert server.requests[0].body["QueueUrl"] == server.url + "/1/q.fifo"


def test_the_endpoint_of_the_environment_goes_before_the_queues_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(in_turn(Answer(body={"MessageId": "m", "MD5OfMessageBody": "0"}))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        SqsQueue("https://sqs.eu-central-1.amazonaws.com/123/q.fifo").send(JOB, attempt="1")
    assert "/eu-central-1/sqs/" in server.requests[0].headers["authorization"]


@pytest.mark.parametrize("host", ["sqs.eu-central-1.amazonaws.com", "vpce-0a-1b.sqs.eu-central-1.vpce.amazonaws.com"])
def test_the_region_is_read_from_the_queues_url(host: str) -> None:
    client = SqsQueue(f"https://{host}/123/q.fifo")._sqs()
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-central-1", f"https://{host}")
