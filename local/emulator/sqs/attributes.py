"""Attributes of queues: which there are, their limits and their defaults."""

from __future__ import annotations

import json
import re

from local.emulator.sqs.errors import InvalidAttributeNameError, InvalidParameterError
from local.emulator.sqs.messages import MAX_MESSAGE_BYTES, Queue

#: Numeric attributes with their least and greatest value and their default.
_NUMBERS = {
    "VisibilityTimeout": (0, 43_200, 30),
    "MessageRetentionPeriod": (60, 1_209_600, 345_600),
    "DelaySeconds": (0, 900, 0),
    "MaximumMessageSize": (1024, MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
}
_TEXTS = {
    "FifoQueue", "ContentBasedDeduplication", "RedrivePolicy", "RedriveAllowPolicy", "Policy",
    "DeduplicationScope", "FifoThroughputLimit", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
}  # fmt: skip
_COUNTS = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
_ALWAYS = {"QueueArn", "CreatedTimestamp", "LastModifiedTimestamp"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


def checked_attributes(name: str, given: dict[str, str]) -> dict[str, str]:
    """Return the attributes of a new or changed queue as texts.

    Raises:
        SqsError: an unknown name, or a value out of its limits.
    """
    fifo = name.endswith(".fifo")
    if not _NAME.fullmatch(name.removesuffix(".fifo")) or len(name) > 80:
        raise InvalidParameterError(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    attributes = {key: str(value) for key, value in given.items()}
    for key, value in attributes.items():
        _check(key, value)
    if "FifoQueue" in attributes and (attributes["FifoQueue"] == "true") != fifo:
        raise InvalidParameterError("The name of a FIFO queue can only end in .fifo, and no other queue's does.")
    return attributes


def _check(key: str, value: str) -> None:
    if key in _NUMBERS:
        least, most, _ = _NUMBERS[key]
        if not value.isdecimal() or not least <= int(value) <= most:
            raise InvalidParameterError(f"Invalid value for the parameter {key}.")
    elif key not in _TEXTS:
        raise InvalidAttributeNameError(f"Unknown Attribute {key}.")
    if key == "RedrivePolicy" and value:
        try:
            policy = json.loads(value)
            valid = int(policy["maxReceiveCount"]) >= 1 and bool(policy["deadLetterTargetArn"])
        except (ValueError, TypeError, KeyError):
            valid = False
        if not valid:
            raise InvalidParameterError("RedrivePolicy needs deadLetterTargetArn and maxReceiveCount of 1 or more.")


def public_attributes(queue: Queue, depths: dict[str, int], arn: str, asked: list[str]) -> dict[str, str]:
    """Return the attributes that were asked for.

    Raises:
        InvalidAttributeNameError: an unknown name.
    """
    known = {*_NUMBERS, *_TEXTS, *_COUNTS, *_ALWAYS, "All"}
    for name in asked:
        if name not in known:
            raise InvalidAttributeNameError(f"Unknown Attribute {name}.")
    stamp = str(int(queue.created_at))
    values = {key: str(default) for key, (_, _, default) in _NUMBERS.items()}
    values |= {key: str(depths[count]) for key, count in _COUNTS.items()}
    values |= {"QueueArn": arn, "CreatedTimestamp": stamp, "LastModifiedTimestamp": stamp}
    values |= {key: value for key, value in queue.attributes.items() if value}
    if queue.fifo:
        values = {"ContentBasedDeduplication": "false", **values, "FifoQueue": "true"}
    return {key: value for key, value in values.items() if "All" in asked or key in asked}
