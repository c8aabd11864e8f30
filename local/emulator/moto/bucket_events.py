"""What happens in moto's buckets: read from moto's queue, completed, and handed to functions, queues and topics."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import orjson

from local.emulator.moto.client import MotoClient, MotoError
from local.emulator.moto.stores import EVENT_QUEUE
from local.emulator.specs import ACCOUNT_ID, BucketEventSpec, Target

__all__ = ["BucketEvents", "completed"]

#: Seconds between two looks; moto has no long polls that cost nothing.
_LOOK_SECONDS = 0.3
_QUIET_SECONDS = 5.0


class BucketEvents:
    """Tells the targets of bucket events; `tell` hands an event over, `log` takes what went wrong."""

    def __init__(
        self,
        client: MotoClient,
        url: str,
        events: Sequence[BucketEventSpec],
        *,
        tell: Callable[[Target, bytes], Awaitable[None]],
        log: Callable[[str], None],
    ) -> None:
        self._client, self._events, self._tell, self._log = client, events, tell, log
        self._queue = f"{url}/{ACCOUNT_ID}/{EVENT_QUEUE}"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                found = await self._look()
            except (MotoError, ValueError, LookupError) as error:
                self._log(f"BUCKETS cannot be watched: {error!r}")
                await asyncio.sleep(_QUIET_SECONDS)
                continue
            if not found:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> int:
        """Hand over what has happened since the last look; return how much that was."""
        members = {"QueueUrl": self._queue, "MaxNumberOfMessages": 10}
        answer = await self._client.json("sqs", "AmazonSQS.ReceiveMessage", members)
        messages = answer.get("Messages") or []
        for message in messages:
            for record in json.loads(message["Body"]).get("Records", ()):  # moto's test event has none
                target = self._events[int(record["s3"]["configurationId"])].target
                await self._tell(target, orjson.dumps({"Records": [completed(record)]}))
            handle = {"QueueUrl": self._queue, "ReceiptHandle": message["ReceiptHandle"]}
            await self._client.json("sqs", "AmazonSQS.DeleteMessage", handle)
        return len(messages)


def completed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the members that AWS gives and moto leaves out."""
    s3 = record["s3"]
    bucket = {**s3["bucket"], "ownerIdentity": {"principalId": "LOCAL"}}
    key = quote_plus(unquote_plus(s3["object"]["key"]), safe="/")  # S3 leaves slashes as they are
    entity = {**s3["object"], "key": key, "sequencer": f"{time.time_ns():016X}"}
    return {
        **record,
        "userIdentity": {"principalId": "AWS:LOCAL"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": uuid.uuid4().hex[:16].upper(), "x-amz-id-2": "LOCAL"},
        "s3": {**s3, "bucket": bucket, "object": entity},
    }
