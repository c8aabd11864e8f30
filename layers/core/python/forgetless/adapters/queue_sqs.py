"""The queues on SQS: FIFO for ingest, with a message group for each speaker, and a standard queue for bulk jobs.

Messages contain only ids. In a standard queue, the message group says among whom SQS shares fairly: the tenants.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import threading
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.errors import QueueError
from forgetless.domain.jobs import Job
from forgetless.ports.bulk_queue import LONGEST_DELAY_S

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["SqsBulkQueue", "SqsQueue"]

#: Timeouts in seconds for a connection and for an answer, so that an add does not hang on its queue.
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 5
#: The total number of attempts of a call.
ATTEMPTS = 2

#: The variables from which botocore itself reads an endpoint.
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL")

#: AWS' own hosts: sqs.REGION.amazonaws.com, or vpce-….sqs.REGION.vpce.amazonaws.com within a VPC.
_AWS_HOST = re.compile(r"(?:^|\.)sqs\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?$")


class _Queue:
    """A queue at `queue_url`.

    `endpoint_url` is the server to call. Without it and without AWS_ENDPOINT_URL, it is the server in the queue's URL.
    """

    def __init__(self, queue_url: str, *, endpoint_url: str | None = None) -> None:
        if not queue_url:
            raise ValueError("a queue on SQS needs its URL")
        self._queue_url = queue_url
        self._endpoint_url = endpoint_url
        self._client: SQSClient | None = None
        self._lock = threading.Lock()

    def _sqs(self) -> SQSClient:
        """The client, created at its first use, because botocore takes a quarter of a second of a cold start."""
        with self._lock:
            if self._client is None:
                from botocore.config import Config  # noqa: PLC0415
                from botocore.session import Session  # noqa: PLC0415

                config = Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                )
                region, key = self._identity()
                made = Session().create_client(
                    "sqs",
                    region_name=region,
                    aws_access_key_id=key,
                    aws_secret_access_key=key,
                    endpoint_url=self._endpoint(),
                    config=config,
                )
                self._client = cast("SQSClient", made)
            return self._client

    def _endpoint(self) -> str | None:
        if self._endpoint_url or any(os.environ.get(name) for name in _ENDPOINT_VARIABLES):
            return self._endpoint_url
        url = urlsplit(self._queue_url)
        return f"{url.scheme}://{url.netloc}"

    def _identity(self) -> tuple[str, str | None]:
        """The queue's region, and a placeholder for credentials when botocore must not look for them.

        A server that is not AWS does not check credentials, but botocore would search the network for them first.
        """
        if match := _AWS_HOST.search(urlsplit(self._queue_url).hostname or ""):
            return match.group(1), None
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return region, None if os.environ.get("AWS_ACCESS_KEY_ID") else "local"


class SqsQueue(_Queue):
    """The FIFO queue of ingest."""

    background = True

    def send(self, job: Job, *, attempt: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._sqs().send_message(
                QueueUrl=self._queue_url,
                MessageBody=json.dumps({"tenant": job.tenant, "job_id": job.id}),
                MessageGroupId=job.scope.writer_key(),
                MessageDeduplicationId=hashlib.sha256(f"{job.id}:{attempt}".encode()).hexdigest(),
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueError(f"the queue did not accept job {job.id} ({_reason(error)})") from error

    def hide(self, receipt: str, *, seconds: float) -> None:
        """See the port. It needs the permission sqs:ChangeMessageVisibility."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._sqs().change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=receipt, VisibilityTimeout=math.ceil(seconds)
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueError(f"the queue did not hide a message ({_reason(error)})") from error


class SqsBulkQueue(_Queue):
    """The standard queue of bulk jobs; see `forgetless.ports.bulk_queue`."""

    def send(self, job: BulkJob, *, delay_s: float = 0.0, waits: int = 0) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        body = {"tenant": job.tenant, "job_id": job.id, "version": job.version, "waits": waits}
        try:
            self._sqs().send_message(
                QueueUrl=self._queue_url,
                MessageBody=json.dumps(body),
                DelaySeconds=math.ceil(min(max(delay_s, 0.0), LONGEST_DELAY_S)),
                # A hash, because SQS allows fewer characters in it than a tenant's name may have.
                MessageGroupId=hashlib.sha256(job.tenant.encode("utf-8", "surrogatepass")).hexdigest(),
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueError(f"the queue did not accept bulk job {job.id} ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(error).__name__)
