"""Faults of the functions and the queue of the emulator: processes are found by their function, messages by SQS."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import boto3
import psutil
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.emulator.specs import ACCOUNT_ID
from local.up.identity import Identity, identify
from tests.histories.faults import Fault, of_others

__all__ = ["FUNCTIONS", "QueueMeddler", "function_faults", "queue_settings", "queue_url"]

#: The functions of template.yaml that answer clients or write memories.
FUNCTIONS = ("MemoriesFunction", "SearchFunction", "IngestFunction", "SweepFunction", "BulkFunction")
_QUEUE, _BULK_QUEUE = "IngestQueue.fifo", "BulkQueue"
#: The number of messages whose copies may be sent.
_KNOWN = 50


def queue_url(port: int) -> str:
    """Return the URL of the ingest queue of an emulator whose SQS has this port."""
    return f"http://127.0.0.1:{port}/{ACCOUNT_ID}/{_QUEUE}"


#: What the queue of `make up` wants; a queue alone does not look at it.
QUEUE_TOKEN = "queue-of-the-world"


def queue_settings(port: int) -> dict[str, str]:
    """Return the settings of a process beside the emulator that sends to its queues."""
    bulk = f"http://127.0.0.1:{port}/{ACCOUNT_ID}/{_BULK_QUEUE}"
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": QUEUE_TOKEN}
    return {"FORGETLESS_QUEUE_URL": queue_url(port), "FORGETLESS_BULK_QUEUE_URL": bulk} | credentials


def function_faults(below: Callable[[], Sequence[Identity]]) -> list[Fault]:
    """Return faults that kill or pause all environments of a function; `below` gives the emulator's processes."""
    return [fault for name in FUNCTIONS for fault in of_others(name, partial(_of_function, name, below))]


def _of_function(name: str, below: Callable[[], Sequence[Identity]]) -> list[Identity]:
    found = []
    for one in below():
        try:
            environment = psutil.Process(one.pid).environ()
        except psutil.Error:
            continue
        if environment.get("AWS_LAMBDA_FUNCTION_NAME") == name and identify(one.pid) == one:
            found.append(one)
    return found


class QueueMeddler:
    """Holds back messages of the queue for a while, and sends queued jobs again."""

    def __init__(self, port: int) -> None:
        self._url = queue_url(port)
        self._sqs: Any = boto3.client(
            "sqs",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            aws_session_token=QUEUE_TOKEN,
            config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1}),
        )
        self._bodies: deque[str] = deque(maxlen=_KNOWN)
        self._held: list[str] = []

    def tell(self, tenant: str, job_id: str) -> None:
        """Note a job that clients know to be queued."""
        self._bodies.append(json.dumps({"tenant": tenant, "job_id": job_id}))

    def faults(self) -> list[Fault]:
        """Return faults that delay and reorder messages, and send a job again in another group, to a second worker."""
        return [
            Fault("delayed messages", "queue", self._hold, self._release, 0.5, 4.0, 2.0),
            Fault("doubled messages", "queue", self._double, weight=2.0),
        ]

    def _hold(self) -> None:
        reply = self._asked("receive_message", MaxNumberOfMessages=10, VisibilityTimeout=5)
        self._held = [message["ReceiptHandle"] for message in reply.get("Messages", [])]

    def _release(self) -> None:
        for handle in self._held:
            self._asked("change_message_visibility", ReceiptHandle=handle, VisibilityTimeout=0)
        self._held = []

    def _double(self) -> None:
        for body in list(self._bodies)[-5:]:
            fresh = uuid.uuid4().hex
            self._asked("send_message", MessageBody=body, MessageGroupId=fresh, MessageDeduplicationId=fresh)

    def _asked(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer; none while the queue is down, which is another fault's doing."""
        try:
            answer: dict[str, Any] = getattr(self._sqs, operation)(QueueUrl=self._url, **parameters)
        except (BotoCoreError, ClientError):
            return {}
        return answer
