"""Messages and queues as plain data, with the checks and digests of SQS."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any

from local.emulator.sqs.errors import InvalidParameterError, MissingParameterError

#: The largest body with its attributes, in bytes.
MAX_MESSAGE_BYTES = 1_048_576
MAX_DELAY_SECONDS = 900
MAX_VISIBILITY_SECONDS = 43_200
#: Seconds for which a FIFO queue drops repeated sends.
DEDUPLICATION_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue and its attributes, times in seconds."""

    name: str
    attributes: dict[str, str]
    created_at: float = 0.0

    @property
    def fifo(self) -> bool:
        """Return whether the queue keeps order."""
        return self.name.endswith(".fifo")

    def number(self, name: str, default: float) -> float:
        """Return a numeric attribute."""
        return float(self.attributes.get(name, default))

    @property
    def dead_letters(self) -> tuple[str, int] | None:
        """Return the name of the dead-letter queue and how often a message is received before."""
        text = self.attributes.get("RedrivePolicy")
        if not text:
            return None
        policy = json.loads(text)
        return str(policy["deadLetterTargetArn"]).rsplit(":", 1)[-1], int(policy["maxReceiveCount"])


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent; `delay` None means the queue's own."""

    body: str
    attributes: dict[str, Any] = field(default_factory=dict)
    delay: float | None = None
    group: str | None = None
    deduplication: str | None = None

    def checked(self, queue: Queue) -> Outgoing:
        """Return the message as the queue stores it.

        Raises:
            SqsError: what the queue refuses.
        """
        if not self.body:
            raise MissingParameterError("The request must contain the parameter MessageBody.")
        limit = int(queue.number("MaximumMessageSize", MAX_MESSAGE_BYTES))
        if size_of(self) > limit:
            reason = f"Message must be shorter than {limit} bytes."
            raise InvalidParameterError(f"One or more parameters are invalid. Reason: {reason}")
        if self.delay is not None and not 0 <= self.delay <= MAX_DELAY_SECONDS:
            raise InvalidParameterError(f"DelaySeconds must be between 0 and {MAX_DELAY_SECONDS}.")
        return self._in_order(queue) if queue.fifo else self._without_order()

    def _in_order(self, queue: Queue) -> Outgoing:
        if not self.group:
            raise MissingParameterError("The request must contain the parameter MessageGroupId.")
        if self.delay:
            raise InvalidParameterError("The request include parameter that is not valid for this queue type.")
        deduplication = self.deduplication
        if not deduplication:
            if queue.attributes.get("ContentBasedDeduplication") != "true":
                raise InvalidParameterError(
                    "The queue should either have ContentBasedDeduplication enabled "
                    "or MessageDeduplicationId provided explicitly"
                )
            deduplication = hashlib.sha256(self.body.encode()).hexdigest()
        return Outgoing(self.body, self.attributes, None, self.group, deduplication)

    def _without_order(self) -> Outgoing:
        if self.deduplication:
            raise InvalidParameterError(
                f"Value {self.deduplication} for parameter MessageDeduplicationId is invalid. "
                "Reason: The request includes a parameter that is not valid for this queue type."
            )
        return self


@dataclass(frozen=True, slots=True)
class Sent:
    """The queue's answer for a message that it accepted."""

    message_id: str
    sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A delivered message; times are seconds since the epoch."""

    message_id: str
    handle: str
    body: str
    attributes: dict[str, Any]
    sent_at: float
    first_received_at: float
    receive_count: int
    group: str | None = None
    deduplication: str | None = None
    sequence: str | None = None

    def system_attributes(self) -> dict[str, str]:
        """Return SQS's own attributes of the message, as texts."""
        attributes = {
            "ApproximateReceiveCount": str(self.receive_count),
            "SentTimestamp": str(int(self.sent_at * 1000)),
            "SenderId": "127.0.0.1",
            "ApproximateFirstReceiveTimestamp": str(int(self.first_received_at * 1000)),
        }
        if self.sequence is not None:
            attributes["SequenceNumber"] = self.sequence
            attributes["MessageDeduplicationId"] = self.deduplication or ""
        if self.group is not None:
            attributes["MessageGroupId"] = self.group
        return attributes


def size_of(message: Outgoing) -> int:
    """Return the bytes of a body and its attributes' names, types and values."""
    size = len(message.body.encode("utf-8", "surrogatepass"))
    for name, value in message.attributes.items():
        size += len(name.encode()) + len(str(value.get("DataType", "")).encode())
        size += len(str(value.get("StringValue") or value.get("BinaryValue") or "").encode())
    return size


def md5(text: str) -> str:
    """Return the digest by which clients check a body."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: dict[str, Any]) -> str:
    """Return the digest by which clients check message attributes."""
    data = bytearray()
    for name in sorted(attributes):
        value = attributes[name]
        kind = str(value.get("DataType", "String"))
        data += _sized(name.encode()) + _sized(kind.encode())
        if kind.startswith("Binary"):
            data += b"\x02" + _sized(base64.b64decode(value.get("BinaryValue", "")))
        else:
            data += b"\x01" + _sized(str(value.get("StringValue", "")).encode())
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sized(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data
