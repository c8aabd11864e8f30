"""SNS's protocol over HTTP: forms that are read, and XML that is answered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from local.emulator.asgi import ClientGoneError, Receive, Scope, Send, read_body
from local.emulator.invocation import new_request_id
from local.emulator.sns.messages import Published
from local.emulator.sns.topics import Topics, UnknownTopicError

__all__ = ["VERSION", "TopicServer"]

#: The version of its protocol, by which its calls are told from those of other services.
VERSION = "2010-03-31"
_NAMESPACE = f"http://sns.amazonaws.com/doc/{VERSION}/"
#: A message with its attributes, and a batch of them, in bytes.
MAX_MESSAGE_BYTES = 256 * 1024
_MAX_FORM_BYTES = 4 * 1024 * 1024
_MAX_BATCH = 10
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo")

Form = Mapping[str, str]


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class TopicServer:
    """Answers the calls of SNS that functions make."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._actions: dict[str, Callable[[Form], Awaitable[str]]] = {
            "Publish": self._publish, "PublishBatch": self._publish_batch, "CreateTopic": self._create,
            "ListTopics": self._list, "GetTopicAttributes": self._attributes,
            "ListSubscriptionsByTopic": self._subscriptions,
        }  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        del scope
        try:
            body = await read_body(receive, _MAX_FORM_BYTES)
        except ClientGoneError:
            return
        form = dict(parse_qsl((body or b"").decode("utf-8", "replace"), keep_blank_values=True))
        request_id = new_request_id()
        status, text = 200, ""
        try:
            text = await self._answer(form, request_id)
        except UnknownTopicError:
            status, text = 404, _error("NotFound", "Topic does not exist", request_id)
        except _RefusedError as refused:
            status, text = refused.status, _error(refused.code, refused.text, request_id)
        data = text.encode()
        headers = [(b"content-type", b"text/xml"), (b"x-amzn-requestid", request_id.encode())]
        headers.append((b"content-length", b"%d" % len(data)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _answer(self, form: Form, request_id: str) -> str:
        action = form.get("Action", "")
        if action not in self._actions:
            raise _RefusedError(400, "InvalidAction", f"{action or 'a call without Action'} of SNS is not emulated")
        result = await self._actions[action](form)
        return (
            f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
        )

    async def _publish(self, form: Form) -> str:
        topic = form.get("TopicArn") or form.get("TargetArn")
        if not topic:
            raise _invalid("TopicArn or TargetArn", "it is missing; text messages to a PhoneNumber are not emulated")
        published = _published(topic, form, "")
        await self._topics.publish(published)
        return f"<MessageId>{published.message_id}</MessageId>"

    async def _publish_batch(self, form: Form) -> str:
        topic = form.get("TopicArn", "")
        self._topics.subscribers(topic)
        done, failed = [], []
        prefixes = list(_members(form, "PublishBatchRequestEntries.member."))
        if not 1 <= len(prefixes) <= _MAX_BATCH:
            code = "TooManyEntriesInBatchRequest" if prefixes else "EmptyBatchRequest"
            raise _RefusedError(400, code, f"The batch request has {len(prefixes)} entries; 1 to {_MAX_BATCH} may be")
        for prefix in prefixes:
            key = escape(form.get(f"{prefix}Id", ""))
            try:
                published = _published(topic, form, prefix)
            except _RefusedError as refused:
                reason = f"<Code>{refused.code}</Code><Message>{escape(refused.text)}</Message>"
                failed.append(f"<member><Id>{key}</Id>{reason}<SenderFault>true</SenderFault></member>")
                continue
            await self._topics.publish(published)
            done.append(f"<member><Id>{key}</Id><MessageId>{published.message_id}</MessageId></member>")
        return f"<Successful>{''.join(done)}</Successful><Failed>{''.join(failed)}</Failed>"

    async def _create(self, form: Form) -> str:
        name = form.get("Name", "")
        if not _TOPIC_NAME.fullmatch(name):
            raise _invalid("Topic Name", "letters, digits, - and _, at most 256")
        return f"<TopicArn>{self._topics.create(name)}</TopicArn>"

    async def _list(self, form: Form) -> str:
        del form
        members = (f"<member><TopicArn>{escape(arn)}</TopicArn></member>" for arn in self._topics.arns())
        return f"<Topics>{''.join(members)}</Topics>"

    async def _attributes(self, form: Form) -> str:
        arn = form.get("TopicArn", "")
        values = {"TopicArn": arn, "SubscriptionsConfirmed": str(len(self._topics.subscribers(arn)))}
        entries = (f"<entry><key>{key}</key><value>{escape(value)}</value></entry>" for key, value in values.items())
        return f"<Attributes>{''.join(entries)}</Attributes>"

    async def _subscriptions(self, form: Form) -> str:
        arn = form.get("TopicArn", "")
        members = (
            f"<member><SubscriptionArn>{one}</SubscriptionArn><TopicArn>{escape(arn)}</TopicArn><Owner/>"
            f"<Protocol>{'lambda' if spec.target.kind == 'function' else 'sqs'}</Protocol>"
            f"<Endpoint>{escape(spec.target.name)}</Endpoint></member>"
            for one, spec in self._topics.subscribers(arn)
        )
        return f"<Subscriptions>{''.join(members)}</Subscriptions>"


def _published(topic: str, form: Form, prefix: str) -> Published:
    message, attributes = form.get(f"{prefix}Message", ""), _attributes_of(form, f"{prefix}MessageAttributes.entry.")
    size = len(message.encode()) + sum(len(name) + sum(map(len, one.values())) for name, one in attributes.items())
    if not message:
        raise _invalid("Message", "Empty message")
    if size > MAX_MESSAGE_BYTES:
        raise _invalid("Message", "Message too long")
    group = form.get(f"{prefix}MessageGroupId")
    if topic.endswith(".fifo") and not group:
        raise _invalid("MessageGroupId", "The MessageGroupId parameter is required for FIFO topics")
    return Published(
        topic=topic,
        message=message,
        subject=form.get(f"{prefix}Subject"),
        attributes=attributes,
        group=group,
        deduplication=form.get(f"{prefix}MessageDeduplicationId"),
    )


def _attributes_of(form: Form, prefix: str) -> dict[str, dict[str, str]]:
    found = {}
    for one in _members(form, prefix):
        members = ("DataType", "StringValue", "BinaryValue")
        value = {name: form[f"{one}Value.{name}"] for name in members if f"{one}Value.{name}" in form}
        if "DataType" not in value:
            raise _invalid("MessageAttributes", "an attribute needs a DataType")
        found[form.get(f"{one}Name", "")] = value
    return found


def _members(form: Form, prefix: str) -> Iterator[str]:
    """Yield the beginnings of the names of each member of a list, as `prefix1.`, in their order."""
    numbers = {int(rest) for name in form if name.startswith(prefix) and (rest := _number(name[len(prefix) :]))}
    return (f"{prefix}{number}." for number in sorted(numbers))


def _number(text: str) -> str:
    first = text.partition(".")[0]
    return first if first.isdecimal() else ""


def _invalid(name: str, reason: str) -> _RefusedError:
    return _RefusedError(400, "InvalidParameter", f"Invalid parameter: {name} Reason: {reason}")


def _error(code: str, text: str, request_id: str) -> str:
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(text)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
