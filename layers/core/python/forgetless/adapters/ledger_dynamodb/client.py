"""The client: one per process, created at the first use. It retries calls within bounds and translates errors."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_dynamodb.failures import RetryableError, classify
from forgetless.domain.backoff import Backoff, Tries
from forgetless.domain.errors import LedgerError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Client"]

#: Timeouts in seconds for a connection and for an answer.
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
#: How many threads of a process can make calls at once.
_CONNECTIONS = 50

#: The waits between the tries of a call.
BACKOFF = Backoff(first_s=0.01, longest_s=0.5)

#: The variables from which botocore itself reads an endpoint.
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
_AWS_HOST = re.compile(r"(?:^|\.)amazonaws\.com(?:\.cn)?$")


class Client:
    """Calls on one table; nothing is opened before the first call."""

    def __init__(self, table: str, *, patience_s: float, endpoint_url: str | None = None) -> None:
        if not table:
            raise ValueError("the DynamoDB ledger needs its table's name")
        self.table = table
        self.patience_s = patience_s
        self._endpoint_url = endpoint_url
        self._made: DynamoDBClient | None = None
        self._closed = False
        self._lock = threading.Lock()

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of the operation; raises ContendedError, or LedgerError when retries do not help.

        If DynamoDB executed a call but its answer was lost, the same call is sent again. Then its own condition may
        fail, so ContendedError does not mean that nothing was written.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        tries = self.tries()
        while True:
            try:
                answer: dict[str, Any] = getattr(self._dynamodb(), operation)(**parameters)
            except (BotoCoreError, ClientError) as error:
                failure = classify(error, self.table)
                if not isinstance(failure, RetryableError) or not tries.again():
                    raise failure from error
            else:
                return answer

    def tries(self) -> Tries:
        """The tries of one call, for callers that must repeat more than a single operation."""
        return Tries(BACKOFF, patience_s=self.patience_s, clock=SystemClock())

    def close(self) -> None:
        """Close the connections; later calls raise LedgerError."""
        with self._lock:
            self._closed = True
            if self._made is not None:
                self._made.close()

    def _dynamodb(self) -> DynamoDBClient:
        with self._lock:
            if self._closed:
                raise LedgerError(f"the ledger {self.table} is closed")
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> DynamoDBClient:
        # Botocore alone: boto3 would also load its resources and its transfers to S3. Both are part of a cold start.
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=_CONNECTIONS,
            # Our own retries respect the patience of the whole call.
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        identity: dict[str, Any] = self._identity()
        made = Session().create_client("dynamodb", endpoint_url=self._endpoint_url, config=config, **identity)
        return cast("DynamoDBClient", made)

    def _identity(self) -> dict[str, str]:
        """A placeholder region and key for an endpoint that is not AWS and does not check them.

        Without them botocore would search the network for credentials before it sends a call.
        """
        urls = (self._endpoint_url, *(os.environ.get(name) for name in _ENDPOINT_VARIABLES))
        endpoint = next(filter(None, urls), None)
        if endpoint is None or _AWS_HOST.search(urlsplit(endpoint).hostname or ""):
            return {}
        identity = {}
        if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            identity["region_name"] = "us-east-1"
        if not os.environ.get("AWS_ACCESS_KEY_ID"):
            identity |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        return identity
