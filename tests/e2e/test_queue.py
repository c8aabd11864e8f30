"""A queue that delivers a message twice, as SQS may: real functions on a real ledger do its job once."""

from __future__ import annotations

import json
from typing import Any

import boto3
import httpx
import pytest

from tests.e2e.house import QUEUE_TOKEN, House, wait_until
from tests.e2e.test_house import TEST_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TEST_S)]


class IngestQueue:
    """The queue and its function, as the emulator shows them."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._sqs: Any = boto3.client(
            "sqs",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            aws_session_token=QUEUE_TOKEN,
        )
        self._url = self._sqs.get_queue_url(QueueName="IngestQueue.fifo")["QueueUrl"]

    def send_again(self, job: str) -> None:
        """The same message once more, in another group, so that nothing holds it back."""
        body = json.dumps({"tenant": "default", "job_id": job})
        self._sqs.send_message(
            QueueUrl=self._url, MessageBody=body, MessageGroupId="again", MessageDeduplicationId=f"again-{job}"
        )

    def messages(self) -> int:
        """How many messages the queue holds, and that of its dead letters; a bulk job may wait in another."""
        queues = self._status()["queues"]
        return sum(count for name in ("IngestQueue.fifo", "IngestDlq.fifo") for count in queues[name].values())

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = httpx.get(f"{self._endpoint}/_emulator/status", timeout=30).json()
        return status


@pytest.fixture
def queue(house: House) -> IngestQueue:
    if not house.queue_url:
        pytest.skip("no queue here")
    return IngestQueue(house.queue_url)


# That a visibility ends while the job runs is tested in tests/faults: here its worker keeps the message hidden.
def test_a_message_delivered_again_while_its_job_runs_is_done_once(house: House, queue: IngestQueue) -> None:
    user = "doubled"
    body = {"messages": [{"role": "user", "content": "I live in Hue."}], "user_id": user}
    with house.llm_stopped():
        event = house.client.post("/v3/memories/add/", json=body).json()["event_id"]
        # A worker that came before the job is claimed would wait, and then find the job done.
        wait_until(lambda: house.client.get(f"/v1/event/{event}/").json()["status"] == "RUNNING")
        queue.send_again(event)
        if house.functions_run_at_once:
            wait_until(lambda: queue.messages() == 1)  # its worker sees that another one has the job, and is done
        assert house.client.get(f"/v1/event/{event}/").json()["status"] != "SUCCEEDED"
    wait_until(lambda: house.client.get(f"/v1/event/{event}/").json()["status"] == "SUCCEEDED")
    wait_until(lambda: queue.messages() == 0)
    (memory,) = house.client.get("/memories", params={"user_id": user}).json()["results"]
    assert [item["event"] for item in house.client.get(f"/memories/{memory['id']}/history").json()] == ["ADD"]
