"""Batches of SQS messages: the event, and what the function's answer means for each message."""

from __future__ import annotations

from typing import Any

import orjson

from local.emulator.invocation import InvokeResult
from local.emulator.patterns import matches
from local.emulator.sqs.messages import Received, md5

#: The most bytes of a record besides its body and attributes.
_RECORD_BYTES = 1024


def batch_event(messages: list[Received], arn: str, region: str) -> bytes:
    """Return the event of a batch."""
    records = [
        {
            **_content(message),
            "receiptHandle": message.handle,
            "md5OfBody": md5(message.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": region,
        }
        for message in messages
    ]
    return orjson.dumps({"Records": records})


def _content(message: Received) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "body": message.body,
        "attributes": message.system_attributes(),
        "messageAttributes": {key: _attribute(value) for key, value in message.attributes.items()},
    }


def fits(message: Received, filters: tuple[dict[str, Any], ...]) -> bool:
    """Return whether a message fits one of the filters, which see a body of JSON as what it says."""
    content = _content(message)
    try:
        said = orjson.loads(message.body)
    except orjson.JSONDecodeError:
        said = message.body
    if isinstance(said, dict | list):
        content["body"] = said
    return any(matches(pattern, content) for pattern in filters)


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataType": value.get("DataType", "String"),
        "stringValue": value.get("StringValue"),
        "binaryValue": value.get("BinaryValue"),
        "stringListValues": [],
        "binaryListValues": [],
    }


def by_size(messages: list[Received], most: int) -> list[list[Received]]:
    """Return messages, in their order, as batches whose bodies take at most `most` bytes of an event."""
    batches: list[list[Received]] = []
    left = 0
    for message in messages:
        size = len(orjson.dumps(message.body)) + _RECORD_BYTES
        if not batches or size > left:
            batches.append([])
            left = most
        batches[-1].append(message)
        left -= size
    return batches


def processed(messages: list[Received], result: InvokeResult, *, report_failures: bool) -> list[Received]:
    """Return the messages to delete; the others become visible again when their visibility time-out ends."""
    if result.error is not None:
        return []
    if not report_failures:
        return messages
    failed = failed_ids(result.payload)
    if failed is None or not failed <= {message.message_id for message in messages}:
        return []
    return [message for message in messages if message.message_id not in failed]


def failed_ids(payload: bytes) -> set[str] | None:
    """Return the ids that an answer reports as failed, or None when it means that all failed."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return None
    failures = answer.get("batchItemFailures") or []
    if not isinstance(failures, list):
        return None
    ids = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    texts = {key for key in ids if isinstance(key, str) and key}
    return texts if len(texts) == len(set(ids)) else None
