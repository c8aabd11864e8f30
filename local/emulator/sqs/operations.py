"""The calls of SQS: from the members of a request to those of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from local.emulator.specs import ACCOUNT_ID, Place
from local.emulator.sqs.attributes import checked_attributes, public_attributes
from local.emulator.sqs.errors import (
    BatchTooLongError,
    EmptyBatchError,
    EntryIdsNotDistinctError,
    InvalidParameterError,
    MissingParameterError,
    QueueNameExistsError,
    SqsError,
    TooManyEntriesError,
    UnsupportedOperationError,
)
from local.emulator.sqs.members import checked_members
from local.emulator.sqs.messages import (
    MAX_MESSAGE_BYTES,
    MAX_VISIBILITY_SECONDS,
    Outgoing,
    Queue,
    Received,
    Sent,
    md5,
    md5_of_attributes,
    size_of,
)
from local.emulator.sqs.service import QueueService

Members = dict[str, Any]

_MAX_BATCH = 10


class Operations:
    """All calls by their names."""

    def __init__(self, service: QueueService, place: Place) -> None:
        self._service, self._place = service, place
        self._calls: dict[str, Callable[[Members], Awaitable[Members]]] = {
            "CreateQueue": self._create, "DeleteQueue": self._delete_queue, "ListQueues": self._list,
            "GetQueueUrl": self._url, "GetQueueAttributes": self._attributes,
            "SetQueueAttributes": self._set_attributes, "PurgeQueue": self._purge,
            "SendMessage": self._send, "SendMessageBatch": self._send_batch,
            "ReceiveMessage": self._receive, "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": self._visibility,
            "ChangeMessageVisibilityBatch": self._visibility_batch,
        }  # fmt: skip

    async def call(self, name: str, members: Members) -> Members:
        """Answer one call.

        Raises:
            SqsError: the call is refused.
        """
        if name not in self._calls:
            raise UnsupportedOperationError(f"{name} is not emulated")
        return await self._calls[name](checked_members(members))

    def url(self, name: str) -> str:
        """Return the URL of a queue."""
        return f"{self._place.queue_url}/{ACCOUNT_ID}/{name}"

    async def _create(self, members: Members) -> Members:
        name = _required(members, "QueueName")
        attributes = checked_attributes(name, members.get("Attributes") or {})
        names = await self._service.run(lambda store: store.queue_names(name))
        if name in names:
            existing = (await self._service.queue(name)).attributes
            if any(existing.get(key) != value for key, value in attributes.items()):
                raise QueueNameExistsError(
                    "A queue already exists with the same name and a different value for attribute(s)"
                )
        else:
            await self._service.put_queue(name, attributes)
        return {"QueueUrl": self.url(name)}

    async def _delete_queue(self, members: Members) -> Members:
        name = _name(members)
        await self._service.run(lambda store: store.delete_queue(name))
        return {}

    async def _list(self, members: Members) -> Members:
        prefix = members.get("QueueNamePrefix") or ""
        names = await self._service.run(lambda store: store.queue_names(prefix))
        return {"QueueUrls": [self.url(name) for name in names]} if names else {}

    async def _url(self, members: Members) -> Members:
        return {"QueueUrl": self.url((await self._service.queue(_required(members, "QueueName"))).name)}

    async def _attributes(self, members: Members) -> Members:
        name = _name(members)
        queue = await self._service.queue(name)
        depths = await self._service.run(lambda store: store.depths(name))
        arn = self._place.arn("sqs", name)
        attributes = public_attributes(queue, depths, arn, members.get("AttributeNames") or [])
        return {"Attributes": attributes} if attributes else {}

    async def _set_attributes(self, members: Members) -> Members:
        queue = await self._service.queue(_name(members))
        changed = checked_attributes(queue.name, members.get("Attributes") or {})
        kept = {key: value for key, value in (queue.attributes | changed).items() if value}
        await self._service.put_queue(queue.name, kept)
        return {}

    async def _purge(self, members: Members) -> Members:
        name = _name(members)
        await self._service.run(lambda store: store.purge(name))
        return {}

    async def _send(self, members: Members) -> Members:
        queue = await self._service.queue(_name(members))
        message = _outgoing(members).checked(queue)
        return _sent_members((await self._service.send(queue.name, [message]))[0], message)

    async def _send_batch(self, members: Members) -> Members:
        queue, entries = await self._service.queue(_name(members)), _entries_of(members)
        if sum(size_of(_outgoing(entry)) for entry in entries) > MAX_MESSAGE_BYTES:
            raise BatchTooLongError(f"Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes.")
        good: list[tuple[str, Outgoing]] = []
        failed: list[Members] = []
        for entry in entries:
            try:
                good.append((entry["Id"], _outgoing(entry).checked(queue)))
            except SqsError as error:
                failed.append(_failed_entry(entry["Id"], error))
        sent = await self._service.send(queue.name, [message for _, message in good]) if good else []
        done = [{"Id": key} | _sent_members(one, message) for (key, message), one in zip(good, sent, strict=True)]
        return {"Successful": done} | ({"Failed": failed} if failed else {})

    async def _receive(self, members: Members) -> Members:
        queue = await self._service.queue(_name(members))
        limit = int(_number(members, "MaxNumberOfMessages", 1, 1, 10) or 1)
        wait = _number(members, "WaitTimeSeconds", queue.number("ReceiveMessageWaitTimeSeconds", 0), 0, 20)
        visibility = _number(members, "VisibilityTimeout", None, 0, MAX_VISIBILITY_SECONDS)
        found = await self._service.receive(queue.name, limit, wait or 0.0, visibility)
        return {"Messages": [_received_members(message, members) for message in found]} if found else {}

    async def _delete(self, members: Members) -> Members:
        await self._service.delete(_name(members), [_required(members, "ReceiptHandle")])
        return {}

    async def _delete_batch(self, members: Members) -> Members:
        name = _name(members)
        return await _each(members, lambda entry: self._service.delete(name, [_required(entry, "ReceiptHandle")]))

    async def _visibility(self, members: Members) -> Members:
        await self._change(_name(members), members)
        return {}

    async def _visibility_batch(self, members: Members) -> Members:
        name = _name(members)
        return await _each(members, lambda entry: self._change(name, entry))

    async def _change(self, name: str, members: Members) -> None:
        seconds = _number(members, "VisibilityTimeout", None, 0, MAX_VISIBILITY_SECONDS)
        if seconds is None:
            raise MissingParameterError("The request must contain the parameter VisibilityTimeout.")
        handle = _required(members, "ReceiptHandle")
        if not await self._service.change_visibility(name, handle, seconds):
            raise InvalidParameterError(
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not"
                " available for visibility timeout change."
            )


async def _each(members: Members, work: Callable[[Members], Awaitable[None]]) -> Members:
    done: list[Members] = []
    failed: list[Members] = []
    for entry in _entries_of(members):
        try:
            await work(entry)
            done.append({"Id": entry["Id"]})
        except SqsError as error:
            failed.append(_failed_entry(entry["Id"], error))
        await asyncio.sleep(0)
    return {"Successful": done} | ({"Failed": failed} if failed else {})


def _name(members: Members) -> str:
    return str(_required(members, "QueueUrl")).rstrip("/").rsplit("/", 1)[-1]


def _required(members: Members, name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise MissingParameterError(f"The request must contain the parameter {name}.")
    return value


def _number(members: Members, name: str, default: float | None, least: int, most: int) -> float | None:
    value = members.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidParameterError(
            f"Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
        )
    return float(value)


def _outgoing(members: Members) -> Outgoing:
    body = members.get("MessageBody")
    delay = members.get("DelaySeconds")
    return Outgoing(
        body=body if isinstance(body, str) else "",
        attributes=members.get("MessageAttributes") or {},
        delay=None if delay is None else float(delay),
        group=members.get("MessageGroupId"),
        deduplication=members.get("MessageDeduplicationId"),
    )


def _sent_members(sent: Sent, message: Outgoing) -> Members:
    members = {"MessageId": sent.message_id, "MD5OfMessageBody": md5(message.body)}
    if message.attributes:
        members["MD5OfMessageAttributes"] = md5_of_attributes(message.attributes)
    return members | ({"SequenceNumber": sent.sequence} if sent.sequence else {})


def _received_members(message: Received, members: Members) -> Members:
    asked = [*(members.get("AttributeNames") or []), *(members.get("MessageSystemAttributeNames") or [])]
    shown: Members = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "MD5OfBody": md5(message.body),
    }
    system = {key: value for key, value in message.system_attributes().items() if "All" in asked or key in asked}
    own = _asked_attributes(message.attributes, members.get("MessageAttributeNames") or [])
    if own:
        shown |= {"MessageAttributes": own, "MD5OfMessageAttributes": md5_of_attributes(own)}
    return shown | ({"Attributes": system} if system else {})


def _asked_attributes(attributes: Members, asked: list[str]) -> Members:
    if "All" in asked or ".*" in asked:
        return attributes
    prefixes = tuple(name[:-2] for name in asked if name.endswith(".*"))
    return {key: value for key, value in attributes.items() if key in asked or (prefixes and key.startswith(prefixes))}


__all__ = ["Operations", "Queue"]


def _entries_of(members: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a batch.

    Raises:
        SqsError: none, too many, or two with one id.
    """
    entries = members.get("Entries") or []
    if not entries:
        raise EmptyBatchError("There should be at least one entry in the request.")
    if len(entries) > _MAX_BATCH:
        raise TooManyEntriesError(
            f"Maximum number of entries per request are {_MAX_BATCH}. You have sent {len(entries)}."
        )
    ids = [entry.get("Id") for entry in entries]
    if not all(isinstance(key, str) and key for key in ids):
        raise InvalidParameterError("Every entry of a batch needs an Id.")
    for key in ids:
        if ids.count(key) > 1:
            raise EntryIdsNotDistinctError(f"Id {key} repeated.")
    return list(entries)


def _failed_entry(key: str, error: SqsError) -> dict[str, Any]:
    """Return what a batch's answer says of a refused entry."""
    return {"Id": key, "Code": error.query_code, "Message": error.message, "SenderFault": True}
