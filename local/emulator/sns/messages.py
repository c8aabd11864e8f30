"""Messages of a topic, and the forms in which functions and queues get them."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson

from local.emulator.sqs.messages import Outgoing

__all__ = ["Published", "function_event", "queue_message"]

#: Nothing here is signed, and nobody can unsubscribe: the members are there because code may read them.
_UNSIGNED = "EXAMPLE"
_URL = "EXAMPLE"


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"


@dataclass(frozen=True, slots=True)
class Published:
    """One message; `attributes` are as `{"name": {"DataType": "String", "StringValue": "text"}}`."""

    topic: str
    message: str
    subject: str | None = None
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    group: str | None = None
    deduplication: str | None = None
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    timestamp: str = field(default_factory=_now)

    def plain_attributes(self) -> dict[str, Any]:
        """Return the attributes' values as a filter policy sees them: texts, numbers and lists."""
        return {name: _plain(value) for name, value in self.attributes.items()}

    def shown_attributes(self) -> dict[str, dict[str, str]]:
        """Return the attributes as a notification shows them."""
        return {
            name: {"Type": value["DataType"], "Value": value.get("StringValue", value.get("BinaryValue", ""))}
            for name, value in self.attributes.items()
        }


def _plain(value: dict[str, str]) -> Any:
    kind, text = value["DataType"], value.get("StringValue", "")
    if kind.startswith(("Number", "String.Array")):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text


def function_event(published: Published, subscription_arn: str) -> bytes:
    """Return the event of a function."""
    notification = {
        "Type": "Notification",
        "MessageId": published.message_id,
        "TopicArn": published.topic,
        "Subject": published.subject,
        "Message": published.message,
        "Timestamp": published.timestamp,
        "SignatureVersion": "1",
        "Signature": _UNSIGNED,
        "SigningCertUrl": _URL,
        "UnsubscribeUrl": _URL,
        "MessageAttributes": published.shown_attributes(),
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "Sns": notification,
    }
    return orjson.dumps({"Records": [record]})


def queue_message(published: Published, *, raw: bool, fifo: bool) -> Outgoing:
    """Return the message of a queue: as it was published if it is to be raw, else in an envelope."""
    group = deduplication = None
    if fifo:
        group = published.group
        deduplication = published.deduplication or hashlib.sha256(published.message.encode()).hexdigest()
    if raw:
        return Outgoing(published.message, dict(published.attributes), group=group, deduplication=deduplication)
    envelope: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": published.message_id,
        "TopicArn": published.topic,
        "Message": published.message,
        "Timestamp": published.timestamp,
        "SignatureVersion": "1",
        "Signature": _UNSIGNED,
        "SigningCertURL": _URL,
        "UnsubscribeURL": _URL,
    }
    if published.subject is not None:
        envelope["Subject"] = published.subject
    if published.attributes:
        envelope["MessageAttributes"] = published.shown_attributes()
    return Outgoing(orjson.dumps(envelope).decode(), group=group, deduplication=deduplication)
