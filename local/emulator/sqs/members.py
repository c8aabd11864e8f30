"""The members of a call have the types that SQS names, or the call is refused before anything reads them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from local.emulator.sqs.errors import SerializationError

__all__ = ["checked_members"]


def _is_attribute(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    texts = [value.get(name) for name in ("DataType", "StringValue", "BinaryValue")]
    return all(text is None or isinstance(text, str) for text in texts) and _is_base64(value.get("BinaryValue") or "")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: tuple[tuple[Callable[[Any], bool], tuple[str, ...]], ...] = (
    (lambda value: isinstance(value, str), (
        "QueueName", "QueueUrl", "QueueNamePrefix", "MessageBody", "MessageGroupId", "MessageDeduplicationId",
        "ReceiptHandle", "ReceiveRequestAttemptId", "NextToken", "Id",
    )),
    (_is_number, ("DelaySeconds", "MaxNumberOfMessages", "MaxResults", "VisibilityTimeout", "WaitTimeSeconds")),
    (lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value), (
        "AttributeNames", "MessageAttributeNames", "MessageSystemAttributeNames",
    )),
    (lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value), ("Entries",)),
    (lambda value: isinstance(value, dict) and all(isinstance(one, str | int | float) for one in value.values()), (
        "Attributes",
    )),
    (lambda value: isinstance(value, dict) and all(map(_is_attribute, value.values())), (
        "MessageAttributes", "MessageSystemAttributes",
    )),
)  # fmt: skip
_FITS = {name: fits for fits, names in _KINDS for name in names}


def checked_members(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members that are given; null is not given.

    Raises:
        SerializationError: one has another type.
    """
    given = {name: value for name, value in members.items() if value is not None}
    for name, value in given.items():
        if name in _FITS and not _FITS[name](value):
            raise SerializationError(f"The parameter {name} has the wrong type.")
    if "Entries" in given:
        given["Entries"] = [checked_members(entry) for entry in given["Entries"]]
    return given
