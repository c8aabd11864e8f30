"""Queues of a template, with SQS's own attribute names."""

from __future__ import annotations

import json
from typing import Any

from local.emulator.specs import FunctionSpec, QueueEventSpec, QueueSpec
from local.emulator.sqs.attributes import checked_attributes
from local.emulator.sqs.errors import SqsError
from local.emulator.template.document import Document
from local.emulator.template.intrinsics import Resolver

_KIND = "AWS::SQS::Queue"
#: Properties of the resource that are attributes of the queue, by their names there.
_ATTRIBUTES = {
    "VisibilityTimeout": "VisibilityTimeout", "MessageRetentionPeriod": "MessageRetentionPeriod",
    "DelaySeconds": "DelaySeconds", "MaximumMessageSize": "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds", "FifoQueue": "FifoQueue",
    "ContentBasedDeduplication": "ContentBasedDeduplication",
    "DeduplicationScope": "DeduplicationScope", "FifoThroughputLimit": "FifoThroughputLimit",
}  # fmt: skip


def read_queues(document: Document, resources: dict[str, dict[str, Any]], resolver: Resolver) -> tuple[QueueSpec, ...]:
    """Return the queues of the template, dead-letter queues before those that name them."""
    specs = []
    for name, resource in resources.items():
        if resource["Type"] == _KIND:
            with document.reading(name):
                specs.append(_queue(document, name, resolver.physical_name(name), resource["Properties"]))
    for spec in specs:
        if spec.name.endswith(".fifo") != (spec.attributes.get("FifoQueue") == "true"):
            raise document.error(spec.logical_id, "a FIFO queue's name ends in .fifo, and no other queue's does")
    return tuple(sorted(specs, key=lambda spec: "RedrivePolicy" in spec.attributes))


def _queue(document: Document, logical_id: str, name: str, properties: dict[str, Any]) -> QueueSpec:
    try:
        return QueueSpec(name, logical_id, checked_attributes(name, _attributes(properties)))
    except SqsError as error:
        raise document.error(logical_id, error.message) from error


def checked_events(
    document: Document,
    functions: dict[str, FunctionSpec],
    queues: tuple[QueueSpec, ...],
    events: tuple[QueueEventSpec, ...],
) -> tuple[tuple[QueueEventSpec, ...], list[str]]:
    """Return the events whose queue is here, and a warning for each of the others.

    Raises:
        TemplateError: a queue's visibility time-out is below its function's time-out, which Lambda refuses.
    """
    by_name = {queue.name: queue for queue in queues}
    for event in events:
        if (queue := by_name.get(event.queue)) is None:
            continue
        visibility = float(queue.attributes.get("VisibilityTimeout", "30"))
        if visibility < functions[event.function].timeout:
            raise document.error(
                queue.logical_id,
                f"VisibilityTimeout {visibility:g} s is below the time-out of {event.function} "
                f"({functions[event.function].timeout:g} s); six times as much is recommended",
            )
    fed = tuple(event for event in events if event.queue in by_name)
    return fed, [
        document.told(
            event.function, f"not fed from {event.queue}, which is no queue of this template (Queue takes its ARN)"
        )
        for event in events
        if event.queue not in by_name
    ]


def _attributes(properties: dict[str, Any]) -> dict[str, str]:
    attributes = {name: _text(properties[key]) for key, name in _ATTRIBUTES.items() if properties.get(key) is not None}
    if "RedrivePolicy" in properties:
        policy = properties["RedrivePolicy"]
        attributes["RedrivePolicy"] = policy if isinstance(policy, str) else json.dumps(policy)
    return attributes


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
